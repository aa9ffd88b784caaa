//! From what an entry says to the text that a store keeps, by the entry's type. Pure.

use url::Url;

use super::ai_chat;
use super::json;
use super::problem::Issue;
use super::render;
use super::tree::{Node, Pos, Span};
use crate::model::desired::EntryKind;

/// Content types that App Configuration's readers recognise, byte for byte (some compare the whole string).
pub(crate) fn content_type(kind: EntryKind) -> Option<&'static str> {
    match kind {
        EntryKind::Text => None,
        EntryKind::Json | EntryKind::JsonString => Some("application/json"),
        EntryKind::KeyVaultReference => Some("application/vnd.microsoft.appconfig.keyvaultref+json;charset=utf-8"),
        EntryKind::FeatureFlag => Some("application/vnd.microsoft.appconfig.ff+json;charset=utf-8"),
        EntryKind::AiChat => {
            Some(r#"application/json; profile="https://azconfig.io/mime-profiles/ai/chat-completion""#)
        }
        EntryKind::Ai => Some(r#"application/json; profile="https://azconfig.io/mime-profiles/ai""#),
    }
}

/// Text to store, and a text that is equal exactly where the values are equal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) text: String,
    pub(super) canonical: String,
    /// What readers of the type may not understand.
    pub(super) advice: Vec<Issue>,
}

/// Renders a value that stands in the file.
///
/// # Errors
/// Returns where the value does not fit its type.
pub(super) fn from_node(kind: EntryKind, trim: bool, node: &Node) -> Result<Rendered, Issue> {
    match (kind, node.text()) {
        (EntryKind::Text | EntryKind::JsonString | EntryKind::KeyVaultReference, Some(text)) => {
            from_text(kind, trim, text).map_err(|message| Issue::at(node.span, message))
        }
        (EntryKind::Text | EntryKind::JsonString, None) => {
            let message = format!("this type holds text, found {}", node.describe());
            Err(Issue::at(node.span, message).hint("put it in quotes, or use `type: json`"))
        }
        (EntryKind::KeyVaultReference, None) => {
            let message = format!("expected the URL of a secret in Key Vault, found {}", node.describe());
            Err(Issue::at(node.span, message)
                .hint("https://NAME.vault.azure.net/secrets/SECRET, with or without /VERSION"))
        }
        (EntryKind::Json | EntryKind::FeatureFlag | EntryKind::AiChat | EntryKind::Ai, _) => from_json(kind, node),
    }
}

/// Renders a text that was read from elsewhere. A message never quotes it.
///
/// # Errors
/// Says how the text does not fit its type.
pub(super) fn from_text(kind: EntryKind, trim: bool, text: &str) -> Result<Rendered, String> {
    let text = if trim { without_newline(text) } else { text };
    match kind {
        EntryKind::Text => Ok(plain(text.to_owned())),
        EntryKind::JsonString => Ok(plain(render::json_string(text))),
        EntryKind::KeyVaultReference => {
            let url = vault_url(text.trim())?;
            Ok(plain(format!("{{\"uri\":{}}}", render::json_string(url))))
        }
        EntryKind::Json | EntryKind::FeatureFlag | EntryKind::AiChat | EntryKind::Ai => parsed(kind, text),
    }
}

/// Makes what is equal only where its text is, and of which there is nothing to say.
fn plain(text: String) -> Rendered {
    Rendered { canonical: text.clone(), text, advice: Vec::new() }
}

fn without_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

fn parsed(kind: EntryKind, text: &str) -> Result<Rendered, String> {
    let at = |pos: Pos| format!("line {}, column {}", pos.line, pos.column);
    let mut issues: Vec<Issue> = Vec::new();
    let node = json::parse(text, 0, &mut issues)
        .map_err(|error| format!("not JSON: {} at {}", error.message, at(error.pos)))?;
    if let Some(Issue { span: Some(Span { start, .. }), .. }) = issues.first() {
        return Err(format!("a duplicate key at {}", at(*start)));
    }
    from_json(kind, &node).map_err(|issue| issue.message)
}

