"""What the independent checks share: both clouds of the emulator, peers, the program, and the closing table.

A module says what it checks and by what in `SUITE` and `PEER`; a test may say so for itself, with the attribute `suite`
of its function. A test that accepts a known difference between a peer and the documented service records it with the
`difference` fixture, so that the table counts it.
"""

import json
import os
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest

from peers import Emulator, Moto
from world import World


@pytest.fixture(scope="session")
def repin():
    """The program under test."""
    return Path(os.environ["REPIN_BIN"])


@pytest.fixture
def emulator(repin):
    """Both clouds, empty."""
    with Emulator(repin) as started:
        yield started


@pytest.fixture(scope="module")
def shared_emulator(repin):
    """Both clouds, shared by the tests of a module."""
    with Emulator(repin) as started:
        yield started


@pytest.fixture(scope="session")
def moto():
    """A moto server, shared: tests use accounts or names of their own."""
    with Moto() as started:
        yield started


@pytest.fixture
def world(repin, emulator, tmp_path):
    """A file for both targets, and clients of other makers for the same stores."""
    return World(repin, emulator, tmp_path)


@pytest.fixture
def difference(request):
    """Records a known difference that this test accepts: `difference(text)`."""

    def record(text):
        request.node.user_properties.append(("difference", text))

    return record


@pytest.fixture
def cases(request):
    """Says that this test stands for many cases: `cases(all, passed)`."""

    def record(count, passed):
        request.node.user_properties.append(("cases", {"cases": count, "passed": passed}))

    return record


# --- the closing table ------------------------------------------------------------------------------------------------

TABLE = pytest.StashKey()


def pytest_configure(config):
    config.stash[TABLE] = {}


def pytest_collection_modifyitems(items):
    for item in items:
        suite, peer = getattr(item.function, "suite", (item.module.SUITE, item.module.PEER))
        item.user_properties.append(("suite", (suite, peer.format_map(Versions()))))


class Versions(dict):
    """Lets a module name its peer as `boto3 {boto3}`; scoped names are of the JavaScript packages."""

    def __missing__(self, name):
        if not name.startswith("@"):
            return version(name)
        package = Path(os.environ["REPIN_JS_MODULES"], "node_modules", name, "package.json")
        return json.loads(package.read_text(encoding="utf-8"))["version"]


def pytest_runtest_logreport(report):
    ended = report.when == "call" or report.outcome != "passed"
    if ended:
        REPORTS.append(report)


REPORTS = []


def pytest_terminal_summary(terminalreporter):
    rows = {}
    for report in REPORTS:
        properties = Counter(name for name, _ in report.user_properties)
        suite = dict(report.user_properties)["suite"]
        cases = dict(report.user_properties).get("cases", {"cases": 1, "passed": int(report.outcome == "passed")})
        row = rows.setdefault(suite, Counter())
        row.update(cases)
        row["differences"] += properties["difference"]
    if not rows:
        return
    lines = [f"{'suite':<34} {'peer':<44} {'cases':>6} {'passed':>7} {'known differences':>18}"]
    for (suite, peer), row in sorted(rows.items()):
        lines.append(f"{suite:<34} {peer:<44} {row['cases']:>6} {row['passed']:>7} {row['differences']:>18}")
    terminalreporter.section("independent programs")
    terminalreporter.write_line("\n".join(lines))
    table = os.environ.get("REPIN_INTEROP_TABLE")
    if table:
        Path(table).write_text("\n".join(lines) + "\n", encoding="utf-8")
