//! What Parameter Store cannot hold, said before any write. Pure.
//!
//! Rules are those of the AWS documentation and service model (botocore 1.44.5), read on 2026-11-21; none was tried
//! against a live account. Where the service's own message and the documents differ, the stricter reading counts.

use repin_provider::{Content, Key, Refusal, Tier};

use crate::{Config, Serve};

/// The longest name together with the start of its ARN, in characters (PutParameter, `Name`).
const MAX_ARN: usize = 1011;
/// The most levels of a hierarchy (PutParameter, `Name`).
const MAX_LEVELS: usize = 15;
/// The largest value in bytes, by tier. KMS Encrypt takes 4096 bytes, so bytes count and not characters.
const MAX_STANDARD: usize = 4096;
const MAX_ADVANCED: usize = 8192;
/// The most parameters of an account and region, by tier (AWS General Reference, Systems Manager quotas).
const MAX_STANDARD_COUNT: usize = 10_000;
const MAX_ADVANCED_COUNT: usize = 100_000;
/// The longest description in characters (PutParameter, `Description`).
const MAX_DESCRIPTION: usize = 1024;
/// The most tags of a parameter (AddTagsToResource), less the owner tag that is always there.
const MAX_TAGS: usize = 49;
/// The prefix of tags that are ours.
const OWN_TAGS: &str = "repin:";

/// Returns everything about one entry that the store would refuse, or would keep differently from what was meant.
///
/// The value of a secret is measured and searched but never part of a message.
pub fn audit(config: &Config, key: &Key, content: &Content) -> Vec<Refusal> {
    let mut refusals = audit_name(config, key);
    refusals.extend(audit_value(config, content));
    refusals.extend(audit_description(content));
    refusals.extend(audit_tags(content));
    if content.value.is_secret() && config.kms_key.is_none() {
        refusals.push(refusal(
            "the target names no `kms_key` to encrypt secrets under",
            "add `kms_key: alias/...` to the target; `alias/aws/ssm` is the account's default key",
        ));
    }
    refusals
}

/// Returns what is wrong with the settings of a target, each with the field it is about.
pub fn audit_settings(config: &Config) -> Vec<(&'static str, Refusal)> {
    let mut found = Vec::new();
    let mut check = |field, wrong: bool, message: &str, hint: &str| {
        if wrong {
            found.push((field, refusal(message, hint)));
        }
    };
    let account = config.account.as_str();
    check(
        "account",
        account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()),
        "an AWS account is 12 digits",
        "write it in quotes, without dashes: \"111122223333\"",
    );
    check("region", !is_region(&config.region), "this is not the name of an AWS region", "for example `eu-west-1`");
    for (field, path) in [("prefix", &config.prefix), ("ledger_prefix", &config.ledger_prefix)] {
        if let Some(message) = path_flaw(path) {
            check(field, true, message, "for example `/ai/assistant/prod`");
        }
    }
    check(
        "prefix",
        is_within(&config.prefix, &config.ledger_prefix),
        "the prefix lies inside the ledger's",
        "choose another `prefix`, or another `ledger_prefix`",
    );
    if let Some(key) = &config.kms_key {
        let fits = (1..=256).contains(&key.len())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'/' | b'_' | b'-'));
        check("kms_key", !fits, "this cannot name a KMS key", "give a key id, a key ARN, `alias/NAME` or an alias ARN");
    }
    if let Serve::Label(label) = &config.serve {
        check(
            "serve",
            !is_label(label),
            "SSM takes no such label",
            "1 to 100 letters, digits, \".\", \"-\" and \"_\"; not beginning with a digit, \"aws\" or \"ssm\"",
        );
    }
    if let Some(role) = &config.assume_role {
        let fits = role.arn.starts_with("arn:") && role.arn.contains(":iam::") && role.arn.contains(":role/");
        check("assume_role", !fits, "`arn` is not a role's ARN", "arn:aws:iam::111122223333:role/NAME");
    }
    let share_fits = config.rate_share.is_none_or(|share| share > 0.0 && share <= 1.0);
    check("rate_share", !share_fits, "the share of the quota is above 0 and up to 1", "0.5 leaves half to others");
    let rates = config.rates.map_or([None; 3], |rates| [rates.get, rates.put, rates.delete]);
    let rates_fit = rates.iter().flatten().all(|rate| *rate > 0.0);
    check("rates", !rates_fit, "a rate is above 0 requests a second", "leave it out for the documented quota");
    found
}

