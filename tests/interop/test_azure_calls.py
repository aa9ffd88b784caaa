"""The official App Configuration clients get from the emulator what the documentation says.

There is no other store to compare with: every expectation is in `azure_calls.py`, and every client is driven by it.
"""

import tomllib
from pathlib import Path

import pytest

from azure_calls import CALLS, EXPECTATIONS
from azure_driver import drive

SUITE = "App Configuration, Python"
PEER = "azure-appconfiguration {azure-appconfiguration}"

DIFFERENCES = tomllib.loads(Path(__file__).with_name("azure_differences.toml").read_text(encoding="utf-8"))[
    "difference"
]


@pytest.fixture(scope="module")
def answers(shared_emulator):
    """What the client made of every call, made once and in order."""
    return drive(shared_emulator.store("python"), CALLS)


@pytest.mark.parametrize("call", CALLS, ids=[call["id"] for call in CALLS])
def test_call(answers, difference, call):
    check("python", call, answers, difference)


def test_every_listed_difference_is_of_a_client_and_a_call():
    names = {call["id"] for call in CALLS}
    for entry in DIFFERENCES:
        assert entry["client"] in ("python", "javascript") and entry["why"] and entry["source"], entry
        assert set(entry["calls"]) <= names, entry


def test_the_script_has_no_name_twice():
    assert len({call["id"] for call in CALLS}) == len(CALLS) >= 120


def check(client, call, answers, difference):
    """Asserts that an answer is as expected, or differs as listed for this client."""
    answer, expect = answers[call["id"]], call["expect"]
    for entry in DIFFERENCES:
        if entry["client"] == client and call["id"] in entry["calls"]:
            difference(entry["why"])
            expect = entry["expect"]
    assert any(kind in expect for kind in EXPECTATIONS), "the call expects nothing"
    if "fails" in expect:
        assert failed_as(answer, expect["fails"]), answer
        return
    assert "error" not in answer, answer
    if "same" in expect or "nothing" in expect:
        assert answer == {kind: True for kind in ("same", "nothing") if kind in expect}
    elif "lists" in expect:
        assert [identity(item) for item in answer] == expect["lists"]
        if "values" in expect:
            assert [item["value"] for item in answer] == expect["values"]
    else:
        wanted = {name: saved(value, answers) for name, value in expect["gives"].items()}
        assert {name: answer[name] for name in wanted} == wanted


def failed_as(answer, wanted):
    """Tells whether a failure is one of those wanted: a status, or a status and a type."""
    options = wanted if isinstance(wanted, list) else [wanted]
    return any(
        (answer.get("error"), answer.get("type")) == tuple(option)
        if isinstance(option, list)
        else answer.get("error") == option
        for option in options
    )


def identity(item):
    """The name of an item: `key` or `key@label`."""
    return f"{item['key']}@{item['label']}" if item.get("label") else item["key"]


def saved(value, answers):
    """What an earlier call saved under a name."""
    if not (isinstance(value, str) and value.startswith("$")):
        return value
    source = next(call for call in CALLS if value[1:] in call["save"])
    return answers[source["id"]][source["save"][value[1:]]]
