"""The official configuration providers, as services use them."""

import json

from azure.appconfiguration.provider import SettingSelector, load

from peers import run_node
from world import KEY_PREFIX, LABEL


def load_python(world, prefix=f"{KEY_PREFIX}/", **more):
    """What the Python provider makes of the store."""
    return load(
        connection_string=world.emulator.connection_string,
        selects=[SettingSelector(key_filter=f"{prefix}*", label_filter=LABEL)],
        trim_prefixes=[prefix],
        secret_resolver=lambda uri: f"resolved {uri}",
        feature_flag_enabled=True,
        feature_flag_selectors=[SettingSelector(key_filter="*", label_filter=LABEL)],
        **more,
    )


def asked_of_javascript(world, prefix=f"{KEY_PREFIX}/"):
    """What the script of the JavaScript provider is to load."""
    return json.dumps({"connection": world.emulator.connection_string, "prefix": prefix, "label": LABEL})


def load_javascript(world, prefix=f"{KEY_PREFIX}/"):
    """What the JavaScript provider makes of the store."""
    return json.loads(run_node("provide.cjs", asked_of_javascript(world, prefix)))
