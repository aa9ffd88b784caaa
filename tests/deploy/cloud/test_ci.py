"""What runs repin in CI: linted as each system has it, and its script played against the emulator and a fake forge."""

import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from conftest import DEPLOY, ROOT

CI = DEPLOY / "ci"
SCRIPT = CI / "repin_ci.py"
TOOLS = Path(sys.executable).parent
TOKEN = "t0ken-of-the-test"


def lint(*arguments):
    done = subprocess.run([TOOLS / arguments[0], *arguments[1:]], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("vendor.github-actions", "github/action.yml"),
        ("vendor.github-workflows", "github/workflow.yml"),
        ("vendor.azure-pipelines", "azure-pipelines/pipeline.yml"),
        ("vendor.azure-pipelines", "azure-pipelines/repin.yml"),
        ("vendor.gitlab-ci", "gitlab/repin.yml"),
    ],
)
def test_schema(schema, path):
    extra = {
        "vendor.gitlab-ci": ["--data-transform", "gitlab-ci"],
        "vendor.azure-pipelines": ["--data-transform", "azure-pipelines", "--regex-variant", "nonunicode"],
    }
    lint("check-jsonschema", "--builtin-schema", schema, *extra.get(schema, []), CI / path)


def test_a_mistake_is_found(tmp_path):
    broken = tmp_path / "action.yml"
    broken.write_text((CI / "github/action.yml").read_text().replace("using: composite", "usign: composite"))
    with pytest.raises(AssertionError):
        lint("check-jsonschema", "--builtin-schema", "vendor.github-actions", broken)


def test_github_is_safe():
    """No template in a script, pinned actions, least permissions: zizmor finds nothing, offline and at its strictest."""
    lint("zizmor", "--offline", "--no-progress", "--persona", "pedantic", CI / "github/action.yml",
         CI / "github/workflow.yml")


def test_scripts_are_linted(tmp_path):
    """The scripts inside the YAML, by shellcheck."""
    scripts = [step["run"] for step in yaml.safe_load((CI / "github/action.yml").read_text())["runs"]["steps"]]
    for step in yaml.safe_load((CI / "azure-pipelines/repin.yml").read_text())["steps"]:
        scripts.append(step["inputs"]["inlineScript"])
    for job in yaml.safe_load((CI / "gitlab/repin.yml").read_text()).values():
        scripts.append("\n".join(job.get("before_script", []) + job.get("script", [])))
    assert len(scripts) >= 4
    for number, script in enumerate(scripts):
        file = tmp_path / f"{number}.sh"
        file.write_text(f"#!/usr/bin/env bash\n{script}\n")
        lint("shellcheck", file)


def test_the_files_name_each_other():
    text = (CI / "gitlab/repin.yml").read_text()
    assert f"python3 {SCRIPT.relative_to(ROOT)} plan" in text and f"python3 {SCRIPT.relative_to(ROOT)} reconcile" in text
    action = yaml.safe_load((CI / "github/action.yml").read_text())
    workflow = yaml.safe_load((CI / "github/workflow.yml").read_text())
    used = [step for job in workflow["jobs"].values() for step in job["steps"] if step["uses"].startswith("./")]
    assert {step["with"]["mode"] for step in used} == {"plan", "reconcile"}
    for step in used:
        assert (ROOT / step["uses"] / "action.yml").is_file()
        assert step["with"].keys() <= action["inputs"].keys()
    parameters = {one["name"] for one in yaml.safe_load((CI / "azure-pipelines/repin.yml").read_text())["parameters"]}
    for job in yaml.safe_load((CI / "azure-pipelines/pipeline.yml").read_text())["jobs"]:
        [template] = [step for step in job["steps"] if "template" in step]
        assert template["parameters"].keys() <= parameters


