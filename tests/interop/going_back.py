"""A story of releases on both targets: three of them, back to the first, an edit of one entry, and on again.

It is told once for each way of serving; at every stage programs of other makers look at both stores, and what they saw
is kept for the tests.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from azure.appconfiguration import SecretReferenceConfigurationSetting

from azure_calls import SNAPSHOT_REFERENCE
from peers import Script
from providers import asked_of_javascript, load_javascript, load_python
from world import KEY_PREFIX, LABEL, World

READ_LABEL = "live"
SNAPSHOT_KEY = "release"
VAULT = "https://contoso.vault.azure.net/secrets/openai"
# Providers look for flags under this prefix only, so flags are a target of their own; in a snapshot they are not seen.
FLAGS = {"flags": {"prefix": ".appconfig.featureflag"}}
# Services look at what changed no sooner; the providers take nothing shorter.
REFRESH = 1.1


def secret_of(release):
    """The value of the secret while a release is asked for."""
    return f"the key of release {release}"


def entries(release, edit=None):
    """What the file asks for; `edit` replaces entries."""
    both = {
        "chat/config": {"type": "ai-chat", "value": {"model": f"m{release}", "temperature": release / 10}},
        "chat/limits": {"value": {"rpm": 60 * release, "burst": 1.5}},
        "chat/prompt": {"type": "json-string", "value": f'Say "{release}" to {{{{name}}}}: é\n'},
        "chat/tone": {"value": f"tone {release}", "tags": {"team": "b" if release == 2 else "a"}},
        "same": {"value": "always"},
    }
    both |= {"late": {"value": "here"}} if release >= 2 else {}
    both |= {"early": {"value": "still"}} if release <= 2 else {}
    reference = {"type": "key-vault-reference", "value": f"{VAULT}/{release}"}
    # A content type goes, and has to come back.
    text = {"value": "no reference any more"}
    azure = {"chat/vault": reference if release <= 2 else text}
    aws = {"chat/key": {"secret": True, "value_from": {"env": "INTEROP_SECRET"}}}
    flags = {"beta": {"type": "feature-flag", "value": {"id": "beta", "enabled": release != 3}}}
    of_targets = [(both | (edit or {}), ["aws-eu", "azure"]), (aws, ["aws-eu"]), (azure, ["azure"]), (flags, ["flags"])]
    return {key: entry | {"targets": targets} for some, targets in of_targets for key, entry in some.items()}


class Contents:
    """What services are to find for each key on each cloud, and whether the flag is on."""

    def __init__(self, release, edit=None):
        both = {
            "chat/config": {"model": f"m{release}", "temperature": release / 10},
            "chat/limits": {"rpm": 60 * release, "burst": 1.5},
            "chat/prompt": f'Say "{release}" to {{{{name}}}}: é\n',
            "chat/tone": f"tone {release}",
            "same": "always",
        }
        both |= {"late": "here"} if release >= 2 else {}
        both |= {"early": "still"} if release <= 2 else {}
        both |= edit or {}
        self.aws = both | {"chat/key": secret_of(release)}
        vault = f"resolved {VAULT}/{release}" if release <= 2 else "no reference any more"
        self.azure, self.flag = both | {"chat/vault": vault}, release != 3


EDITED = {"model": "edited", "temperature": 0.5}
# What is served at each stage.
CONTENTS = {
    "first": Contents(1),
    "second": Contents(2),
    "third": Contents(3),
    "back": Contents(1),
    "kept": Contents(1),
    "edited": Contents(1, edit={"chat/config": EDITED}),
    "on": Contents(3, edit={"chat/config": EDITED}),
}
STAGES = list(CONTENTS)


@dataclass(frozen=True)
class Form:
    """Who plays AWS, whether AWS is read by label, and whether Azure is read through a snapshot."""

    aws: str
    label: bool
    snapshot: bool


class Story:
    """Tells the story; `seen[stage][reader]` is what a reader found, `reports[stage]` what the program said."""

    def __init__(self, repin, emulator, aws, folder, form):
        self.form, self.seen, self.reports, self.running = form, {}, {}, {}
        name = f"back-{folder.name}"
        serve = {"aws-eu": {"label": READ_LABEL}} if form.label else {}
        serve |= {"azure": {"snapshot": SNAPSHOT_KEY}} if form.snapshot else {}
        self.world = World(repin, emulator, folder, name, aws=aws, prefix=f"/ai/{name}", serve=serve)
        self.names = [f"{self.world.prefix}/{key}" for key in CONTENTS["second"].aws]

    def tell(self):
        """Tells all of it."""
        self.ask(1)
        self.step("first", 0, "reconcile")
        with Script("provide.cjs") as javascript:
            javascript.ask(asked_of_javascript(self.world))
            self.running = {"javascript": javascript.ask, "python": running_python(self.world)}
            self.ask(2)
            self.step("second", 0, "reconcile")
            self.ask(3)
            self.step("third", 0, "reconcile")
            # Any host can do it: this one has never been here.
            self.step("back", 0, "rollback", "1", "-m", "refusals up", host="other")
            self.step("kept", 6, "reconcile")
            self.ask(3, edit={"chat/config": {"type": "ai-chat", "value": EDITED}})
            self.step("edited", 0, "reconcile")
            self.world.run("resume", "--all", host="other", secret=self.secret).expect(0)
            self.step("on", 0, "reconcile")

    def ask(self, release, edit=None):
        """Writes the file of a release."""
        self.secret = secret_of(release)
        self.world.entries(entries(release, edit), more_targets=FLAGS)

    def step(self, stage, code, *arguments, host="state"):
        """Runs the program, and lets everybody look."""
        self.reports[stage] = self.world.run(*arguments, host=host, secret=self.secret).expect(code).json
        if self.running:
            time.sleep(REFRESH)
        seen = self.seen[stage] = {
            reader.name: reader.look(self)
            for reader in READERS
            if stage in reader.stages and reader.reads(self.form)
        }
        seen["boto3 by version"] = self.by_version(self.served("first"))
        seen["latest"], seen["tags"] = self.by_name(), self.parameter_tags()
        seen["snapshot"], seen["key-values"] = self.key_values()

    def served(self, stage):
        """The parameters that were served at a stage."""
        return self.seen[stage]["boto3 by label" if self.form.label else "boto3 by name"]

    # --- AWS ---

    def by_name(self, selector=""):
        """The parameters that boto3 finds by name, by key."""
        names = [f"{name}{selector}" for name in self.names]
        return self.by_key(self.world.ssm.get_parameters(Names=names, WithDecryption=True))

    def by_version(self, parameters):
        """The parameters at the versions that these had."""
        names = [f"{self.world.prefix}/{key}:{parameter['Version']}" for key, parameter in parameters.items()]
        return self.by_key(self.world.ssm.get_parameters(Names=names, WithDecryption=True))

    def by_path(self):
        """The parameters below the prefix that carry the label, each at that version."""
        pages = self.world.ssm.get_paginator("get_parameters_by_path").paginate(
            Path=self.world.prefix,
            Recursive=True,
            WithDecryption=True,
            ParameterFilters=[{"Key": "Label", "Option": "Equals", "Values": [READ_LABEL]}],
        )
        return {key: found for page in pages for key, found in self.by_key(page).items()}

    def command_by_name(self, selector=""):
        """The parameters that the command line of AWS finds by name."""
        return self.by_command("get-parameters", "--names", *(f"{name}{selector}" for name in self.names))

    def command_by_path(self):
        """The parameters that the command line of AWS finds below the prefix, by label."""
        label = f"Key=Label,Option=Equals,Values={READ_LABEL}"
        arguments = ("--path", self.world.prefix, "--recursive", "--parameter-filters", label)
        return self.by_command("get-parameters-by-path", *arguments)

    def by_command(self, *arguments):
        """The parameters that a command of `aws ssm` finds."""
        return self.by_key(self.world.aws.command_line("ssm", *arguments, "--with-decryption"))

    def by_key(self, answer):
        """What was found, without what a read says of itself."""
        return {
            found["Name"].removeprefix(f"{self.world.prefix}/"): {
                member: found[member] for member in ("Type", "Value", "Version")
            }
            for found in answer["Parameters"]
        }

    def parameter_tags(self):
        """The tags of each parameter that there is."""
        read = self.world.ssm.list_tags_for_resource
        lists = {key: read(ResourceType="Parameter", ResourceId=f"{self.world.prefix}/{key}") for key in self.by_name()}
        return {key: {tag["Key"]: tag["Value"] for tag in found["TagList"]} for key, found in lists.items()}

    # --- Azure ---

    def key_values(self):
        """The snapshot that is referred to, if any, and the key-values that services meet, as the client lists them."""
        if not self.form.snapshot:
            return None, self.listed(key_filter=f"{KEY_PREFIX}/*", label_filter=LABEL)
        reference = self.world.setting(SNAPSHOT_KEY)
        assert reference.content_type == SNAPSHOT_REFERENCE
        snapshot = json.loads(reference.value)["snapshot_name"]
        return snapshot, self.listed(snapshot_name=snapshot)

    def listed(self, **which):
        """Value, content type and tags of key-values, by key."""
        return {
            setting.key.removeprefix(f"{KEY_PREFIX}/"): (raw_value(setting), setting.content_type, dict(setting.tags))
            for setting in self.world.azure.list_configuration_settings(**which)
        }


def raw_value(setting):
    """The value as it is stored; the client takes those apart that it knows."""
    return setting.secret_id if isinstance(setting, SecretReferenceConfigurationSetting) else setting.value


def running_python(world):
    """A service that goes on running: what it sees after each refresh."""
    service = load_python(world, refresh_enabled=True, refresh_interval=1, feature_flag_refresh_enabled=True)

    def refresh():
        service.refresh()
        return service

    return refresh


def given(loaded):
    """What a service was given: the values, and whether the flag is on."""
    values = dict(loaded)
    (flag,) = values.pop("feature_management")["feature_flags"]
    return values, flag["enabled"]


def by_name(form):
    """Whether services read the newest version."""
    return not form.label


def by_label(form):
    """Whether services read by label."""
    return form.label


def by_path_and_label(form):
    """Whether services can read by path and label: moto would look at the newest version only."""
    return form.label and form.aws == "emulator"


@dataclass(frozen=True)
class Reader:
    """One way in which services read: on which cloud, in which forms, and when the story lets it look."""

    name: str
    cloud: str
    look: Callable
    reads: Callable[[Form], bool] = lambda form: True
    stages: Sequence[str] = tuple(STAGES)


AT_LABEL = f":{READ_LABEL}"
# To start `aws` or Node takes longer than all the others together.
FEW = ("third", "back", "on")
LATER = tuple(STAGES[1:])
READERS = [
    Reader("boto3 by name", "aws", Story.by_name, by_name),
    Reader("boto3 by label", "aws", lambda story: story.by_name(AT_LABEL), by_label),
    Reader("boto3 by path and label", "aws", Story.by_path, by_path_and_label),
    Reader("aws by name", "aws", Story.command_by_name, by_name, FEW),
    Reader("aws by label", "aws", lambda story: story.command_by_name(AT_LABEL), by_label, FEW),
    Reader("aws by path and label", "aws", Story.command_by_path, by_path_and_label, FEW),
    Reader("python", "azure", lambda story: given(load_python(story.world))),
    Reader("python, running", "azure", lambda story: given(story.running["python"]()), stages=LATER),
    Reader("javascript", "azure", lambda story: given(load_javascript(story.world)), stages=FEW),
    Reader("javascript, running", "azure", lambda story: given(story.running["javascript"]()), stages=LATER),
]
