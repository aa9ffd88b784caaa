"""Stores that other people filled: repin takes over what is theirs to give, and harms nobody else's."""

import json
import random
import textwrap

import pytest
from azure.appconfiguration import (
    ConfigurationSetting,
    FeatureFlagConfigurationSetting,
    SecretReferenceConfigurationSetting,
)

from peers import KMS_ALIAS, REGION
from world import KEY_PREFIX, LABEL, PREFIX, World, steps

SUITE = "arriving on stores in use"
PEER = "boto3 {boto3}, azure-appconfiguration {azure-appconfiguration}"

FLAGS = ".appconfig.featureflag"
CHAT = 'application/json; profile="https://azconfig.io/mime-profiles/ai/chat-completion"'
SNAPSHOT = 'application/json; profile="https://azconfig.io/mime-profiles/snapshot-ref"; charset=utf-8'
PROMPT = "You are the assistant of Contoso.\n\nAnswer in {language}, with care:\n\t- briefly  \n\t- “truly” ✓\n"
BINARY = "\x00\x01\x02GIF89a\x7f\ufffd\r\n\x1b[31m"
TARGETS = ["aws-eu", "azure", "flags"]
SEED = 20261122


class Arrival(World):
    """A world whose file says where its targets are, and no more."""

    @property
    def file(self):
        return self.folder / "repin.yaml"

    @property
    def overlay(self):
        """What is edited: laid over the file."""
        return self.folder / "edits.json"

    def head(self):
        """Writes the file as a platform engineer would before the first `init --from`."""
        self.file.write_text(
            textwrap.dedent(f"""\
                # Kept by the platform team.
                version: 1
                name: {self.name}          # whose all this is

                targets:
                  aws-eu:
                    provider: aws-ssm
                    account: "{self.aws.account}"
                    region: {REGION}
                    prefix: {PREFIX}
                    kms_key: {KMS_ALIAS}
                    endpoint_url: {self.aws.endpoint}
                  azure:
                    provider: azure-app-configuration
                    endpoint: {self.emulator.azure_endpoint}
                    prefix: {KEY_PREFIX}
                    label: {LABEL}
                    connection_string: {{ env: AZURE_CONNECTION }}
                  flags:
                    provider: azure-app-configuration
                    endpoint: {self.emulator.azure_endpoint}
                    prefix: {FLAGS}
                    label: {LABEL}
                    connection_string: {{ env: AZURE_CONNECTION }}
                """),
            encoding="utf-8",
        )

    def command(self, *arguments, **more):
        """How the program is run: with the edits, once there are some."""
        command, environment = super().command(*arguments, **more)
        return command + (["-f", self.overlay] if self.overlay.exists() else []), environment

    # --- what others do -------------------------------------------------------------------------------------------

    def put(self, name, value, **more):
        """A parameter by its whole name."""
        tags = {"Tags": [{"Key": "team", "Value": "search"}]}
        self.ssm.put_parameter(**({"Name": name, "Value": value, "Type": "String"} | tags | more))

    def set(self, key, value, label=LABEL, **more):
        """A key-value by its whole key."""
        setting = ConfigurationSetting(key=key, value=value, label=label, tags={"team": "search"}, **more)
        self.azure.set_configuration_setting(setting)

    def state(self):
        """Everything in both stores but the ledgers: values, versions, dates, etags, tags."""
        found = {}
        for page in self.ssm.get_paginator("describe_parameters").paginate():
            for about in page["Parameters"]:
                name = about["Name"]
                if not name.startswith("/repin/"):
                    history = self.ssm.get_parameter_history(Name=name)["Parameters"]
                    tags = self.ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"]
                    found["aws", name] = (about, history, tags)
        for setting in self.azure.list_configuration_settings():
            if not setting.key.startswith(".repin/"):
                parts = (setting.value, setting.content_type, setting.etag, setting.last_modified, setting.read_only)
                found["azure", setting.key, setting.label] = (*parts, sorted((setting.tags or {}).items()))
        return found


