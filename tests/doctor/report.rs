//! Runs the doctor, and holds what every visit must keep to.

use serde_json::Value;

use crate::support::{Ran, SENTINEL, World};

/// The most requests that one target may be sent.
const MOST: usize = 20;

/// What a doctor found.
#[derive(Debug)]
pub(crate) struct Report(pub(crate) Value);

/// Runs the doctor as it is, and asserts the exit code.
pub(crate) async fn visit(world: &World, code: i32) -> Report {
    visit_with(world, code, &[], &[]).await
}

/// Runs the doctor with more arguments, and with variables that are set, or taken away where they are empty.
pub(crate) async fn visit_with(world: &World, code: i32, args: &[&str], env: &[(&str, &str)]) -> Report {
    world.reset();
    let mut command = world.command(&[&["doctor", "-o", "json"], args].concat());
    for (name, value) in env {
        if value.is_empty() {
            command.env_remove(name)
        } else {
            command.env(name, value)
        };
    }
    let output = command.output().await.unwrap();
    let ran = Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
    .expect(code);
    is_harmless(world);
    for secret in [SENTINEL, world.emulator.secret_access_key(), repin_emulator::credentials::APPCONFIG_SECRET] {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{ran:?}");
    }
    let report = Report(ran.json());
    assert_eq!(report.0["format"], 1);
    for check in report.checks() {
        let result = check["result"].as_str().unwrap();
        assert_eq!(check["mend"].is_string(), matches!(result, "warn" | "fail"), "{check}");
        assert!(!check["found"].as_str().unwrap().is_empty(), "{check}");
    }
    let failed = report.checks().any(|check| check["result"] == "fail");
    assert_eq!(failed, code != 0, "{report:?}");
    report
}

/// Nothing was changed: on AWS nothing was even asked to, and on Azure every write was refused.
fn is_harmless(world: &World) {
    let counters = world.emulator.counters();
    let calls = counters.calls();
    let on = |azure: bool| calls.iter().filter(|call| (call.service == "appconfig") == azure).count();
    assert!(on(true) < MOST && on(false) < MOST, "{calls:#?}");
    for call in &calls {
        let reads = ["Get", "List", "Describe", "GET ", "HEAD ", "AssumeRole", "POST "];
        let is_read = reads.iter().any(|start| call.operation.starts_with(start));
        let took = [200, 201, 204].map(|status| counters.count_status(&call.service, &call.operation, status));
        let is_refused = call.service == "appconfig" && took == [0, 0, 0];
        assert!(is_read || is_refused, "{call:?}");
    }
}

impl Report {
    pub(crate) fn checks(&self) -> impl Iterator<Item = &Value> {
        self.0["checks"].as_array().unwrap().iter()
    }

    /// Returns the finding of a check that came out so.
    #[track_caller]
    pub(crate) fn finding(&self, target: &str, check: &str, result: &str) -> &Value {
        let target = if target.is_empty() { Value::Null } else { target.into() };
        let is_it = |found: &&Value| found["target"] == target && found["check"] == check && found["result"] == result;
        self.checks().find(is_it).unwrap_or_else(|| panic!("no {target} {check} {result}: {:#}", self.0))
    }

    /// Asserts that a check failed, that what was found names the cause, and what the mend says.
    #[track_caller]
    pub(crate) fn fails(&self, target: &str, check: &str, found: &[&str], mend: &str) {
        self.says(target, check, "fail", found, mend);
    }

    /// The same for a warning.
    #[track_caller]
    pub(crate) fn warns(&self, target: &str, check: &str, found: &[&str], mend: &str) {
        self.says(target, check, "warn", found, mend);
    }

    #[track_caller]
    fn says(&self, target: &str, check: &str, result: &str, found: &[&str], mend: &str) {
        let finding = self.finding(target, check, result);
        let text = finding["found"].as_str().unwrap();
        assert!(found.iter().all(|word| text.contains(word)), "{text:?} has not all of {found:?}");
        let said = finding["mend"].as_str().unwrap();
        assert!(said.contains(mend), "{said:?} has no {mend:?}");
    }

    /// Asserts that nothing else failed on a target.
    #[track_caller]
    pub(crate) fn fails_nowhere_else(&self, target: &str, count: usize) {
        let failed: Vec<_> =
            self.checks().filter(|check| check["target"] == target && check["result"] == "fail").collect();
        assert_eq!(failed.len(), count, "{failed:#?}");
    }
}