/// Returns what is wrong with so many parameters on one target, by tier.
pub fn audit_count(standard: usize, advanced: usize) -> Option<Refusal> {
    let over = |count: usize, max: usize, tier: &str| {
        (count > max).then(|| Refusal {
            message: format!("{count} {tier} parameters; SSM holds {max} in an account and region"),
            hint: Some("split the entries over accounts or regions".to_owned()),
        })
    };
    over(standard, MAX_STANDARD_COUNT, "standard").or_else(|| over(advanced, MAX_ADVANCED_COUNT, "advanced"))
}

fn refusal(message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    Refusal { message: message.into(), hint: Some(hint.into()) }
}

fn audit_name(config: &Config, key: &Key) -> Vec<Refusal> {
    let name = format!("{}/{key}", config.prefix.trim_end_matches('/'));
    let mut refusals = Vec::new();
    if !name.chars().all(is_name_char) {
        refusals.push(refusal(
            "SSM takes only letters a-z and A-Z, digits, \".\", \"-\", \"_\" and \"/\" in a name",
            "rename the entry, or leave this target out of its `targets`",
        ));
    }
    let levels = name.split('/').filter(|level| !level.is_empty()).count();
    if levels > MAX_LEVELS {
        refusals.push(refusal(
            format!("the name has {levels} levels with the prefix; SSM takes {MAX_LEVELS}"),
            "shorten the key or the prefix",
        ));
    }
    let length = arn_start(config).len() + name.chars().count();
    if length > MAX_ARN {
        refusals.push(refusal(
            format!("the name is {} characters too long for SSM, prefix and ARN counted", length - MAX_ARN),
            "shorten the key or the prefix",
        ));
    }
    if is_reserved(&name) {
        refusals.push(refusal(
            "SSM keeps names that begin with \"aws\" or \"ssm\", in any case, for itself",
            "rename the entry, or give the target another prefix",
        ));
    }
    if is_within(&name, &config.ledger_prefix) {
        refusals.push(refusal("the name lies inside the ledger's prefix", "rename the entry, or move the ledger"));
    }
    refusals
}

fn audit_value(config: &Config, content: &Content) -> Vec<Refusal> {
    let value = content.value.expose();
    let mut refusals = Vec::new();
    if value.is_empty() {
        refusals.push(refusal("the value is empty", "drop the entry, or say what empty means to its readers"));
    }
    let tier = content.tier.or(config.tier).unwrap_or(Tier::Standard);
    let (max, way_out) = match tier {
        Tier::Standard if value.len() <= MAX_ADVANCED => (MAX_STANDARD, "`tier: advanced` holds 8192 bytes, for money"),
        Tier::Standard => (MAX_STANDARD, "split it; even `tier: advanced` holds only 8192 bytes"),
        Tier::Advanced => (MAX_ADVANCED, "split it, or keep it where objects are kept and store where that is"),
    };
    if value.len() > max {
        let tier = if tier == Tier::Standard { "a standard" } else { "an advanced" };
        refusals.push(refusal(format!("the value has {} bytes; {tier} parameter holds {max}", value.len()), way_out));
    }
    if let Some(at) = value.find("{{")
        && value[at..].contains("}}")
    {
        refusals.push(refusal(
            "SSM refuses text with `{{ }}`, which it takes for a reference",
            "`type: json-string` stores the text as one JSON string with `\\u007b` for a brace, which parses back equal",
        ));
    }
    refusals
}

fn audit_description(content: &Content) -> Option<Refusal> {
    let length = content.description.as_ref()?.chars().count();
    (length > MAX_DESCRIPTION)
        .then(|| refusal(format!("the description has {length} characters; SSM takes {MAX_DESCRIPTION}"), "shorten it"))
}

