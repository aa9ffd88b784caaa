"""What clients of other makers do to labels, snapshots and the reference, and what repin makes of it."""

import json
import re

import pytest
from azure.appconfiguration import ConfigurationSetting, ConfigurationSettingsFilter

from azure_calls import SNAPSHOT_REFERENCE
from providers import load_python
from world import KEY_PREFIX, LABEL, PREFIX, World

SUITE = "labels and snapshots"
PEER = "boto3 {boto3}, azure-appconfiguration {azure-appconfiguration}"

READ_LABEL = "live"
SNAPSHOT_KEY = "release"
REFERENCE = {"key": f"{KEY_PREFIX}/{SNAPSHOT_KEY}", "label": LABEL}
KEYS = ("chat/model", "chat/tone")


def entries(release):
    """What the file asks for."""
    return {key: {"value": f"{key} {release}"} for key in KEYS}


@pytest.fixture
def served(repin, emulator, tmp_path):
    """A world with a label and a snapshot, in which two releases were served."""
    serve = {"aws-eu": {"label": READ_LABEL}, "azure": {"snapshot": SNAPSHOT_KEY}}
    world = World(repin, emulator, tmp_path, serve=serve)
    for release in (1, 2):
        world.entries(entries(release))
        assert world.run("reconcile").expect(0).json["release"] == release
    return world


def by_label(world):
    """Version and value of each parameter that services find by label."""
    names = [f"{PREFIX}/{key}:{READ_LABEL}" for key in KEYS]
    found = world.ssm.get_parameters(Names=names)["Parameters"]
    return {item["Name"].removeprefix(f"{PREFIX}/"): (item["Version"], item["Value"]) for item in found}


def snapshot(world):
    """The name of the snapshot that services are referred to."""
    return json.loads(world.setting(SNAPSHOT_KEY).value)["snapshot_name"]


def whole(release):
    """What the whole of a release is to services."""
    return {key: f"{key} {release}" for key in KEYS}


def loaded(world):
    """What the provider makes of the reference."""
    found = dict(load_python(world))
    found.pop("feature_management", None)
    return found


def repaired(world):
    """Sees drift, runs a pass that makes no release of it, and sees none any more; returns the keys and targets."""
    planned = world.run("plan", "--detailed-exitcode").expect(2).json
    done = world.run("reconcile").expect(0).json
    assert (done["release"], done["outcome"]) == (None, "applied")
    world.run("plan", "--detailed-exitcode").expect(0)
    assert world.run("reconcile").expect(0).json["outcome"] == "unchanged"
    return {(step["target"], step["key"]) for step in planned["steps"]}


def test_a_label_that_others_move_is_moved_back_and_nothing_is_written(served):
    name = f"{PREFIX}/chat/model"
    served.ssm.label_parameter_version(Name=name, ParameterVersion=1, Labels=[READ_LABEL])
    assert by_label(served)["chat/model"] == (1, "chat/model 1")
    assert repaired(served) == {("aws-eu", "chat/model")}
    assert by_label(served)["chat/model"] == (2, "chat/model 2")
    assert served.parameter("chat/model")["Version"] == 2


def test_a_label_that_others_take_off_comes_back(served):
    served.ssm.unlabel_parameter_version(Name=f"{PREFIX}/chat/tone", ParameterVersion=2, Labels=[READ_LABEL])
    assert by_label(served).keys() == {"chat/model"}
    assert repaired(served) == {("aws-eu", "chat/tone")}
    assert by_label(served) == {key: (2, value) for key, value in whole(2).items()}


def test_what_others_put_is_not_served_and_goes_under_at_the_next_release(served):
    served.ssm.put_parameter(Name=f"{PREFIX}/chat/model", Value="theirs", Overwrite=True)
    assert by_label(served)["chat/model"] == (2, "chat/model 2")
    served.run("plan", "--detailed-exitcode").expect(0)
    served.entries(entries(3))
    assert served.run("reconcile").expect(0).json["release"] == 3
    assert by_label(served)["chat/model"] == (4, "chat/model 3")
    served.run("rollback").expect(0)
    assert by_label(served)["chat/model"] == (2, "chat/model 2")


