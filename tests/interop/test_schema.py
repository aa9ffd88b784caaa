"""The JSON Schema that repin prints, in front of a validator of another maker and another YAML parser.

It must take every file that repin takes, overlays included, and each file of a case that repin refuses is refused for
its form by the schema or for its meaning by the loader alone.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from peers import clean_environment

SUITE = "schema of the file"
PEER = "jsonschema {jsonschema}, PyYAML {PyYAML}"

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(
    path for path in (ROOT / "examples").rglob("*") if path.suffix in (".yaml", ".json") and "prompts" not in path.parts
)
CASES = ROOT / "tests" / "desired" / "cases"
# What the cases of the loader's own tests refer to.
VARIABLES = {
    "OPENAI_API_KEY": "sk-SENTINEL",
    "MODEL": "gpt-4o",
    "JSON": "{}",
    "BROKEN_JSON": "{",
    "EMPTY": "",
    "NEWLINE": "\n",
}

# Refused cases whose form alone is wrong: here the schema must say no too.
WRONG_IN_FORM = {
    "alone/account-short.yaml",
    "alone/account-unquoted.yaml",
    "alone/azure-settings.yaml",
    "alone/connection-string-literal.yaml",
    "alone/entries-list.yaml",
    "alone/forget-text.yaml",
    "alone/name-invalid.yaml",
    "alone/name-number.yaml",
    "alone/not-a-map.yaml",
    "alone/policy-keep.yaml",
    "alone/policy-numbers.yaml",
    "alone/policy-text.yaml",
    "alone/policy.yaml",
    "alone/provider-unknown.yaml",
    "alone/serve-unknown.yaml",
    "alone/target-name.yaml",
    "alone/target-null.yaml",
    "alone/target-settings.yaml",
    "alone/target-unknown-field.yaml",
    "alone/unknown-section.yaml",
    "alone/version-2.yaml",
    "alone/version-text.yaml",
    "over-base/entry-scalar.yaml",
    "over-base/json-overlay.json",
    "over-base/per-target.yaml",
    "over-base/pin.yaml",
    "over-base/several-at-once.yaml",
    "over-base/unknown-field-hides-secret.yaml",
    "over-base/unknown-field.yaml",
    "over-base/value-from-unknown.yaml",
    "over-base/wrong-types.yaml",
}


class Yaml12(yaml.SafeLoader):
    """YAML as repin reads it, where PyYAML still follows 1.1: dates and words for truth are text."""


Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":bool"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
TRUTH = re.compile("^(?:true|True|TRUE|false|False|FALSE)$")
Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", TRUTH, list("tTfF"))


def read(path):
    """What a file holds, by a parser that is not ours."""
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=Yaml12)


def cases(folder):
    """The cases of one folder: a name, and the files that it loads."""
    for path in sorted((CASES / folder).iterdir()):
        if path.suffix == ".expected":
            continue
        name = str(path.relative_to(CASES))
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.is_file())
        elif folder.endswith("over-base"):
            files = [CASES / "base.yaml", path]
        else:
            files = [path]
        yield pytest.param(name, files, id=name)


@pytest.fixture(scope="module")
def validator(repin):
    """The validator, made with the schema that the program prints."""
    printed = subprocess.run([repin, "schema"], env=clean_environment(), capture_output=True, check=True).stdout
    schema = json.loads(printed)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture
def load(repin):
    """Loads files as the program does."""

    def load(files):
        arguments = [argument for file in files for argument in ("-f", file)]
        return subprocess.run(
            [repin, "validate", "-o", "json", *arguments],
            cwd=ROOT,
            env=clean_environment(**VARIABLES),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return load


def flaws(validator, path):
    """What the schema says about one file."""
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(read(path))]


def test_the_examples_are_there():
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_of_the_examples_meets_the_schema_by_itself(validator, path):
    assert flaws(validator, path) == []


def test_the_starter_file_meets_the_schema_that_it_names(validator, repin, tmp_path):
    environment = clean_environment()
    subprocess.run([repin, "init"], cwd=tmp_path, env=environment, capture_output=True, check=True)
    starter = tmp_path / "repin.yaml"
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", starter.read_text(encoding="utf-8"))
    assert json.loads((tmp_path / named[1]).read_text(encoding="utf-8")) == validator.schema
    assert flaws(validator, starter) == []


@pytest.mark.parametrize(
    ("name", "files"), [case for folder in ("good/alone", "good/over-base", "good/several") for case in cases(folder)]
)
def test_the_schema_takes_what_the_loader_takes(validator, load, name, files):
    assert load(files).returncode == 0
    for path in files:
        assert flaws(validator, path) == [], path


@pytest.mark.parametrize(
    ("name", "files"), [case for folder in ("alone", "over-base", "several") for case in cases(folder)]
)
def test_a_bad_file_is_refused(validator, load, name, files):
    refused = load(files)
    assert refused.returncode == 78, refused.stdout
    assert "SENTINEL" not in refused.stdout + refused.stderr
    if name in WRONG_IN_FORM:
        assert any(flaws(validator, path) for path in files)


def test_every_case_that_is_wrong_in_form_exists():
    assert all((CASES / name).is_file() for name in WRONG_IN_FORM)


def schemas(schema):
    """The schema of each property, by name."""
    for definition in [schema, *schema["$defs"].values()]:
        yield from definition.get("properties", {}).items()


def test_examples_within_the_schema_meet_it(validator):
    count = 0
    for name, property_schema in schemas(validator.schema):
        inner = {"$defs": validator.schema["$defs"], **property_schema}
        for example in property_schema["examples"]:
            assert list(Draft202012Validator(inner).iter_errors(example)) == [], (name, example)
            count += 1
    assert count > 50
