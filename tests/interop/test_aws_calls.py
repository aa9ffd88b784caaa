"""The same scripted calls, made by boto3, are answered alike by moto and by the emulator.

Neither is the service. Where they differ, `aws_differences.toml` says who is right and why; a difference that is not
listed fails, and so does a listed one that is no more.
"""

import re
import tomllib
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

from aws_calls import CALLS

SUITE = "scripted SSM and KMS calls"
PEER = "moto {moto} by boto3 {boto3}"

DIFFERENCES = tomllib.loads(Path(__file__).with_name("aws_differences.toml").read_text(encoding="utf-8"))["difference"]
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# What differs from one run to the next on the service too.
FLEETING = {"NextToken", "CiphertextBlob", "LastModifiedDate", "CreationDate", "LastUpdatedDate", "DeletionDate"}
DATA_KEYS = {"crypt: a data key", "crypt: the data key unsealed", "state: data key disabled"}


class Peer:
    """One side: makes calls, and remembers what later calls need."""

    def __init__(self, server):
        # What a client would refuse by itself has to reach the server.
        config = Config(parameter_validation=False)
        self.clients = {service: server.client(service, config=config) for service in ("ssm", "kms")}
        self.saved = {}

    def make(self, call):
        """Makes a call and returns its answer without what is fleeting."""
        arguments = self.resolve(call.arguments)
        method = getattr(self.clients[call.service], xform_name(call.operation))
        try:
            for _ in range(call.times):
                answer = method(**arguments)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return {"error": error.response["Error"]["Code"], "status": status}
        for name, path in call.save.items():
            self.saved[name] = dig(answer, path)
        answer.pop("ResponseMetadata")
        if call.id in DATA_KEYS:
            answer["Plaintext"] = f"<{len(answer['Plaintext'])} bytes>"
        return steady(answer)

    def resolve(self, value):
        """Puts in what earlier calls saved."""
        if isinstance(value, dict):
            return {name: self.resolve(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        reference = re.fullmatch(r"\{([a-z_]+)\}", value) if isinstance(value, str) else None
        return self.saved.get(reference[1], value) if reference else value


def dig(answer, path):
    """Follows a dotted path; None where it ends early."""
    for name in path.split("."):
        answer = answer.get(name) if answer else None
    return answer


def steady(value, name=None):
    """Replaces what is different in every run, and orders what has no order."""
    if name in FLEETING:
        return f"<{name}>"
    if isinstance(value, dict):
        return {key: steady(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((steady(item) for item in value), key=lambda item: str(sort_key(item)))
    if isinstance(value, str):
        return UUID.sub("<id>", value)
    return value


def sort_key(item):
    """What tells the items of a list apart."""
    if not isinstance(item, dict):
        return item
    return [item.get(name, "") for name in ("Name", "Key", "AliasName")] + [item.get("Version", 0) + 1000]


def differing(left, right, path=""):
    """Yields the paths at which two answers differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        for name in sorted(left.keys() | right.keys()):
            inner = f"{path}.{name}" if path else name
            if name not in left or name not in right:
                yield inner
            else:
                yield from differing(left[name], right[name], inner)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for one, other in zip(left, right, strict=True):
            yield from differing(one, other, f"{path}[]")
    elif left != right:
        yield path


def known(call_id):
    """The listed differences of a call."""
    return [entry for entry in DIFFERENCES if any(re.fullmatch(pattern, call_id) for pattern in entry["calls"])]


@pytest.fixture(scope="module")
def answers(moto, shared_emulator):
    """What both said to every call, made once and in order."""
    peers = Peer(moto), Peer(shared_emulator)
    return {call.id: tuple(peer.make(call) for peer in peers) for call in CALLS}


@pytest.mark.parametrize("call_id", [call.id for call in CALLS])
def test_call(answers, difference, call_id):
    theirs, ours = answers[call_id]
    paths = set(differing(theirs, ours))
    listed = known(call_id)
    expected = {path for entry in listed for path in entry["paths"]}
    for entry in listed:
        difference(entry["why"])
    assert paths == expected, f"moto: {theirs}\nemulator: {ours}"


def test_the_script_has_no_name_twice():
    assert len({call.id for call in CALLS}) == len(CALLS) >= 150


def test_every_listed_difference_is_of_a_call_and_says_why():
    for entry in DIFFERENCES:
        assert entry["right"] in ("emulator", "moto", "both", "unknown"), entry
        assert entry["why"] and entry["source"], entry
        for pattern in entry["calls"]:
            assert any(re.fullmatch(pattern, call.id) for call in CALLS), f"{pattern!r} is of no call"