fn from_json(kind: EntryKind, node: &Node) -> Result<Rendered, Issue> {
    check_shape(kind, node)?;
    let advice = if kind == EntryKind::AiChat { ai_chat::advise(node) } else { Vec::new() };
    Ok(Rendered { text: render::json(node)?, canonical: render::canonical(node)?, advice })
}

/// Checks what readers of a type rely on. App Configuration itself would take anything.
fn check_shape(kind: EntryKind, node: &Node) -> Result<(), Issue> {
    let name = match kind {
        EntryKind::FeatureFlag => "a feature flag",
        EntryKind::AiChat => "an AI chat configuration",
        _ => return Ok(()),
    };
    if node.map().is_none() {
        return Err(Issue::at(node.span, format!("{name} is a map, found {}", node.describe())));
    }
    if kind == EntryKind::FeatureFlag && node.get("id").and_then(|id| id.node.text()).is_none_or(str::is_empty) {
        return Err(
            Issue::at(node.span, "a feature flag needs an `id`").hint("{ id: beta, enabled: true, conditions: {} }")
        );
    }
    Ok(())
}

fn vault_url(text: &str) -> Result<&str, String> {
    let wrong = || "expected the URL of a secret: https://NAME.vault.azure.net/secrets/SECRET".to_owned();
    let url = Url::parse(text).map_err(|_| wrong())?;
    let segments: Vec<_> = url.path_segments().map(Iterator::collect).unwrap_or_default();
    let secret_fits = match segments.as_slice() {
        ["secrets", secret] | ["secrets", secret, ""] => !secret.is_empty(),
        ["secrets", secret, version] => !secret.is_empty() && !version.is_empty(),
        _ => false,
    };
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if url.scheme() == "https" && url.host_str().is_some() && secret_fits && plain { Ok(text) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: EntryKind, text: &str) -> Result<String, String> {
        from_text(kind, false, text).map(|rendered| rendered.text)
    }

    #[test]
    fn text_is_kept_byte_for_byte_unless_trimmed() {
        for (given, trimmed) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a "), ("\n", "")] {
            assert_eq!(text(EntryKind::Text, given).as_deref(), Ok(given));
            assert_eq!(from_text(EntryKind::Text, true, given).map(|rendered| rendered.text).as_deref(), Ok(trimmed));
        }
    }

    #[test]
    fn json_from_elsewhere_is_compacted() {
        assert_eq!(text(EntryKind::Json, "{ \"b\": 1,\n \"a\": [ 1.50 ] }\n").as_deref(), Ok(r#"{"b":1,"a":[1.50]}"#));
        assert_eq!(
            text(EntryKind::Json, "{,}").expect_err("broken"),
            "not JSON: key must be a string at line 1, column 2"
        );
        assert!(text(EntryKind::Json, "{\"hunter2\": hunter2}").is_err_and(|message| !message.contains("hunter2")));
        assert!(text(EntryKind::Json, "{\"a\":1,\"a\":2}").is_err_and(|message| message.contains("duplicate")));
    }

    #[test]
    fn any_text_becomes_a_json_string() {
        assert_eq!(text(EntryKind::JsonString, "say \"{{x}}\"\n").as_deref(), Ok(r#""say \"{{x}}\"\n""#));
    }

    #[test]
    fn key_vault_references_name_a_secret() {
        let uri = "https://contoso.vault.azure.net/secrets/openai/5d1c";
        let json = format!(r#"{{"uri":"{uri}"}}"#);
        assert_eq!(text(EntryKind::KeyVaultReference, uri), Ok(json));
        for bad in [
            "",
            "x",
            "http://contoso.vault.azure.net/secrets/a",
            "https://contoso.vault.azure.net/keys/a",
            "https://contoso.vault.azure.net/secrets/",
        ] {
            assert!(text(EntryKind::KeyVaultReference, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn feature_flags_have_an_id() {
        assert!(text(EntryKind::FeatureFlag, r#"{"id":"beta","enabled":true}"#).is_ok());
        for bad in ["[]", "{}", r#"{"id":""}"#, "\"beta\""] {
            assert!(text(EntryKind::FeatureFlag, bad).is_err(), "{bad}");
        }
    }
}
