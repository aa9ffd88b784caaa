"""The image, built without a registry, and podman with a store of its own."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
WORK = Path(os.environ["REPIN_DEPLOY_WORK"])
RUNTIME = Path(__file__).with_name("crun")
TAG = "localhost/repin:test"

# On one machine with whatever else uses containers, and under no service manager.
OPTIONS = ["--cgroups=disabled", "--network=host", "--read-only", "--no-healthcheck", "--cap-drop=all"]
OPTIONS += ["--security-opt=no-new-privileges"]


class Podman:
    """podman, on a store that goes with the tests."""

    def __init__(self, folder):
        self.store = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]
        self.folder = folder

    def __call__(self, *command, timeout=120):
        given = ["--tmpdir", str(self.folder / "tmp"), "--cgroup-manager=cgroupfs", "--events-backend=file"]
        given += [f"--runtime={RUNTIME}"]
        return subprocess.run(
            ["podman", *self.store, *given, *command], capture_output=True, text=True, timeout=timeout
        )

    def run(self, *command, volumes=(), options=()):
        """Runs the image to its end."""
        mounts = [f"--volume={volume}" for volume in volumes]
        return self("run", "--rm", *OPTIONS, *options, *mounts, TAG, *command)


@pytest.fixture(scope="session")
def podman():
    """podman, with the image."""
    folder = WORK / "containers"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    podman = Podman(folder)
    build = [ROOT / "deploy/container/build", os.environ["REPIN_BIN"], os.environ["REPIN_DEPLOY_BASE"], TAG]
    environment = os.environ | {"BUILDAH_ARGS": " ".join(podman.store)}
    done = subprocess.run(build, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    yield podman
    podman("rm", "--all", "--force", "--time=5")
    podman("rmi", "--all", "--force")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def inspected(podman):
    """What the image says of itself."""
    said = podman("image", "inspect", TAG)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)[0]


@pytest.fixture(scope="session")
def files(podman, tmp_path_factory):
    """The files of the image."""
    folder = tmp_path_factory.mktemp("files")
    said = podman("create", "--name=files", "--cgroups=disabled", "--network=none", TAG)
    assert said.returncode == 0, said.stderr
    archive = folder.with_suffix(".tar")
    assert podman("export", f"--output={archive}", "files").returncode == 0
    podman("rm", "files")
    subprocess.run(["tar", "-C", str(folder), "-xf", str(archive)], check=True)
    archive.unlink()
    return folder


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    """Both clouds on loopback."""
    out = tmp_path_factory.mktemp("clouds") / "told.json"
    command = [os.environ["REPIN_BIN"], "emulator", "-o", "json", "--kms-key", "alias/ai-config"]
    with out.open("w") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL) as process:
        try:
            from test_image import until

            yield until("both clouds are up", lambda: json.loads(out.read_text() or "null"))
        finally:
            process.terminate()
