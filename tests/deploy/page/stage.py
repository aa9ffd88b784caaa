"""The stage that runbooks are played on without root: hosts are folders, and both clouds are on loopback."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from page import Command, Edit, Event, File, Rotten, is_shown

HERE = Path(__file__).resolve().parent
DEPLOY = HERE.parents[2] / "deploy"

ACCOUNT = "111122223333"
STAND_INS = ("systemctl", "dpkg", "usermod", "kubectl", "aws")
# What a host has of its own, wherever the stage has put it.
OWN = re.compile(r"(?<![\w.])/(?=etc/repin\b|etc/default/repin\b|usr/share/doc/repin\b)")
# Commands that change nothing are tried again until they print what is shown: a daemon takes its time.
LOOKS = re.compile(r"^(repin|kubectl .* -- /usr/bin/repin) (status|history|get|show|diff|plan)\b|^systemctl is-active\b")
PATIENCE = 40


def until(what, check):
    """Waits until something is so, and returns it."""
    end = time.monotonic() + PATIENCE
    while not (found := check()):
        assert time.monotonic() < end, f"waited {PATIENCE} s in vain: {what}"
        time.sleep(0.05)
    return found


def place(host, path):
    """Returns where a host has a file."""
    return host / path.lstrip("/") if path.startswith("/") else host / "home" / path


class Cloud:
    """An emulator, as a process, whose data and addresses outlive it."""

    def __init__(self, folder, repin):
        self.folder, self.repin, self.process = folder, repin, None
        self.command = [repin, "emulator", "-o", "json", "--account", ACCOUNT, "--kms-key", "alias/ai-config"]
        self.command += ["--dir", str(folder / "data")]
        self.folder.mkdir()
        self.start()

    def start(self):
        """Starts it where it was before."""
        addresses = []
        if self.process:
            for cloud, key in (("aws", "endpoint_url"), ("azure", "endpoint")):
                addresses += [f"--{cloud}", self.told[cloud][key].removeprefix("http://")]
        out = self.folder / "told.json"
        out.unlink(missing_ok=True)
        with out.open("w") as file:
            self.process = subprocess.Popen([*self.command, *addresses], stdout=file, stderr=subprocess.DEVNULL)
        self.told = until("the clouds are up", lambda: json.loads(out.read_text() or "null"))

    def stop(self):
        """Stops it: nothing is reached there any more."""
        self.process.terminate()
        self.process.wait(PATIENCE)


class Stage:
    """Hosts, clouds, and what happens to them."""

    def __init__(self, repin, aws=None, patience=PATIENCE):
        # A socket's path has to be short.
        self.folder = Path(tempfile.mkdtemp(prefix="repin-"))
        self.repin, self.aws, self.patience, self.hosts = repin, aws, patience, {}
        (self.folder / "bin").mkdir()
        for name in STAND_INS:
            (self.folder / "bin" / name).symlink_to(HERE / "standins.py")
        (self.folder / "bin/repin").symlink_to(repin)
        self.cloud, self.overseas = Cloud(self.folder / "cloud", repin), None
        self.say_clouds()

    def close(self):
        """Ends everything that was started."""
        for host in list(self.hosts):
            self.lose(host)
        for cloud in filter(None, (self.cloud, self.overseas)):
            cloud.stop()
        shutil.rmtree(self.folder)

    # --- what happens -------------------------------------------------------------------------------------------------

    def play(self, step):
        """Plays one step, and returns what it printed where that is not what is shown."""
        if isinstance(step, Event):
            return self.happen(step)
        if isinstance(step, File):
            names = list(self.hosts) if step.host == "every host" else [step.host]
            return [self.write(self.host(name), step.path, step.text) for name in names] and None
        if isinstance(step, Edit):
            names = list(self.hosts) if step.host == "every host" else [step.host]
            return [self.edit(self.host(name), step) for name in names] and None
        return self.run(step)

    def happen(self, event):
        """Makes something happen that a page can name."""
        what = event.what
        if told := re.fullmatch(r"(\w+) is lost", what):
            self.lose(told[1])
        elif told := re.fullmatch(r"(\w+) is new, and has the file of (\w+)", what):
            shutil.copy(self.host(told[2]) / "etc/repin/repin.yaml", self.host(told[1]) / "etc/repin/repin.yaml")
        elif told := re.fullmatch(r"(\w+) and (\w+) join (\w+)", what):
            for name in (told[1], told[2]):
                shutil.copy(self.host(told[3]) / "etc/repin/repin.yaml", self.host(name) / "etc/repin/repin.yaml")
                self.started(name)
        elif what == "us-east-1 is unreachable":
            self.overseas.stop()
        elif what == "us-east-1 is back":
            self.overseas.start()
        else:
            raise Rotten(f"line {event.line}: nothing makes this happen: {what}")

    def run(self, command):
        """Runs a command, and returns what it printed and how it ended where that is not what is shown."""
        end, host = time.monotonic() + self.patience, self.host(command.host)
        while True:
            done = subprocess.run(
                ["bash", "-c", OWN.sub(f"{host}/", command.text)],
                cwd=host / "home",
                env=self.environment(host),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE * 3,
            )
            printed = done.stdout.replace(str(host), "").replace(f"root@{os.uname().nodename}", f"{command.who}@{host.name}")
            if done.returncode == command.code and is_shown(command.shown, printed):
                return None
            if not LOOKS.match(command.text) or time.monotonic() > end:
                return printed, done.returncode
            time.sleep(0.2)

    # --- hosts --------------------------------------------------------------------------------------------------------

    def host(self, name):
        """Returns the folder of a host, which has the package's files, credentials, and nothing else."""
        if name in self.hosts:
            return self.hosts[name]
        host = self.hosts[name] = self.folder / name
        for folder in ("home", "run", "etc/repin/credentials", "etc/default", "usr/share/doc/repin/examples"):
            (host / folder).mkdir(parents=True)
        shutil.copy(DEPLOY / "debian/etc/default", host / "etc/default/repin")
        for file in ("api-key", "api-key-new"):
            (host / "home" / file).write_text(f"sk-not-a-real-{file}")
        told = self.cloud.told
        keys = told["aws"]["access_key_id"], told["aws"]["secret_access_key"]
        for name in ("azure", "secret_azure"):
            (host / "etc/repin/credentials" / name).write_text(told["azure"]["connection_string"])
        (host / "aws").write_text(f"[default]\naws_access_key_id = {keys[0]}\naws_secret_access_key = {keys[1]}\n")
        example = (DEPLOY / "debian/example.yaml").read_text(encoding="utf-8")
        self.write(host, "/usr/share/doc/repin/examples/repin.yaml", example)
        return host

    def lose(self, name):
        """Loses a host, with all that it had."""
        host = self.hosts.pop(name)
        if (host / "pid").exists():
            try:
                os.kill(int((host / "pid").read_text()), signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(host)

    def started(self, *names, text=None):
        """Makes hosts whose services run and have looked at everything, with this file or the one that is there."""
        for name in names:
            host = self.host(name)
            shutil.copy(host / "home/api-key", host / "etc/repin/credentials/chat-api-key")
            (host / "installed").write_text("0.1.0-1")
            if text is not None:
                self.write(host, "/etc/repin/repin.yaml", text)
            self.do(name, "systemctl start repin")
            self.do(name, "repin status --probe ready")

    def do(self, name, text, code=0):
        """Runs a command that no page shows."""
        said = self.run(Command(0, "root", name, text, code, ["..."]))
        assert said is None, f"{text}: {said}"

    def environment(self, host):
        """Returns what a shell on a host has: no credential of any cloud, but on a laptop."""
        own = {"AWS_SHARED_CREDENTIALS_FILE": str(host / "aws")}
        return {
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "HOME": str(host / "home"),
            "XDG_RUNTIME_DIR": str(host / "run"),
            "LANG": "C.UTF-8",
            # Nothing but loopback is asked for credentials.
            "AWS_EC2_METADATA_DISABLED": "true",
            "STAGE_HOST": str(host),
            "STAGE_REPIN": str(self.repin),
            "STAGE_CLOUDS": str(self.folder / "clouds.json"),
            **({"STAGE_AWS": self.aws} if self.aws else {}),
            **(own if host.name == "laptop" else {}),
        }

    # --- files --------------------------------------------------------------------------------------------------------

    def write(self, host, path, text):
        """Writes a file of a host in one step, as `mv` does."""
        to = place(host, path)
        new = to.with_name(".new")
        new.write_text(self.rendered(host, text), encoding="utf-8")
        new.rename(to)

    def edit(self, host, edit):
        """Edits a file of a host."""
        to = place(host, edit.path)
        changes = [(self.rendered(host, old), self.rendered(host, new)) for old, new in edit.changes]
        text = Edit(edit.line, edit.path, edit.host, changes).apply(to.read_text(encoding="utf-8"))
        new = to.with_name(".new")
        new.write_text(text, encoding="utf-8")
        new.rename(to)

    def rendered(self, host, text):
        """Returns a text of the page as this stage needs it: with the addresses of its clouds and of its hosts' files."""
        regions = json.loads((self.folder / "clouds.json").read_text())["regions"]
        text = re.sub(
            r"^( +)region: (\S+)$", lambda m: f"{m[0]}\n{m[1]}endpoint_url: {regions[m[2]]}", text, flags=re.M
        )
        azure = f"endpoint: {self.cloud.told['azure']['endpoint']}\n\\1connection_string: "
        azure += "{ file: /etc/repin/credentials/secret_azure }"
        text = re.sub(r"^( +)endpoint: https://\S+$", rf"\1{azure}", text, flags=re.M)
        # Relative to itself, so that it is the same file on all hosts.
        return text.replace("file: /etc/repin/", "file: ")

    def go_overseas(self):
        """Adds a second region, with a cloud of its own so that it can be lost."""
        self.overseas = Cloud(self.folder / "overseas", self.repin)
        self.say_clouds()

    def say_clouds(self):
        """Tells the stand-ins where the clouds are."""
        aws = self.cloud.told["aws"]
        overseas = self.overseas or self.cloud
        told = {
            "keys": [aws["access_key_id"], aws["secret_access_key"]],
            "regions": {"eu-west-1": aws["endpoint_url"], "us-east-1": overseas.told["aws"]["endpoint_url"]},
        }
        (self.folder / "clouds.json").write_text(json.dumps(told))
