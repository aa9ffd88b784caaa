//! What App Configuration cannot hold, said before any write. Pure.
//!
//! Rules are those of the documentation (limits page of 2026-08-04, concept pages of 2026) and of the official emulator
//! 1.1.0, whose controllers mirror the service; read on 2026-11-21. None was tried against a live store.

use repin_provider::{Content, Key, Owner, Refusal};

use crate::names::{LEDGER_ROOT, STAGING, joined_prefix, reference_name, written_label};
use crate::{Config, CredentialKind, SecretSource, Serve};

/// The largest key-value in bytes: key, label, content type, value, tags and other metadata together.
const MAX_ITEM: usize = 10 * 1024;
/// The largest snapshot in bytes.
const MAX_SNAPSHOT: usize = 1024 * 1024;
/// The longest key, label, tag name and tag value in characters (official emulator).
const MAX_NAME: usize = 256;
/// The tag that says whose an item is; it is always there and counts.
const OWNER_TAG: &str = "repin:owner";
/// What keys of feature flags begin with; readers list flags by it (concept page on feature flags; `featureFlagPrefix`
/// of @azure/app-configuration 1.12.1).
pub(crate) const FLAGS: &str = ".appconfig.featureflag/";
/// The media type of a feature flag.
const FLAG_TYPE: &str = "application/vnd.microsoft.appconfig.ff+json";

/// What marks the content type of a snapshot reference (concept page on snapshot references, 2026-03).
const REFERENCE_PROFILE: &str = "https://azconfig.io/mime-profiles/snapshot-ref";

/// Returns everything about one entry that the store would refuse, or would keep differently from what was meant.
pub fn audit(config: &Config, key: &Key, content: &Content) -> Vec<Refusal> {
    let name = native_name(config, key);
    let mut refusals = audit_key(&name);
    if !config.prefix.is_empty() && key.as_str().starts_with(&config.separator) {
        refusals.push(refusal(
            format!("with the prefix the key would hold the separator `{}` twice in a row", config.separator),
            "drop the separator at the start of the key; the target's own is joined to it",
        ));
    }
    refusals.extend(match config.serve {
        Serve::KeyValues => audit_flag(config, &name, content),
        Serve::Snapshot(_) => audit_frozen(&name, content),
    });
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
            format!(
                "{size} bytes with key, label, content type, description and tags; App Configuration holds {MAX_ITEM}"
            ),
            "split it, or keep it where objects are kept and store where that is",
        ));
    }
    refusals
}

/// Returns the bytes that count against the store's limits: key, label, content type, value, tags and what else is
/// written with it.
pub fn size(config: &Config, key: &Key, content: &Content) -> usize {
    let tags: usize = content.tags.iter().map(|(name, value)| name.len() + value.len()).sum();
    native_name(config, key).len()
        + written_label(config).map_or(0, |label| label.len())
        + content.content_type.as_ref().map_or(0, String::len)
        + content.description.as_ref().map_or(0, String::len)
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
        check(
            "label",
            label.starts_with(STAGING),
            "labels that begin with `~staging` are for what is staged for a snapshot",
            "choose another",
        );
    }
    if let (Serve::Snapshot(key), Some(reference)) = (&config.serve, reference_name(config)) {
        check(
            "serve",
            Key::parse(key).is_err() || key.contains('%') || matches!(&*reference, "." | ".."),
            "this cannot be a key",
            "for example `release`",
        );
        check(
            "serve",
            reference.starts_with(LEDGER_ROOT) || reference.starts_with(FLAGS),
            "keys that begin so have a meaning of their own",
            "for example `release`",
        );
        // The reference itself is shorter.
        let staging = written_label(config).map_or(0, |label| label.chars().count());
        check(
            "serve",
            staging > MAX_NAME,
            "the label for what is staged has more than 256 characters: `~staging~`, the label, `~`, the prefix and \
             this key",
            "shorten one of them",
        );
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
    let share_fits = config.rate_share.is_none_or(|share| share > 0.0 && share <= 1.0);
    check("rate_share", !share_fits, "the share of the quota is above 0 and up to 1", "0.5 leaves half to others");
    let rates = config.rates.map_or([None; 3], |rates| [rates.read, rates.write, rates.hourly]);
    let rates_fit = rates.iter().flatten().all(|rate| *rate > 0.0);
    check("rates", !rates_fit, "a rate is above 0", "leave it out for the Standard tier's");
    found
}

fn refusal(message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    Refusal { message: message.into(), hint: Some(hint.into()) }
}

