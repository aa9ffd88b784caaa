"""Reads a page of documented commands, and holds what a command prints against what the page shows.

A section is a heading of the second level and what stands below it. In it these are played, in their order:

```console        commands, each with what it prints; `WHO@HOST$ ` or `WHO@HOST# ` comes before a command, or `$ ` where
                  the page has one host only. It goes on in the next line after a backslash; `# exit N` at its end tells
                  how it ends, 0 otherwise
```yaml           a whole file; its first line is `# PATH on HOST`, or `on every host`
```diff           an edit of a file: lines with `-` are replaced by those with `+`; the first line is as above, without a
                  host where the page has one only
<!-- stage: X --> something that happens, such as the loss of a host

What is shown stands for what it is an example of: times, ages, etags, numbers of requests, and who asked. Runs of spaces
are one. A line `...` leaves out any number of lines, and `…` a part of one.
"""

import re
from dataclasses import dataclass, field

# Who and where, on a page that does not say it.
ALONE = ("ana", "laptop")

PROMPT = re.compile(r"^(?:(?P<who>[a-z]+)@(?P<host>[a-z0-9]+)[$#]|[$]) (?P<text>.*)$")
EXIT = re.compile(r"\s+# exit (\d+)$")
OF_FILE = re.compile(r"^# (?P<path>\S+)(?: on (?P<host>every host|[a-z0-9]+))?$")
STAGE = re.compile(r"^<!-- stage: (.+) -->$")


class Rotten(AssertionError):
    """The page is not what it says that it is."""


@dataclass
class Command:
    """A command, and what it is shown to print."""

    line: int
    who: str
    host: str
    text: str
    code: int = 0
    shown: list = field(default_factory=list)


@dataclass
class File:
    """A whole file."""

    line: int
    path: str
    host: str
    text: str


@dataclass
class Edit:
    """An edit: pairs of old and new lines."""

    line: int
    path: str
    host: str
    changes: list

    def apply(self, text):
        """Returns the text with the changes made."""
        for old, new in self.changes:
            if text.count(old) != 1:
                raise Rotten(f"line {self.line}: {self.path} has {text.count(old)} times:\n{old}")
            text = text.replace(old, new)
        return text


@dataclass
class Event:
    """Something that happens to the stage."""

    line: int
    what: str


@dataclass
class Section:
    """A runbook: its heading and what is done in it."""

    title: str
    steps: list = field(default_factory=list)


def sections(path):
    """Reads the page. What it cannot be sure to play is an error."""
    found, language, block, start = [Section("")], None, [], 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if language is not None:
            if line.strip() == "```":
                found[-1].steps += steps(language, start, block)
                language = None
            else:
                block.append(line)
        elif line.lstrip().startswith("```"):
            language, block, start = line.strip("` "), [], number + 1
            if line != line.lstrip():
                raise Rotten(f"line {number}: a block that is indented is not played")
        elif line.startswith("## "):
            found.append(Section(line.removeprefix("## ").strip()))
        elif told := STAGE.match(line):
            found[-1].steps.append(Event(number, told[1]))
    if language is not None:
        raise Rotten(f"line {start}: a block without an end")
    return [section for section in found if section.steps]


def mentioned(path):
    """Lists the commands of repin that the text names beside those that are played."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    found = re.findall(r"`(repin [^`]+)`", text)
    return [" ".join(command.split()) for command in found if not command.endswith("...")]


def steps(language, start, block):
    """Returns what a block does."""
    if language == "console":
        return commands(start, block)
    head = OF_FILE.match(block[0]) if block else None
    if head is None:
        raise Rotten(f"line {start}: a block ({language}) that does not say which file it is, or is no console")
    host = head["host"] or ALONE[1]
    if language == "yaml":
        return [File(start, head["path"], host, "\n".join(block[1:]) + "\n")]
    if language == "diff":
        return [Edit(start, head["path"], host, changes(start, block[1:]))]
    raise Rotten(f"line {start}: nothing plays blocks of {language!r}")


def commands(start, block):
    """Returns the commands of a block."""
    found, goes_on = [], False
    for number, line in enumerate(block, start):
        prompt = PROMPT.match(line)
        if goes_on:
            found[-1].text += "\n" + line
        elif prompt:
            who, host = prompt["who"] or ALONE[0], prompt["host"] or ALONE[1]
            found.append(Command(number, who, host, prompt["text"]))
        elif found:
            found[-1].shown.append(line)
        else:
            raise Rotten(f"line {number}: a console begins with a prompt")
        goes_on = (goes_on or bool(prompt)) and line.endswith("\\")
    for command in found:
        if code := EXIT.search(command.text):
            command.code, command.text = int(code[1]), command.text[: code.start()]
    return found


def changes(start, block):
    """Returns what an edit replaces: lines around it that are given make the place unique."""
    old, new = [], []
    for number, line in enumerate(block, start + 1):
        if line[:1] not in ("-", "+", " "):
            raise Rotten(f"line {number}: a line of an edit begins with -, + or a space")
        if line[0] in "- ":
            old.append(line[1:])
        if line[0] in "+ ":
            new.append(line[1:])
    return [("".join(f"{line}\n" for line in old), "".join(f"{line}\n" for line in new))]


# What stands for others of its kind.
KINDS = [
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?Z", r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?Z"),
    (r"\b\d\d:\d\dZ", r"\d\d:\d\dZ"),
    (r"\b\d+ (?:s|min|h) ago", r"\d+ (?:s|min|h) ago"),
    (r"\b\d+ requests?\b", r"\d+ requests?"),
    (r"\b[a-z]+@[a-z0-9]+\b", r"[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+"),
    # An etag, cut for people. Shown are only such as no word looks like.
    (r"(?<!\S)(?=[a-z-]*[A-Z0-9_])[A-Za-z0-9_-]{8}(?!\S)", r"[A-Za-z0-9_-]{8}"),
    (r"…", r".*"),
    (r"\s+", r"\s+"),
]
KIND = re.compile("|".join(f"(?P<k{n}>{shown})" for n, (shown, _) in enumerate(KINDS)))


def pattern(line):
    """Returns what a shown line stands for."""
    made, end = "", 0
    for found in KIND.finditer(line.strip()):
        made += re.escape(line.strip()[end : found.start()]) + KINDS[int(found.lastgroup[1:])][1]
        end = found.end()
    return made + re.escape(line.strip()[end:])


def is_shown(shown, printed):
    """Tells whether a page shows what was printed."""
    lines = [line.strip() for line in printed.splitlines()]
    reached = {0}
    for line in shown:
        if line.strip() == "...":
            reached = set(range(min(reached), len(lines) + 1)) if reached else set()
        else:
            fits = re.compile(pattern(line))
            reached = {at + 1 for at in reached if at < len(lines) and fits.fullmatch(lines[at])}
    return len(lines) in reached
