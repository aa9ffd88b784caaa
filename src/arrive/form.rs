//! The ways in which a file may say what one target holds, the best first. Pure.

use repin_provider::Item;

use crate::desired::emit::Literal;
use crate::model::compare::same_text;
use crate::model::desired::EntryKind::{self, Ai, AiChat, FeatureFlag, Json, JsonString, KeyVaultReference, Text};

/// Lists the ways to say a value, the one that people would choose first. Any of them is stored as what means the same
/// to readers: byte for byte, or for JSON also with other blanks.
///
/// JSON with other blanks comes last, where nothing but its looks says that it is JSON: there readers may see bytes.
pub(super) fn forms(item: &Item, is_ssm: bool) -> Vec<Literal> {
    let Some(text) = item.value.as_deref() else { return Vec::new() };
    let mut forms = if is_ssm { on_ssm(text) } else { by_content_type(text, item.content_type.as_deref()) };
    forms.extend(Literal::of(Text, text));
    let also = [AiChat, Ai, FeatureFlag, Json, JsonString];
    let also: &[EntryKind] = if is_ssm { &also } else { &also[3..4] };
    let same = |literal: &Literal| literal.is_structured() && same_text(literal.kind, &literal.stored, text);
    forms.extend(also.iter().filter_map(|kind| Literal::of(*kind, text)).filter(same));
    forms
}

/// Tells whether a form is stored as this text, to the byte.
pub(super) fn is_exact(form: &Literal, text: &str, is_ssm: bool) -> bool {
    if is_ssm { form.stored_on_ssm() == text } else { form.stored == text }
}

/// SSM has no content types: JSON is what looks like it and would be written just so.
fn on_ssm(text: &str) -> Vec<Literal> {
    let json = Literal::of(Json, text).filter(|form| form.is_structured() || form.is_plain_scalar());
    let string = || Literal::of(JsonString, text);
    json.or_else(string).filter(|form| is_exact(form, text, true)).into_iter().collect()
}

fn by_content_type(text: &str, content_type: Option<&str>) -> Vec<Literal> {
    let kinds = kinds(content_type.unwrap_or_default());
    if !kinds.is_empty() {
        let typed = kinds.iter().filter_map(|kind| Literal::of(*kind, text));
        return typed.filter(|form| same_text(form.kind, &form.stored, text)).collect();
    }
    let json = Literal::of(Json, text).filter(|form| form.is_structured() && is_exact(form, text, false));
    json.into_iter().collect()
}

/// Returns the types that a content type stands for, however it is spelled.
fn kinds(content_type: &str) -> Vec<EntryKind> {
    let spelled = content_type.to_ascii_lowercase();
    let media = spelled.split(';').next().unwrap_or_default().trim();
    let special = match media {
        "application/vnd.microsoft.appconfig.keyvaultref+json" => Some(KeyVaultReference),
        "application/vnd.microsoft.appconfig.ff+json" => Some(FeatureFlag),
        "application/json" if spelled.contains("/mime-profiles/ai/chat-completion") => Some(AiChat),
        "application/json" if spelled.contains("/mime-profiles/ai\"") => Some(Ai),
        _ => None,
    };
    let is_json = media == "application/json" || media.starts_with("application/") && media.ends_with("+json");
    let general: &[EntryKind] = if is_json { &[JsonString, Json] } else { &[] };
    special.into_iter().chain(general.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use repin_provider::Version;

    use super::*;

    fn item(value: &str, content_type: Option<&str>) -> Item {
        Item {
            version: Version::new("1", None),
            value: Some(value.to_owned()),
            secret: false,
            native_type: None,
            content_type: content_type.map(str::to_owned),
            tags: None,
            description: None,
            owner: None,
            locked: false,
        }
    }

    fn first(value: &str, content_type: Option<&str>, is_ssm: bool) -> EntryKind {
        forms(&item(value, content_type), is_ssm)[0].kind
    }

    #[test]
    fn on_ssm_json_is_what_would_be_written_just_so() {
        for (value, kind) in [
            (r#"{"a":1}"#, Json),
            (r#"{"a": 1}"#, Text),
            ("120", Json),
            ("0120", Text),
            ("1.50", Json),
            ("true", Json),
            ("null", Text),
            ("True", Text),
            (r#""a prompt""#, JsonString),
            (r#""caf\u00e9""#, Text),
            (r#"{"p":"{\u007b x }}"}"#, Json),
            (r#"{"p":"{{"}"#, Text),
            ("a,b,c", Text),
            (r#"{"a":1,"a":2}"#, Text),
        ] {
            assert_eq!(first(value, None, true), kind, "{value}");
        }
    }

    #[test]
    fn in_app_configuration_the_content_type_decides() {
        let flag = "application/vnd.microsoft.appconfig.ff+json;charset=utf-8";
        let chat = r#"application/json; profile="https://azconfig.io/mime-profiles/ai/chat-completion""#;
        for (value, content_type, kind) in [
            (r#"{"id": "beta", "enabled": true}"#, Some(flag), FeatureFlag),
            (r#"{"enabled": true}"#, Some(flag), Json),
            (r#"{"model": "m"}"#, Some(chat), AiChat),
            (
                r#"{"uri": "https://v.vault.azure.net/secrets/s"}"#,
                Some("application/vnd.microsoft.appconfig.keyvaultref+json"),
                KeyVaultReference,
            ),
            ("120", Some("Application/JSON; charset=utf-8"), Json),
            (r#""x""#, Some("application/json"), JsonString),
            ("no json", Some("application/json"), Text),
            ("120", None, Text),
            (r#"{"a":1}"#, None, Json),
            (r#"{"a": 1}"#, None, Text),
            (r#"{"a":1}"#, Some("text/plain"), Json),
        ] {
            assert_eq!(first(value, content_type, false), kind, "{value} {content_type:?}");
        }
    }

    #[test]
    fn what_means_the_same_on_both_clouds_can_be_said_once() {
        let on_ssm = forms(&item(r#"{"model": "m"}"#, None), true);
        let chat = r#"application/json; profile="https://azconfig.io/mime-profiles/ai/chat-completion""#;
        let on_azure = forms(&item(r#"{"model":"m"}"#, Some(chat)), false);
        assert!(on_ssm.contains(&on_azure[0]));
    }
}