fn native_name(config: &Config, key: &Key) -> String {
    format!("{}{key}", joined_prefix(config))
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
    if name.starts_with(LEDGER_ROOT) {
        refusals.push(refusal("keys that begin with \".repin/\" are the ledger's", "rename the entry"));
    }
    refusals
}

/// Refuses what readers would not find in a snapshot.
///
/// That no entry of any target may stand where a reference is to be is for whoever knows all targets to check.
fn audit_frozen(name: &str, content: &Content) -> Option<Refusal> {
    let kind = content.content_type.as_deref().unwrap_or_default();
    let what = if is_flag(content) || name.starts_with(FLAGS) {
        "readers ignore feature flags inside a snapshot"
    } else if kind.to_ascii_lowercase().contains(REFERENCE_PROFILE) {
        "readers do not follow a snapshot reference inside a snapshot"
    } else {
        return None;
    };
    Some(refusal(what, "send it, by `targets`, to a second target of this store with `serve: key-values`"))
}

/// Refuses a flag that no reader would find, and what readers would take for a flag and find none.
///
/// The store keeps either without a word.
fn audit_flag(config: &Config, name: &str, content: &Content) -> Option<Refusal> {
    match (name.strip_prefix(FLAGS), is_flag(content)) {
        (Some(id), true) => audit_flag_id(id, content),
        (None, true) => Some(refusal(
            format!("readers look for feature flags only under `{FLAGS}`, and this would be `{name}`"),
            flag_way_out(config, content),
        )),
        (Some(_), false) => Some(refusal(
            format!("keys that begin with `{FLAGS}` are for feature flags, and this is none"),
            "use `type: feature-flag`, or rename the entry",
        )),
        (None, false) => None,
    }
}

fn is_flag(content: &Content) -> bool {
    let content_type = content.content_type.as_deref().unwrap_or_default();
    content_type.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case(FLAG_TYPE))
}

fn flag_way_out(config: &Config, content: &Content) -> String {
    let id = flag_id(content).unwrap_or_else(|| "ID".to_owned());
    if config.prefix.is_empty() {
        return format!("call the entry `{FLAGS}{id}`");
    }
    format!(
        "send it, by `targets`, to another target of this store: one with `prefix: {}`, where the entry is called \
         `{id}`, or one without `prefix`, where it is called `{FLAGS}{id}`; where only code of yours reads it, `type: \
         json` will do",
        FLAGS.trim_end_matches('/'),
    )
}

/// Checks that the flag is called what its key says: libraries know it by the one, tools and the portal by the other.
fn audit_flag_id(id: &str, content: &Content) -> Option<Refusal> {
    let within = flag_id(content);
    if !id.is_empty() && within.as_deref() == Some(id) {
        return None;
    }
    let within = within.map_or_else(|| "has no `id`".to_owned(), |within| format!("has the `id` `{within}`"));
    Some(refusal(format!("the key names the feature flag `{id}`, and its value {within}"), "make the two the same"))
}

