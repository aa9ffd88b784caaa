//! From files to what they ask for.
//!
//! ```text
//! files ── yaml, json ──▶ trees that know their places ── merge ──▶ one tree ── decode, check ──▶ Desired
//!                                                           values from elsewhere ── read ──▶ ┘
//! ```
//!
//! Everything is pure but `read.rs`. Every problem is found in one go, says where it stands, and shows no value.

mod ai_chat;
mod content;
mod de;
mod digest;
pub(crate) mod emit;
mod entries;
mod file;
mod idle;
mod json;
mod merge;
pub(crate) mod nearest;
pub(crate) mod outline;
mod pattern;
mod problem;
mod read;
mod render;
mod scalar;
mod schema;
mod source;
mod targets;
mod tree;
mod value;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use repin_provider::{Key, Owner, Secret};
use serde::de::DeserializeOwned;

pub(crate) use json::has_at_most;
pub use problem::{Excerpt, Invalid, Location, Problem};
pub(crate) use read::read_text;
pub(crate) use value::content_type;

use crate::model::desired::{Desired, EntryKind, Identity, Policy, Target};
use entries::{Context, Resolved};
use problem::Issue;
use source::Sources;
use targets::Declared;
use tree::{Map, Member, Node, NumberValue, Pos, Span};

/// Looks up an environment variable.
pub type Env = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Which files to load, and the environment that they may refer to.
pub struct Request {
    /// The files, later ones over earlier ones.
    pub files: Vec<PathBuf>,
    /// The environment.
    pub env: Env,
}

impl Request {
    /// Makes a request.
    pub fn new(
        files: impl IntoIterator<Item = impl Into<PathBuf>>,
        env: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { files: files.into_iter().map(Into::into).collect(), env: Box::new(env) }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Loads everything that files ask for.
///
/// # Errors
/// Returns every problem that was found.
pub fn load(request: &Request) -> Result<Desired, Invalid> {
    let mut sources = Sources::default();
    let mut issues = Vec::new();
    let desired = read_all(request, &mut sources, &mut issues, &[])
        .and_then(|root| desired(&root, request, &sources, &mut issues));
    match desired {
        Some(desired) if issues.is_empty() => Ok(desired),
        _ => Err(Invalid { problems: problem::finish(issues, &sources) }),
    }
}

/// Loads only who writes and where: what looking at the stores and putting them back needs.
///
/// A broken entry, a missing variable or a broken policy does not stop it; nor does a text that stops being YAML among
/// the entries, where `name` and `targets` stand before them.
///
/// # Errors
/// Returns what is wrong with `name`, with `targets` or with the files as a whole.
pub fn load_identity(request: &Request) -> Result<Identity, Invalid> {
    let mut sources = Sources::default();
    let mut issues = Vec::new();
    let identity = read_all(request, &mut sources, &mut issues, &["entries", "policy", "forget"])
        .and_then(|root| identity(&root, &sources, &mut issues));
    match identity {
        Some(identity) if issues.is_empty() => Ok(identity),
        _ => Err(Invalid { problems: problem::finish(issues, &sources) }),
    }
}

/// Reads a secret again from the source that its entry names, as a saved plan does when it is applied.
///
/// # Errors
/// Says what is wrong with the source, never what it holds.
pub fn read_secret(entry: &Key, kind: EntryKind, trim: bool, source: &str, env: &Env) -> Result<Secret, Problem> {
    content::reread(kind, trim, source, env).map_err(|(message, hint)| Problem {
        message,
        hint,
        location: None,
        target: None,
        key: Some(entry.to_string()),
    })
}

/// Returns the JSON Schema of a file.
pub fn schema() -> serde_json::Value {
    schema::schema()
}

/// Reads and merges all files. Flaws inside the sections in `tolerant` are passed over where the rest stays readable.
fn read_all(request: &Request, sources: &mut Sources, issues: &mut Vec<Issue>, tolerant: &[&str]) -> Option<Node> {
    if request.files.is_empty() {
        issues.push(Issue::nowhere("no file was given").hint("name one with -f, or in REPIN_FILE"));
        return None;
    }
    let roots: Vec<_> = request.files.iter().map(|path| read_one(path, sources, issues, tolerant)).collect();
    let mut roots = roots.into_iter().collect::<Option<Vec<_>>>()?.into_iter();
    let mut merged = roots.next()?;
    roots.for_each(|root| merge::merge_files(&mut merged, root));
    Some(merged)
}

fn read_one(path: &Path, sources: &mut Sources, issues: &mut Vec<Issue>, tolerant: &[&str]) -> Option<Node> {
    let file = sources.add(path);
    let parsed =
        read::read_file(path).map_err(|message| whole(file, format!("cannot be read: {message}"))).and_then(|text| {
            refuse_control(&text, file)?;
            let mut flaws = Vec::new();
            let root = parse(path, file, &text, tolerant, &mut flaws)?;
            Ok((text, root, flaws))
        });
    match parsed {
        Ok((text, root, mut flaws)) => {
            flaws.retain(|flaw| !tolerant.iter().any(|section| is_inside(&root, section, flaw)));
            sources.keep(file, text, &root);
            issues.append(&mut flaws);
            check_root(&root, issues).then_some(root)
        }
        Err(issue) => {
            issues.push(issue);
            None
        }
    }
}

fn is_inside(root: &Node, section: &str, flaw: &Issue) -> bool {
    let Some(span) = flaw.span else { return false };
    root.get(section).is_some_and(|member| member.node.span.holds(&span))
}

/// Makes an issue about a file as a whole.
fn whole(file: u32, message: impl Into<String>) -> Issue {
    let start = Pos { line: 0, column: 0 };
    Issue::at(Span { file, start, end: start }, message)
}

fn parse(path: &Path, file: u32, text: &str, tolerant: &[&str], flaws: &mut Vec<Issue>) -> Result<Node, Issue> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => yaml::parse(text, file, tolerant, flaws),
        Some("json") => json::parse(text, file, flaws).map_err(|error| {
            let span = Span { file, start: error.pos, end: error.pos };
            Issue::at(span, format!("not valid JSON: {}", error.message)).unquotable()
        }),
        _ => Err(whole(file, "the extension says neither YAML nor JSON").hint("name it .yaml, .yml or .json")),
    }
}

