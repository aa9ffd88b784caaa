"""repin.service on a host: how it starts, works, is hurt, and stops."""

import json

from clouds import SECRET, desired
from stores import ask, served, value

SERVICE = "repin"


def test_it_says_when_it_is_ready(host):
    host.write("/etc/repin/repin.yaml", desired("gpt-4o"))
    # Type=notify: this returns once READY=1 was said.
    host.run("systemctl", "enable", "--now", SERVICE).expect()
    assert host.show(SERVICE, "ActiveState", "SubState") == {"ActiveState": "active", "SubState": "running"}
    served(host, 1)
    text = host.until("it says how it is", lambda: "release 1" in host.show(SERVICE, "StatusText"))
    assert text
    assert value(host, "chat/api-key")["aws"] == SECRET
    print("\nboot log of the service:\n" + host.journal("--unit", SERVICE))


def test_an_edit_is_released(host):
    host.write("/etc/repin/repin.yaml", desired("gpt-4o-mini"))
    served(host, 2)
    assert value(host, "chat/model") == {"aws": "gpt-4o-mini", "azure": "gpt-4o-mini"}


def test_the_process_has_a_user_of_its_own_and_no_capability(host):
    pid = host.show(SERVICE, "MainPID")
    fields = dict(line.split(":\t", 1) for line in host.run("cat", f"/proc/{pid}/status").stdout.splitlines())
    uid = int(fields["Uid"].split()[0])
    # The range that systemd gives out for as long as a service runs.
    assert 61184 <= uid <= 65519
    assert fields["CapEff"].strip("0") == fields["CapBnd"].strip("0") == ""
    assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2"
    group = host.run("getent", "group", "repin").expect().stdout.split(":")[2]
    assert fields["Gid"].split()[0] == group


def test_credentials_are_readable_by_the_service_alone(host):
    host.run("useradd", "--create-home", "--groups", "repin", "ana").expect()
    for name in ("aws", "azure", "api-key"):
        for path in (f"/etc/repin/credentials/{name}", f"/run/credentials/repin.service/secret_{name}"):
            host.run("test", "-r", path).expect(0)
            for user in ("nobody", "ana"):
                said = host.run("cat", path, user=user).expect(1)
                assert "Permission denied" in said.stderr, (path, user, said.stderr)
    pid = host.show(SERVICE, "MainPID")
    environment = host.run("cat", f"/proc/{pid}/environ").expect().stdout
    assert SECRET not in environment
    # The secret went to the store and nowhere else.
    for folder in ("/var/lib/private/repin", "/run/repin", "/var/log"):
        host.run("grep", "--recursive", "--text", "--quiet", SECRET, folder).expect(1)
    assert SECRET not in host.journal()


def test_an_operator_needs_no_credentials(host):
    # Ana is in the group of the operators, and her shell has nothing that a cloud would take.
    told = json.loads(host.run("repin", "rollback", "-o", "json", "-m", "refusals up", user="ana").expect().stdout)
    assert (told["release"], told["outcome"]) == (3, "applied")
    assert set(value(host, "chat/model").values()) == {"gpt-4o"}
    assert ask(host, "history")["releases"][0]["actor"] == "ana@deploy"
    said = host.run("repin", "get", "chat/api-key", "--reveal", user="ana")
    assert said.code != 0 and SECRET not in said.stdout + said.stderr
    # Whoever is not in the group does not even find the socket.
    said = host.run("repin", "rollback", "-f", "/etc/repin/repin.yaml", user="nobody")
    assert said.code != 0, said.stdout
    assert ask(host, "history")["releases"][0]["release"] == 3


def test_a_reload_reads_the_file_again(host):
    before = host.show(SERVICE, "MainPID", "NRestarts")
    host.run("systemctl", "reload", SERVICE).expect()
    host.until("the file was read again", lambda: "SIGHUP" in host.journal("--unit", SERVICE))
    host.until("it is active again", lambda: host.show(SERVICE, "ActiveState") == "active")
    assert host.show(SERVICE, "MainPID", "NRestarts") == before


def test_a_daemon_that_hangs_is_started_again(host):
    host.write("/etc/systemd/system/repin.service.d/test.conf", "[Service]\nWatchdogSec=5s\nTimeoutAbortSec=2s\n")
    host.run("systemctl", "daemon-reload").expect()
    host.run("systemctl", "restart", SERVICE).expect()
    fed = set()

    def is_fed():
        fed.add(host.show(SERVICE, "WatchdogTimestampMonotonic"))
        return len(fed) > 3

    host.until("it feeds the watchdog", is_fed)
    assert host.show(SERVICE, "NRestarts") == "0"
    pid = host.show(SERVICE, "MainPID")
    host.run("kill", "-STOP", pid).expect()
    host.until("it was started again", lambda: host.show(SERVICE, "NRestarts") == "1")
    host.until("it is ready again", lambda: host.show(SERVICE, "ActiveState") == "active")
    assert "Watchdog timeout" in host.journal("--unit", SERVICE)
    assert host.show(SERVICE, "MainPID") != pid
    host.path("/etc/systemd/system/repin.service.d/test.conf").unlink()
    host.run("systemctl", "daemon-reload").expect()
    host.write("/etc/repin/repin.yaml", desired("gpt-4o-after-a-hang"))
    served(host, 4)


def test_a_daemon_that_dies_is_started_again(host):
    host.run("systemctl", "kill", "--signal=KILL", SERVICE).expect()
    host.until("it was started again", lambda: int(host.show(SERVICE, "NRestarts")) >= 2)
    host.until("it is ready again", lambda: host.show(SERVICE, "ActiveState") == "active")


def test_a_broken_edit_changes_nothing_and_is_told(host):
    host.write("/etc/repin/repin.yaml", desired("gpt-4o").replace("version: 1", "version: 1\nentires: {}"))
    host.until("it is told", lambda: "the last good one stays in force" in host.status(SERVICE))
    assert "entires" in host.status(SERVICE)
    host.write("/etc/repin/repin.yaml", desired("gpt-4o-mended"))
    served(host, 5)


def test_stop_is_clean(host):
    host.run("systemctl", "stop", SERVICE).expect()
    expected = {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}
    assert host.show(SERVICE, *expected) == expected
    assert "stopped" in host.journal("--unit", SERVICE)
    host.run("test", "-e", "/run/repin").expect(1)
    host.run("systemctl", "start", SERVICE).expect()
    served(host, 5)
    host.run("systemctl", "stop", SERVICE).expect()
