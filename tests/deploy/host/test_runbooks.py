"""The runbooks of `deploy/README.md` that are about a host, played on one: its own systemctl, dpkg and users."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from clouds import AWS, AZURE, UNIT, Clouds, credential
from machine import PATIENCE
from page import Command, Edit, Event, is_shown, sections

PAGE = Path(__file__).resolve().parents[3] / "deploy/README.md"
# In this order: each goes on with what the one before left.
TITLES = ["First install", "Restore after a lost host", "Upgrade"]
EXAMPLE = "/usr/share/doc/repin/examples/repin.yaml"
LOOKS = re.compile(r"^repin (status|history|plan)\b")


@pytest.fixture(scope="module")
def ops1(machine, deb, newer, tmp_path_factory):
    """A host before its first install, beside both clouds, which are reached as the service's settings have it."""
    tree = tmp_path_factory.mktemp("clouds")
    subprocess.run(["dpkg-deb", "--extract", str(deb), str(tree)], check=True)
    shutil.copy(tree / "usr/bin/repin", machine.path("/opt/clouds"))
    Clouds(machine, UNIT.replace("/usr/bin/repin emulator", "/opt/clouds emulator --account 111122223333")).start()
    dropin = f"[Service]\nEnvironment=AWS_SHARED_CREDENTIALS_FILE={credential('aws')}\n"
    machine.write("/etc/systemd/system/repin.service.d/clouds.conf", dropin)
    machine.run("systemctl", "daemon-reload").expect()
    machine.run("useradd", "--create-home", "ana").expect()
    machine.write("/root/api-key", "sk-not-a-real-key")
    shutil.copy(deb, machine.path("/root/repin_0.1.0-1_amd64.deb"))
    shutil.copy(newer, machine.path("/root/repin_0.2.0-1_amd64.deb"))
    return machine


def rendered(text):
    """Returns a file with the addresses of the clouds that this host has."""
    text = re.sub(r"^( +)region: \S+$", rf"\g<0>\n\1endpoint_url: http://{AWS}", text, flags=re.M)
    azure = f"endpoint: http://{AZURE}\n\\1connection_string: {{ file: {credential('azure')} }}"
    return re.sub(r"^( +)endpoint: https://\S+$", rf"\1{azure}", text, flags=re.M)


def play(host, step):
    """Plays one step of a runbook; of several hosts this is the first."""
    if isinstance(step, Event):
        if step.what == "ops1 is lost":
            host.run("dpkg", "--purge", "repin").expect()
            host.run("rm", "-rf", "/var/lib/private/repin").expect()
    elif isinstance(step, Edit):
        path = host.path(step.path)
        host.write(step.path, step.apply(path.read_text(encoding="utf-8")))
    elif step.host == "ops1":
        run(host, step)


def run(host, command):
    """Runs a command, and holds what it prints against the page."""
    if command.text.startswith(f"cp {EXAMPLE}"):
        host.write(EXAMPLE, rendered(host.path(EXAMPLE).read_text(encoding="utf-8")))
    user, home = (None, "/root") if command.who == "root" else (command.who, "/tmp")
    end = time.monotonic() + PATIENCE
    while True:
        said = host.run("bash", "-c", f"cd {home}; {{ {command.text}\n}} 2>&1", user=user)
        if said.code == command.code and is_shown(command.shown, said.stdout):
            return
        patient = LOOKS.match(command.text) and time.monotonic() < end
        assert patient, f"line {command.line}: {command.text}\nexit {said.code}\n{said.stdout}"
        time.sleep(0.3)


@pytest.mark.parametrize("title", TITLES)
def test_a_runbook(ops1, title):
    [section] = [section for section in sections(PAGE) if section.title == title]
    assert any(isinstance(step, Command) and step.host == "ops1" for step in section.steps)
    for step in section.steps:
        play(ops1, step)