class Forge(http.server.ThreadingHTTPServer):
    """Comments as GitHub, Azure Repos and GitLab keep them."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.comments = []
        self.requests = []
        self.refuses = False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Answer(http.server.BaseHTTPRequestHandler):
    def answer(self):
        forge, length = self.server, int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        forge.requests.append((self.command, self.path, dict(self.headers)))
        if forge.refuses:
            return self.send(403, {})
        azure = "/_apis/" in self.path
        name = "content" if azure else "body"
        if self.command == "GET":
            if azure:
                return self.send(200, {"value": [{"id": 7, "comments": forge.comments}]})
            page = int(self.path.split("page=")[-1])
            return self.send(200, forge.comments[100 * (page - 1) : 100 * page])
        text = body[name] if name in body else body["comments"][0]["content"]
        if self.command == "POST":
            forge.comments.append({"id": len(forge.comments) + 1, name: text})
        else:
            number = int(self.path.split("?")[0].rsplit("/", 1)[-1])
            forge.comments[number - 1][name] = text
        self.send(200, {})

    do_GET = do_POST = do_PATCH = do_PUT = answer

    def send(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def forge():
    forge = Forge()
    yield forge
    forge.shutdown()


def environment(system, forge, tmp_path):
    """The variables that each system sets in a pull request's run."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 12}}))
    return {
        "github": {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": forge.url,
            "GITHUB_REPOSITORY": "contoso/config",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        },
        "azure": {
            "TF_BUILD": "True",
            "SYSTEM_COLLECTIONURI": f"{forge.url}/contoso/",
            "SYSTEM_TEAMPROJECTID": "p-1",
            "BUILD_REPOSITORY_ID": "r-1",
            "SYSTEM_PULLREQUEST_PULLREQUESTID": "12",
        },
        "gitlab": {"CI_API_V4_URL": f"{forge.url}/api/v4", "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "12"},
    }[system]


@pytest.fixture
def team(tmp_path):
    """A repository with a file, and the embedded clouds: returns what runs the script there."""
    repository = tmp_path / "repository"
    repository.mkdir()
    wrapper = tmp_path / "repin"
    wrapper.write_text(f'#!/bin/sh\nexec "{os.environ["REPIN_BIN"]}" "$@" --emulate="{tmp_path}/clouds"\n')
    wrapper.chmod(0o755)

    class Team:
        root = repository

        def file(self, value):
            head = "version: 1\nname: ci\ntargets:\n  aws:\n    provider: aws-ssm\n    account: '111122223333'\n"
            text = f"{head}    region: eu-west-1\n    prefix: /ci\nentries:\n  a: {{ value: {value} }}\n"
            (repository / "repin.yaml").write_text(text)

        def run(self, mode, expect=0, **more):
            basics = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "REPIN": str(wrapper), "REPIN_FILE": "repin.yaml"}
            done = subprocess.run(
                [sys.executable, SCRIPT, mode], cwd=repository, env=basics | more, capture_output=True, text=True,
                timeout=60, check=False,
            )
            assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
            return done

        def repin(self, *arguments):
            done = subprocess.run([wrapper, *arguments, "-o", "json"], cwd=repository, capture_output=True, check=True)
            return json.loads(done.stdout)

    return Team()


@pytest.mark.parametrize("system", ["github", "azure", "gitlab"])
def test_one_comment_is_kept_up_to_date(team, forge, tmp_path, system):
    forge.comments += [{"id": n + 1, "content" if system == "azure" else "body": "others"} for n in range(130)]
    variables = environment(system, forge, tmp_path) | {"REPIN_TOKEN": TOKEN}
    team.file("one")
    done = team.run("plan", **variables)
    team.file("one }\n  b: { value: two")
    team.run("plan", **variables)
    assert len(forge.comments) == 131, "the second plan is written over the first"
    text = forge.comments[-1].get("body") or forge.comments[-1]["content"]
    assert text.startswith("<!-- repin repin.yaml") and "2 create" in text
    sent = {method: path for method, path, _ in forge.requests}
    assert all(TOKEN in str(headers) for _, _, headers in forge.requests)
    assert TOKEN not in done.stdout + done.stderr
    changes = {
        "github": ("PATCH", "/repos/contoso/config/issues/comments/131"),
        "azure": ("PATCH", "/contoso/p-1/_apis/git/repositories/r-1/pullRequests/12/threads/7/comments/131?api-version=7.1"),
        "gitlab": ("PUT", "/api/v4/projects/5/merge_requests/12/notes/131"),
    }
    method, path = changes[system]
    assert sent[method] == path
    assert (team.root / "repin-plan.md").read_text() in text