/// Refuses what no editor writes into a text file; a binary file is told from a broken one by it.
fn refuse_control(text: &str, file: u32) -> Result<(), Issue> {
    let is_odd = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    let Some(at) = text.find(is_odd) else { return Ok(()) };
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let pos = Pos { line: number(line), column: number(column) };
    Err(Issue::at(Span { file, start: pos, end: pos }, "a control character; this is no text file").unquotable())
}

/// Checks what must hold for each file before it is merged.
fn check_root(root: &Node, issues: &mut Vec<Issue>) -> bool {
    let Some(map) = root.map() else {
        let hint = "a file has `version: 1`, `name`, `targets` and `entries`; `repin init` writes one";
        issues.push(Issue::at(root.span, format!("expected a map at the top, found {}", root.describe())).hint(hint));
        return false;
    };
    if let Some(member) = map.get("version") {
        match &member.node.data {
            tree::Data::Number(number) if number.value == NumberValue::Integer(1) => {}
            _ => issues.push(
                Issue::at(member.node.span, "this program knows version 1 of the file").hint("write `version: 1`"),
            ),
        }
    }
    true
}

fn identity(root: &Node, sources: &Sources, issues: &mut Vec<Issue>) -> Option<Identity> {
    let map = root.map()?;
    let name = name(map, root, issues);
    let declared = targets(map, root, sources, issues);
    let policy = map.get("policy").and_then(|member| section(member, &mut Vec::new()));
    let targets = declared.into_iter().map(|target| (target.name, target.config)).collect();
    Some(Identity { name: name?, targets, policy: policy.unwrap_or_default() })
}

fn desired(root: &Node, request: &Request, sources: &Sources, issues: &mut Vec<Issue>) -> Option<Desired> {
    let map = root.map()?;
    // Its sections are decoded one by one below, so that one broken part does not hide another.
    let _: Option<file::File> = de::decode(root, root.span, issues);
    if !map.contains_key("version") {
        issues.push(missing(root, "version").hint("write `version: 1`"));
    }
    let name = name(map, root, issues);
    let declared = targets(map, root, sources, issues);
    let policy = policy(map, issues);
    let context = Context { env: &request.env, sources, targets: &declared, adopt: policy.adopt };
    let resolved = match map.get("entries").filter(|member| !member.node.is_null()) {
        Some(Member { node, key }) => match node.map() {
            Some(entries) => entries::resolve(&context, entries, issues),
            None => {
                issues.push(Issue::at(*key, format!("expected a map, found {}", node.describe())));
                return None;
            }
        },
        None => Resolved::default(),
    };
    let forget = forget(map, &resolved, issues);
    Some(assemble(name?, declared, policy, forget, resolved, sources))
}