def fill(world):
    """Puts 300 items of every kind, and returns how many."""
    chat = {"model": "gpt-4o", "temperature": 0.2, "stop": ["é", ":", "- x"], "limits": {"rpm": 120, "on": True}}
    compact = json.dumps(chat, separators=(",", ":"), ensure_ascii=False)
    before = len(world.state())
    for n in range(30):
        # The same on both.
        world.put(f"{PREFIX}/same/text-{n:02}", f"value {n}")
        world.set(f"{KEY_PREFIX}/same/text-{n:02}", f"value {n}")
    for n in range(13):
        world.put(f"{PREFIX}/same/chat-{n}", compact)
        world.set(f"{KEY_PREFIX}/same/chat-{n}", compact if n % 2 else json.dumps(chat), content_type=CHAT)
        world.put(f"{PREFIX}/same/prompt-{n}", PROMPT * (n % 3 + 1))
        world.set(f"{KEY_PREFIX}/same/prompt-{n}", PROMPT * (n % 3 + 1), content_type="text/plain" if n % 2 else None)
        # Not the same.
        world.put(f"{PREFIX}/other/endpoint-{n}", f"https://bedrock.example.com/{n}")
        world.set(f"{KEY_PREFIX}/other/endpoint-{n}", f"https://openai.example.com/{n}?a=b#c")
        world.put(f"{PREFIX}/other/json-{n}", compact)
        world.set(f"{KEY_PREFIX}/other/json-{n}", json.dumps(chat | {"n": n}), content_type="application/json")
        # On one alone.
        world.put(f"{PREFIX}/aws/list-{n}", "a,b,c" * (n + 1), Type="StringList", Description=f"list: {n} # yes")
        world.put(f"{PREFIX}/aws/large-{n}", "x" * (4000 + 100 * n), Tier="Advanced")
        world.put(f"{PREFIX}/aws/secret-{n}", f"sealed {n}\n", Type="SecureString", KeyId=KMS_ALIAS)
        reference = f"https://contoso.vault.azure.net/secrets/s-{n}"
        world.azure.set_configuration_setting(
            SecretReferenceConfigurationSetting(f"{KEY_PREFIX}/azure/secret-{n}", reference, label=LABEL)
        )
        flag = FeatureFlagConfigurationSetting(f"beta-{n}", enabled=bool(n % 2), label=LABEL)
        world.azure.set_configuration_setting(flag)
    odd = ["with space", 'quo"te', "a:b", "ünï/コード", "brace{x}", "- dash", "#hash", "null", "yes", "<<", "~", "?q", "@"]
    for key in odd:
        world.set(f"{KEY_PREFIX}/odd/{key}", key, content_type="")
    twice = '{"a": 1, "a": 2}'
    values = ["", " ", "true", "0x1f", "1e3", "12:30", "null", "{}", twice, "[1,2]", '"text"', BINARY, "a\n"]
    for n, value in enumerate(values):
        world.set(f"{KEY_PREFIX}/values/plain-{n}", value)
        world.set(f"{KEY_PREFIX}/values/json-{n}", value, content_type="application/json")
        if value:
            world.put(f"{PREFIX}/values/ssm-{n}", value if value != BINARY else BINARY[3:])
    world.set(f"{KEY_PREFIX}/azure/reference", '{"snapshot_name":"s-1"}', content_type=SNAPSHOT)
    world.set(f"{KEY_PREFIX}/azure/locked", "fixed")
    world.azure.set_read_only(world.setting("azure/locked"))
    missing = 300 - (len(world.state()) - before)
    for n in range(missing):
        world.set(f"{KEY_PREFIX}/more/{n}", str(n))
    return len(world.state()) - before


def fill_foreign(world):
    """Puts a hundred items that are somebody else's."""
    for n in range(20):
        world.put(f"/ai/other/{n}", f"other {n}")
        world.put(f"{PREFIX}-2/{n}", f"neighbour {n}", Type="StringList")
        world.set(f"{KEY_PREFIX}/same/text-{n:02}", "of another label", label="dev")
        world.set(f"{KEY_PREFIX}/same/text-{n:02}", "of no label", label=None)
        world.set(f"{KEY_PREFIX}-2/{n}", f"neighbour {n}")


@pytest.fixture
def arrival(repin, emulator, tmp_path):
    """A world whose stores are in use."""
    world = Arrival(repin, emulator, tmp_path)
    world.head()
    return world


