"""What repin writes is what boto3 and the official App Configuration client read; what they change, repin sees."""

import json

import pytest
from azure.appconfiguration import ConfigurationSetting

from world import KEY_PREFIX, LABEL, PREFIX, SECRET, steps

SUITE = "repin and other clients"
PEER = "boto3 {boto3}, azure-appconfiguration {azure-appconfiguration}"

CONFIG = {"model": "gpt-4o", "temperature": 0.2, "stop": ["é", "{{name}}"]}
ENTRIES = {
    "chat/config": {"type": "ai-chat", "value": CONFIG},
    "chat/endpoint": {"value": "https://example.com/v1"},
    "chat/api-key": {"targets": ["aws-eu"], "secret": True, "value_from": {"env": "INTEROP_SECRET"}},
    "chat/reference": {
        "targets": ["azure"],
        "type": "key-vault-reference",
        "value": "https://contoso.vault.azure.net/secrets/openai",
    },
}


@pytest.fixture
def written(world):
    """A world in which the first release was served."""
    world.entries(ENTRIES)
    released = world.run("reconcile").expect(0).json
    assert (released["release"], released["outcome"]) == (1, "applied")
    return world


def test_boto3_reads_by_name_what_repin_wrote(written):
    parameter = written.parameter("chat/config")
    assert parameter["Type"] == "String"
    assert json.loads(parameter["Value"]) == CONFIG
    assert "{{" not in parameter["Value"], "the service refuses double braces"
    assert written.parameter("chat/endpoint")["Value"] == "https://example.com/v1"


def test_boto3_reads_each_version_by_its_number(written):
    written.entries(ENTRIES | {"chat/endpoint": {"value": "https://example.com/v2"}})
    assert written.run("reconcile").expect(0).json["release"] == 2
    for version, value in [(1, "https://example.com/v1"), (2, "https://example.com/v2")]:
        parameter = written.parameter(f"chat/endpoint:{version}")
        assert (parameter["Version"], parameter["Value"]) == (version, value)
        assert parameter["Selector"] == f":{version}"


def test_boto3_reads_by_path_every_parameter_that_repin_wrote(written):
    pages = written.ssm.get_paginator("get_parameters_by_path").paginate(Path=PREFIX, Recursive=True)
    names = {parameter["Name"] for page in pages for parameter in page["Parameters"]}
    assert names == {f"{PREFIX}/chat/{key}" for key in ("config", "endpoint", "api-key")}


def test_boto3_reads_a_secret_only_when_it_asks_for_decryption(written):
    sealed = written.parameter("chat/api-key")
    assert sealed["Type"] == "SecureString"
    assert SECRET not in sealed["Value"]
    assert written.parameter("chat/api-key", WithDecryption=True)["Value"] == SECRET
    described = written.ssm.describe_parameters(
        ParameterFilters=[{"Key": "Name", "Values": [f"{PREFIX}/chat/api-key"]}]
    )["Parameters"]
    assert [parameter["KeyId"] for parameter in described] == ["alias/ai-config"]


def test_the_owner_is_visible_to_boto3_as_a_tag(written):
    tags = written.ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=f"{PREFIX}/chat/config")["TagList"]
    assert "interop" in {tag["Value"] for tag in tags}, tags


def test_the_azure_client_reads_what_repin_wrote(written):
    setting = written.setting("chat/config")
    assert json.loads(setting.value) == CONFIG
    assert setting.content_type == 'application/json; profile="https://azconfig.io/mime-profiles/ai/chat-completion"'
    assert written.setting("chat/endpoint").value == "https://example.com/v1"
    assert "interop" in setting.tags.values(), "the owner's tag"


def test_the_azure_client_lists_by_label_what_repin_wrote(written):
    listed = written.azure.list_configuration_settings(key_filter=f"{KEY_PREFIX}/*", label_filter=LABEL)
    assert {setting.key for setting in listed} == {
        f"{KEY_PREFIX}/chat/{key}" for key in ("config", "endpoint", "reference")
    }


