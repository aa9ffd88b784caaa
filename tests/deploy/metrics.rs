//! The dashboard and the alerts ask for metrics that there are. `src/daemon/metrics.rs` compares the list of them with what
//! the program tells.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

/// Words of the query language that are neither functions nor metrics.
const WORDS: [&str; 13] = [
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "inf",
    "nan",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// Returns what queries may ask for, with the labels of each.
fn listed() -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for row in read("deploy/prometheus/README.md").lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let labels = || cells[2].split(',').map(|label| label.trim().trim_matches('`').to_owned());
        // What a scrape adds is there as well.
        let labels = || labels().chain(["job".to_owned(), "instance".to_owned()]).collect::<BTreeSet<_>>();
        if cells[1] == "histogram" {
            for part in ["_bucket", "_sum", "_count"] {
                all.insert(format!("{}{part}", cells[0]), labels().into_iter().chain(["le".to_owned()]).collect());
            }
        } else {
            all.insert(cells[0].to_owned(), labels());
        }
    }
    assert!(all.len() > 20, "{all:?}");
    all
}

/// A word, what stands in braces behind it, and whether it is called.
#[derive(Debug)]
struct Named {
    word: String,
    selector: String,
    called: bool,
}

/// Takes a query apart: strings and ranges are left out, and so are lists of labels.
fn words(query: &str) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        if c.is_ascii_alphabetic() || c == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let word = rest[..end].to_owned();
            rest = rest[end..].trim_start();
            // An aggregation may say what it is by before what it is of.
            let called = ["(", "by ", "by(", "without ", "without("].iter().any(|next| rest.starts_with(next));
            if rest.starts_with('(') && WORDS.contains(&word.as_str()) && word != "and" && word != "or" {
                rest = rest.split_once(')').map_or("", |(_, rest)| rest);
            }
            found.push(Named { word, selector: String::new(), called });
        } else if c == '{' {
            let (selector, after) = rest[1..].split_once('}').expect("closed");
            found.last_mut().expect("something is selected").selector = selector.to_owned();
            rest = after;
        } else if c == '[' {
            rest = rest.split_once(']').map_or("", |(_, rest)| rest);
        } else if c.is_ascii_digit() {
            // A number may have a unit.
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else {
            rest = &rest[c.len_utf8()..];
        }
    }
    found
}

/// Returns the labels that a selector names.
fn labels(selector: &str) -> BTreeSet<String> {
    let pairs = selector.split("\",").filter_map(|pair| pair.split_once('='));
    pairs.map(|(label, _)| label.trim().trim_end_matches('!').to_owned()).collect()
}

fn check(query: &str) {
    let listed = listed();
    let mut metrics = 0;
    for named in words(query) {
        if named.called || WORDS.contains(&named.word.as_str()) {
            continue;
        }
        let known = listed.get(&named.word).unwrap_or_else(|| panic!("{} is no metric: {query}", named.word));
        let unknown: Vec<_> = labels(&named.selector).difference(known).cloned().collect();
        assert!(unknown.is_empty(), "{} has no {unknown:?}: {query}", named.word);
        metrics += 1;
    }
    assert!(metrics > 0, "it asks for nothing: {query}");
}

/// Returns every `expr` below a value.
fn queries(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            into.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| queries(member, into));
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, into)),
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/repin.json")).expect("JSON");
    let mut found = Vec::new();
    queries(&dashboard, &mut found);
    assert!(found.len() > 15, "{found:?}");
    found.iter().for_each(|query| check(query));
    for variable in dashboard["templating"]["list"].as_array().expect("variables") {
        let query = variable["definition"].as_str().unwrap_or_default();
        if let Some(inner) = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')) {
            check(inner.rsplit_once(',').expect("a label").0);
        }
    }
    // A panel without a word on what it shows helps nobody at night.
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{}", panel["title"]);
    }
}

#[test]
fn the_alerts_ask_for_metrics_that_there_are() {
    let rules = read("deploy/prometheus/rules.yaml");
    let found: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert_eq!(found.len(), rules.matches("- alert: ").count());
    found.iter().for_each(|query| check(query));
}

#[test]
fn a_query_that_asks_for_something_else_is_noticed() {
    let fails = |query: &'static str| std::panic::catch_unwind(|| check(query)).is_err();
    check(
        "sum by (le, pass) (rate(repin_pass_duration_seconds_bucket{pass=\"repair\"}[5m])) > 0.5 and repin_file_valid",
    );
    assert!(fails("repin_file_vald"));
    assert!(fails("rate(repin_pass_duration_seconds[5m])"), "a histogram has parts only");
    assert!(fails("repin_target_up{taget=\"x\"}"));
    assert!(fails("up == 1"));
    assert!(fails("vector(1)"));
}
