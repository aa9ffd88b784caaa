//! What one target should hold under one key: where its value comes from, what may stand there, and how it is stored.

use std::path::Path;
use std::rc::Rc;

use repin_provider::{Key, Secret, TargetName, Value};
use secrecy::zeroize::{Zeroize as _, Zeroizing};

use super::Env;
use super::digest::Identity;
use super::file::{self, NativeVersion, ValueFrom};
use super::nearest::nearest;
use super::problem::Issue;
use super::read::Values;
use super::render::escape_references;
use super::source::Sources;
use super::targets::Declared;
use super::tree::{Member, Node, Span};
use super::value;
use crate::model::desired::{Adopt, Entry, EntryKind, Extra, Extras, TargetConfig};

/// One entry on one target, layers applied.
#[derive(Clone, Copy)]
pub(super) struct Request<'r> {
    /// Where the file declares it.
    pub(super) place: Span,
    pub(super) key: &'r Key,
    pub(super) target: &'r Declared,
    pub(super) node: &'r Node,
    pub(super) raw: &'r file::Entry,
    pub(super) pin: Option<&'r NativeVersion>,
    /// The file that a pattern found, and the pattern's glob.
    pub(super) found: Option<(&'r Path, &'r str)>,
    /// The policy's.
    pub(super) adopt: Adopt,
}

/// Where values are read from.
pub(super) struct Outside<'o> {
    pub(super) env: &'o Env,
    pub(super) sources: &'o Sources,
    pub(super) values: &'o mut Values,
}

/// A flaw, boxed so that the usual way costs little.
type Flaw = Box<Issue>;

/// A value that was read.
struct Reference {
    text: Rc<Secret>,
    /// For people, with the path as it was opened.
    shown: String,
    /// As the author wrote it, the same on every host.
    authored: String,
}

/// An entry that was made.
pub(super) struct Made {
    pub(super) entry: Entry,
    /// What makes two of them the same.
    pub(super) identity: Identity,
    /// What may not be what was meant.
    pub(super) advice: Vec<Issue>,
}

/// Makes an entry.
///
/// # Errors
/// Returns the first thing that is wrong.
pub(super) fn make(request: Request<'_>, outside: Outside<'_>) -> Result<Made, Flaw> {
    let Request { place, node, raw, target, .. } = request;
    let is_secret = raw.secret == Some(true);
    let is_ssm = matches!(target.config, TargetConfig::AwsSsm(_));
    if is_secret {
        check_secret(request, is_ssm)?;
    }
    let origin = one_origin(request)?;
    let kind = raw.kind.unwrap_or_else(|| origin.default_kind());
    check_kind(kind, request, is_ssm)?;
    let trim = raw.trim == Some(true);
    let (rendered, reference) = match origin {
        Origin::Literal(member) => (value::from_node(kind, trim, &member.node)?, None),
        Origin::Elsewhere(source) => {
            let reference = read(source, request, outside)?;
            let span = field_span(node, "value_from", place);
            let about = |message: &str| Issue::at(span, format!("{}: {message}", reference.shown));
            let mut rendered =
                value::from_text(kind, trim, reference.text.expose()).map_err(|message| Box::new(about(&message)))?;
            // Even the names of a secret's fields stay where they are.
            let advice = if is_secret { Vec::new() } else { rendered.advice };
            rendered.advice = advice.into_iter().map(|told| about(&told.message).maybe_hint(told.hint)).collect();
            (rendered, Some(reference))
        }
    };
    let advice = rendered.advice;
    let escaped = is_ssm && kind.is_json();
    let mut text = rendered.text;
    if escaped {
        let unescaped = Zeroizing::new(text);
        text = escape_references(&unescaped);
    }
    let entry = Entry {
        kind,
        value: if is_secret { Value::Secret(Secret::new(text)) } else { Value::Plain(text) },
        trim,
        content_type: if is_ssm { None } else { content_type(raw, kind) },
        adopt: raw.adopt.unwrap_or(request.adopt),
        tier: raw.tier.filter(|_| is_ssm),
        extras: Extras::from(Extra {
            source: reference.as_ref().map(|reference| reference.shown.clone()),
            description: raw.description.clone(),
            tags: raw.tags.clone(),
            pin: request.pin.map(|pin| pin.0.clone()),
        }),
    };
    let mut canonical = rendered.canonical;
    let identity = match reference {
        Some(reference) if is_secret => {
            canonical.zeroize();
            Identity::Secret { reference: reference.authored, trim }
        }
        _ => Identity::Value(canonical),
    };
    Ok(Made { entry, identity, advice })
}