def test_labels_of_others_stay(served):
    name = f"{PREFIX}/chat/model"
    served.ssm.label_parameter_version(Name=name, ParameterVersion=2, Labels=["audited"])
    served.run("rollback").expect(0)
    history = served.ssm.get_parameter_history(Name=name)["Parameters"]
    assert {item["Version"]: item["Labels"] for item in history} == {1: [READ_LABEL], 2: ["audited"]}


def test_a_reference_that_others_point_elsewhere_is_put_back(served):
    ours = snapshot(served)
    filters = [ConfigurationSettingsFilter(key=f"{KEY_PREFIX}/other/*", label=LABEL)]
    served.azure.begin_create_snapshot("theirs", filters, retention_period=3600, polling_interval=0.2).result()
    served.azure.set_configuration_setting(
        ConfigurationSetting(**REFERENCE, value='{"snapshot_name":"theirs"}', content_type=SNAPSHOT_REFERENCE)
    )
    assert loaded(served) == {}
    repaired(served)
    assert snapshot(served) == ours
    assert loaded(served) == whole(2)


def test_a_reference_with_another_content_type_is_put_back_byte_for_byte(served):
    reference = served.setting(SNAPSHOT_KEY)
    reference.content_type = "application/json"
    served.azure.set_configuration_setting(reference)
    assert loaded(served) != whole(2)
    repaired(served)
    assert served.setting(SNAPSHOT_KEY).content_type == SNAPSHOT_REFERENCE
    assert loaded(served) == whole(2)


def test_a_reference_that_others_delete_comes_back(served):
    ours = snapshot(served)
    served.azure.delete_configuration_setting(**REFERENCE)
    assert loaded(served) == {}
    repaired(served)
    assert snapshot(served) == ours
    assert loaded(served) == whole(2)


def test_a_served_snapshot_that_others_archive_is_recovered(served):
    name = snapshot(served)
    served.azure.archive_snapshot(name)
    assert loaded(served) == whole(2), "it stays readable until it expires"
    assert served.run("reconcile").expect(0).json["release"] is None
    assert snapshot(served) == name
    assert served.azure.get_snapshot(name).status == "ready"
    assert loaded(served) == whole(2)


def test_a_rollback_recovers_the_archived_snapshot_that_it_names(served):
    served.entries(entries(3))
    second = snapshot(served)
    served.run("reconcile").expect(0)
    served.azure.archive_snapshot(second)
    served.run("rollback").expect(0)
    assert snapshot(served) == second
    assert served.azure.get_snapshot(second).status == "ready"
    assert loaded(served) == whole(2)


def test_what_is_staged_is_not_served_when_others_change_it(served):
    filters = {"key_filter": f"{KEY_PREFIX}/chat/tone", "label_filter": "~staging*"}
    (staged,) = served.azure.list_configuration_settings(**filters)
    staged.value = "theirs"
    served.azure.set_configuration_setting(staged)
    assert loaded(served) == whole(2)
    served.entries(entries(2) | {"chat/model": {"value": "chat/model 3"}})
    assert served.run("reconcile").expect(0).json["release"] == 3
    assert loaded(served) == whole(2) | {"chat/model": "chat/model 3"}, "not what others staged"


def test_services_meet_nothing_but_the_reference(served):
    below = served.azure.list_configuration_settings(key_filter="*", label_filter=LABEL)
    assert [setting.key for setting in below] == [REFERENCE["key"]]


def test_the_snapshots_are_composed_so_that_providers_load_them(served):
    found = served.azure.get_snapshot(snapshot(served))
    assert (found.composition_type, found.items_count) == ("key", len(KEYS))
    assert found.retention_period >= 7 * 24 * 3600
    assert re.fullmatch(r"[A-Za-z0-9._~/-]{1,256}", found.name)
