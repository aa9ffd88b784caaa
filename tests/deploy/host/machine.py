"""A Debian host of its own: systemd as process 1, in namespaces of its own, with nothing but loopback for a network."""

import os
import shutil
import signal
import socket
import subprocess
import time

# What a mount namespace of its own is for: nspawn wants the unified control groups where systemd looks for them, and
# the machine that runs the tests may have another kind there.
BOOT = r"""
set -e
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount -R /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
group=/sys/fs/cgroup/repin-deploy-$$
mkdir "$group"
echo $$ >"$group/cgroup.procs"
status=0
systemd-nspawn --quiet --keep-unit --register=no --private-network --directory="$1" --machine=deploy \
    --notify-ready=yes --boot --console=pipe </dev/null >"$2" 2>&1 || status=$?
echo $$ >/sys/fs/cgroup/cgroup.procs
find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
exit "$status"
"""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# How long anything may take on a busy machine, in seconds.
PATIENCE = 90


class Ran:
    """What a command did."""

    def __init__(self, command, done):
        self.command, self.code, self.stdout, self.stderr = command, done.returncode, done.stdout, done.stderr

    def expect(self, code=0):
        """Asserts the exit code."""
        said = f"stdout:\n{self.stdout}\nstderr:\n{self.stderr}"
        assert self.code == code, f"{' '.join(self.command)}: exit {self.code}, not {code}\n{said}"
        return self


class Machine:
    """A booted machine. Its files are in `root`."""

    def __init__(self, root, folder):
        self.root = root
        self.console = folder / "console.log"
        self.leader, self.process = None, None
        self._ready = folder / "ready"

    def boot(self):
        """Starts it, and waits until systemd says that it is up."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(str(self._ready))
            ready.settimeout(PATIENCE)
            command = ["unshare", "--mount", "--propagation=private", "bash", "-c", BOOT, "boot"]
            environment = os.environ | {"NOTIFY_SOCKET": str(self._ready)}
            self.process = subprocess.Popen([*command, str(self.root), str(self.console)], env=environment)
            said = ""
            try:
                while "READY=1" not in said.splitlines():
                    said += ready.recv(4096).decode() + "\n"
            except TimeoutError:
                self.process.terminate()
                raise AssertionError(f"did not boot: {said}\n{self.console.read_text(errors='replace')}") from None
        self._ready.unlink()
        words = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        self.leader = int(words["X_NSPAWN_LEADER_PID"])
        self.until("the system is up", lambda: self.run("systemctl", "is-system-running").stdout.strip() == "running")
        return self

    def power_off(self):
        """Stops it as its power button would, and waits until it is off."""
        if self.process is None or self.process.poll() is not None:
            return
        os.kill(self.leader, signal.SIGRTMIN + 4)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.kill(self.leader, signal.SIGKILL)
            self.process.wait(PATIENCE)
            raise

    def run(self, *command, user=None, env=None, timeout=PATIENCE):
        """Runs a command inside, as root or as another of its users."""
        enter = ["nsenter", f"--target={self.leader}", "--all"]
        given = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root", "NO_COLOR": "1"} | (env or {})
        clean = ["env", "-i", "-C", "/", *(f"{name}={value}" for name, value in given.items())]
        become = ["runuser", "--user", user, "--"] if user else []
        done = subprocess.run(
            [*enter, *clean, *become, *command], capture_output=True, text=True, timeout=timeout, errors="replace"
        )
        return Ran(command, done)

    def until(self, what, check, patience=PATIENCE):
        """Waits until something is so, and returns it."""
        end = time.monotonic() + patience
        while True:
            found = check()
            if found:
                return found
            if time.monotonic() > end:
                units = self.run("systemctl", "status", "--no-pager", "--full", "repin*").stdout
                said = self.journal("--unit=repin*")
                raise AssertionError(f"waited {patience} s in vain: {what}\n{units}\n{said}")
            time.sleep(0.1)

    def path(self, path):
        """Returns where a file of the machine is on this one."""
        return self.root / path.lstrip("/")

    def write(self, path, text, mode=0o644):
        """Writes a file in one step, as `mv` does."""
        to = self.path(path)
        to.parent.mkdir(parents=True, exist_ok=True)
        new = to.with_name(f".{to.name}.new")
        new.write_text(text, encoding="utf-8")
        new.chmod(mode)
        new.rename(to)

    def journal(self, *arguments):
        """Returns what was logged."""
        return self.run("journalctl", "--no-pager", "--boot", "--output=short", *arguments).stdout

    def show(self, unit, *properties):
        """Returns properties of a unit: one as text, several as a dictionary."""
        names = ",".join(properties)
        lines = self.run("systemctl", "show", unit, f"--property={names}").expect().stdout.splitlines()
        values = dict(line.split("=", 1) for line in lines)
        return values if len(properties) > 1 else values[properties[0]]

    def status(self, unit):
        """Returns what an operator sees of a unit."""
        return self.run("systemctl", "status", "--no-pager", "--full", unit).stdout


def unpack(base, root):
    """Lays out the files of a new machine."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    subprocess.run(["tar", "-C", str(root), "-xf", str(base)], check=True)
    (root / "etc/hostname").write_text("deploy\n")
