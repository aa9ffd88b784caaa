//! What App Configuration cannot hold, said before any write. Pure.
//!
//! Rules are those of the documentation (limits page of 2026-08-04, concept pages of 2026) and of the official emulator
//! 1.1.0, whose controllers mirror the service; read on 2026-11-21. None was tried against a live store.

use repin_provider::{Content, Key, Owner, Refusal};

use crate::{Config, CredentialKind, SecretSource, Serve};

/// The largest key-value in bytes: key, label, content type, value and tags together.
const MAX_ITEM: usize = 10 * 1024;
/// The largest snapshot in bytes.
const MAX_SNAPSHOT: usize = 1024 * 1024;
/// The longest key, label, tag name and tag value in characters (official emulator).
const MAX_NAME: usize = 256;
/// The tag that says whose an item is; it is always there and counts.
const OWNER_TAG: &str = "repin:owner";
/// What keys of the ledger begin with.
const LEDGER: &str = ".repin/";

/// Returns everything about one entry that the store would refuse, or would keep differently from what was meant.
pub fn audit(config: &Config, key: &Key, content: &Content) -> Vec<Refusal> {
    let mut refusals = audit_key(&native_name(config, key));
    refusals.extend(audit_tags(content));
    if content.value.is_secret() {
        refusals.push(refusal(
            "App Configuration keeps no secrets: whoever may read the store may read them",
            "keep it in Key Vault and use `type: key-vault-reference` here (under `per_target`), or leave this target \
             out of the entry's `targets`",
        ));
    }
    if content.value.expose().is_empty() {
        refusals.push(refusal("the value is empty", "drop the entry, or say what empty means to its readers"));
    }
    if content.content_type.as_ref().is_some_and(|text| text.chars().any(char::is_control)) {
        refusals.push(refusal("the content type holds control characters", "write it on one line"));
    }
    let size = size(config, key, content);
    if size > MAX_ITEM {
        refusals.push(refusal(
            format!("{size} bytes with key, label, content type and tags; App Configuration holds {MAX_ITEM}"),
            "split it, or keep it where objects are kept and store where that is",
        ));
    }
    refusals
}

/// Returns the bytes that count against the store's limits: key, label, content type, value and tags.
pub fn size(config: &Config, key: &Key, content: &Content) -> usize {
    let tags: usize = content.tags.iter().map(|(name, value)| name.len() + value.len()).sum();
    native_name(config, key).len()
        + config.label.as_ref().map_or(0, String::len)
        + content.content_type.as_ref().map_or(0, String::len)
        + content.value.expose().len()
        + tags
        + OWNER_TAG.len()
        + Owner::MAX
}

/// Returns what is wrong with so many bytes on one target.
pub fn audit_total(config: &Config, bytes: usize) -> Option<Refusal> {
    let snapshots = matches!(config.serve, Serve::Snapshot(_));
    (snapshots && bytes > MAX_SNAPSHOT).then(|| {
        refusal(
            format!("{bytes} bytes in all; a snapshot holds {MAX_SNAPSHOT}"),
            "split the entries over two targets with prefixes of their own, or use `serve: key-values`",
        )
    })
}

