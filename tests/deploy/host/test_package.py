"""The package: what is in it, and what it does to a host when it comes, changes and goes."""

import shutil
import subprocess

from clouds import SECRET, Clouds, desired
from stores import served, value

UNITS = ("repin.service", "repin-reconcile.service", "repin-reconcile.timer")
STATE = "/var/lib/private/repin"


def test_what_is_in_it(deb):
    listed = subprocess.run(["dpkg-deb", "--contents", str(deb)], check=True, capture_output=True, text=True).stdout
    files = {}
    for line in listed.splitlines():
        mode, owner, size, _, _, path = line.split(maxsplit=5)
        assert owner in ("0/0", "root/root"), line
        if mode.startswith("-"):
            files[path.removeprefix(".")] = (mode, int(size))
    print("\nfiles of the package:")
    for path, (mode, size) in sorted(files.items()):
        print(f"  {mode} {size:>9} {path}")
    assert files["/usr/bin/repin"][0] == "-rwxr-xr-x"
    for path in (
        *(f"/usr/lib/systemd/system/{unit}" for unit in (*UNITS, "repin@.service")),
        "/usr/lib/sysusers.d/repin.conf",
        "/usr/lib/tmpfiles.d/repin.conf",
        "/usr/share/man/man1/repin.1.gz",
        "/usr/share/man/man1/repin-daemon.1.gz",
        "/usr/share/man/man1/repin-rollback.1.gz",
        "/usr/share/man/man7/repin-holds.7.gz",
        "/usr/share/bash-completion/completions/repin",
        "/usr/share/zsh/vendor-completions/_repin",
        "/usr/share/fish/vendor_completions.d/repin.fish",
        "/usr/share/doc/repin/examples/repin.yaml",
        "/usr/share/doc/repin/runbooks.md",
        "/usr/share/doc/repin/copyright",
    ):
        assert path in files, path
    executable = [path for path, (mode, _) in files.items() if "x" in mode]
    assert executable == ["/usr/bin/repin"]


def test_debian_finds_nothing_to_complain_about(deb):
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", str(deb)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_libraries_it_needs_are_those_it_names(deb, package_fields, tmp_path):
    subprocess.run(["dpkg-deb", "--extract", str(deb), str(tmp_path)], check=True)
    program = tmp_path / "usr/bin/repin"
    said = subprocess.run(["readelf", "--dynamic", str(program)], check=True, capture_output=True, text=True).stdout
    needed = {line.split("[")[1].rstrip("]") for line in said.splitlines() if "(NEEDED)" in line}
    packages = {"libgcc_s.so.1": "libgcc-s1", "libm.so.6": "libc6", "libc.so.6": "libc6"}
    loader = {name for name in needed if name.startswith("ld-linux")}
    for name in needed - loader:
        assert packages[name] in package_fields["Depends"], name


def test_it_starts_nothing_by_itself(installed):
    for unit in UNITS:
        assert installed.show(unit, "LoadState", "ActiveState") == {"LoadState": "loaded", "ActiveState": "inactive"}
    for unit in ("repin.service", "repin-reconcile.timer"):
        assert installed.run("systemctl", "is-enabled", unit).stdout.strip() == "disabled"
    assert installed.run("stat", "-c", "%a %U:%G", "/etc/repin/credentials").stdout.strip() == "700 root:root"
    assert installed.run("getent", "group", "repin").expect().stdout.startswith("repin:")
    assert installed.run("getent", "passwd", "repin").code == 2, "the user is there only while it runs"


def test_systemd_finds_nothing_to_complain_about(installed):
    for unit in (*UNITS, "repin@one.service"):
        # With the manual pages that the unit names. It exits 0 for keys that it does not know, and says so.
        said = installed.run("systemd-analyze", "verify", unit)
        assert (said.code, said.stdout + said.stderr) == (0, ""), unit


def test_what_is_exposed_is_little(installed):
    print()
    for unit in ("repin.service", "repin@one.service", "repin-reconcile.service"):
        said = installed.run("systemd-analyze", "security", "--no-pager", "--threshold=15", unit)
        verdict = said.stdout.strip().splitlines()[-1]
        print(verdict)
        assert said.code == 0 and "Overall exposure level" in verdict, said.stdout


def test_its_manual_and_its_example_are_right(installed):
    for page in ("repin", "repin-daemon", "repin-rollback"):
        said = installed.run("man", "--warnings", page, env={"MANWIDTH": "100"}).expect()
        assert said.stderr == "" and page.upper().split("-")[0] in said.stdout.upper()
    example = installed.path("/usr/share/doc/repin/examples/repin.yaml").read_text(encoding="utf-8")
    # Only the service manager makes the file that holds the secret.
    installed.write("/root/example.yaml", example.replace("/etc/repin/credentials/", "/root/"))
    installed.write("/root/secret_chat-api-key", SECRET)
    installed.run("repin", "validate", "-f", "/root/example.yaml").expect()


def state(host):
    """Returns what the service remembers, by path and content."""
    said = host.run("find", STATE, "-type", "f", "-name", "*key*", "-exec", "sha256sum", "{}", "+").expect()
    return sorted(said.stdout.splitlines())


def test_an_upgrade_goes_on_where_the_old_one_was(host, newer):
    host.write("/etc/repin/repin.yaml", desired("before"))
    host.write("/etc/repin/one.yaml", desired("one", name="first"))
    for unit in ("repin", "repin@one"):
        host.run("systemctl", "start", unit).expect()
    served(host, 1)
    pids = [host.show(unit, "MainPID") for unit in ("repin", "repin@one")]
    remembered = state(host)
    assert remembered
    shutil.copy(newer, host.path("/root/newer.deb"))
    host.run("dpkg", "--install", "/root/newer.deb").expect()
    assert "0.2.0-1" in host.run("dpkg-query", "--show", "repin").stdout
    for unit, pid in zip(("repin", "repin@one"), pids, strict=True):
        host.until(f"{unit} is active", lambda unit=unit: host.show(unit, "ActiveState") == "active")
        assert host.show(unit, "MainPID") not in ("0", pid), f"{unit} runs the old program"
    assert state(host) == remembered
    host.write("/etc/repin/repin.yaml", desired("after"))
    served(host, 2)


def test_removed_and_purged_it_leaves_the_state_and_the_configuration(host):
    remembered = state(host)
    # The clouds are the same program, and go on until they are stopped.
    host.run("dpkg", "--remove", "repin").expect()
    assert not host.path("/usr/bin/repin").exists()
    for unit in ("repin", "repin@one"):
        assert host.show(unit, "ActiveState") in ("inactive", "failed"), unit
    said = host.run("dpkg", "--purge", "repin").expect()
    assert "/etc/repin is kept, since it is not empty" in said.stdout
    assert not host.path("/usr/lib/systemd/system/repin.service").exists()
    assert state(host) == remembered
    for path in ("/etc/repin/repin.yaml", "/etc/repin/one.yaml", "/etc/repin/credentials/api-key"):
        assert host.path(path).exists(), path


def test_installed_again_it_goes_on(host):
    remembered = state(host)
    assert not host.path("/etc/default/repin").exists(), "the package's own settings go with it"
    host.run("dpkg", "--install", "/root/repin.deb").expect()
    Clouds(host).settings()
    host.run("systemctl", "restart", "clouds").expect()
    host.run("systemctl", "start", "repin").expect()
    host.write("/etc/repin/repin.yaml", desired("again"))
    served(host, 3)
    assert state(host) == remembered
    assert value(host, "chat/model")["azure"] == "again"