/// Reads a secret again from where an entry says that it came from, and renders it as the entry does.
///
/// # Errors
/// Says what is wrong with the source, never what it holds.
pub(super) fn reread(kind: EntryKind, trim: bool, source: &str, env: &Env) -> Result<Secret, Unreadable> {
    let reference = match source.split_once(':') {
        Some(("env", name)) => read_env(name, env)?,
        Some(("file", path)) => read_path(Path::new(path), source.to_owned(), &mut Values::default())?,
        _ => return Err(("the source of the secret is neither env: nor file:".to_owned(), None)),
    };
    let rendered = value::from_text(kind, trim, reference.text.expose())
        .map_err(|message| (format!("{}: {message}", reference.shown), None))?;
    let mut text = rendered.text;
    if kind.is_json() {
        // Only SSM keeps secrets, and it refuses what looks like a reference.
        let unescaped = Zeroizing::new(text);
        text = escape_references(&unescaped);
    }
    let mut canonical = rendered.canonical;
    canonical.zeroize();
    Ok(Secret::new(text))
}

/// Returns the content type to store. An empty one says that the type's own is not meant, as a store's does.
fn content_type(raw: &file::Entry, kind: EntryKind) -> Option<String> {
    let named = raw.content_type.clone();
    named.or_else(|| value::content_type(kind).map(str::to_owned)).filter(|named| !named.is_empty())
}

/// Where a value comes from.
#[derive(Clone, Copy)]
enum Origin<'n> {
    /// It stands in the file.
    Literal(&'n Member),
    /// It is read.
    Elsewhere(&'n ValueFrom),
}

impl Origin<'_> {
    fn default_kind(self) -> EntryKind {
        match self {
            Self::Literal(member) if member.node.text().is_none() => EntryKind::Json,
            Self::Literal(_) | Self::Elsewhere(_) => EntryKind::Text,
        }
    }
}

