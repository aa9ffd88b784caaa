"""Makes the scripted App Configuration calls with the official Python client."""

import datetime
import json
import time

from azure.appconfiguration import (
    AzureAppConfigurationClient,
    ConfigurationSetting,
    ConfigurationSettingsFilter,
    FeatureFlagConfigurationSetting,
    SecretReferenceConfigurationSetting,
)
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotModifiedError


def drive(connection_string, calls):
    """Makes every call in order and returns the answers by call."""
    client = AzureAppConfigurationClient.from_connection_string(connection_string, retry_total=0)
    driver = Driver(client)
    return {call["id"]: driver.make(call) for call in calls}


class Driver:
    """The operations, in the neutral words of the script."""

    def __init__(self, client):
        self.client, self.saved = client, {}

    def make(self, call):
        """Makes one call."""
        arguments = {name: resolve(value, self.saved) for name, value in call["arguments"].items()}
        try:
            answer = getattr(self, call["op"])(**arguments)
        except ResourceNotModifiedError:
            return {"same": True}
        except HttpResponseError as error:
            return {"error": error.status_code, "type": problem(error)}
        for name, member in call["save"].items():
            self.saved[name] = answer[member]
        return answer

    def set(self, only_if=None, **fields):
        condition = MatchConditions.IfNotModified if only_if else MatchConditions.Unconditionally
        setting = ConfigurationSetting(**fields)
        return neutral(self.client.set_configuration_setting(setting, condition, etag=only_if))

    def add(self, **fields):
        return neutral(self.client.add_configuration_setting(ConfigurationSetting(**fields)))

    def get(self, key, label=None, unless=None, at=None):
        condition = MatchConditions.IfModified if unless else MatchConditions.Unconditionally
        setting = self.client.get_configuration_setting(key, label, unless, condition, accept_datetime=moment(at))
        return neutral(setting) if setting else {"same": True}

    def delete(self, key, label=None, only_if=None):
        condition = MatchConditions.IfNotModified if only_if else MatchConditions.Unconditionally
        deleted = self.client.delete_configuration_setting(key, label, etag=only_if, match_condition=condition)
        return {"deleted": True} if deleted else {"nothing": True}

    def lock(self, key, label=None, read_only=True, only_if=None):
        setting = ConfigurationSetting(key=key, label=label, etag=only_if)
        condition = MatchConditions.IfNotModified if only_if else MatchConditions.Unconditionally
        return neutral(self.client.set_read_only(setting, read_only, match_condition=condition))

    def unlock(self, **arguments):
        return self.lock(read_only=False, **arguments)

    def list(self, at=None, **filters):
        return [
            neutral(item) for item in self.client.list_configuration_settings(accept_datetime=moment(at), **filters)
        ]

    def revisions(self, at=None, **filters):
        return [neutral(item) for item in self.client.list_revisions(accept_datetime=moment(at), **filters)]

    def labels(self, name_filter, at=None):
        return [{"key": item.name} for item in self.client.list_labels(name=name_filter, accept_datetime=moment(at))]

    def fill(self, prefix, count):
        for n in range(count):
            self.client.set_configuration_setting(ConfigurationSetting(key=f"{prefix}{n:03}", value=str(n)))
        return {"count": count}

    def pages(self, key_filter, etags=None):
        """Lists by page; with etags only the pages that changed, named by their first key."""
        found = self.client.list_configuration_settings(key_filter=key_filter).by_page(match_conditions=etags)
        if etags is not None:
            return {"changed": [next(iter(page)).key for page in found]}
        sizes, tags = [], []
        for page in found:
            sizes.append(len(list(page)))
            tags.append(found.etag)
        return {"sizes": sizes, "etags": tags}

    def check(self, key_filter):
        found = self.client.check_configuration_settings(key_filter=key_filter).by_page()
        tags = [found.etag for _ in found]
        return {"pages": len(tags), "etags": tags, "tagged": all(tags)}

    def moment(self):
        time.sleep(1.1)
        now = datetime.datetime.now(datetime.UTC)
        time.sleep(1.1)
        return {"moment": now.isoformat()}

    def snapshot(self, name, filters, retention, composition=None, tags=None, description=None):
        wanted = [ConfigurationSettingsFilter(**rule) for rule in filters]
        poller = self.client.begin_create_snapshot(
            name,
            wanted,
            composition_type=composition,
            retention_period=retention,
            tags=tags,
            description=description,
            polling_interval=0.2,
        )
        return neutral_snapshot(poller.result())

    def get_snapshot(self, name):
        return neutral_snapshot(self.client.get_snapshot(name))

    def archive(self, name, only_if=None):
        condition = MatchConditions.IfNotModified if only_if else MatchConditions.Unconditionally
        return neutral_snapshot(self.client.archive_snapshot(name, match_condition=condition, etag=only_if))

    def recover(self, name):
        return neutral_snapshot(self.client.recover_snapshot(name))

    def list_snapshot(self, name, fields=None):
        return [neutral(item) for item in self.client.list_configuration_settings(snapshot_name=name, fields=fields)]

    def list_snapshots(self, name_filter=None, status=None):
        return [{"key": item.name} for item in self.client.list_snapshots(name=name_filter, status=status)]

    def set_flag(self, name, enabled, filters):
        flag = FeatureFlagConfigurationSetting(name, enabled=enabled, filters=filters)
        return neutral(self.client.set_configuration_setting(flag))

    def get_flag(self, name):
        flag = self.client.get_configuration_setting(f".appconfig.featureflag/{name}")
        assert isinstance(flag, FeatureFlagConfigurationSetting)
        return {"enabled": flag.enabled, "filters": [rule["name"] for rule in flag.filters or []]}

    def set_reference(self, key, uri):
        return neutral(self.client.set_configuration_setting(SecretReferenceConfigurationSetting(key, uri)))

    def get_reference(self, key):
        reference = self.client.get_configuration_setting(key)
        assert isinstance(reference, SecretReferenceConfigurationSetting)
        return {"uri": reference.secret_id}


def resolve(value, saved):
    """Puts in what an earlier call saved."""
    return saved[value[1:]] if isinstance(value, str) and value.startswith("$") else value


def moment(text):
    """The instant that a text names."""
    return datetime.datetime.fromisoformat(text) if text else None


def neutral(setting):
    """A key-value in the words of the script."""
    members = ("key", "label", "value", "content_type", "tags", "read_only", "etag", "description")
    return {name: getattr(setting, name, None) for name in members}


def neutral_snapshot(snapshot):
    """A snapshot in the words of the script."""
    members = ("name", "status", "composition_type", "items_count", "retention_period", "tags", "description", "etag")
    answer = {name: getattr(snapshot, name) for name in members}
    answer["filters"] = [{"key": rule.key, "label": rule.label} for rule in snapshot.filters]
    answer["expires"] = snapshot.expires is not None
    return answer


def problem(error):
    """The last part of a problem's type; None where the answer had no body."""
    try:
        return json.loads(error.response.text())["type"].rsplit("/", 1)[-1]
    except (ValueError, KeyError):
        return None
