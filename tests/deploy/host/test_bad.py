"""What an operator gets wrong, and the line of `systemctl status` that says what it is."""

import pytest

from clouds import Clouds, desired
from stores import served

SERVICE = "repin"


@pytest.fixture(autouse=True)
def stopped(host):
    """Leaves the service as it was installed."""
    yield
    host.run("systemctl", "stop", SERVICE)
    host.run("systemctl", "reset-failed", SERVICE)
    dropin = host.path("/etc/systemd/system/repin.service.d/test.conf")
    if dropin.exists():
        dropin.unlink()
        host.run("systemctl", "daemon-reload").expect()


def drop_in(host, text):
    """Adds lines to the service's unit."""
    host.write("/etc/systemd/system/repin.service.d/test.conf", f"[Service]\n{text}\n")
    host.run("systemctl", "daemon-reload").expect()


def cause(host, *words):
    """Waits until a line of `systemctl status` has all of these words, and prints it."""

    def told():
        return [line for line in host.status(SERVICE).splitlines() if all(word in line for word in words)]

    print(f"\n  {host.until(f'{words} is told', told)[-1].strip()}")


def fails(host, code):
    """Starts the service, which is not started again after this exit code."""
    assert host.run("systemctl", "start", SERVICE).code != 0
    host.until("it has failed", lambda: host.show(SERVICE, "ActiveState") == "failed")
    assert host.show(SERVICE, "ExecMainStatus", "NRestarts") == {"ExecMainStatus": str(code), "NRestarts": "0"}


def test_no_file(host):
    host.run("rm", "-f", "/etc/repin/repin.yaml").expect()
    fails(host, 78)
    cause(host, "/etc/repin/repin.yaml", "there is no such file")


def test_an_invalid_file(host):
    host.write("/etc/repin/repin.yaml", desired("gpt-4o").replace("entries:", "entires:"))
    fails(host, 78)
    cause(host, "/etc/repin/repin.yaml:1:1", "unknown field `entires`")


def test_a_wrong_option(host):
    host.write("/etc/repin/repin.yaml", desired("gpt-4o"))
    host.write("/etc/default/repin", "REPIN_DAEMON_OPTIONS=--intervall 2s\n")
    fails(host, 64)
    cause(host, "--intervall")
    Clouds(host).settings()


def test_a_credential_that_is_not_there(host):
    host.write("/etc/repin/repin.yaml", desired("gpt-4o"))
    host.run("mv", "/etc/repin/credentials/api-key", "/root/api-key").expect()
    fails(host, 78)
    cause(host, "/etc/repin/credentials/secret_api-key", "there is no such file")
    host.run("mv", "/root/api-key", "/etc/repin/credentials/api-key").expect()


def test_no_folder_of_credentials(host):
    host.write("/etc/repin/repin.yaml", desired("gpt-4o"))
    host.run("mv", "/etc/repin/credentials", "/root/credentials").expect()
    fails(host, 78)
    cause(host, "/etc/repin/credentials/secret_api-key", "there is no such file")
    # The service manager left an empty one where it mounts what it hands out.
    host.run("mv", "--no-target-directory", "/root/credentials", "/etc/repin/credentials").expect()


def test_a_state_directory_that_is_read_only(host):
    host.write("/etc/repin/repin.yaml", desired("gpt-4o"))
    drop_in(host, "ReadOnlyPaths=/var/lib/private/repin")
    assert host.run("systemctl", "start", SERVICE).code != 0
    cause(host, "the state directory cannot be written to: /var/lib/", "Read-only file system")
    # It is tried again for as long as it takes somebody to mend it.
    host.path("/etc/systemd/system/repin.service.d/test.conf").unlink()
    host.run("systemctl", "daemon-reload").expect()
    host.until("it works", lambda: host.show(SERVICE, "ActiveState") == "active")
    served(host, 1)
