"""The Azure command line reads, exports and puts back what repin wrote; `tests/run az` runs it.

Its name keeps it out of the other checks: the command line is an installation of its own, of 700 MB. AZ_BIN names it.
It signs a request over TLS alone, so the emulator speaks that, with an authority of its own in a folder.
"""

import json
import os
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from peers import Emulator, clean_environment

SUITE = "Azure command line"
PINNED = Path(__file__).with_name("azure_cli.in").read_text(encoding="utf-8").strip()
PEER = PINNED.replace("==", " ")

PREFIX, LABEL = "assistant", "prod"
CONFIG = {"model": "gpt-4o", "temperature": 0.2, "stop": ["é", "{{name}}"]}
CHAT_TYPE = 'application/json; profile="https://azconfig.io/mime-profiles/ai/chat-completion"'
REFERENCE_TYPE = "application/vnd.microsoft.appconfig.keyvaultref+json;charset=utf-8"
VAULT_URI = "https://contoso.vault.azure.net/secrets/openai"
FIRST = {
    "chat/config": {"type": "ai-chat", "value": CONFIG},
    "chat/endpoint": {"value": "https://example.com/v1"},
    "chat/reference": {"type": "key-vault-reference", "value": VAULT_URI},
}
SECOND = {
    "chat/config": {"type": "ai-chat", "value": CONFIG | {"temperature": 0.7}},
    "chat/endpoint": {"value": "https://example.com/v2"},
    "chat/reference": FIRST["chat/reference"],
    "chat/retries": {"value": "3"},
}
# What going back from the second to the first looks like to repin.
CHANGED = {"chat/config": "drift", "chat/endpoint": "drift", "chat/retries": "missing"}


class Store:
    """One store, what repin writes to it, and the command line that looks at it."""

    def __init__(self, repin, emulator, folder):
        self.repin, self.emulator, self.folder = repin, emulator, folder
        self.authority = folder / "emulator" / "ca.pem"

    def release(self, entries):
        """Lets repin make the store equal to these entries."""
        target = {
            "provider": "azure-app-configuration",
            "endpoint": self.emulator.azure_endpoint,
            "prefix": PREFIX,
            "label": LABEL,
            "connection_string": {"env": "AZURE_CONNECTION"},
        }
        wanted = {"version": 1, "name": "interop", "targets": {"azure": target}, "entries": entries}
        (self.folder / "repin.json").write_text(json.dumps(wanted), encoding="utf-8")
        return self.run(0, "reconcile")

    def run(self, code, *arguments):
        """Runs repin, which must end with this code, and returns the object that it printed."""
        environment = clean_environment(
            AZURE_CONNECTION=self.emulator.connection_string, SSL_CERT_FILE=str(self.authority)
        )
        command = [self.repin, *arguments, "-o", "json", "-f", self.folder / "repin.json"]
        done = finish([*command, "--state-dir", self.folder / "state"], environment, self.folder)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def az(self, *arguments):
        """Runs `az appconfig kv` on the store, which must succeed, and returns what it printed."""
        environment = clean_environment(
            AZURE_CONFIG_DIR=str(self.folder / "azure"),
            AZURE_CORE_COLLECT_TELEMETRY="false",
            REQUESTS_CA_BUNDLE=str(self.authority),
        )
        command = [os.environ["AZ_BIN"], "appconfig", "kv", *arguments, "--output", "json"]
        command += ["--connection-string", self.emulator.connection_string]
        done = finish(command, environment, self.folder)
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def listed(self, *arguments):
        """Lists what repin serves, by key."""
        items = self.az("list", "--all", "--key", f"{PREFIX}/*", "--label", LABEL, *arguments)
        return {item["key"].removeprefix(f"{PREFIX}/"): item for item in items}

    def values(self, *arguments):
        """Lists the values that repin serves, by key; those that are JSON, parsed."""
        return {key: parsed(item["value"]) for key, item in self.listed(*arguments).items()}

    def export(self, *arguments):
        """Exports what repin serves to a JSON file and returns what is in it."""
        path = self.folder / "export.json"
        more = ["--destination", "file", "--format", "json", "--path", str(path), "--label", LABEL, "--yes"]
        self.az("export", "--key", f"{PREFIX}/*", *more, *arguments)
        return json.loads(path.read_text(encoding="utf-8"))