def test_outputs_of_github(team, forge, tmp_path):
    variables = environment("github", forge, tmp_path)
    team.file("one")
    team.run("plan", **variables)
    assert (tmp_path / "output").read_text() == "changes=true\nplan=repin-plan.md\n"
    assert "Release 1" in (tmp_path / "summary").read_text()
    assert not forge.requests, "without a token nothing is commented"
    team.run("reconcile", REPIN_MESSAGE="m")
    team.run("plan", **variables)
    assert (tmp_path / "output").read_text().splitlines()[2] == "changes=false"


def test_who_may_not_comment_may_plan(team, forge, tmp_path):
    forge.refuses = True
    team.file("one")
    done = team.run("plan", **environment("github", forge, tmp_path), REPIN_TOKEN=TOKEN)
    assert "::warning title=repin::the plan could not be commented" in done.stdout


def git(root, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def test_a_merge_is_released_with_its_subject(team):
    git(team.root, "init")
    team.file("one")
    git(team.root, "add", "repin.yaml")
    subject = "--dry-run is no option here; $(nor is this)"
    git(team.root, "commit", "--cleanup=verbatim", "-m", f"{subject}\n\nWith a body.")
    team.run("reconcile")
    [release] = team.repin("history")["releases"]
    assert release["message"] == subject


def test_a_revert_is_released(team):
    """The file that an older release had: a daemon would take it for one that is behind."""
    for value in ("one", "two", "one"):
        team.file(value)
        team.run("reconcile", REPIN_MESSAGE=value)
    assert [release["message"] for release in team.repin("history")["releases"]] == ["one", "two", "one"]


def test_what_is_held_warns(team):
    for value in ("one", "two"):
        team.file(value)
        team.run("reconcile", REPIN_MESSAGE=value)
    team.repin("rollback", "-m", "worse")
    for mode in ("plan", "reconcile"):
        done = team.run(mode, GITHUB_ACTIONS="true", REPIN_MESSAGE="again")
        assert f"::warning title=repin::repin {mode}: 6" in done.stdout, done
        done = team.run(mode, TF_BUILD="True", REPIN_MESSAGE="again")
        assert "##vso[task.logissue type=warning]" in done.stdout


@pytest.mark.parametrize("code", [1, 3, 5, 64, 75, 77, 78])
def test_all_else_fails(team, tmp_path, code):
    team.file("one")
    fake = tmp_path / "fake"
    fake.write_text(f"#!/bin/sh\necho 'error: it is so' >&2\nexit {code}\n")
    fake.chmod(0o755)
    for mode in ("plan", "reconcile"):
        done = team.run(mode, expect=code, REPIN=str(fake), REPIN_MESSAGE="m", GITHUB_ACTIONS="true")
        assert f"::error title=repin::repin {mode}: {code}" in done.stdout
        assert "it is so" in done.stderr
    assert "it is so" in (team.root / "repin-plan.md").read_text()


def test_a_broken_file_is_told_in_the_comment(team, forge, tmp_path):
    (team.root / "repin.yaml").write_text("version: 1\nname: ci\ntargets: []\n")
    team.run("plan", expect=78, **environment("gitlab", forge, tmp_path), REPIN_TOKEN=TOKEN)
    assert "repin.yaml:3" in forge.comments[0]["body"]


def test_usage(team):
    assert "repin_ci.py plan" in team.run("apply", expect=64).stderr
