"""The official JavaScript client makes the same scripted calls, and gets what the documentation says."""

import json

import pytest

from azure_calls import CALLS
from peers import run_node
from test_azure_calls import check

SUITE = "App Configuration, JavaScript"
PEER = "@azure/app-configuration {@azure/app-configuration}"


@pytest.fixture(scope="module")
def answers(shared_emulator):
    """What the client made of every call, made once and in order."""
    asked = json.dumps({"connection": shared_emulator.store("javascript"), "calls": CALLS})
    return json.loads(run_node("drive.cjs", asked))


@pytest.mark.parametrize("call", CALLS, ids=[call["id"] for call in CALLS])
def test_call(answers, difference, call):
    check("javascript", call, answers, difference)
