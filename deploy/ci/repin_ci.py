#!/usr/bin/env python3
"""Runs repin in CI: a plan as a comment on the pull request, a reconcile on merge. For GitHub, Azure Pipelines, GitLab.

    repin_ci.py plan        plan, write it as Markdown, comment it where a pull request is known
    repin_ci.py reconcile   release the file, with the commit's subject as the message

Needs Python 3.9 and nothing else. It is told by variables, so that nothing of a pull request is ever part of a command:

    REPIN              the program (default: repin)
    REPIN_FILE         the file, or several with colons between them, as repin takes it
    REPIN_TARGET       only the targets that match this glob
    REPIN_MESSAGE      the message of the release (default: the subject of the commit)
    REPIN_PLAN         where the plan is written (default: repin-plan.md)
    REPIN_COMMENT      false: no comment
    REPIN_TOKEN        what comments with: GITHUB_TOKEN, System.AccessToken, a project access token of GitLab

How the exit codes of repin are used: 0 is fine, and so is 2 of a plan (there are changes). 6 warns: all that is left to do
is held, by a rollback or by an operator, and is none of the pull request's fault. 3 and 5 fail, and so does all else; 3
says that some of it is served and that any host's next pass goes on.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

# A comment of GitHub's holds 65,536 characters, the shortest of the three.
LONGEST = 60_000
SAYS = {
    0: "done, or nothing to do",
    1: "failed, and nothing new is served anywhere",
    2: "there are changes",
    3: "partial: some steps are served, others not yet; any host's next pass goes on",
    5: "conflict: somebody else wrote, another owner, another account, or the file is behind",
    6: "held: all that is left to do is held",
    64: "usage",
    75: "throttled or unreachable, and nothing was done: run it again",
    77: "permission denied: repin iam prints what is needed",
    78: "the file is invalid",
}


def main(arguments):
    if arguments == ["plan"]:
        return plan()
    if arguments == ["reconcile"]:
        return reconcile()
    print(__doc__, file=sys.stderr)
    return 64


def plan():
    # What is merged will be released with --allow-older too, so that a git revert counts.
    done = run("plan", "--output", "markdown", "--detailed-exitcode", "--allow-older")
    text = done.stdout if done.stdout.strip() else failed(done)
    path = os.environ.get("REPIN_PLAN") or "repin-plan.md"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    sys.stdout.write(text)
    summary(text)
    output("changes", "true" if done.returncode == 2 else "false")
    output("plan", path)
    try:
        comment(text)
    except (urllib.error.URLError, OSError, KeyError) as error:
        # Who may not comment may well plan: a fork's pull request has a token that only reads.
        say("warning", f"the plan could not be commented: {error}")
    return verdict("plan", done.returncode, fine=(0, 2))


def reconcile():
    message = os.environ.get("REPIN_MESSAGE") or subject()
    # The message is one argument: nothing in a commit's subject is taken for an option.
    done = run("reconcile", "--allow-older", f"--message={message}")
    sys.stdout.write(done.stdout)
    summary(f"```\n{done.stdout or done.stderr}\n```\n")
    return verdict("reconcile", done.returncode, fine=(0,))


def run(command, *arguments):
    target = os.environ.get("REPIN_TARGET")
    scope = [f"--target={target}"] if target else []
    environment = {name: value for name, value in os.environ.items() if name not in ("REPIN_TOKEN", "REPIN_MESSAGE")}
    program = os.environ.get("REPIN") or "repin"
    done = subprocess.run(
        [program, command, *scope, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    sys.stderr.write(done.stderr)
    return done


def subject():
    done = subprocess.run(["git", "log", "-1", "--format=%s"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def failed(done):
    says = SAYS.get(done.returncode, "")
    return f"**repin plan** ended with {done.returncode} ({says}):\n\n```\n{done.stderr.strip()}\n```\n"


def verdict(command, code, fine):
    words = f"repin {command}: {code}, {SAYS.get(code, 'unexpected')}"
    if code in fine:
        print(words, file=sys.stderr)
        return 0
    if code == 6:
        say("warning", words)
        return 0
    say("error", words)
    return code if 0 < code < 256 else 1


def say(level, text):
    """Tells it in the way that each system shows beside the run."""
    if os.environ.get("GITHUB_ACTIONS"):
        print(f"::{level} title=repin::{text}")
    elif os.environ.get("TF_BUILD"):
        print(f"##vso[task.logissue type={level}]{text}")
    else:
        print(f"{level}: {text}", file=sys.stderr)


def output(name, value):
    if path := os.environ.get("GITHUB_OUTPUT"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{name}={value}\n")
    if os.environ.get("TF_BUILD"):
        print(f"##vso[task.setvariable variable=repin_{name};isOutput=true]{value}")


def summary(text):
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)


def comment(text):
    """Writes the comment, over the one of an earlier push where there is one."""
    token = os.environ.get("REPIN_TOKEN")
    if not token or os.environ.get("REPIN_COMMENT") == "false":
        return
    for place in (github, azure, gitlab):
        if thread := place(token):
            marker = f"<!-- repin {os.environ.get('REPIN_FILE', '')} {os.environ.get('REPIN_TARGET', '')} -->"
            if len(text) > LONGEST:
                text = f"{text[:LONGEST]}\n\n(cut: the whole plan is in the run's output)\n"
            thread.write(marker, f"{marker}\n{text}")
            return


class Thread:
    """Where the comments of one pull request are, and how they are read and written."""

    def __init__(self, headers, comments, change, body, page=False):
        self.headers = {"Content-Type": "application/json", "User-Agent": "repin-ci", **headers}
        self.comments = comments
        self.change = change
        self.body = body
        self.page = page

    def write(self, marker, text):
        for found in self.all():
            if (found.get("body") or found.get("content") or "").startswith(marker):
                method, url = self.change(found)
                self.call(method, url, {"body": text} if "body" in found else {"content": text})
                return
        self.call("POST", self.comments, self.body(text))

    def all(self):
        number = 1
        while True:
            found = self.call("GET", self.comments + (f"?per_page=100&page={number}" if self.page else ""))
            found = found if isinstance(found, list) else [
                {**comment, "thread": thread["id"]} for thread in found["value"] for comment in thread["comments"]
            ]
            yield from found
            if not self.page or len(found) < 100:
                return
            number += 1

    def call(self, method, url, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, self.headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def github(token):
    api, repository, path = (os.environ.get(f"GITHUB_{name}") for name in ("API_URL", "REPOSITORY", "EVENT_PATH"))
    if not (api and repository and path):
        return None
    with open(path, encoding="utf-8") as file:
        number = json.load(file).get("pull_request", {}).get("number")
    if number is None:
        return None
    return Thread(
        {"Authorization": f"Bearer {token}", "X-GitHub-Api-Version": "2022-11-28"},
        f"{api}/repos/{repository}/issues/{number}/comments",
        lambda found: ("PATCH", f"{api}/repos/{repository}/issues/comments/{found['id']}"),
        lambda text: {"body": text},
        page=True,
    )


def azure(token):
    names = ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECTID", "BUILD_REPOSITORY_ID", "SYSTEM_PULLREQUEST_PULLREQUESTID")
    collection, project, repository, number = (os.environ.get(name) for name in names)
    if not (collection and project and repository and number):
        return None
    threads = f"{collection}{project}/_apis/git/repositories/{repository}/pullRequests/{number}/threads"
    version = "?api-version=7.1"
    return Thread(
        {"Authorization": f"Bearer {token}"},
        threads + version,
        lambda found: ("PATCH", f"{threads}/{found['thread']}/comments/{found['id']}{version}"),
        # 4: closed. A plan is no question that keeps the pull request open.
        lambda text: {"comments": [{"parentCommentId": 0, "content": text, "commentType": 1}], "status": 4},
    )


def gitlab(token):
    api, project, number = (os.environ.get(f"CI_{name}") for name in ("API_V4_URL", "PROJECT_ID", "MERGE_REQUEST_IID"))
    if not (api and project and number):
        return None
    notes = f"{api}/projects/{project}/merge_requests/{number}/notes"
    return Thread(
        {"PRIVATE-TOKEN": token},
        notes,
        lambda found: ("PUT", f"{notes}/{found['id']}"),
        lambda text: {"body": text},
        page=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
