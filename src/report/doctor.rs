//! What a doctor found, for people and for programs.

use std::collections::BTreeSet;

use repin_provider::Owner;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::words::{BAD, CHANGED, FAINT, GOOD, STRONG, counted, fill, line, styled};
use crate::doctor::{Finding, Mark, exit};
use crate::exit::Exit;

/// The narrowest column that a sentence is still read in.
const NARROWEST: usize = 30;

/// Describes findings, the verdict first; sentences are fit into `width` columns.
pub fn text(name: Option<&Owner>, findings: &[Finding], width: usize) -> String {
    let mut out = String::new();
    line(&mut out, &verdict(name, findings));
    let checks = findings.iter().map(|finding| finding.check.width()).max().unwrap_or_default();
    let mut section = None;
    for finding in findings {
        if section != Some(&finding.target) {
            section = Some(&finding.target);
            let title = finding.target.as_ref().map_or("this host", |target| target.as_str());
            out.push('\n');
            line(&mut out, &styled(STRONG, title));
        }
        describe(&mut out, finding, checks, width);
    }
    out
}

fn verdict(name: Option<&Owner>, findings: &[Finding]) -> String {
    let count = |wanted: fn(Mark) -> bool| findings.iter().filter(|finding| wanted(finding.mark)).count() as u64;
    let [failed, warned, skipped] = [
        count(|mark| matches!(mark, Mark::Fail(_))),
        count(|mark| mark == Mark::Warn),
        count(|mark| mark == Mark::Skip),
    ];
    let (style, word) = match (failed, warned) {
        (0, 0) => (GOOD, "WELL"),
        (0, _) => (CHANGED, "WELL ENOUGH"),
        _ => (BAD, "NOT WELL"),
    };
    let mut parts = Vec::new();
    if failed > 0 {
        let targets: BTreeSet<_> = failures(findings).map(|finding| finding.target.as_ref()).collect();
        let each = targets.iter().map(|target| target.map_or("this host", |target| target.as_str()));
        parts.push(format!("{} ({})", counted(failed, "failure"), each.collect::<Vec<_>>().join(", ")));
    }
    if warned > 0 {
        parts.push(counted(warned, "warning"));
    }
    if skipped > 0 {
        parts.push(format!("{skipped} not tried"));
    }
    if exit(findings) != Exit::Done {
        parts.push(format!("exit {}", exit(findings).code()));
    }
    let name = name.map_or("the file", Owner::as_str);
    let rest = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    format!("{} {}{rest}", styled(STRONG, name), styled(style, word))
}

fn failures(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| matches!(finding.mark, Mark::Fail(_)))
}

fn describe(out: &mut String, finding: &Finding, checks: usize, width: usize) {
    let style = match finding.mark {
        Mark::Ok => GOOD,
        Mark::Warn => CHANGED,
        Mark::Fail(_) => BAD,
        Mark::Skip => FAINT,
    };
    let indent = 2 + 4 + 2 + checks + 2;
    // A terminal that is too narrow for columns still shows whole sentences.
    let (indent, room) = match width.saturating_sub(indent) {
        room if room < NARROWEST => (8, width.saturating_sub(8)),
        room => (indent, room),
    };
    let head = format!("  {}  {:checks$}  ", styled(style, &format!("{:4}", finding.mark.word())), finding.check);
    let below = format!("\n{}", " ".repeat(indent));
    let first = if indent == 8 { format!("{}{below}", head.trim_end()) } else { head };
    line(out, &format!("{first}{}", fill(&finding.found, room).join(&below)));
    if let Some(mend) = &finding.mend {
        let said = fill(&format!("-> {mend}"), room).iter().map(|line| styled(STRONG, line)).collect::<Vec<_>>();
        line(out, &format!("{}{}", &below[1..], said.join(&below)));
    }
}

/// Describes findings for programs.
pub fn json(name: Option<&Owner>, findings: &[Finding]) -> Value {
    let check = |finding: &Finding| {
        json!({
            "target": finding.target,
            "check": finding.check,
            "result": finding.mark.word(),
            "found": finding.found,
            "mend": finding.mend,
            "rights": finding.rights,
        })
    };
    json!({ "name": name, "checks": findings.iter().map(check).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Sheet;

    fn shown(width: usize) -> String {
        let target = repin_provider::TargetName::parse("aws-eu").expect("valid");
        let mut sheet = Sheet::new(None);
        sheet.ok("file", "repin.yaml: test on 1 target");
        let mut findings = sheet.finish();
        let mut sheet = Sheet::new(Some(&target));
        let found = "the credentials belong to 999900001111 (arn:aws:sts::999900001111:assumed-role/deploy/somebody), and the \
                     file names 111122223333";
        let mend = "Use credentials of that account, or set `profile` or `assume_role` for this target.";
        sheet.fail("account", Exit::Conflict, found, mend);
        sheet.skip("rights", "not tried with credentials of another account");
        findings.extend(sheet.finish());
        let name = Owner::parse("assistant-prod").expect("valid");
        anstream::adapter::strip_str(&text(Some(&name), &findings, width)).to_string()
    }

    #[test]
    fn sentences_fit_into_a_terminal() {
        insta::assert_snapshot!(shown(80), @r"
        assistant-prod NOT WELL: 1 failure (aws-eu), 1 not tried, exit 5

        this host
          ok    file     repin.yaml: test on 1 target

        aws-eu
          fail  account  the credentials belong to 999900001111
                         (arn:aws:sts::999900001111:assumed-role/deploy/somebody), and
                         the file names 111122223333
                         -> Use credentials of that account, or set `profile` or
                         `assume_role` for this target.
          skip  rights   not tried with credentials of another account
        ");
        insta::assert_snapshot!(shown(36), @r"
        assistant-prod NOT WELL: 1 failure (aws-eu), 1 not tried, exit 5

        this host
          ok    file
                repin.yaml: test on 1 target

        aws-eu
          fail  account
                the credentials belong to
                999900001111
                (arn:aws:sts::999900001111:assumed-role/deploy/somebody),
                and the file names
                111122223333
                -> Use credentials of that
                account, or set `profile` or
                `assume_role` for this
                target.
          skip  rights
                not tried with credentials
                of another account
        ");
        assert_eq!(shown(usize::MAX).lines().count(), 9);
    }
}