def finish(command, environment, folder):
    """Runs a program to its end."""
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def parsed(value):
    """What a value says, whatever spaces it is written with."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def served(entries):
    """The values that the store holds when it serves these entries."""
    values = {key: entry["value"] for key, entry in entries.items()}
    values = {key: parsed(value) if isinstance(value, str) else value for key, value in values.items()}
    return values | {"chat/reference": {"uri": VAULT_URI}}


def moment():
    """Returns a moment that is after what was written and before what will be: `az` knows whole seconds only."""
    time.sleep(1.1)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    time.sleep(1.1)
    return now


@pytest.fixture
def store(repin, tmp_path):
    """A store that serves the first release."""
    with Emulator(repin, "--tls", "--dir", str(tmp_path / "emulator")) as emulator:
        started = Store(repin, emulator, tmp_path)
        assert started.release(FIRST)["release"] == 1
        yield started


@pytest.fixture
def restored(store):
    """A store that served two releases, and on which `az` put back what was there between them."""
    between = moment()
    assert store.release(SECOND)["release"] == 2
    assert store.values() == served(SECOND)
    store.az("restore", "--datetime", between, "--key", f"{PREFIX}/*", "--label", LABEL, "--yes")
    return store


def test_az_is_the_pinned_one():
    done = finish([os.environ["AZ_BIN"], "version", "--output", "json"], clean_environment(), ".")
    assert json.loads(done.stdout)["azure-cli"] == PINNED.partition("==")[2]


def test_list_shows_what_repin_wrote(store):
    assert store.values() == served(FIRST)


def test_list_shows_content_types_and_the_owner(store):
    listed = store.listed()
    assert listed["chat/config"]["contentType"] == CHAT_TYPE
    assert listed["chat/reference"]["contentType"] == REFERENCE_TYPE
    for item in listed.values():
        assert item["label"] == LABEL and item["locked"] is False
        assert "interop" in item["tags"].values(), item


def test_list_shows_an_earlier_moment(store):
    between = moment()
    store.release(SECOND)
    assert store.values("--datetime", between) == served(FIRST)


def test_the_ledger_is_not_among_the_readers_keys(store):
    keys = {item["key"] for item in store.az("list", "--all", "--label", LABEL)}
    assert keys == {f"{PREFIX}/{key}" for key in FIRST}


def test_export_writes_what_repin_wrote(store):
    exported = store.export("--prefix", f"{PREFIX}/", "--skip-keyvault", "true")
    assert exported == {key: value for key, value in served(FIRST).items() if key != "chat/reference"}


def test_export_with_metadata_writes_every_key_value(store):
    items = store.export("--profile", "appconfig/kvset")["items"]
    assert {item["key"]: parsed(item["value"]) for item in items} == {
        f"{PREFIX}/{key}": value for key, value in served(FIRST).items()
    }
    types = {item["key"]: item["content_type"] for item in items}
    assert types[f"{PREFIX}/chat/config"] == CHAT_TYPE


def test_restore_brings_back_the_first_release(restored):
    assert restored.values() == served(FIRST)
    assert restored.listed()["chat/config"]["contentType"] == CHAT_TYPE


def test_repin_takes_a_restore_for_drift(restored):
    planned = restored.run(2, "plan", "--detailed-exitcode")
    assert {step["key"]: step["reason"] for step in planned["steps"]} == CHANGED


def test_reconcile_puts_a_restore_right_without_a_release(restored):
    repaired = restored.run(0, "reconcile")
    assert (repaired["release"], repaired["outcome"]) == (None, "applied")
    assert restored.values() == served(SECOND)
    restored.run(0, "plan", "--detailed-exitcode")


def test_what_az_sets_is_drift_and_is_put_right(store):
    store.az("set", "--key", f"{PREFIX}/chat/endpoint", "--label", LABEL, "--value", "tampered", "--yes")
    assert [step["key"] for step in store.run(2, "plan", "--detailed-exitcode")["steps"]] == ["chat/endpoint"]
    store.run(0, "reconcile")
    assert store.values() == served(FIRST)
