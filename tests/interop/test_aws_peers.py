"""Whole passes of repin against AWS emulators of other makers and our own; boto3 and `aws` read what it wrote."""

import json
from functools import partial

import pytest

from peers import Ministack
from world import PREFIX, SECRET, World

SUITE = "whole passes on AWS"
PEER = "moto {moto}, ministack {ministack}; awscli {awscli}"

ENTRIES = {
    "chat/config": {"type": "ai-chat", "value": {"model": "gpt-4o", "temperature": 0.2}},
    "chat/endpoint": {"value": "https://example.com/v1"},
    "chat/api-key": {"secret": True, "value_from": {"env": "INTEROP_SECRET"}},
} | {f"many/{n:02}": {"value": n} for n in range(23)}


@pytest.fixture(scope="module")
def ministack():
    """A ministack server, shared: every test has a prefix and an owner of its own."""
    with Ministack() as started:
        yield started


@pytest.fixture(params=["shared_emulator", "moto", "ministack"], ids=["emulator", "moto", "ministack"])
def peer(request):
    """Each AWS peer in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def written(repin, peer, shared_emulator, tmp_path, request):
    """A world with an AWS target alone, in which the first release was served."""
    peer.make_key()
    name = request.function.__name__.replace("_", "-")[:40].strip("-")
    prefix = f"{PREFIX}/{name}"
    world = World(repin, shared_emulator, tmp_path, name, aws=peer, prefix=prefix, clouds=("aws-eu",))
    world.entries(ENTRIES)
    assert world.run("reconcile").expect(0).json["release"] == 1
    return world


def test_boto3_reads_what_was_written(written):
    assert json.loads(written.parameter("chat/config")["Value"]) == {"model": "gpt-4o", "temperature": 0.2}
    assert written.parameter("chat/endpoint:1")["Value"] == "https://example.com/v1"
    assert written.parameter("chat/api-key", WithDecryption=True)["Value"] == SECRET
    pages = written.ssm.get_paginator("get_parameters_by_path").paginate(Path=written.prefix, Recursive=True)
    assert sum(len(page["Parameters"]) for page in pages) == len(ENTRIES)


def test_the_aws_command_line_reads_what_was_written(written):
    ssm = partial(written.aws.command_line, "ssm")
    name = f"{written.prefix}/chat/endpoint"
    assert ssm("get-parameter", "--name", name)["Parameter"]["Value"] == "https://example.com/v1"
    assert ssm("get-parameter", "--name", f"{name}:1")["Parameter"]["Version"] == 1
    listed = ssm("get-parameters-by-path", "--path", written.prefix, "--recursive", "--with-decryption")
    values = {item["Name"].removeprefix(f"{written.prefix}/"): item["Value"] for item in listed["Parameters"]}
    assert values.keys() == ENTRIES.keys()
    assert values["chat/api-key"] == SECRET
    sealed = ssm("get-parameter", "--name", f"{written.prefix}/chat/api-key")["Parameter"]
    assert (sealed["Type"], sealed["Value"] == SECRET) == ("SecureString", False)


def test_a_second_pass_changes_nothing(written):
    again = written.run("reconcile").expect(0).json
    assert (again["outcome"], again["steps"]) == ("unchanged", [])


def test_a_change_and_a_prune_make_a_release(written):
    rest = {key: entry for key, entry in ENTRIES.items() if key != "many/22"}
    written.entries(rest | {"chat/endpoint": {"value": "https://example.com/v2"}})
    changed = written.run("reconcile").expect(0).json
    assert changed["release"] == 2
    assert {(step["key"], step["action"]) for step in changed["steps"]} == {
        ("chat/endpoint", "update"),
        ("many/22", "delete"),
    }
    assert written.parameter("chat/endpoint")["Value"] == "https://example.com/v2"
    gone = written.ssm.get_parameters(Names=[f"{written.prefix}/many/22"])
    assert gone["InvalidParameters"] == [f"{written.prefix}/many/22"]


def test_what_others_change_is_put_back(written):
    written.ssm.put_parameter(Name=f"{written.prefix}/many/07", Value="tampered", Type="String", Overwrite=True)
    planned = written.run("plan", "--detailed-exitcode").expect(2).json
    assert [(step["key"], step["reason"]) for step in planned["steps"]] == [("many/07", "drift")]
    assert written.run("reconcile").expect(0).json["release"] is None
    assert written.parameter("many/07")["Value"] == "7"
    assert written.parameter("many/07")["Version"] == 3
