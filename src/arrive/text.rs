//! Entries as the text of a file. Pure.

use std::fmt::Write as _;

use repin_provider::{TargetName, Tier};

use super::draft::{Draft, Fields, Source};
use super::{LeftOut, Manner};
use crate::desired::emit;
use crate::model::desired::EntryKind;
use crate::model::printable;

/// What is said before the list of what is left out, and before each of it.
pub(super) const LEFT_OUT: &str = "# In the stores and not in this file, which leaves it as it is:";
pub(super) const LEFT_OUT_ROW: &str = "#   ";

/// Writes the section of entries, with what is left out as comments behind it.
pub(super) fn section(drafts: &[Draft], left_out: &[LeftOut], manner: &Manner<'_>) -> String {
    let mut out = String::new();
    match drafts {
        [] => out.push_str("entries: {}\n"),
        drafts => {
            out.push_str("entries:\n");
            drafts.iter().for_each(|draft| entry(&mut out, draft, manner));
        }
    }
    if !left_out.is_empty() {
        out.push_str(&format!("\n{LEFT_OUT}\n"));
        for LeftOut { target, native, reason } in left_out {
            let _ = writeln!(out, "{LEFT_OUT_ROW}{target}  {}: {}", printable::line(native), printable::line(reason));
        }
    }
    out
}

fn entry(out: &mut String, draft: &Draft, manner: &Manner<'_>) {
    for note in &draft.notes {
        let _ = writeln!(out, "  # {note}");
    }
    let _ = writeln!(out, "  {}:", emit::key(draft.key.as_str()));
    if let Some(targets) = &draft.targets {
        let names: Vec<_> = targets.iter().map(|name| emit::text(name.as_str())).collect();
        let _ = writeln!(out, "    targets: [{}]", names.join(", "));
    }
    if manner.adopt_each {
        out.push_str("    adopt: equal\n");
    }
    fields(out, &draft.base, 4);
    if draft.layers.is_empty() {
        return;
    }
    out.push_str("    per_target:\n");
    for (targets, layer) in &draft.layers {
        let _ = writeln!(out, "      {}:", selector(targets));
        fields(out, layer, 8);
    }
}

fn selector(targets: &[TargetName]) -> String {
    let names: Vec<_> = targets.iter().map(TargetName::as_str).collect();
    match names.as_slice() {
        [one] => emit::text(one),
        several => format!("\"{{{}}}\"", several.join(",")),
    }
}

fn fields(out: &mut String, fields: &Fields, indent: usize) {
    let mut lines = Vec::new();
    match &fields.source {
        Some(Source::Inline(literal)) => {
            lines.extend((!literal.implies_kind()).then(|| format!("type: {}", word(literal.kind))));
            lines.push(format!("value:{}", literal.after_colon(indent)));
        }
        Some(Source::File(kind, path)) => {
            lines.extend((*kind != EntryKind::Text).then(|| format!("type: {}", word(*kind))));
            lines.push(format!("value_from: {{ file: {} }}", emit::text(path)));
        }
        Some(Source::SecretFile(path)) => {
            lines.push("secret: true".to_owned());
            lines.push(format!("value_from: {{ file: {} }}", emit::text(path)));
        }
        Some(Source::Variable(name)) => {
            lines.push("secret: true".to_owned());
            lines.push(format!("value_from: {{ env: {} }}", emit::text(name)));
        }
        None => {}
    }
    lines.extend(fields.content_type.as_ref().map(|text| format!("content_type: {}", emit::text(text))));
    lines.extend(fields.tier.map(|tier| {
        let word = if tier == Tier::Advanced { "advanced" } else { "standard" };
        format!("tier: {word}")
    }));
    lines.extend(fields.description.as_ref().map(|text| format!("description: {}", emit::text(text))));
    for line in lines {
        let _ = writeln!(out, "{:indent$}{line}", "");
    }
}

/// Returns a type as a file writes it.
fn word(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Text => "text",
        EntryKind::Json => "json",
        EntryKind::JsonString => "json-string",
        EntryKind::KeyVaultReference => "key-vault-reference",
        EntryKind::FeatureFlag => "feature-flag",
        EntryKind::AiChat => "ai-chat",
        EntryKind::Ai => "ai",
    }
}
