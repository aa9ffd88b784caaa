//! What is said to the program: arguments, the socket, saved plans, connection strings, filters.

use std::ffi::OsString;

use azure_data_app_configuration::{AppConfigurationClient, KeyFilter, LabelFilter, TagFilter};
use repin::control::{Cancel, Line, Request};
use repin::saved::SavedPlan;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{SEPARATOR, text};

/// Parses arguments, one a part: times, durations, globs, keys, versions.
pub(crate) fn arguments(bytes: &[u8]) -> bool {
    let text = text(bytes);
    let words = std::iter::once("repin").chain(text.split(SEPARATOR)).map(OsString::from);
    repin::cli::check(words).is_ok()
}

/// Reads everything that either side of the socket reads. What is understood is said again the same.
pub(crate) fn control(bytes: &[u8]) -> bool {
    if let Ok(request) = serde_json::from_slice::<Request>(bytes) {
        let again = serde_json::to_vec(&request).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<Request>(&again).expect("and read again"), request);
        let _ = repin::cli::check(request.argv.iter().map(OsString::from));
        let _ = request.plan.as_deref().map(SavedPlan::from_text);
        return true;
    }
    if let Ok(line) = serde_json::from_slice::<Line>(bytes) {
        let again = serde_json::to_vec(&line).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<Line>(&again).expect("and read again"), line);
        return true;
    }
    serde_json::from_slice::<Cancel>(bytes).is_ok()
}

/// Reads a saved plan: as it is, and taken as the plan inside one whose hash is right. One that is read can be written and
/// read again.
pub(crate) fn plan(bytes: &[u8]) -> bool {
    let text = text(bytes);
    let _ = SavedPlan::from_text(&text);
    let Ok(plan) = serde_json::from_str::<Value>(&text) else { return false };
    let plan = plan.get("plan").cloned().unwrap_or(plan);
    let sha256 = hex::encode(Sha256::digest(plan.to_string()));
    let file = json!({ "format": 1, "sha256": sha256, "plan": plan });
    let Ok(saved) = SavedPlan::from_text(&file.to_string()) else { return false };
    let again = SavedPlan::from_text(&saved.to_text()).expect("what was read can be written");
    assert_eq!(again.to_text(), saved.to_text());
    let env: repin::desired::Env = Box::new(|_| None);
    let _ = saved.desired(&env);
    true
}

/// Parses a connection string; what is wrong with it is said without any of it.
pub(crate) fn connection(bytes: &[u8]) -> bool {
    let text = text(bytes);
    let Err(error) = AppConfigurationClient::from_connection_string(&text, None) else { return true };
    let said = format!("{error} {error:?}");
    let parts = text.split([';', '=']).map(str::trim);
    // What is too short to be anybody's secret may stand in both, and so may words of our own, which the fuzzer finds out:
    // neither a key nor an address has a space in it.
    let leaked = parts.filter(|part| part.len() > 24 && !part.contains(' ')).find(|part| said.contains(part));
    assert_eq!(leaked, None, "{said}");
    false
}

/// Writes filters of any texts. The store reads each as exactly the texts that were meant.
pub(crate) fn filter(bytes: &[u8]) -> bool {
    let text = text(bytes);
    let texts: Vec<_> = text.split(SEPARATOR).map(str::to_owned).collect();
    let meant = |filter: &str| read_filter(filter, &[',']);
    if let Ok(filter) = KeyFilter::OneOf(texts.clone()).to_filter() {
        assert_eq!(meant(&filter), (texts.clone(), false), "{filter:?}");
    }
    if let Ok(filter) = LabelFilter::OneOf(texts.iter().cloned().map(Some).collect()).to_filter() {
        assert_eq!(meant(&filter), (texts.clone(), false), "{filter:?}");
    }
    if let Ok(filter) = KeyFilter::Exact(text.clone()).to_filter() {
        assert_eq!(meant(&filter), (vec![text.clone()], false), "{filter:?}");
    }
    let prefix = KeyFilter::Prefix(text.clone()).to_filter().expect("any prefix will do");
    assert_eq!(meant(&prefix), (vec![text.clone()], true), "{prefix:?}");
    if let [name, value, ..] = texts.as_slice() {
        let filter = TagFilter::new(name, value).to_filter();
        assert_eq!(read_filter(&filter, &['=']), (vec![name.clone(), value.clone()], false), "{filter:?}");
    }
    true
}

/// Reads a filter as the store's documentation has it: a backslash before what is meant as it is, bare separators between
/// texts, a bare asterisk at the end for "and whatever follows".
fn read_filter(filter: &str, separators: &[char]) -> (Vec<String>, bool) {
    let mut texts = vec![String::new()];
    let mut any = false;
    let mut characters = filter.chars();
    while let Some(character) = characters.next() {
        assert!(!any, "something behind a bare asterisk in {filter:?}");
        let last = texts.last_mut().expect("never empty");
        match character {
            '\\' => last.push(characters.next().expect("a backslash is before something")),
            '*' => any = true,
            bare if separators.contains(&bare) => texts.push(String::new()),
            other => last.push(other),
        }
    }
    (texts, any)
}