def play(world, rng):
    """Edits, prunes and goes back, twenty times; returns what was done.

    Parameter Store keeps a deleted name for 30 s before it may be made again, so what is pruned there is pruned last.
    """
    edited, pruned = [f"same/text-{n:02}" for n in range(20)], [f"more/{n}" for n in range(10)]
    edits, played = {}, []

    def release(move, n):
        world.overlay.write_text(json.dumps({"version": 1, "entries": edits}), encoding="utf-8")
        done = world.run("reconcile", "-m", f"move {n}")
        # Held: a rollback holds until the file asks for something else.
        assert done.code in (0, 6), f"{move} {n}: {done.code} {done.stdout} {done.stderr}"

    for n in range(19):
        move = rng.choice(["edit", "edit", "prune", "restore", "rollback"]) if n > 1 else "edit"
        if move == "rollback":
            back = world.run("rollback", "-m", f"move {n}")
            if back.code == 64:
                assert "no earlier release" in back.stdout, back.stdout
                continue
            back.expect(0)
        elif move == "restore":
            for key in rng.sample(sorted(edits), min(3, len(edits))):
                del edits[key]
            release(move, n)
        else:
            chosen = rng.sample(pruned if move == "prune" else edited, 3)
            edits |= dict.fromkeys(chosen, None if move == "prune" else {"value": f"edited by move {n}"})
            release(move, n)
        played.append(move)
    edits |= {f"same/text-{n}": None for n in range(25, 30)}
    release("prune", 19)
    return [*played, "prune"]


def test_what_is_there_is_taken_over_and_nobody_elses_is_touched(arrival):
    assert fill(arrival) == 300
    fill_foreign(arrival)
    arrival.put(f"{PREFIX}/theirs/owned", "x", Tags=[{"Key": "repin:owner", "Value": "somebody-else"}])
    arrival.set(f"{KEY_PREFIX}/theirs/star*", "no pattern")
    before = arrival.state()

    made = arrival.run("init", "--from", *TARGETS, "--secrets", "secrets").expect(0).json
    assert arrival.state() == before, "it only reads"
    left_out = {left["native"]: left["reason"] for left in made["left_out"]}
    assert set(left_out) == {
        f"{PREFIX}/theirs/owned",
        f"{KEY_PREFIX}/theirs/star*",
        f"{KEY_PREFIX}/values/plain-0",
        f"{KEY_PREFIX}/values/json-0",
    }, left_out
    assert "somebody-else" in left_out[f"{PREFIX}/theirs/owned"]
    assert "empty" in left_out[f"{KEY_PREFIX}/values/plain-0"]
    assert made["to_fill"] == []
    requests = {target: sum(counts.values()) for target, counts in made["requests"].items()}
    assert requests["azure"] <= 4 and requests["flags"] <= 2, requests
    text = arrival.file.read_text(encoding="utf-8")
    assert text.startswith("# Kept by the platform team.") and "# whose all this is" in text
    assert "sealed" not in text, "no secret stands in it"
    differ = {one["key"]: one["differs"] for one in made["differences"]}
    alone = {key for key, what in differ.items() if what.startswith("only on")}
    assert {key.split("/")[0] for key in differ.keys() - alone} == {"other"}, differ
    assert not any(key.startswith("same/") for key in alone), "the store of the flags has nothing to do with it"

    # Somebody goes on beside us, below the very prefix.
    for n in range(20):
        arrival.put(f"{PREFIX}/beside/{n}", f"beside {n}")
        arrival.set(f"{KEY_PREFIX}/beside/{n}", f"beside {n}")
    before = arrival.state()

    arrival.run("validate").expect(0)
    planned = arrival.run("plan").expect(0).json
    assert {step["action"] for step in planned["steps"]} == {"adopt"}
    assert planned["summary"] | {"unchanged": 0, "pin": 0} == dict.fromkeys(planned["summary"], 0), planned["summary"]
    assert planned["foreign"] == {"aws-eu": 21, "azure": 23, "flags": 0}

    adopted = arrival.run("reconcile", "-m", "taken over").expect(0).json
    assert {step["action"] for step in adopted["steps"]} == {"adopt"}
    assert len(adopted["steps"]) == 300 - 2
    assert arrival.state() == before, "no item was written"
    arrival.run("plan", "--detailed-exitcode").expect(0)

    ours = {("aws", f"{PREFIX}/{step['key']}") for step in steps(adopted, "aws-eu")}
    ours |= {("azure", f"{KEY_PREFIX}/{step['key']}", LABEL) for step in steps(adopted, "azure")}
    played = play(arrival, random.Random(SEED))
    assert {"edit", "prune", "rollback"} <= set(played), played
    after = arrival.state()
    edited = {place for place, state in before.items() if after.get(place) != state}
    assert edited, "the moves did something"
    assert edited <= {place for place in ours if "/same/text-" in place[1] or "/more/" in place[1]}, edited - ours
    assert not {("aws", f"{PREFIX}/same/text-29"), ("azure", f"{KEY_PREFIX}/same/text-29", LABEL)} & set(after)
    assert set(after) <= set(before), set(after) - set(before)