/// Returns the one place that a value comes from.
fn one_origin(request: Request<'_>) -> Result<Origin<'_>, Flaw> {
    let Request { place, node, raw, target, .. } = request;
    let issue = match (node.get("value"), &raw.value_from) {
        (Some(value), None) if !value.node.is_null() || raw.kind == Some(EntryKind::Json) => {
            return Ok(Origin::Literal(value));
        }
        (None, Some(source)) => return Ok(Origin::Elsewhere(source)),
        (Some(value), Some(_)) => Issue::at(value.key, "both `value` and `value_from`")
            .hint("a value stands in the file or is read from elsewhere; keep one of the two"),
        (Some(value), None) => Issue::at(value.key, "`value` is empty")
            .hint("to store JSON's null say `type: json`; to drop the entry set the entry itself to null"),
        (None, None) => no_value(node, place, &target.name),
    };
    Err(Box::new(issue))
}

fn no_value(node: &Node, place: Span, target: &TargetName) -> Issue {
    let message = match node.get("per_target") {
        Some(_) => format!("no `value` and no `value_from` for `{target}`"),
        None => "no `value` and no `value_from`".to_owned(),
    };
    Issue::at(place, message).hint("give one of the two; targets that should not hold the entry go out of `targets`")
}

/// Tells whether a field that was reported as unknown was meant to give the value.
pub(super) fn is_misspelt(node: &Node) -> bool {
    let Some(map) = node.map() else { return false };
    let is_slip = |name: &String| nearest(name, ["value", "value_from"]).is_some_and(|near| near != name);
    !map.contains_key("value") && !map.contains_key("value_from") && map.keys().any(is_slip)
}

/// Refuses a secret that would not stay one.
fn check_secret(request: Request<'_>, is_ssm: bool) -> Result<(), Flaw> {
    let Request { place, node, raw, key, target, .. } = request;
    let name = &target.name;
    let span = field_span(node, "secret", place);
    let issue = if let Some(value) = node.get("value") {
        Issue::at(value.key, "a secret's value does not belong into the file")
            .hint("read it with `value_from: { env: NAME }` or `value_from: { file: PATH }`")
    } else if !is_ssm {
        Issue::at(span, format!("App Configuration keeps no secrets, and `{key}` goes to `{name}`")).hint(format!(
            "keep it in Key Vault and refer to it: per_target: {{ {name}: {{ type: key-vault-reference, secret: false, \
             value: \"https://NAME.vault.azure.net/secrets/SECRET\" }} }}; or leave `{name}` out of `targets`"
        ))
    } else if raw.kind == Some(EntryKind::KeyVaultReference) {
        Issue::at(span, "a reference is no secret").hint("drop `secret`")
    } else {
        return Ok(());
    };
    Err(Box::new(issue))
}

fn check_kind(kind: EntryKind, request: Request<'_>, is_ssm: bool) -> Result<(), Flaw> {
    if kind != EntryKind::KeyVaultReference || !is_ssm {
        return Ok(());
    }
    let name = &request.target.name;
    let message = format!("only App Configuration knows Key Vault references, and `{name}` is SSM");
    let hint = format!("set the type below `per_target` for App Configuration, or leave `{name}` out of `targets`");
    Err(Box::new(Issue::at(field_span(request.node, "type", request.place), message).hint(hint)))
}

/// What is wrong with a source, and what to do about it.
pub(super) type Unreadable = (String, Option<String>);

fn read(source: &ValueFrom, request: Request<'_>, outside: Outside<'_>) -> Result<Reference, Flaw> {
    let (field, read) = match (source, request.found) {
        (ValueFrom::Env(name), _) => ("env", read_env(name, outside.env)),
        (ValueFrom::File(path), _) => {
            let span = source_span(request.node, "file").unwrap_or(request.place);
            let opened = outside.sources.folder(span.file).join(path);
            ("file", read_path(&opened, format!("file:{}", path.display()), outside.values))
        }
        (ValueFrom::Files(glob), Some((path, _))) => {
            ("files", read_path(path, format!("files:{glob}:{}", request.key), outside.values))
        }
        (ValueFrom::Files(_), None) => unreachable!("a glob of files is expanded before"),
    };
    read.map_err(|(message, hint)| {
        let span = source_span(request.node, field).unwrap_or(request.place);
        Box::new(Issue::at(span, message).maybe_hint(hint))
    })
}

fn read_env(name: &str, env: &Env) -> Result<Reference, Unreadable> {
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_name {
        // What stands here may be the secret itself.
        let hint = "`env` takes the name of a variable, never its value";
        return Err(("this is not the name of an environment variable".to_owned(), Some(hint.to_owned())));
    }
    match env(name) {
        Some(value) if value.is_empty() => Err((format!("the environment variable `{name}` is empty"), None)),
        Some(value) => {
            let reference = format!("env:{name}");
            Ok(Reference { text: Rc::new(Secret::new(value)), shown: reference.clone(), authored: reference })
        }
        None => Err((
            format!("the environment variable `{name}` is not set"),
            Some("set it where repin runs, or read the value with `value_from: { file: PATH }`".to_owned()),
        )),
    }
}

fn read_path(path: &Path, authored: String, values: &mut Values) -> Result<Reference, Unreadable> {
    let shown = path.display();
    match values.file(path) {
        Ok(text) if text.expose().is_empty() => Err((format!("`{shown}` is empty"), None)),
        Ok(text) => Ok(Reference { text, shown: format!("file:{shown}"), authored }),
        Err(message) => {
            let hint = "a path is relative to the file that names it";
            Err((format!("cannot read `{shown}`: {message}"), Some(hint.to_owned())))
        }
    }
}

/// Returns where a field's name stands, or `place`.
pub(super) fn field_span(node: &Node, field: &str, place: Span) -> Span {
    node.get(field).map_or(place, |member| member.key)
}

/// Returns where the value of a field of `value_from` stands.
pub(super) fn source_span(node: &Node, field: &str) -> Option<Span> {
    Some(node.get("value_from")?.node.get(field)?.node.span)
}
