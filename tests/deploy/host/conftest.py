"""A host with the package on it, and both clouds inside it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# The reader of the runbooks.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "page"))

from clouds import Clouds
from machine import Machine, unpack

REPIN_DEB = Path(os.environ["REPIN_DEB"])
BASE = Path(os.environ["REPIN_DEPLOY_BASE"])


@pytest.fixture(scope="session")
def deb():
    """The package."""
    return REPIN_DEB


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """A booted host without the package."""
    folder = tmp_path_factory.mktemp("host")
    root = folder / "root"
    unpack(BASE, root)
    machine = Machine(root, folder)
    try:
        yield machine.boot()
    finally:
        machine.power_off()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def installed(machine, deb):
    """A booted host with the package installed and nothing set up."""
    shutil.copy(deb, machine.path("/root/repin.deb"))
    said = machine.run("dpkg", "--install", "/root/repin.deb").expect()
    assert "warning" not in (said.stdout + said.stderr).lower(), said.stdout + said.stderr
    return machine


@pytest.fixture(scope="module")
def host(installed):
    """A booted host with the package, both clouds, and their credentials where the service takes them from."""
    clouds = Clouds(installed)
    clouds.start()
    clouds.settings()
    return installed


@pytest.fixture(scope="session")
def package_fields(deb):
    """The control fields of the package."""
    said = subprocess.run(["dpkg-deb", "--field", str(deb)], check=True, capture_output=True, text=True).stdout
    return dict(line.split(": ", 1) for line in said.splitlines() if line[:1].isalpha())


@pytest.fixture(scope="session")
def newer(deb, tmp_path_factory):
    """The same package under a newer version."""
    folder = tmp_path_factory.mktemp("newer")
    subprocess.run(["dpkg-deb", "--raw-extract", str(deb), str(folder / "tree")], check=True)
    control = folder / "tree/DEBIAN/control"
    text = control.read_text()
    version = next(line for line in text.splitlines() if line.startswith("Version: "))
    control.write_text(text.replace(version, "Version: 0.2.0-1"))
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(folder / "tree"), str(folder / "repin.deb")],
        check=True,
        capture_output=True,
    )
    return folder / "repin.deb"


def pytest_terminal_summary(terminalreporter):
    """Says which program was tested."""
    size = REPIN_DEB.stat().st_size
    terminalreporter.write_line(json.dumps({"package": REPIN_DEB.name, "bytes": size}))
