"""Plays every runbook of `deploy/README.md` on loopback: `python tests/deploy/page [--write] [TITLE...]`.

Each has clouds and hosts of its own. A command that stands in the text is held against the program's own parser. REPIN_BIN names the program; AWS_BIN, where it is set, AWS's command line, which a
stand-in plays otherwise. With --write the page is given the output that was printed where it shows another.
"""

import os
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from page import PAGE, Command, File, Rotten, mentioned, sections
from stage import Stage


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
    for key, value in {"chat/model": "gpt-4o", "chat/endpoint": "https://old.example", "chat/legacy": "1"}.items():
        stage.do("laptop", f"aws ssm put-parameter --name /ai/assistant/{key} --type String --value {value}")


def overseas(stage, text):
    """A cloud in another region, without a key there."""
    stage.go_overseas()
    stage.started("ops1", text=text)


# What a runbook finds when it begins.
SCENES = {
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


def unknown(repin):
    """Lists the commands of the text that the program does not take."""
    wrong = []
    for command in mentioned():
        done = subprocess.run([repin, *shlex.split(command)[1:], "--help"], capture_output=True, text=True)
        if done.returncode != 0:
            wrong.append(f"{command}: {done.stderr.strip()}")
    return wrong


def rewrite(mended):
    """Gives the page what was printed."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for line in sorted(mended, reverse=True):
        step, printed = mended[line]
        start = line + step.text.count("\n")
        lines[start : start + len(step.shown)] = [text.rstrip() for text in printed.splitlines()]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(arguments):
    write = "--write" in arguments
    names = [name for name in arguments if name != "--write"]
    repin = Path(os.environ["REPIN_BIN"]).resolve()
    try:
        found = sections()
        # The file of the example, which the scenes begin with.
        [common] = [step.text for step in found[0].steps if isinstance(step, File)]
    except (Rotten, ValueError) as error:
        sys.exit(f"{PAGE}: {error}")
    found[0].steps = [step for step in found[0].steps if not isinstance(step, File)]
    found = [section for section in found if not names or section.title in names]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda section: play(section, common, repin, write), found))
    wrong = unknown(repin)
    failed = bool(wrong)
    print(f"{'FAILED' if wrong else 'ok':<7} commands in the text")
    for text in wrong:
        print(f"{PAGE}: {text}")
    for section, (wrong, _, seconds) in zip(found, results, strict=True):
        count = sum(isinstance(step, Command) for step in section.steps)
        print(f"{'FAILED' if wrong else 'ok':<7} {section.title or 'the example'} ({count} commands, {seconds:.1f} s)")
        failed += bool(wrong)
        for text in wrong:
            print(f"{PAGE}:{text}")
    if write:
        rewrite({line: mend for _, mended, _ in results for line, mend in mended.items()})
    print(f"test result: {len(found) + 1 - failed} passed; {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
