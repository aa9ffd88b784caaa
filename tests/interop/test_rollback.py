"""What services read by name, version, label, and through a snapshot while repin releases, goes back, and goes on.

Azure is the emulator; AWS is moto, or the emulator too where services read by path and label: moto looks at the newest
versions only then.
"""

import json

import pytest

from azure_calls import CHAT, REFERENCE
from going_back import CONTENTS, READERS, STAGES, Form, Story
from peers import Emulator
from world import steps

SUITE = "going back on AWS"
PEER = "boto3 {boto3}, awscli {awscli}, moto {moto}"
ON_AZURE = (
    "going back on Azure",
    "provider {azure-appconfiguration-provider}, {@azure/app-configuration-provider} (js)",
)

JSON = "application/json"
CONTENT_TYPES = {"chat/config": CHAT, "chat/limits": JSON, "chat/prompt": JSON, "chat/vault": REFERENCE}
# Not the emulator with `latest`: like the service it lets nobody re-create a parameter for 30 seconds.
FORMS = {
    "moto, latest, key-values": Form("moto", label=False, snapshot=False),
    "moto, latest, snapshot": Form("moto", label=False, snapshot=True),
    "moto, label, key-values": Form("moto", label=True, snapshot=False),
    "emulator, label, snapshot": Form("emulator", label=True, snapshot=True),
}
LABELLED = [name for name, form in FORMS.items() if form.label]
UNLABELLED = [name for name, form in FORMS.items() if not form.label]


class Stories:
    """Tells the story once for each way of serving, when it is first asked for."""

    def __init__(self, repin, moto, folders):
        self.repin, self.moto, self.folders, self.told = repin, moto, folders, {}

    def __call__(self, name):
        """A story that was told to its end."""
        if name not in self.told:
            self.told[name] = self.tell(FORMS[name])
        if isinstance(self.told[name], Exception):
            raise self.told[name]
        return self.told[name]

    def tell(self, form):
        """Tells a story; one that did not reach its end is not told again for each test, so its error is kept."""
        with Emulator(self.repin) as emulator:
            aws = {"emulator": emulator, "moto": self.moto}[form.aws]
            aws.make_key()
            story = Story(self.repin, emulator, aws, self.folders.mktemp("story"), form)
            try:
                story.tell()
            except Exception as error:
                return error
            return story


@pytest.fixture(scope="module")
def stories(repin, moto, tmp_path_factory):
    """The story by the name of its way of serving."""
    return Stories(repin, moto, tmp_path_factory)


def on_azure(test):
    """Puts a test into another row of the closing table."""
    test.suite = ON_AZURE
    return test


def values(parameters):
    """What parameters say, by key: of JSON what it means."""
    return {key: meaning(parameter["Value"]) for key, parameter in parameters.items()}


def meaning(text):
    """What a text says: JSON or itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def versions(parameters):
    """The version of each parameter."""
    return {key: parameter["Version"] for key, parameter in parameters.items()}


def unversioned(parameters):
    """The parameters without their versions."""
    return {key: (parameter["Type"], parameter["Value"]) for key, parameter in parameters.items()}


def cases(cloud):
    """Every reader of a cloud at every stage, in each way of serving that it can read."""
    return [
        pytest.param(name, reader, stage, id=f"{name}: {reader.name}: {stage}")
        for name, form in FORMS.items()
        for reader in READERS
        if reader.cloud == cloud and reader.reads(form)
        for stage in STAGES
        if stage in reader.stages
    ]


@pytest.mark.parametrize(("name", "reader", "stage"), cases("aws"))
def test_services_on_aws_find(stories, name, reader, stage):
    found = stories(name).seen[stage][reader.name]
    assert values(found) == CONTENTS[stage].aws
    sealed = {key for key, parameter in found.items() if parameter["Type"] == "SecureString"}
    assert sealed == {"chat/key"}


@on_azure
@pytest.mark.parametrize(("name", "reader", "stage"), cases("azure"))
def test_services_on_azure_find(stories, name, reader, stage):
    found, flag = stories(name).seen[stage][reader.name]
    assert found == CONTENTS[stage].azure
    assert flag == CONTENTS[stage].flag


@pytest.mark.parametrize("name", FORMS)
def test_going_back_brings_back_every_byte_and_tag_on_aws(stories, name):
    story = stories(name)
    first, back, kept = (story.served(stage) for stage in ("first", "back", "kept"))
    assert unversioned(back) == unversioned(first)
    assert kept == back, "a pass afterwards touches nothing"
    tags = {stage: {key: story.seen[stage]["tags"][key] for key in first} for stage in ("first", "second", "back")}
    assert tags["back"] == tags["first"] != tags["second"]


@on_azure
@pytest.mark.parametrize("name", FORMS)
def test_going_back_brings_back_every_byte_tag_and_content_type_on_azure(stories, name):
    seen = stories(name).seen
    first, third, back, kept = (seen[stage]["key-values"] for stage in ("first", "third", "back", "kept"))
    assert back == first == kept
    assert {key: kind for key, (_, kind, _) in back.items() if kind} == CONTENT_TYPES
    assert not third["chat/vault"][1], "the content type went with the reference"
    assert back["chat/tone"][2]["team"] == "a"


@pytest.mark.parametrize("name", FORMS)
def test_each_version_still_reads_as_it_was(stories, name):
    story = stories(name)
    first = story.served("first")
    assert story.seen["back"]["boto3 by version"] == first
    left = {key: first[key] for key in first if key in CONTENTS["on"].aws}
    assert {key: story.seen["on"]["boto3 by version"][key] for key in left} == left


@pytest.mark.parametrize("name", FORMS)
def test_the_versions_that_were_said_are_those_that_services_read(stories, name):
    story = stories(name)
    for stage in ("first", "second", "third", "back", "edited", "on"):
        said = {step["key"]: int(step["version"]) for step in steps(story.reports[stage], "aws-eu") if step["version"]}
        read = versions(story.served(stage))
        assert said, stage
        assert said.items() <= read.items(), stage


@pytest.mark.parametrize("name", LABELLED)
def test_going_back_by_label_moves_labels_and_writes_no_version(stories, name):
    story = stories(name)
    assert versions(story.served("back")) == versions(story.served("first"))
    assert story.seen["back"]["latest"] == story.seen["third"]["latest"]


@pytest.mark.parametrize("name", UNLABELLED)
def test_going_back_by_name_writes_only_what_differs(stories, name):
    third, back = (versions(stories(name).served(stage)) for stage in ("third", "back"))
    changed = {"chat/config", "chat/limits", "chat/prompt", "chat/tone", "chat/key"}
    assert back == {key: third[key] + (key in changed) for key in third if key != "late"} | {"early": 1}


@on_azure
@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.snapshot])
def test_going_back_through_a_snapshot_names_the_earlier_one(stories, name):
    seen = stories(name).seen
    names = {stage: seen[stage]["snapshot"] for stage in STAGES}
    assert names["back"] == names["kept"] == names["first"]
    assert len({names[stage] for stage in STAGES}) == 5


@pytest.mark.parametrize("name", FORMS)
def test_what_the_program_says_of_it(stories, name):
    reports = stories(name).reports
    assert [reports[stage]["release"] for stage in STAGES] == [1, 2, 3, 4, None, 5, 6]
    assert (reports["kept"]["outcome"], reports["kept"]["steps"]) == ("held", [])
    # What is staged for a snapshot is put there again, and stays what it is.
    edited = {(step["target"], step["key"]) for step in reports["edited"]["steps"] if step["reason"] != "renewed"}
    assert edited == {("aws-eu", "chat/config"), ("azure", "chat/config")}
