"""What a working daemon tells a scraper is what the parsers of the Prometheus project read, in both forms."""

import json
import re
import time
import urllib.request

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from peers import PATIENCE, ROOT

SUITE = "metrics of the daemon"
PEER = "prometheus_client {prometheus-client}"

# What Prometheus itself says it accepts.
OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
TEXT = "text/plain;version=0.0.4"
ENTRIES = {"chat/model": {"value": "one"}, "chat/tone": {"value": "calm"}}


@pytest.fixture
def metrics(world):
    """Where a daemon answers that has released and corrected drift."""
    world.entries(ENTRIES)
    with world.daemon("--interval", "300ms", "--listen", "127.0.0.1:0"):
        until(lambda: "release 1 is served" in said(world), world)
        world.ssm.put_parameter(Name=f"{world.prefix}/chat/model", Value="theirs", Overwrite=True)
        until(lambda: "drift was put back: chat/model" in said(world), world)
        address = re.search(r"answering on (http://\S+)", said(world)).group(1)
        yield f"{address}/metrics"


def said(world):
    """What the daemon has said so far, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", world.log.read_text(encoding="utf-8"))


def until(is_so, world):
    """Waits until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, said(world)
        time.sleep(0.05)


def scrape(url, accept):
    """The type and the text of an answer."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
        return answer.headers["Content-Type"], answer.read().decode("utf-8")


def samples(families):
    """Every sample by its name and labels."""
    return {(sample.name, *sorted(sample.labels.items())): sample.value for f in families for sample in f.samples}


def test_openmetrics_are_told_to_one_who_asks_for_them(metrics):
    kind, text = scrape(metrics, OPENMETRICS)
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    # This parser is strict: it refuses units that are not in names, counters without _total, what is out of order.
    families = {family.name: family for family in parse_openmetrics(text)}
    assert families["repin_passes"].type == "counter"
    assert families["repin_pass_duration_seconds"].unit == "seconds"
    assert families["repin_build"].type == "info"
    found = samples(families.values())
    assert found["repin_target_up", ("target", "azure")] == 1
    assert found["repin_target_release", ("target", "aws-eu")] == 1
    assert found["repin_drift_corrected_total", ("target", "aws-eu")] == 1
    sent = ("repin_requests_total", ("operation", "PutParameter"), ("status", "200"), ("target", "aws-eu"))
    assert found[sent] >= 3, "two entries, one repair, and the ledger"


def test_everybody_else_is_told_text(metrics):
    kind, text = scrape(metrics, TEXT)
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    families = list(parse_text(text))
    assert all(family.type != "unknown" and family.documentation for family in families)
    assert {family.type for family in families} == {"counter", "gauge", "histogram"}
    told = samples(families)
    assert told["repin_file_valid",] == 1
    assert told["process_resident_memory_bytes",] > 1e6
    # The same in both forms, but for what goes on.
    other = samples(parse_openmetrics(scrape(metrics, OPENMETRICS)[1]))
    assert told.keys() <= other.keys()
    assert scrape(metrics, "*/*")[0] == kind


def test_a_histogram_is_whole(metrics):
    (family,) = [f for f in parse_text(scrape(metrics, TEXT)[1]) if f.name == "repin_pass_duration_seconds"]
    for kind in ("repair", "release"):
        buckets = [(float(s.labels["le"]), s.value) for s in family.samples if s.labels.get("pass") == kind and "le" in s.labels]
        counts = {s.name: s.value for s in family.samples if s.labels.get("pass") == kind and "le" not in s.labels}
        assert buckets == sorted(buckets), "cumulative"
        assert buckets[-1] == (float("inf"), counts["repin_pass_duration_seconds_count"])


def test_what_is_counted_only_grows(metrics):
    before = samples(f for f in parse_openmetrics(scrape(metrics, OPENMETRICS)[1]) if f.type == "counter")
    time.sleep(1)
    after = samples(f for f in parse_openmetrics(scrape(metrics, OPENMETRICS)[1]) if f.type == "counter")
    assert before.keys() <= after.keys()
    assert all(after[name] >= value for name, value in before.items())
    assert sum(after.values()) > sum(before.values()), "passes go on"


def test_the_alerts_ask_for_what_is_told(metrics):
    told = {sample.name for family in parse_text(scrape(metrics, TEXT)[1]) for sample in family.samples}
    # Nothing ends by age, and nobody was throttled, within a second.
    told |= {"repin_target_restorable_seconds", "repin_throttles_total"}
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text(encoding="utf-8"))
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    for alert in alerts:
        assert set(re.findall(r"\brepin_\w+", alert["expr"])) <= told, alert["alert"]
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        assert alert["annotations"].keys() == {"summary", "description"}
    dashboard = json.loads((ROOT / "deploy/grafana/repin.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            assert set(re.findall(r"\b(?:repin|process)_\w+", target["expr"])) <= told, panel["title"]