fn flag_id(content: &Content) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(content.value.plain()?).ok()?;
    Some(value.get("id")?.as_str()?.to_owned())
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
        let described = Content { description: Some("why".into()), ..filled(10_240 - rest) };
        refuses(&config(), "k", &described, "10243 bytes");
    }

    #[test]
    fn keys_follow_the_rules() {
        refuses(&config(), "100%", &content("x"), "%");
        refuses(&config(), &"x".repeat(247), &content("x"), "257 characters");
        let root = Config { prefix: String::new(), ..config() };
        refuses(&root, "..", &content("x"), "neither");
        let colons = Config { separator: ":".into(), ..config() };
        refuses(&colons, ":k", &content("x"), "twice in a row");
        assert!(found(&colons, "k:l", &content("x")).is_empty());
        refuses(&root, ".repin/x", &content("x"), "ledger");
        assert!(found(&config(), "..", &content("x")).is_empty(), "the prefix makes it another key");
    }

    #[test]
    fn flags_are_where_readers_look_for_them() {
        let flag = |value: &str| Content {
            content_type: Some("application/vnd.microsoft.appconfig.ff+json;charset=utf-8".into()),
            ..content(value)
        };
        let root = Config { prefix: String::new(), ..config() };
        assert!(found(&root, ".appconfig.featureflag/beta", &flag(r#"{"id":"beta"}"#)).is_empty());
        assert!(found(&root, ".appconfig.featureflag/a/b", &flag(r#"{"id":"a/b"}"#)).is_empty());
        let flags = Config { prefix: ".appconfig.featureflag".into(), ..config() };
        assert!(found(&flags, "beta", &flag(r#"{"id":"beta"}"#)).is_empty());
        refuses(&flags, "beta", &flag(r#"{"id":"gamma"}"#), "names the feature flag `beta`");
        refuses(&root, ".appconfig.featureflag/beta", &flag(r#"{"id":"Beta"}"#), "has the `id` `Beta`");
        refuses(&root, ".appconfig.featureflag/beta", &flag("{}"), "has no `id`");
        refuses(&root, ".appconfig.featureflag/beta", &content("{}"), "this is none");
        refuses(&root, "flags/beta", &flag(r#"{"id":"beta"}"#), "and this would be `flags/beta`");
        let odd = Content { content_type: Some("Application/VND.microsoft.appconfig.ff+JSON".into()), ..content("{}") };
        refuses(&root, "beta", &odd, "only under");

        let key = Key::parse(".appconfig.featureflag/beta").expect("a key");
        let refusals = audit(&config(), &key, &flag(r#"{"id":"beta"}"#));
        assert!(refusals[0].message.contains("this would be `assistant/.appconfig.featureflag/beta`"), "{refusals:?}");
        let hint = refusals[0].hint.as_deref().expect("the ways out");
        assert!(
            hint.contains("`.appconfig.featureflag/beta`") && hint.contains("`prefix: .appconfig.featureflag`"),
            "{hint}"
        );
        let refusals = audit(&root, &Key::parse("flags/beta").expect("a key"), &flag("{}"));
        assert_eq!(refusals[0].hint.as_deref(), Some("call the entry `.appconfig.featureflag/ID`"));
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
    fn a_snapshot_takes_only_what_readers_find_in_it() {
        let snapshots = Config { serve: Serve::Snapshot("release".into()), ..config() };
        assert!(found(&snapshots, "chat/config", &content("x")).is_empty());
        let flag = Content {
            content_type: Some("application/vnd.microsoft.appconfig.ff+json;charset=utf-8".into()),
            ..content(r#"{"id":"beta"}"#)
        };
        refuses(&snapshots, "flags/beta", &flag, "ignore feature flags inside a snapshot");
        let root = Config { prefix: String::new(), ..snapshots.clone() };
        refuses(&root, ".appconfig.featureflag/beta", &flag, "ignore feature flags inside a snapshot");
        let hint = audit(&root, &Key::parse(".appconfig.featureflag/beta").expect("a key"), &flag)[0].hint.clone();
        assert!(hint.is_some_and(|hint| hint.contains("`serve: key-values`")));
        let nested = Content {
            content_type: Some("application/json; profile=\"https://azconfig.io/mime-profiles/Snapshot-Ref\"".into()),
            ..content(r#"{"snapshot_name":"a"}"#)
        };
        refuses(&snapshots, "more", &nested, "do not follow a snapshot reference inside a snapshot");
        assert!(found(&config(), "more", &nested).is_empty());
    }

    #[test]
    fn what_is_staged_has_a_longer_label() {
        let key = Key::parse("a").expect("a key");
        let snapshots = Config { serve: Serve::Snapshot("release".into()), ..config() };
        assert_eq!(
            size(&snapshots, &key, &content("x")),
            size(&config(), &key, &content("x")) + "~staging~~assistant/release".len()
        );
    }

    #[test]
    fn a_reference_and_its_staging_need_room() {
        let fields = |config: Config| audit_settings(&config).into_iter().map(|(field, _)| field).collect::<Vec<_>>();
        let snapshots = |key: &str| Config { serve: Serve::Snapshot(key.into()), ..config() };
        assert!(fields(snapshots("release")).is_empty());
        for key in ["", "/a", "a%b"] {
            assert_eq!(fields(snapshots(key)), ["serve"], "{key}");
        }
        for key in [".repin/x", ".appconfig.featureflag/x"] {
            assert_eq!(fields(Config { prefix: String::new(), ..snapshots(key) }), ["serve"], "{key}");
        }
        let room = 256 - "~staging~prod~assistant/".len();
        assert!(fields(snapshots(&"k".repeat(room))).is_empty());
        assert_eq!(fields(snapshots(&"k".repeat(room + 1))), ["serve"]);
        assert_eq!(fields(Config { label: Some("~staging".into()), ..config() }), ["label"]);
    }

    #[test]
    fn a_snapshot_holds_so_much() {
        let snapshots = Config { serve: Serve::Snapshot("release".into()), ..config() };
        assert_eq!(audit_total(&snapshots, 1 << 20), None);
        assert!(audit_total(&snapshots, (1 << 20) + 1).is_some());
        assert_eq!(audit_total(&config(), 1 << 21), None);
    }
}
