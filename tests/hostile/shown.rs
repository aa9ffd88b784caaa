//! Texts of others on every way out: nothing steers a terminal, hides, turns around, or makes a line of its own.

use repin::model::printable::{is_odd, json as escaped_json};
use repin_provider::{Error, ErrorKind, Key};

use crate::support::{Hand, Ran, World, hand};

/// A key that reads as another one: right-to-left, invisible, and Markdown.
const KEY: &str = "chat/\u{202e}gnp\u{200b}|`@ops`<b>";
/// The same as a YAML text.
const KEY_YAML: &str = "\"chat/\\u202egnp\\u200b|`@ops`<b>\"";
/// The key as people are to see it.
const KEY_SHOWN: &str = "chat/\\u{202e}gnp\\u{200b}";
/// Clears the screen, sets a title, conceals, goes back over the line, and forges one. C1 too.
const ODD: &str = "up\u{1b}[2J\u{1b}]0;t\u{7}\u{1b}[8m\r\nerror: forged\u{9b}31m\u{2066}";
/// The same in YAML.
const ODD_YAML: &str = "\"up\\e[2J\\e]0;t\\a\\e[8m\\r\\nerror: forged\\x9b31m\\u2066\"";

/// Asserts that nothing odd is left but line ends and, where styles were asked for, exactly our own.
#[track_caller]
fn assert_plain(what: &str, text: &str, styles: bool) {
    let ours = ["0m", "1m", "2m", "31m", "32m", "33m"];
    for (at, c) in text.char_indices().filter(|(_, c)| is_odd(*c) && *c != '\n') {
        let is_style =
            styles && c == '\u{1b}' && ours.iter().any(|style| text[at + 1..].starts_with(&format!("[{style}")));
        assert!(is_style, "{what}: {c:?} in {text:?}");
    }
}

/// Asserts that no line begins as one of ours does and is not.
#[track_caller]
fn assert_no_forged_line(what: &str, text: &str) {
    let forged = text.lines().find(|line| line.starts_with("error: forged"));
    assert_eq!(forged, None, "{what}: {text}");
}

async fn shown(world: &World, args: &[&str]) -> Ran {
    let what = args.join(" ");
    for color in ["always", "never"] {
        let ran = world.run(&[args, &["--color", color]].concat()).await;
        assert_plain(&what, &ran.stdout, color == "always");
        assert_plain(&what, &ran.stderr, color == "always");
        // A value is shown with its lines, below its name; wrong arguments are quoted to who wrote them.
        if args[0] != "get" && ran.code != 64 {
            assert_no_forged_line(&what, &ran.stdout);
            assert_no_forged_line(&what, &ran.stderr);
        }
    }
    let ran = world.run(&[args, &["-o", "json"]].concat()).await;
    assert_plain(&what, &ran.stdout, false);
    if !ran.stdout.is_empty() {
        ran.json();
    }
    world.run(args).await
}

