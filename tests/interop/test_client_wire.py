"""Our App Configuration client sends what the official Python client sends for the same operations.

A listener in front of the emulator keeps every request of both. What differs is listed in `wire_differences.toml` with
the reason; a difference that is not listed fails, and so does a listed one that is no more.
"""

import datetime
import re
import tomllib
from pathlib import Path

import pytest
from azure.appconfiguration import AzureAppConfigurationClient, ConfigurationSetting, ConfigurationSettingsFilter
from azure.core import MatchConditions

from capture import Capture
from peers import run_cargo_test

SUITE = "our App Configuration client"
PEER = "azure-appconfiguration {azure-appconfiguration}, on the wire"

DIFFERENCES = tomllib.loads(Path(__file__).with_name("wire_differences.toml").read_text(encoding="utf-8"))["difference"]
KEY = "app/a:b c"
FAR = datetime.datetime.fromtimestamp(4_000_000_000, datetime.UTC)
OPERATIONS = [
    "add", "set", "set if unchanged", "set without a label", "get", "get without a label", "get if changed", "get then",
    "lock", "unlock", "delete if unchanged", "delete", "list", "list without a label", "list odd names",
    "list some fields", "list by tags", "list then", "poll", "check", "revisions", "labels", "create a snapshot",
    "get a snapshot", "list a snapshot", "archive", "recover",
]  # fmt: skip


def python_operations(client, begin):
    """The operations of `tests/captured.rs` of the client crate, by the official client."""
    begin("add")
    full = {"content_type": "text/plain", "tags": {"team": "ml"}, "description": "what it is for"}
    first = client.add_configuration_setting(ConfigurationSetting(key=KEY, label="prod", value="one", **full)).etag
    begin("set")
    second = client.set_configuration_setting(ConfigurationSetting(key=KEY, label="prod", value="two"))
    begin("set if unchanged")
    third = ConfigurationSetting(key=KEY, label="prod", value="three")
    client.set_configuration_setting(third, MatchConditions.IfNotModified, etag=second.etag)
    begin("set without a label")
    client.set_configuration_setting(ConfigurationSetting(key=KEY, value="null label"))
    begin("get")
    client.get_configuration_setting(KEY, "prod")
    begin("get without a label")
    client.get_configuration_setting(KEY)
    begin("get if changed")
    client.get_configuration_setting(KEY, "prod", first, MatchConditions.IfModified)
    begin("get then")
    client.get_configuration_setting(KEY, "prod", accept_datetime=FAR)
    begin("lock")
    client.set_read_only(ConfigurationSetting(key=KEY, label="prod"))
    begin("unlock")
    etag = client.set_read_only(ConfigurationSetting(key=KEY, label="prod"), False).etag
    begin("delete if unchanged")
    client.delete_configuration_setting(KEY, "prod", etag=etag, match_condition=MatchConditions.IfNotModified)
    begin("delete")
    client.delete_configuration_setting(KEY, "prod")
    python_lists(client, begin)
    python_snapshots(client, begin)


def python_lists(client, begin):
    """The listings."""
    prod = {"key_filter": "app/*", "label_filter": "prod"}
    for name, filters in [
        ("list", prod),
        ("list without a label", prod | {"label_filter": "\0"}),
        ("list odd names", {"key_filter": "a\\*b,c\\,d,e\\\\f", "label_filter": "a b+c&d"}),
        ("list some fields", prod | {"fields": ["key", "label", "read_only"]}),
        ("list by tags", prod | {"tags_filter": ["team=ml", "stage=a b"]}),
        ("list then", prod | {"accept_datetime": FAR}),
    ]:
        begin(name)
        list(client.list_configuration_settings(**filters))
    begin("poll")
    pages = client.list_configuration_settings(**prod).by_page()
    etags = [pages.etag for _ in pages]
    list(client.list_configuration_settings(**prod).by_page(match_conditions=etags))
    begin("check")
    list(client.check_configuration_settings(**prod).by_page())
    begin("revisions")
    list(client.list_revisions("app/*", "prod"))
    begin("labels")
    list(client.list_labels(name="pro*"))


def python_snapshots(client, begin):
    """Snapshots."""
    begin("create a snapshot")
    filters = [ConfigurationSettingsFilter(key="app/*", label="prod")]
    client.begin_create_snapshot(
        "release 1", filters, composition_type="key", retention_period=3600, tags={"release": "1"},
        description="the first", polling_interval=1,
    ).result()  # fmt: skip
    begin("get a snapshot")
    etag = client.get_snapshot("release 1").etag
    begin("list a snapshot")
    list(client.list_configuration_settings(snapshot_name="release 1"))
    begin("archive")
    client.archive_snapshot("release 1", match_condition=MatchConditions.IfNotModified, etag=etag)
    begin("recover")
    client.recover_snapshot("release 1")


@pytest.fixture(scope="module")
def theirs(shared_emulator):
    """What the official client sends, by operation."""
    with Capture(shared_emulator.azure_address) as capture:
        text = shared_emulator.store("theirs", capture.address)
        python_operations(AzureAppConfigurationClient.from_connection_string(text, retry_total=0), capture.begin)
        return capture.operations


@pytest.fixture(scope="module")
def ours(shared_emulator):
    """What our client sends, by operation."""
    with Capture(shared_emulator.azure_address) as capture:
        done = run_cargo_test("captured", REPIN_CAPTURE_CONNECTION=shared_emulator.store("ours", capture.address))
        assert done.returncode == 0, done.stdout + done.stderr
        return capture.operations


def meaning(requests):
    """Requests without what is different every time: etags by the order in which they appear, polls once."""
    etags = {}

    def steady(value):
        if isinstance(value, str):
            return re.sub(r"[A-Za-z0-9_-]{43}", lambda found: etags.setdefault(found[0], f"etag {len(etags)}"), value)
        if isinstance(value, dict):
            return {name: steady(item) for name, item in value.items()}
        return [steady(item) for item in value] if isinstance(value, (list, tuple)) else value

    kept = []
    for request in map(steady, requests):
        polled = request["path"] == "/operations" and kept and kept[-1]["path"] == "/operations"
        if not polled:
            kept.append(request)
    return kept


def differing(left, right, path=""):
    """Yields the paths at which two requests differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        for name in sorted(left.keys() | right.keys()):
            inner = f"{path}.{name}" if path else name
            if name in left and name in right:
                yield from differing(left[name], right[name], inner)
            else:
                yield inner
    elif left != right:
        yield path


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation(theirs, ours, difference, operation):
    left, right = meaning(theirs[operation]), meaning(ours[operation])
    listed = [entry for entry in DIFFERENCES if operation in entry["operations"]]
    for entry in listed:
        difference(entry["why"])
    shown = f"theirs: {left}\nours:   {right}"
    assert [request["path"] for request in left] == [request["path"] for request in right], shown
    paths = {path for pair in zip(left, right, strict=True) for path in differing(*pair)}
    assert paths == {path for entry in listed for path in entry["paths"]}, shown


def test_both_made_every_operation(theirs, ours):
    assert list(theirs) == list(ours) == OPERATIONS


def test_every_listed_difference_is_of_an_operation_and_says_why():
    for entry in DIFFERENCES:
        assert entry["why"] and entry["paths"] and set(entry["operations"]) <= set(OPERATIONS), entry