def test_the_azure_client_understands_a_key_vault_reference(written):
    reference = written.setting("chat/reference")
    assert type(reference).__name__ == "SecretReferenceConfigurationSetting"
    assert reference.secret_id == "https://contoso.vault.azure.net/secrets/openai"


def test_a_second_pass_changes_nothing(written):
    again = written.run("reconcile").expect(0).json
    assert (again["release"], again["outcome"], again["steps"]) == (None, "unchanged", [])


def test_what_others_change_is_drift_and_is_put_back_without_a_release(written):
    written.ssm.put_parameter(Name=f"{PREFIX}/chat/endpoint", Value="tampered", Overwrite=True)
    setting = written.setting("chat/endpoint")
    setting.value = "tampered"
    written.azure.set_configuration_setting(setting)

    planned = written.run("plan", "--detailed-exitcode").expect(2).json
    assert {(step["target"], step["key"], step["reason"]) for step in planned["steps"]} == {
        ("aws-eu", "chat/endpoint", "drift"),
        ("azure", "chat/endpoint", "drift"),
    }
    repaired = written.run("reconcile").expect(0).json
    assert (repaired["release"], repaired["outcome"]) == (None, "applied")
    assert {step["reason"] for step in repaired["steps"]} == {"drift"}

    assert written.parameter("chat/endpoint")["Value"] == "https://example.com/v1"
    assert written.parameter("chat/endpoint")["Version"] == 3
    assert written.setting("chat/endpoint").value == "https://example.com/v1"
    releases = written.run("history").expect(0).json["releases"]
    assert [release["release"] for release in releases] == [1]
    written.run("plan", "--detailed-exitcode").expect(0)


def test_what_others_delete_comes_back(written):
    written.azure.delete_configuration_setting(key=f"{KEY_PREFIX}/chat/endpoint", label=LABEL)
    planned = written.run("plan", "--detailed-exitcode").expect(2).json
    assert [(step["key"], step["target"]) for step in planned["steps"]] == [("chat/endpoint", "azure")]
    assert written.run("reconcile").expect(0).json["release"] is None
    assert written.setting("chat/endpoint").value == "https://example.com/v1"


def test_a_foreign_parameter_under_a_wanted_name_stops_the_pass(world):
    name = f"{PREFIX}/chat/endpoint"
    world.ssm.put_parameter(Name=name, Value="not repin's", Type="String")
    world.entries(ENTRIES)
    world.run("reconcile").expect(5)
    left = world.parameter("chat/endpoint")
    assert (left["Version"], left["Value"]) == (1, "not repin's")
    written = world.ssm.get_parameters_by_path(Path=PREFIX, Recursive=True)["Parameters"]
    assert [parameter["Name"] for parameter in written] == [name]
    assert not list(world.azure.list_configuration_settings(key_filter=f"{KEY_PREFIX}/*", label_filter=LABEL))


def test_a_foreign_key_value_under_a_wanted_key_stops_the_pass(world):
    wanted = ConfigurationSetting(key=f"{KEY_PREFIX}/chat/endpoint", label=LABEL, value="not repin's")
    before = world.azure.add_configuration_setting(wanted)
    world.entries(ENTRIES)
    world.run("reconcile").expect(5)
    after = world.setting("chat/endpoint")
    assert (after.etag, after.value) == (before.etag, "not repin's")
    assert not world.ssm.get_parameters_by_path(Path=PREFIX, Recursive=True)["Parameters"]


def test_foreign_items_beside_ours_are_counted_and_left_alone(written):
    written.ssm.put_parameter(Name=f"{PREFIX}/other/thing", Value="theirs", Type="String")
    other = ConfigurationSetting(key=f"{KEY_PREFIX}/other/thing", label=LABEL, value="theirs")
    etag = written.azure.add_configuration_setting(other).etag
    assert written.run("plan").expect(0).json["foreign"] == {"aws-eu": 1, "azure": 1}
    written.entries({"chat/config": ENTRIES["chat/config"]})
    pruned = written.run("reconcile").expect(0).json
    assert {step["action"] for step in steps(pruned, "aws-eu")} == {"delete"}
    assert written.parameter("other/thing")["Version"] == 1
    assert written.setting("other/thing").etag == etag