fn assemble(
    name: Owner,
    declared: Vec<Declared>,
    policy: Policy,
    forget: Vec<String>,
    resolved: Resolved,
    sources: &Sources,
) -> Desired {
    let Resolved { mut entries, digest, values, advice } = resolved;
    let places = declared.iter().map(|target| (&target.place, &target.config));
    let digest = digest.finish(name.as_str(), places, &policy, &forget);
    let paths: BTreeSet<_> = sources.paths().chain(values.paths()).map(Path::to_owned).collect();
    let targets: BTreeMap<_, _> = declared
        .into_iter()
        .map(|Declared { name, config, .. }| {
            // Built anew from what is in order it fills its nodes, which inserting one by one leaves half empty: a daemon
            // keeps this for months.
            let entries = entries.remove(&name).unwrap_or_default().into_iter().collect();
            (name.clone(), Target { name, config, entries })
        })
        .collect();
    let warnings = problem::finish(advice, sources);
    Desired { name, targets, policy, forget, digest, warnings, sources: paths.into_iter().collect() }
}

fn missing(root: &Node, field: &str) -> Issue {
    let start = root.span.start;
    Issue::at(Span { end: start, ..root.span }, format!("missing field `{field}`")).unquotable()
}

fn name(map: &Map, root: &Node, issues: &mut Vec<Issue>) -> Option<Owner> {
    let Some(member) = map.get("name") else {
        issues.push(missing(root, "name").hint("it owns what is written, for example `name: assistant-prod`"));
        return None;
    };
    let text = member.node.text().ok_or_else(|| format!("expected text, found {}", member.node.describe()));
    match text.and_then(|text| Owner::parse(text).map_err(|error| error.to_string())) {
        Ok(name) => Some(name),
        Err(message) => {
            issues.push(Issue::at(member.node.span, message));
            None
        }
    }
}

fn targets(map: &Map, root: &Node, sources: &Sources, issues: &mut Vec<Issue>) -> Vec<Declared> {
    match map.get("targets") {
        Some(member) => targets::declare(member, sources, issues),
        None => {
            issues.push(missing(root, "targets").hint("name at least one place under `targets`"));
            Vec::new()
        }
    }
}

fn policy(map: &Map, issues: &mut Vec<Issue>) -> Policy {
    let Some(member) = map.get("policy") else { return Policy::default() };
    let policy: Policy = section(member, issues).unwrap_or_default();
    if policy.keep_releases == 0 {
        let span = member.node.get("keep_releases").map_or(member.key, |field| field.node.span);
        issues.push(Issue::at(span, "at least one release is kept").hint("`keep_releases: 20` is the default"));
    }
    policy
}

/// Decodes a section; one that is left empty is as one that is not there.
fn section<T: DeserializeOwned + Default>(member: &Member, issues: &mut Vec<Issue>) -> Option<T> {
    if member.node.is_null() { Some(T::default()) } else { de::decode(&member.node, member.key, issues) }
}

fn forget(map: &Map, resolved: &Resolved, issues: &mut Vec<Issue>) -> Vec<String> {
    let Some(member) = map.get("forget") else { return Vec::new() };
    let globs: Vec<String> = section(member, issues).unwrap_or_default();
    let items = match &member.node.data {
        tree::Data::List(items) => items.as_slice(),
        _ => &[],
    };
    for (glob, item) in globs.iter().zip(items) {
        match globset::Glob::new(glob).map(|glob| glob.compile_matcher()) {
            Err(error) => issues.push(Issue::at(item.span, format!("not a glob: {}", error.kind()))),
            Ok(_) if glob.is_empty() => issues.push(Issue::at(item.span, "the glob is empty")),
            Ok(matcher) => {
                let keys = resolved.entries.values().flat_map(BTreeMap::keys);
                if let Some(key) = keys.into_iter().find(|key| matcher.is_match(key.as_str())) {
                    let issue = Issue::at(item.span, format!("`{key}` is both an entry and forgotten"));
                    issues.push(issue.hint("drop the entry, or narrow the glob").key(key.as_str()));
                }
            }
        }
    }
    globs
}
