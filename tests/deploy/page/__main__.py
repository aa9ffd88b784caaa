"""Plays the pages whose commands are shown with what they print, on loopback: `python tests/deploy/page [--write] [TITLE...]`.

Each runbook has clouds and hosts of its own; the tutorial is one story. A command that stands in the text is held against
the program's own parser. REPIN_BIN names the program; AWS_BIN, where it is set, AWS's command line, which a stand-in plays
otherwise. With --write a page is given the output that was printed where it shows another.
"""

import os
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from page import ALONE, Command, File, Rotten, Section, mentioned, sections
from stage import Stage

ROOT = Path(__file__).resolve().parents[3]
RUNBOOKS = ROOT / "deploy/README.md"
TUTORIAL = ROOT / "examples/first-hour/README.md"
TUTORIAL_TITLE = "Your first hour"


def hosts(*names):
    """Hosts whose services run, with the example's file."""
    return lambda stage, text: stage.started(*names, text=text)


def incident(stage, text):
    """Two releases, and a third that is bad; the edits reached every host."""
    stage.started("ops1", text=text)
    versions = [text.replace("temperature: 0.2", f"temperature: {value}") for value in ("0.3", "1.4")]
    versions[1] = versions[1].replace("in one sentence", "at length")
    for release, version in enumerate(versions, 2):
        stage.do("ops1", f"repin status | grep -q 'aws-eu *{release - 1} *synced'")
        stage.write(stage.host("ops1"), "/etc/repin/repin.yaml", version)
    stage.do("ops1", "repin status | grep -q 'azure *3 *synced'")


def prefix(stage, _):
    """Parameters that somebody else made, and a laptop that may write."""
    for key, value in {"chat/model": "gpt-4o", "chat/endpoint": "old.example", "chat/legacy": "1"}.items():
        stage.do("laptop", f"aws ssm put-parameter --name /ai/assistant/{key} --type String --value {value}")


def overseas(stage, text):
    """A cloud in another region, without a key there."""
    stage.go_overseas()
    stage.started("ops1", text=text)


# What a section finds when it begins.
SCENES = {
    TUTORIAL_TITLE: lambda stage, _: stage.host(ALONE[1]),
    "": hosts("ops1"),
    "First install": lambda stage, text: stage.host("ops1"),
    "Adopt an existing prefix": prefix,
    "Roll back in an incident": incident,
    "Run with three hosts": hosts("ops1"),
    "Rotate the KMS key": hosts("ops1"),
    "Move a target": hosts("ops1"),
    "Two regions": overseas,
    "Restore after a lost host": hosts("ops1", "ops2"),
    "Upgrade": hosts("ops1", "ops2"),
}


def play(section, common, repin, write):
    """Plays one runbook; returns what is wrong, and what the page should show instead."""
    since, wrong, mended = time.monotonic(), [], {}
    if section.title not in SCENES:
        return [f"line {section.steps[0].line}: no scene for {section.title!r}: nothing would play it"], {}, 0
    # A page that is written anew shows what things settle to.
    stage = Stage(repin, os.environ.get("AWS_BIN"), **({"patience": 5} if write else {}))
    try:
        SCENES[section.title](stage, common)
        for step in section.steps:
            if said := stage.play(step):
                printed, code = said
                text = f"line {step.line}: {step.text}\n  exit {code}, it prints:\n"
                wrong.append(text + "".join(f"    {line}\n" for line in printed.splitlines()))
                mended[step.line] = (step, printed)
                if code != step.code or not write:
                    break
    except (AssertionError, OSError) as error:
        wrong.append(f"{type(error).__name__}: {error}")
    finally:
        stage.close()
    return wrong, mended, time.monotonic() - since


def unknown(page, repin):
    """Lists the commands of a page's text that the program does not take."""
    wrong = []
    for command in mentioned(page):
        done = subprocess.run([repin, *shlex.split(command)[1:], "--help"], capture_output=True, text=True)
        if done.returncode != 0:
            wrong.append(f"{command}: {done.stderr.strip()}")
    return wrong


def rewrite(page, mended):
    """Gives a page what was printed."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for line in sorted(mended, reverse=True):
        step, printed = mended[line]
        start = line + step.text.count("\n")
        lines[start : start + len(step.shown)] = [text.rstrip() for text in printed.splitlines()]
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass
class Scene:
    """What is played on a stage of its own."""

    page: Path
    section: Section
    # The file that it begins with.
    text: str = ""

    def count(self):
        return sum(isinstance(step, Command) for step in self.section.steps)


def runbooks():
    """Reads the runbooks: each is a scene, and all of them are about the file that the page begins with."""
    found = sections(RUNBOOKS)
    [common] = [step.text for step in found[0].steps if isinstance(step, File)]
    found[0].steps = [step for step in found[0].steps if not isinstance(step, File)]
    return [Scene(RUNBOOKS, section, common) for section in found]


def tutorial():
    """Reads the tutorial: one scene, of as many commands as it promises."""
    steps = [step for section in sections(TUTORIAL) for step in section.steps]
    scene = Scene(TUTORIAL, Section(TUTORIAL_TITLE, steps))
    if scene.count() != 10:
        raise Rotten(f"it promises ten commands, and has {scene.count()}")
    return [scene]


def main(arguments):
    write = "--write" in arguments
    names = [name for name in arguments if name != "--write"]
    repin = Path(os.environ["REPIN_BIN"]).resolve()
    scenes = []
    for page, read in ((RUNBOOKS, runbooks), (TUTORIAL, tutorial)):
        try:
            scenes += read()
        except (Rotten, ValueError) as error:
            sys.exit(f"{page}: {error}")
    scenes = [scene for scene in scenes if not names or scene.section.title in names]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda scene: play(scene.section, scene.text, repin, write), scenes))
    failed = 0
    for page in (RUNBOOKS, TUTORIAL):
        wrong = unknown(page, repin)
        failed += bool(wrong)
        print(f"{'FAILED' if wrong else 'ok':<7} commands in the text of {page.relative_to(ROOT)}")
        for text in wrong:
            print(f"{page}: {text}")
    for scene, (wrong, _, seconds) in zip(scenes, results, strict=True):
        title = scene.section.title or "the example"
        print(f"{'FAILED' if wrong else 'ok':<7} {title} ({scene.count()} commands, {seconds:.1f} s)")
        failed += bool(wrong)
        for text in wrong:
            print(f"{scene.page}:{text}")
    if write:
        for page in (RUNBOOKS, TUTORIAL):
            played = [result for scene, result in zip(scenes, results, strict=True) if scene.page == page]
            rewrite(page, {line: mend for _, mended, _ in played for line, mend in mended.items()})
    print(f"test result: {len(scenes) + 2 - failed} passed; {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
