"""Services that use the official configuration providers load what repin wrote, and see what it changes."""

import json
import time

import pytest
from azure.appconfiguration import ConfigurationSetting, ConfigurationSettingsFilter

from azure_calls import SNAPSHOT_REFERENCE
from providers import load_javascript, load_python
from world import KEY_PREFIX, LABEL

SUITE = "repin and configuration providers"
PEER = "provider {azure-appconfiguration-provider}, {@azure/app-configuration-provider} (js)"

CONFIG = {"model": "gpt-4o", "temperature": 0.2, "messages": [{"role": "system", "content": "é {{name}}"}]}
VAULT = "https://contoso.vault.azure.net/secrets/openai"
RULE = {"name": "Microsoft.Percentage", "parameters": {"Value": 30}}
FLAG = {"id": "beta", "enabled": True, "conditions": {"client_filters": [RULE]}}
# Providers look for flags under this prefix only, so flags are a target of their own.
FLAGS = {"flags": {"prefix": ".appconfig.featureflag"}}
ENTRIES = {
    "chat/config": {"targets": ["azure"], "type": "ai-chat", "value": CONFIG},
    "chat/endpoint": {"targets": ["azure"], "value": "https://example.com/v1"},
    "chat/limits": {"targets": ["azure"], "value": {"rpm": 60, "burst": 1.5}},
    "chat/key": {"targets": ["azure"], "type": "key-vault-reference", "value": VAULT},
    "beta": {"targets": ["flags"], "type": "feature-flag", "value": FLAG},
}
LOADED = {
    "chat/config": CONFIG,
    "chat/endpoint": "https://example.com/v1",
    "chat/limits": {"rpm": 60, "burst": 1.5},
    "chat/key": f"resolved {VAULT}",
}


PROVIDERS = pytest.mark.parametrize("load_store", [load_python, load_javascript], ids=["python", "javascript"])


@pytest.fixture
def written(world):
    """A world in which the first release was served, its flags at the keys where providers look for them."""
    world.entries(ENTRIES, more_targets=FLAGS)
    world.run("reconcile").expect(0)
    return world


@PROVIDERS
def test_values_arrive_with_their_types(written, load_store):
    loaded = dict(load_store(written))
    assert {key: loaded[key] for key in LOADED} == LOADED


@PROVIDERS
def test_nothing_but_the_values_arrives(written, load_store):
    assert set(load_store(written)) == LOADED.keys() | {"feature_management"}


@PROVIDERS
def test_a_flag_arrives_as_a_flag(written, load_store):
    (flag,) = load_store(written)["feature_management"]["feature_flags"]
    assert (flag["id"], flag["enabled"]) == ("beta", True)
    assert flag["conditions"]["client_filters"] == [RULE]


@PROVIDERS
def test_a_change_arrives(written, load_store):
    changed = ENTRIES | {"chat/endpoint": {"targets": ["azure"], "value": "https://example.com/v2"}}
    written.entries(changed, more_targets=FLAGS)
    written.run("reconcile").expect(0)
    assert load_store(written)["chat/endpoint"] == "https://example.com/v2"


@PROVIDERS
def test_what_was_dropped_is_gone(written, load_store):
    rest = {key: entry for key, entry in ENTRIES.items() if key != "chat/limits"}
    written.entries(rest, more_targets=FLAGS)
    written.run("reconcile").expect(0)
    assert "chat/limits" not in set(load_store(written))


@PROVIDERS
def test_a_snapshot_reference_is_followed(written, load_store):
    filters = [ConfigurationSettingsFilter(key=f"{KEY_PREFIX}/*", label=LABEL)]
    written.azure.begin_create_snapshot("release-1", filters, retention_period=3600, polling_interval=0.2).result()
    pointer = ConfigurationSetting(
        key="served/config", label=LABEL, value='{"snapshot_name":"release-1"}', content_type=SNAPSHOT_REFERENCE
    )
    written.azure.set_configuration_setting(pointer)
    later = ENTRIES | {"chat/endpoint": {"targets": ["azure"], "value": "https://example.com/later"}}
    written.entries(later, more_targets=FLAGS)
    written.run("reconcile").expect(0)
    loaded = load_store(written, prefix="served/")
    assert loaded[f"{KEY_PREFIX}/chat/endpoint"] == "https://example.com/v1", "what the snapshot captured"


def test_a_running_service_refreshes_when_repin_released(written):
    service = load_python(written, refresh_enabled=True, refresh_interval=1)
    assert service["chat/endpoint"] == "https://example.com/v1"
    changed = ENTRIES | {"chat/endpoint": {"targets": ["azure"], "value": "https://example.com/v2"}}
    written.entries(changed, more_targets=FLAGS)
    written.run("reconcile").expect(0)
    time.sleep(1.1)
    service.refresh()
    assert service["chat/endpoint"] == "https://example.com/v2"
