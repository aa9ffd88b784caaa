#!/usr/bin/env python3
"""Holds the dependency tree to deny.toml, and every crate to the workspace's lints.

cargo-deny checks more, and faster; this needs nothing but Cargo and Python, so that tests/run can always do it.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def packages(target):
    """Returns what is built for one platform, as (name, version, origin, licence).

    Not from `cargo metadata`: that lists optional dependencies too which no feature brings in.
    """
    command = ["cargo", "tree", "--workspace", "--locked", "--target", target, "--prefix", "none", "-f", "{p}|{l}"]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = set()
    for line in filter(None, output.splitlines()):
        package, licence = line.removesuffix(" (*)").rsplit("|", 1)
        name, version, *notes = package.split(" ", 2)
        origin = " ".join(notes).replace("(proc-macro)", "").strip(" ()")
        found.add((name, version.removeprefix("v"), origin, licence))
    return found


def metadata():
    """Returns what Cargo knows about the crates of the workspace."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--no-deps"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def licence_fits(expression, allowed):
    """Tells whether an SPDX expression can be met with allowed licences alone."""
    tokens = re.findall(r"\(|\)|[^\s()/]+|/", expression)

    def choice(at):
        fits, at = every(at)
        while at < len(tokens) and tokens[at] in ("OR", "/"):
            other, at = every(at + 1)
            fits = fits or other
        return fits, at

    def every(at):
        fits, at = single(at)
        while at < len(tokens) and tokens[at] == "AND":
            other, at = single(at + 1)
            fits = fits and other
        return fits, at

    def single(at):
        if tokens[at] == "(":
            fits, at = choice(at + 1)
            return fits, at + 1
        if at + 1 < len(tokens) and tokens[at + 1] == "WITH":
            return f"{tokens[at]} WITH {tokens[at + 2]}" in allowed, at + 3
        return tokens[at] in allowed, at + 1

    fits, end = choice(0)
    return fits and end == len(tokens)


def older(version, limit):
    """Tells whether a version is below `major.minor`."""
    major, minor, *_ = version.split(".")
    return (int(major), int(minor)) < tuple(int(part) for part in limit.split("."))


def banned(name, version, rules):
    """Returns why a package may not be in the tree, or None."""
    for rule in rules:
        banned_name, _, limit = rule["crate"].partition(":<")
        if name == banned_name and (not limit or older(version, limit)):
            return rule["reason"]
    return None


def dependency_problems(found, rules):
    """Yields what deny.toml forbids and the tree has."""
    allowed = set(rules["licenses"]["allow"])
    for name, version, origin, licence in found:
        why = banned(name, version, rules["bans"]["deny"])
        if why:
            yield f"{name} {version} is banned: {why}"
        if not licence_fits(licence or "unknown", allowed):
            yield f"{name} {version}: licence {licence} is not allowed"
        # A path is a crate of this workspace; from a registry nothing is said.
        if origin and not Path(origin).is_relative_to(ROOT):
            yield f"{name} {version} comes from {origin}, which is no registry"
    stacks = sorted(version for name, version, *_ in found if name == "rustls")
    if len(stacks) != 1:
        yield f"expected one TLS stack, found rustls {', '.join(stacks) or 'nowhere'}"


def lint_problems():
    """Yields crates that escape the workspace's lints, which forbid unsafe code."""
    root = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    if root["workspace"]["lints"]["rust"].get("unsafe_code") != "forbid":
        yield "the workspace no longer forbids unsafe code"
    for package in metadata()["packages"]:
        manifest = tomllib.loads(Path(package["manifest_path"]).read_text(encoding="utf-8"))
        if manifest.get("lints") != {"workspace": True}:
            yield f"{package['name']} does not take the workspace's lints"


def main():
    rules = tomllib.loads((Path(__file__).parent / "deny.toml").read_text(encoding="utf-8"))
    problems = set(lint_problems())
    for target in rules["graph"]["targets"]:
        found = packages(target)
        problems.update(dependency_problems(found, rules))
        print(f"{target}: {len(found)} packages")
    for problem in sorted(problems):
        print(f"error: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
