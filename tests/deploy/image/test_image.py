"""The image: what is in it, what it may do, and how it runs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from conftest import OPTIONS, ROOT, TAG, WORK

SECRET = "a secret that comes from a mounted file"


def until(what, check, patience=60):
    """Waits until something is so, and returns it."""
    end = time.monotonic() + patience
    while not (found := check()):
        assert time.monotonic() < end, f"waited {patience} s in vain: {what}"
        time.sleep(0.1)
    return found


def test_it_says_what_it_is(inspected):
    config = inspected["Config"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == "repin"
    assert labels["org.opencontainers.image.licenses"] == "MIT OR Apache-2.0"
    assert labels["org.opencontainers.image.version"] and labels["org.opencontainers.image.revision"]
    # A number other than 0: Kubernetes can tell that it is not root, and refuses it otherwise.
    assert config["User"] == "65532:65532"
    assert inspected["Healthcheck"]["Test"] == ["CMD", "/usr/bin/repin", "status", "--probe", "live"]
    print(f"\nsize of the image: {inspected['Size'] / 1e6:.1f} MB")
    program = os.stat(os.environ["REPIN_BIN"]).st_size
    # Beside the program there are the C library, the certificates and notices.
    assert inspected["Size"] < program + 8_000_000


def test_there_is_nothing_but_the_program_to_run(files):
    found = [path for path in files.rglob("*") if path.is_file() and not path.is_symlink() and os.access(path, os.X_OK)]
    programs = {str(path.relative_to(files)) for path in found if ".so" not in path.name}
    executable = {path for path in programs if (files / path).stat().st_mode & 0o111}
    assert executable == {"usr/bin/repin"}
    setuid = [path for path in files.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o6000]
    assert setuid == []
    assert "root" not in (files / "etc/passwd").read_text()


def test_no_shell_can_be_had(podman):
    for shell in ("/bin/sh", "/bin/bash", "/busybox/sh"):
        assert podman("run", "--rm", *OPTIONS, f"--entrypoint={shell}", TAG).returncode == 127


def test_what_it_is_made_of_is_listed(files):
    records = sorted((files / "var/lib/dpkg/status.d").iterdir())
    assert [path.name for path in records] == ["ca-certificates", "libc6", "libgcc-s1"]
    command = [sys.executable, str(ROOT / "deploy/container/sbom"), *map(str, records)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    bom = json.loads(done.stdout)
    names = {component["name"] for component in bom["components"]}
    assert {"libc6", "rustls", "aws-lc-rs", "tokio", "aws-sdk-ssm"} <= names
    # Nothing that only tests or builds it.
    assert not {"proptest", "insta", "cc", "serde_derive"} & names
    path = WORK / "repin.cdx.json"
    path.write_text(done.stdout)
    print(f"\nSBOM: {len(names)} components, CycloneDX {bom['specVersion']}: {path}")
    assert done.stdout == subprocess.run(command, capture_output=True, text=True).stdout, "it is reproducible"


@pytest.fixture
def desired(clouds, tmp_path):
    """A file for both clouds, and what its container needs."""
    (tmp_path / "secrets").mkdir()
    for name, text in {"api-key": SECRET, "azure": clouds["azure"]["connection_string"]}.items():
        (tmp_path / "secrets" / name).write_text(text)
    aws = {"provider": "aws-ssm", "account": "000000000000", "region": "eu-west-1", "prefix": f"/{tmp_path.name}"}
    aws |= {"kms_key": "alias/ai-config", "endpoint_url": clouds["aws"]["endpoint_url"]}
    azure = {"provider": "azure-app-configuration", "endpoint": clouds["azure"]["endpoint"], "label": "prod"}
    azure |= {"prefix": tmp_path.name, "connection_string": {"file": "/etc/repin/secrets/azure"}}
    secret = {"targets": ["aws"], "secret": True, "value_from": {"file": "/etc/repin/secrets/api-key"}}
    entries = {"chat/model": {"value": "gpt-4o"}, "chat/api-key": secret}
    text = {"version": 1, "name": "image", "targets": {"aws": aws, "azure": azure}, "entries": entries}
    (tmp_path / "repin.yaml").write_text(yaml.safe_dump(text))
    keys = {"AWS_ACCESS_KEY_ID": clouds["aws"]["access_key_id"]}
    keys["AWS_SECRET_ACCESS_KEY"] = clouds["aws"]["secret_access_key"]
    return tmp_path, [f"--env={name}={value}" for name, value in keys.items()]


def volumes(folder):
    """Returns the mounts of a file and its secrets."""
    return [f"{folder}/repin.yaml:/etc/repin/repin.yaml:ro", f"{folder}/secrets:/etc/repin/secrets:ro"]


def test_a_pass_in_a_job(podman, desired):
    folder, environment = desired
    said = podman.run("reconcile", "-o", "json", volumes=volumes(folder), options=environment)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["outcome"] == "applied"
    said = podman.run("plan", "--detailed-exitcode", volumes=volumes(folder), options=environment)
    assert said.returncode == 0, said.stdout + said.stderr
    said = podman.run("get", "chat/api-key", "--reveal", "-o", "json", volumes=volumes(folder), options=environment)
    assert json.loads(said.stdout)["targets"][0]["value"] == SECRET


def test_a_daemon_as_a_sidecar(podman, desired):
    folder, environment = desired
    mounts = [f"--volume={volume}" for volume in volumes(folder)]
    said = podman("run", "--detach", "--name=sidecar", *OPTIONS, *environment, *mounts, TAG)
    assert said.returncode == 0, said.stderr
    try:
        probe = ["exec", "sidecar", "/usr/bin/repin", "status", "--probe"]
        until("it is live", lambda: podman(*probe, "live").returncode == 0)
        until("it is ready", lambda: podman(*probe, "ready").returncode == 0)
        pid = json.loads(podman("inspect", "sidecar").stdout)[0]["State"]["Pid"]
        fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert fields["Uid"].split() == ["65532"] * 4 and fields["NoNewPrivs"] == "1"
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
        assert podman("stop", "--time=40", "sidecar").returncode == 0
        assert json.loads(podman("inspect", "sidecar").stdout)[0]["State"]["ExitCode"] == 0
        assert SECRET not in podman("logs", "sidecar").stderr
    finally:
        podman("rm", "--force", "--time=1", "sidecar")


def line(said, code, *words):
    """Finds the one line that tells the cause, prints it, and checks the exit code."""
    assert said.returncode == code, said.stdout + said.stderr
    found = [text for text in said.stderr.splitlines() if all(word in text for word in words)]
    assert len(found) == 1, said.stderr
    print(f"\n  {found[0]}")


def test_without_its_file_it_says_so(podman):
    line(podman.run(), 78, "/etc/repin/repin.yaml", "there is no such file")


def test_without_a_secret_it_says_which(podman, desired):
    folder, environment = desired
    (folder / "secrets/api-key").unlink()
    said = podman.run(volumes=volumes(folder), options=environment)
    line(said, 78, "/etc/repin/secrets/api-key", "there is no such file")


def test_a_state_volume_that_is_read_only_is_told(podman, desired):
    folder, environment = desired
    (folder / "state").mkdir()
    said = podman.run(volumes=[*volumes(folder), f"{folder}/state:/var/lib/repin:ro"], options=environment)
    line(said, 1, "the state directory cannot be written to: /var/lib/repin")


def test_without_its_config_map_it_says_so(podman, tmp_path):
    """An empty folder is what a ConfigMap without the file looks like; one that is missing keeps a pod from starting."""
    folder = tmp_path / "desired"
    folder.mkdir()
    arguments = ["daemon", "--interval=60s", "--log-format=json"]
    options = ["--env=REPIN_FILE=/etc/repin/desired/repin.yaml"]
    said = podman.run(*arguments, volumes=[f"{folder}:/etc/repin/desired:ro"], options=options)
    line(said, 78, "/etc/repin/desired/repin.yaml", "there is no such file")
    # What `kubectl describe` shows is the end of this.
    assert len(said.stderr.splitlines()) == 1, said.stderr


def test_as_root_it_says_so(podman, desired):
    """Root without capabilities may not even write where the image's own user may."""
    folder, environment = desired
    said = podman.run(volumes=volumes(folder), options=[*environment, "--user=0:0"])
    line(said, 1, "this container runs as root, which nothing here needs")
    line(said, 1, "the state directory cannot be written to: /var/lib/repin/image: Permission denied")