fn entries(world: &World, value: &str) {
    world.entries(&format!(
        "  {KEY_YAML}:\n    targets: [azure]\n    description: {ODD_YAML}\n    content_type: \"text/plain\"\n    value: \
         {{ {ODD_YAML}: {value}, text: {ODD_YAML} }}\n  plain: {{ targets: [azure], value: {ODD_YAML} }}\n"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_no_command_lets_a_text_of_others_through() {
    let world = World::new().await;
    entries(&world, "1");
    let plan = shown(&world, &["plan"]).await.expect(0);
    assert!(plan.stdout.contains(KEY_SHOWN), "{}", plan.stdout);
    assert_plain("validate", &shown(&world, &["validate"]).await.expect(0).stderr, false);
    shown(&world, &["reconcile", "-m", ODD]).await.expect(0);
    entries(&world, "2");
    let changed = shown(&world, &["plan"]).await.expect(0).stdout;
    assert!(changed.contains("up\\u{1b}[2J"), "{changed}");
    assert_plain("markdown", &world.run(&["plan", "-o", "markdown"]).await.expect(0).stdout, false);
    shown(&world, &["reconcile", "-m", ODD]).await.expect(0);
    for args in [
        &["history"][..],
        &["history", KEY],
        &["show", "1"],
        &["show", "2"],
        &["diff", "1"],
        &["diff", "1", "2"],
        &["get", KEY],
        &["get", "plain"],
        &["status"],
        &["rollback", "--dry-run"],
        &["rollback", "--dry-run", "-o", "markdown", "1"],
        &["rollback", "-m", ODD],
        &["status"],
        &["plan"],
        &["hold", "*", "-m", ODD],
        &["status"],
        &["reconcile"],
        &["resume", "*"],
        &["forget", KEY],
        &["history"],
    ] {
        shown(&world, args).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_in_plain_characters() {
    let world = World::new().await;
    let odd = "\u{1b}[8m\nerror: forged\u{202e}";
    for args in [
        &["get", "no\u{202e}thing"][..],
        &["get", odd],
        &["history", odd],
        &["plan", "--target", odd],
        &["hold", odd, "-m", odd],
        &["pin", odd, "--target", "aws-eu", "--version", odd],
        &["plan", "-f", odd],
        &["reconcile", "--plan", odd],
        &["init", "-f", odd],
    ] {
        world.entries("  a: { value: x }\n");
        let ran = shown(&world, args).await;
        assert_ne!(ran.code, 0, "{args:?}");
    }
    for entry in [
        format!("  a: {{ value: x, {ODD_YAML}: y }}\n"),
        format!("  {ODD_YAML}: {{ value: x }}\n"),
        format!("  a: {{ value: x, targets: [{ODD_YAML}] }}\n"),
        format!("  a: {{ value_from: {{ file: {ODD_YAML} }} }}\n"),
        format!("  a: {{ value_from: {{ env: {ODD_YAML} }} }}\n"),
        "  a: { value: x, vlaue: \"\u{202e}\u{200b}\" } # \u{2066}\n".to_owned(),
        format!("  a: {{ value: {{ {ODD_YAML}: 1, {ODD_YAML}: 2 }} }}\n"),
    ] {
        world.entries(&entry);
        shown(&world, &["validate"]).await.expect(78);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_every_form_stay_lines() {
    let world = World::new().await;
    entries(&world, "1");
    world.run(&["reconcile"]).await.expect(0);
    let drifted: &[Hand] = &hand(&world).await;
    drifted[1].overwrite("plain", ODD).await;
    for format in ["text", "json"] {
        for color in ["always", "never"] {
            let args = ["reconcile", "-m", ODD, "-vvv", "--log-format", format, "--color", color];
            let ran = world.run(&args).await;
            // The log has styles of its own: dimmed, italic, and the colours of its levels.
            let text = repin_without_styles(&ran.stderr);
            assert_plain(format, &text, false);
            assert_no_forged_line(format, &text);
            assert_plain(format, &ran.stdout, color == "always");
        }
    }
}

/// Takes styles away, and only what is one.
fn repin_without_styles(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !(c.is_ascii_digit() || c == ';')).unwrap_or(part.len());
        match part[end..].strip_prefix('m') {
            // Concealed text is nothing that we ever print.
            Some(rest) if !part[..end].split(';').any(|code| code == "8") => out.push_str(rest),
            _ => {
                out.push_str("\u{1b}[");
                out.push_str(part);
            }
        }
    }
    out
}

#[test]
fn a_troubles_own_words_are_escaped_too() {
    let mut error = Error::new(ErrorKind::Refused, "put", ODD).with_hint(ODD);
    error.key = Some(Key::parse(KEY).unwrap());
    let trouble = repin::report::Trouble::of_error(&error);
    let text = repin::report::text::trouble(&trouble);
    // The key has no codes; what is left of it is escaped with the whole screen.
    assert_plain("trouble", &repin_without_styles(&text), false);
    assert!(!text.contains("\nerror: forged"), "{text}");
    assert_plain("one line", &repin::report::text::one_line(&trouble), false);
    let json = serde_json::to_string(&repin::report::json::error(&[trouble])).unwrap();
    let escaped = escaped_json(&json);
    assert_plain("json", &escaped, false);
    let parsed: serde_json::Value = serde_json::from_str(&escaped).unwrap();
    assert!(parsed["error"]["message"].as_str().unwrap().contains(ODD), "{escaped}");
}
