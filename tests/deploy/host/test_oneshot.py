"""Single passes by a timer, and several files by instances of the template."""

from clouds import desired
from stores import ask, run, served

ONCE = "repin-reconcile.service"


def test_a_pass_is_made_and_ends(host):
    host.write("/etc/repin/repin.yaml", desired("gpt-4o"))
    host.run("systemctl", "start", ONCE).expect()
    served(host, 1)
    expected = {"ActiveState": "inactive", "Result": "success"}
    assert host.show(ONCE, *expected) == expected


def test_what_is_held_is_no_failure(host):
    host.write("/etc/repin/repin.yaml", desired("gpt-4o-mini"))
    host.run("systemctl", "start", ONCE).expect()
    served(host, 2)
    ask(host, "rollback", "-m", "refusals up")
    host.run("systemctl", "start", ONCE).expect()
    expected = {"ActiveState": "inactive", "Result": "success"}
    assert host.show(ONCE, *expected) == expected
    assert "deploy: HELD" in host.journal("--unit", ONCE)


def test_the_timer_makes_passes(host):
    # An empty value drops all of the times.
    times = "[Timer]\nOnActiveSec=\nOnActiveSec=1s\nOnUnitInactiveSec=5min\nRandomizedDelaySec=0\nAccuracySec=1s\n"
    host.write("/etc/systemd/system/repin-reconcile.timer.d/test.conf", times)
    host.run("systemctl", "daemon-reload").expect()
    host.write("/etc/repin/repin.yaml", desired("gpt-4o-by-the-clock"))
    host.run("systemctl", "enable", "--now", "repin-reconcile.timer").expect()
    served(host, 4)
    host.until("the next pass is due", lambda: host.show("repin-reconcile.timer", "NextElapseUSecMonotonic") != "")
    host.run("systemctl", "disable", "--now", "repin-reconcile.timer").expect()


def test_an_invalid_file_fails_and_says_why(host):
    host.write("/etc/repin/repin.yaml", desired("gpt-4o").replace("version: 1", "version: 1\nentires: {}"))
    host.run("systemctl", "start", ONCE).expect(1)
    assert host.show(ONCE, "ExecMainStatus") == "78"
    assert "entires" in host.status(ONCE)


def test_instances_keep_several_files(host):
    for name in ("one", "two"):
        host.write(f"/etc/repin/{name}.yaml", desired(name, name=name))
        host.run("systemctl", "start", f"repin@{name}").expect()
    users = set()
    for name in ("one", "two"):
        served(host, 1, file=f"/etc/repin/{name}.yaml")
        pid = host.show(f"repin@{name}", "MainPID")
        users.add(host.run("stat", "-c", "%u", f"/proc/{pid}").stdout)
    assert len(users) == 2
    # What one instance does is no business of the other.
    host.run("systemctl", "stop", "repin@one").expect()
    assert run(host, "status", file="/etc/repin/two.yaml").code == 0
    host.write("/etc/repin/two.yaml", desired("two-again", name="two"))
    served(host, 2, file="/etc/repin/two.yaml")
    host.run("systemctl", "stop", "repin@two").expect()