fn audit_tags(content: &Content) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if content.tags.len() > MAX_TAGS {
        refusals.push(refusal(
            format!("{} tags; SSM takes {MAX_TAGS} beside the owner's", content.tags.len()),
            "drop some",
        ));
    }
    for (name, value) in &content.tags {
        if !(1..=128).contains(&name.chars().count()) || value.chars().count() > 256 {
            refusals.push(refusal(
                format!("the tag `{name}` is too long or has no name"),
                "SSM takes 1 to 128 characters for a tag's name and up to 256 for its value",
            ));
        }
        if !name.chars().chain(value.chars()).all(is_tag_char) {
            refusals.push(refusal(
                format!("the tag `{name}` holds a character that SSM does not take"),
                "letters, digits, spaces and _ . : / = + - @ are taken",
            ));
        }
        if name.to_ascii_lowercase().starts_with("aws:") || name.starts_with(OWN_TAGS) {
            refusals.push(refusal(format!("the tag `{name}` has a reserved prefix"), "rename it"));
        }
    }
    refusals
}

/// Returns what stands before the name in a parameter's ARN.
fn arn_start(config: &Config) -> String {
    let partition = match config.region.split('-').take(2).collect::<Vec<_>>()[..] {
        ["cn", _] => "aws-cn",
        ["us", "gov"] => "aws-us-gov",
        _ => "aws",
    };
    // The slash that a name begins with is the one after "parameter".
    format!("arn:{partition}:ssm:{}:{}:parameter", config.region, config.account)
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/')
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]` (AddTagsToResource).
fn is_tag_char(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

fn is_reserved(name: &str) -> bool {
    let first = name.trim_start_matches('/').to_ascii_lowercase();
    first.starts_with("aws") || first.starts_with("ssm")
}

/// Tells whether a path is another or lies below it.
fn is_within(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    let rest = path.trim_end_matches('/').strip_prefix(folder);
    !folder.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn path_flaw(path: &str) -> Option<&'static str> {
    let trimmed = path.trim_end_matches('/');
    if !path.starts_with('/') {
        Some("a prefix begins with \"/\"")
    } else if trimmed.contains("//") {
        Some("a prefix must not hold an empty level")
    } else if !trimmed.chars().all(is_name_char) {
        Some("a prefix takes only letters a-z and A-Z, digits, \".\", \"-\", \"_\" and \"/\"")
    } else if is_reserved(trimmed) {
        Some("SSM keeps names that begin with \"aws\" or \"ssm\", in any case, for itself")
    } else {
        None
    }
}

/// Tells whether text looks as names of regions do: `eu-west-1`, `us-gov-east-1`, `cn-north-1`.
fn is_region(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let [area, middle @ .., number] = parts.as_slice() else { return false };
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    is_word(area)
        && !middle.is_empty()
        && middle.iter().all(|word| is_word(word))
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// LabelParameterVersion, `Labels`.
fn is_label(label: &str) -> bool {
    let lower = label.to_ascii_lowercase();
    (1..=100).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        && !label.starts_with(|c: char| c.is_ascii_digit())
        && !lower.starts_with("aws")
        && !lower.starts_with("ssm")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use repin_provider::{Secret, Value};

    use super::*;

    fn config() -> Config {
        serde_json::from_value(serde_json::json!({
            "account": "111122223333",
            "region": "eu-west-1",
            "prefix": "/ai/prod",
            "kms_key": "alias/ai",
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
        for value in ["x", "{ {x} }", "{{ open", &"x".repeat(4096)] {
            assert_eq!(found(&config(), "chat/model-1.v_2", &content(value)), Vec::<String>::new());
        }
    }

    #[test]
    fn sizes_are_bytes_by_tier() {
        refuses(&config(), "a", &content(&"ü".repeat(2049)), "4098 bytes; a standard");
        let advanced = Content { tier: Some(Tier::Advanced), ..content(&"x".repeat(8192)) };
        assert!(found(&config(), "a", &advanced).is_empty());
        let by_target = Config { tier: Some(Tier::Advanced), ..config() };
        refuses(&by_target, "a", &content(&"x".repeat(8193)), "8193 bytes; an advanced");
        refuses(&config(), "a", &content(""), "empty");
    }

    #[test]
    fn names_follow_the_rules() {
        for key in ["a b", "ä", "a:b", "a%"] {
            refuses(&config(), key, &content("x"), "only letters");
        }
        assert!(found(&config(), &vec!["l"; 13].join("/"), &content("x")).is_empty());
        refuses(&config(), &vec!["l"; 14].join("/"), &content("x"), "16 levels");
        let room = 1011 - "arn:aws:ssm:eu-west-1:111122223333:parameter".len() - "/ai/prod/".len();
        assert!(found(&config(), &"x".repeat(room), &content("x")).is_empty());
        refuses(&config(), &"x".repeat(room + 1), &content("x"), "1 characters too long");
        let root = Config { prefix: "/".into(), ..config() };
        for key in ["aws/x", "AwsThing", "ssm", "SSM-x/y"] {
            refuses(&root, key, &content("x"), "for itself");
        }
        refuses(&root, "repin/x", &content("x"), "ledger");
        assert!(found(&config(), "aws/x", &content("x")).is_empty(), "only the first level counts");
    }

    #[test]
    fn references_are_refused_also_in_secrets_without_showing_them() {
        refuses(&config(), "a", &content("Hi {{name}}"), "{{ }}");
        let secret = Content { value: Value::Secret(Secret::new("hunter2 {{x}}".into())), ..content("") };
        let shown = format!("{:?}", audit(&config(), &Key::parse("a").expect("a key"), &secret));
        assert!(shown.contains("{{ }}") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn secrets_need_a_key() {
        let secret = Content { value: Value::Secret(Secret::new("hunter2".into())), ..content("") };
        assert!(found(&config(), "a", &secret).is_empty());
        refuses(&Config { kms_key: None, ..config() }, "a", &secret, "kms_key");
    }

    #[test]
    fn tags_and_descriptions_are_bounded() {
        let tagged = |name: &str, value: &str| Content {
            tags: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            ..content("x")
        };
        assert!(found(&config(), "a", &tagged("team", "ML platform/eu")).is_empty());
        refuses(&config(), "a", &tagged("", "x"), "too long or has no name");
        refuses(&config(), "a", &tagged("t", &"x".repeat(257)), "too long");
        refuses(&config(), "a", &tagged("t", "a;b"), "character");
        refuses(&config(), "a", &tagged("AWS:x", "y"), "reserved");
        refuses(&config(), "a", &tagged("repin:owner", "y"), "reserved");
        let tags = (0..50).map(|n| (n.to_string(), String::new())).collect();
        refuses(&config(), "a", &Content { tags, ..content("x") }, "50 tags");
        let described = Content { description: Some("x".repeat(1025)), ..content("x") };
        refuses(&config(), "a", &described, "description");
    }

    #[test]
    fn settings_are_checked_field_by_field() {
        assert_eq!(audit_settings(&config()), vec![]);
        let fields = |config: Config| audit_settings(&config).into_iter().map(|(field, _)| field).collect::<Vec<_>>();
        assert_eq!(fields(Config { account: "1111-2222-3333".into(), ..config() }), ["account"]);
        for region in ["Ireland", "eu-west", "eu_west_1", "", "eu-west-1a", "EU-WEST-1"] {
            assert_eq!(fields(Config { region: region.into(), ..config() }), ["region"], "{region}");
        }
        for region in ["us-gov-east-1", "cn-north-1", "ap-southeast-3"] {
            assert_eq!(fields(Config { region: region.into(), ..config() }), Vec::<&str>::new());
        }
        for prefix in ["ai", "/ai//x", "/a b", "/aws/x", "/SSMx", "/repin", "/repin/x"] {
            assert_eq!(fields(Config { prefix: prefix.into(), ..config() }), ["prefix"], "{prefix}");
        }
        assert_eq!(fields(Config { prefix: "/".into(), ..config() }), Vec::<&str>::new());
        assert_eq!(fields(Config { serve: Serve::Label("1live".into()), ..config() }), ["serve"]);
        assert_eq!(fields(Config { rate_share: Some(0.0), ..config() }), ["rate_share"]);
        assert_eq!(fields(Config { kms_key: Some("my key".into()), ..config() }), ["kms_key"]);
    }

    #[test]
    fn an_account_holds_so_many() {
        assert_eq!(audit_count(10_000, 100_000), None);
        assert!(audit_count(10_001, 0).expect("too many").message.contains("standard"));
        assert!(audit_count(0, 100_001).expect("too many").message.contains("advanced"));
    }
}