/// Returns what is wrong with the settings of a target, each with the field it is about.
pub fn audit_settings(config: &Config) -> Vec<(&'static str, Refusal)> {
    let mut found = Vec::new();
    let mut check = |field, wrong: bool, message: &str, hint: &str| {
        if wrong {
            found.push((field, refusal(message, hint)));
        }
    };
    let flaw = |text: &str| text.chars().any(char::is_control) || text.chars().count() > MAX_NAME;
    check(
        "prefix",
        flaw(&config.prefix) || config.prefix.contains('%'),
        "a key takes no \"%\", no control characters, and 256 characters in all",
        "for example `assistant`",
    );
    check(
        "separator",
        config.separator.is_empty() || flaw(&config.separator) || config.separator.contains('%'),
        "prefix and key are joined by exactly one separator",
        "for example `/` or `:`; with an empty `prefix` none is used",
    );
    if let Some(label) = &config.label {
        check(
            "label",
            label.is_empty() || flaw(label) || label.contains(['*', ',', '\\']),
            "a label takes 1 to 256 characters, and none of `*`, `,` and `\\`",
            "leave `label` out for key-values without one",
        );
        check("label", label == "repin", "this label is the ledger's", "choose another");
    }
    if let Serve::Snapshot(key) = &config.serve {
        check("serve", Key::parse(key).is_err() || key.contains('%'), "this cannot be a key", "for example `release`");
    }
    check(
        "credential",
        config.credential == CredentialKind::ConnectionString && config.connection_string.is_none(),
        "`connection-string` needs to know where it is read from",
        "add `connection_string: { env: NAME }` or `{ file: PATH }`",
    );
    let source_fits = match &config.connection_string {
        Some(SecretSource::Env(name)) => is_variable(name),
        Some(SecretSource::File(path)) => !path.as_os_str().is_empty(),
        None => true,
    };
    check("connection_string", !source_fits, "this cannot name its source", "{ env: NAME } or { file: PATH }");
    check(
        "revision_retention",
        !is_retention(&config.revision_retention),
        "revisions are kept for a number of days or hours",
        "`7d` (Free, Developer) or `30d` (Standard, Premium)",
    );
    found
}

fn refusal(message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    Refusal { message: message.into(), hint: Some(hint.into()) }
}

fn native_name(config: &Config, key: &Key) -> String {
    if config.prefix.is_empty() { key.to_string() } else { format!("{}{}{key}", config.prefix, config.separator) }
}

fn audit_key(name: &str) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if name.contains('%') {
        refusals.push(refusal("App Configuration takes no \"%\" in a key", "rename the entry"));
    }
    if matches!(name, "." | "..") {
        refusals.push(refusal("App Configuration takes neither \".\" nor \"..\" for a key", "rename the entry"));
    }
    let length = name.chars().count();
    if length > MAX_NAME {
        refusals.push(refusal(
            format!("the key has {length} characters with the prefix; App Configuration takes {MAX_NAME}"),
            "shorten the key or the prefix",
        ));
    }
    if name.starts_with(LEDGER) {
        refusals.push(refusal("keys that begin with \".repin/\" are the ledger's", "rename the entry"));
    }
    refusals
}

