"""What the tests of `deploy/kubernetes`, `deploy/ci` and `deploy/provision` share."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"

# Each part has an environment of its own, with the packages that it alone needs.
PARTS = {"kubernetes", "ci", "provision"}
collect_ignore = [f"test_{part}.py" for part in PARTS - {os.environ["REPIN_DEPLOY_PART"]}]


@pytest.fixture(scope="session")
def repin():
    """Runs the program: `repin(ARGUMENT..., cwd=..., env=...)` returns the finished process."""
    binary = os.environ["REPIN_BIN"]

    def run(*arguments, expect=0, **options):
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | options.pop("env", {})
        done = subprocess.run(
            [binary, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=60, **options
        )
        assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture(scope="session")
def iam(repin):
    """Asks for the rights that a file needs: `iam(FILE, MODE)` returns the object that is printed."""

    def ask(file, mode):
        return json.loads(repin("iam", "--mode", mode, "-f", file, "-o", "json").stdout)

    return ask
