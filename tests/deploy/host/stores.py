"""Looks at the stores as root, with a state directory of its own."""

import json

FILE = "/etc/repin/repin.yaml"

# Root's way to the credentials that the service has too.
CREDENTIALS = "/etc/repin/credentials/"


def ask(host, *command, file=FILE):
    """Runs a command of repin that prints JSON, and returns it."""
    return json.loads(run(host, *command, file=file).expect().stdout)


def run(host, *command, file=FILE):
    """Runs a command of repin that prints JSON, past any daemon."""
    # The file names its credentials where the services find them.
    text = host.path(file).read_text(encoding="utf-8").replace("/etc/repin/credentials/secret_", CREDENTIALS)
    host.write("/root/repin.yaml", text, mode=0o600)
    where = ["-f", "/root/repin.yaml", "--state-dir", "/root/state"]
    environment = {"AWS_SHARED_CREDENTIALS_FILE": f"{CREDENTIALS}aws"}
    return host.run("repin", *command, "-o", "json", "--direct", *where, env=environment)


def served(host, release, file=FILE):
    """Waits until a release is served on both clouds."""

    def is_served():
        said = run(host, "status", file=file)
        targets = json.loads(said.stdout)["targets"] if said.code == 0 else []
        return len(targets) == 2 and all(
            target["release"] == release and target["sync"] == "synced" for target in targets
        )

    host.until(f"release {release} is served", is_served)


def value(host, key, file=FILE):
    """Returns what each target serves for a key."""
    told = ask(host, "get", key, "--reveal", file=file)
    return {target["target"]: target["value"] for target in told["targets"]}