fn audit_tags(content: &Content) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (name, value) in &content.tags {
        let flaw = |text: &str| text.chars().any(char::is_control) || text.chars().count() > MAX_NAME;
        if name.is_empty() || flaw(name) || flaw(value) {
            refusals.push(refusal(
                format!("the tag `{}` is too long, has no name or holds control characters", name.escape_debug()),
                "App Configuration takes up to 256 characters for a tag's name and for its value",
            ));
        }
        if name.starts_with("repin:") {
            refusals.push(refusal(format!("the tag `{name}` has a reserved prefix"), "rename it"));
        }
    }
    refusals
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_retention(text: &str) -> bool {
    let number = text.strip_suffix(['d', 'h']).and_then(|digits| digits.parse::<u32>().ok());
    number.is_some_and(|number| (1..=10_000).contains(&number))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use repin_provider::{Secret, Value};

    use super::*;

    fn config() -> Config {
        serde_json::from_value(serde_json::json!({
            "endpoint": "https://contoso-ai.azconfig.io",
            "prefix": "assistant",
            "label": "prod",
        }))
        .expect("valid")
    }

    fn content(value: &str) -> Content {
        let value = Value::Plain(value.to_owned());
        Content { value, content_type: None, tags: BTreeMap::new(), description: None, tier: None }
    }

    fn found(config: &Config, key: &str, content: &Content) -> Vec<String> {
        audit(config, &Key::parse(key).expect("a key"), content).into_iter().map(|refusal| refusal.message).collect()
    }

    fn refuses(config: &Config, key: &str, content: &Content, part: &str) {
        let found = found(config, key, content);
        assert!(found.len() == 1 && found[0].contains(part), "{part}: {found:?}");
    }

    #[test]
    fn ordinary_entries_pass() {
        for key in ["chat/config", "Ümlaut", "a b", "a*,\\", ".appconfig.featureflag/beta"] {
            assert_eq!(found(&config(), key, &content("Hi {{name}}")), Vec::<String>::new());
        }
    }

    #[test]
    fn ten_kilobytes_hold_everything_together() {
        let tagged = Content {
            content_type: Some("application/json".into()),
            tags: BTreeMap::from([("team".to_owned(), "ml".to_owned())]),
            ..content("")
        };
        let rest =
            "assistant/k".len() + "prod".len() + "application/json".len() + "teamml".len() + "repin:owner".len() + 40;
        let filled = |size: usize| Content { value: Value::Plain("x".repeat(size)), ..tagged.clone() };
        assert!(found(&config(), "k", &filled(10_240 - rest)).is_empty());
        refuses(&config(), "k", &filled(10_241 - rest), "10241 bytes");
    }

    #[test]
    fn keys_follow_the_rules() {
        refuses(&config(), "100%", &content("x"), "%");
        refuses(&config(), &"x".repeat(247), &content("x"), "257 characters");
        let root = Config { prefix: String::new(), ..config() };
        refuses(&root, "..", &content("x"), "neither");
        refuses(&root, ".repin/x", &content("x"), "ledger");
        assert!(found(&config(), "..", &content("x")).is_empty(), "the prefix makes it another key");
    }

    #[test]
    fn secrets_and_empty_values_are_refused() {
        let secret = Content { value: Value::Secret(Secret::new("hunter2".into())), ..content("") };
        refuses(&config(), "a", &secret, "no secrets");
        refuses(&config(), "a", &content(""), "empty");
    }

    #[test]
    fn tags_are_bounded() {
        let tagged = |name: &str, value: &str| Content {
            tags: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            ..content("x")
        };
        assert!(found(&config(), "a", &tagged("team", "ML; platform")).is_empty());
        refuses(&config(), "a", &tagged("", "x"), "no name");
        refuses(&config(), "a", &tagged("t", &"x".repeat(257)), "too long");
        refuses(&config(), "a", &tagged("repin:owner", "y"), "reserved");
    }

    #[test]
    fn settings_are_checked_field_by_field() {
        assert_eq!(audit_settings(&config()), vec![]);
        let fields = |config: Config| audit_settings(&config).into_iter().map(|(field, _)| field).collect::<Vec<_>>();
        assert_eq!(fields(Config { prefix: "a%b".into(), ..config() }), ["prefix"]);
        assert_eq!(fields(Config { separator: String::new(), ..config() }), ["separator"]);
        for label in ["", "a*", "a,b", "repin"] {
            assert_eq!(fields(Config { label: Some(label.into()), ..config() }), ["label"], "{label}");
        }
        for text in ["7", "0d", "d", "7w", "-1d", "99999d"] {
            assert_eq!(
                fields(Config { revision_retention: text.into(), ..config() }),
                ["revision_retention"],
                "{text}"
            );
        }
        let by_string = Config { credential: CredentialKind::ConnectionString, ..config() };
        assert_eq!(fields(by_string.clone()), ["credential"]);
        let env = |name: &str| Some(SecretSource::Env(name.into()));
        assert!(fields(Config { connection_string: env("AZ_CS"), ..by_string.clone() }).is_empty());
        assert_eq!(fields(Config { connection_string: env("Endpoint=x"), ..by_string }), ["connection_string"]);
    }

    #[test]
    fn a_snapshot_holds_so_much() {
        let snapshots = Config { serve: Serve::Snapshot("release".into()), ..config() };
        assert_eq!(audit_total(&snapshots, 1 << 20), None);
        assert!(audit_total(&snapshots, (1 << 20) + 1).is_some());
        assert_eq!(audit_total(&config(), 1 << 21), None);
    }
}
