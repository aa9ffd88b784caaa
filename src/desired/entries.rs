//! The entries of a file: which targets each goes to, and what each of them should hold.
//!
//! ```text
//! entry ── its targets ──▶ for each: own fields + matching `per_target` layers ── value, type ──▶ text ── audit
//! key with `*` ── files ──▶ the same, once for each file
//! ```

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use repin_azure_app_configuration as appconfig;
use repin_provider::{Content, Key, Refusal, TargetName, Tier};

use super::Env;
use super::content::{self, Made, Outside, field_span, source_span};
use super::de::decode;
use super::digest::Digest;
use super::file::{self, CHOOSING, ValueFrom};
use super::idle;
use super::merge::merge_fields;
use super::nearest::suggest;
use super::pattern::Pattern;
use super::problem::Issue;
use super::read::Values;
use super::source::Sources;
use super::targets::{Declared, Selector};
use super::tree::{Data, Map, Member, Node, Span};
use crate::model::desired::{Adopt, Entry, TargetConfig};

/// Said where a pattern matches nothing: its entries are not taken for dropped.
const UNMOUNTED: &str = "an unmounted folder looks like this; to give the entries up use `forget`, or drop this key";
/// Said where not all files of a pattern can be known.
const UNLISTED: &str = "let everything below be read by this user, or narrow the pattern";

/// What the entries come to.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) entries: BTreeMap<TargetName, BTreeMap<Key, Entry>>,
    pub(super) digest: Digest,
    pub(super) values: Values,
    /// What may not be what was meant.
    pub(super) advice: Vec<Issue>,
}

/// What resolving needs to know.
pub(super) struct Context<'a> {
    pub(super) env: &'a Env,
    pub(super) sources: &'a Sources,
    pub(super) targets: &'a [Declared],
    pub(super) adopt: Adopt,
}

/// Resolves every entry for every target; what is wrong goes to `issues`.
pub(super) fn resolve(context: &Context<'_>, entries: &Map, issues: &mut Vec<Issue>) -> Resolved {
    let natives = references(context.targets);
    let mut resolver = Resolver { context, issues, out: Resolved::default(), natives };
    let (patterns, explicit): (Vec<_>, Vec<_>) = entries.iter().partition(|(name, _)| name.contains('*'));
    for (name, member) in &explicit {
        resolver.explicit(name, member);
    }
    // A null entry is explicit too: it keeps a pattern from bringing the key back.
    let named: HashSet<&str> = explicit.iter().map(|(name, _)| name.as_str()).collect();
    for (name, member) in patterns {
        resolver.pattern(name, member, &named);
    }
    resolver.check_totals();
    resolver.out
}

/// One entry as the file declares it.
struct Declaration<'a> {
    name: &'a str,
    place: Span,
    node: &'a Node,
    raw: file::Entry,
    /// The targets that hold it.
    chosen: Vec<&'a Declared>,
    /// Fields for some targets, the winning ones last.
    layers: Vec<(Selector, &'a Member)>,
}

/// The fields of an entry on one target, layers applied.
struct Effective<'a> {
    node: Cow<'a, Node>,
    raw: Cow<'a, file::Entry>,
}

struct Resolver<'a, 'i> {
    context: &'a Context<'a>,
    issues: &'i mut Vec<Issue>,
    out: Resolved,
    /// Names in the stores, and what claimed each.
    natives: HashMap<String, Claim<'a>>,
}

/// What a name in a store is for.
struct Claim<'a> {
    target: &'a str,
    /// The entry; `None` for the reference to the snapshot that the target serves.
    key: Option<Key>,
}

/// Returns the names that targets need for themselves: snapshot references.
fn references(targets: &[Declared]) -> HashMap<String, Claim<'_>> {
    let claims = targets.iter().filter_map(|target| {
        let TargetConfig::AzureAppConfiguration(config) = &target.config else { return None };
        let appconfig::Serve::Snapshot(key) = &config.serve else { return None };
        let native = native_name(&target.config, &Key::parse(key).ok()?);
        Some((native, Claim { target: target.name.as_str(), key: None }))
    });
    claims.collect()
}

impl<'a> Resolver<'a, '_> {
    fn explicit(&mut self, name: &'a str, member: &'a Member) {
        if member.node.is_null() {
            return;
        }
        let before = self.issues.len();
        let key = self.parse_key(name, member.key);
        if let Some(declaration) = self.declare(name, member)
            && let Some(key) = key
        {
            for target in &declaration.chosen {
                let Some(effective) = self.effective(&declaration, target) else { continue };
                if let Some(ValueFrom::Files(_)) = effective.raw.value_from {
                    let span = field_span(&effective.node, "value_from", declaration.place);
                    self.issues.push(
                        Issue::at(span, "`files` needs a key with one `*`")
                            .hint(format!("for example `{name}/*`; a single file is named with `file`")),
                    );
                    continue;
                }
                self.build(&declaration, target, &effective, &key, None);
            }
        }
        self.name_issues(before, name);
    }

    fn pattern(&mut self, name: &'a str, member: &'a Member, named: &HashSet<&str>) {
        if member.node.is_null() {
            return;
        }
        let before = self.issues.len();
        if name.matches('*').count() > 1 {
            self.issues.push(Issue::at(member.key, "a key takes one `*`").hint("it crosses `/`: `prompts/*`"));
        } else if self.parse_key(name, member.key).is_some()
            && let Some(declaration) = self.declare(name, member)
        {
            for target in &declaration.chosen {
                if let Some(effective) = self.effective(&declaration, target) {
                    self.expand(&declaration, target, &effective, named);
                }
            }
        }
        self.name_issues(before, name);
    }

    fn parse_key(&mut self, name: &str, place: Span) -> Option<Key> {
        let parsed = Key::parse(name);
        parsed.map_err(|error| self.issues.push(Issue::at(place, error.to_string()))).ok()
    }

    /// Names the entry in every issue that it gave rise to.
    fn name_issues(&mut self, from: usize, name: &str) {
        for issue in &mut self.issues[from..] {
            issue.key.get_or_insert_with(|| name.into());
        }
    }

    fn declare(&mut self, name: &'a str, member: &'a Member) -> Option<Declaration<'a>> {
        if member.node.map().is_none() {
            let message = format!("expected a map with `value` or `value_from`, found {}", member.node.describe());
            self.issues.push(Issue::at(member.key, message).hint("write { value: ... }"));
            return None;
        }
        let raw: file::Entry = decode(&member.node, member.key, self.issues)?;
        let chosen = self.choose(&member.node, &raw, member.key);
        let layers = self.layers(&member.node, &chosen);
        self.check_pins(&member.node, &raw, &chosen);
        self.advise(name, &member.node, &chosen, &layers);
        Some(Declaration { name, place: member.key, node: &member.node, raw, chosen, layers })
    }

    /// Returns the targets that hold an entry.
    fn choose(&mut self, node: &Node, raw: &file::Entry, place: Span) -> Vec<&'a Declared> {
        let all = self.context.targets;
        let Some(texts) = &raw.targets else { return all.iter().collect() };
        let items: &[Node] = match node.get("targets").map(|member| &member.node.data) {
            Some(Data::List(items)) => items,
            _ => &[],
        };
        let mut chosen = HashSet::new();
        for (text, item) in texts.iter().zip(items) {
            let Some(selector) = self.selector(text, item.span) else { continue };
            let matching: Vec<_> = all.iter().filter(|target| selector.matches(&target.name)).collect();
            if matching.is_empty() {
                self.issues.push(self.no_target(text, item.span));
            }
            chosen.extend(matching.iter().map(|target| target.name.as_str()));
        }
        if texts.is_empty() {
            let hint = "leave `targets` out for all of them; to drop the entry set it to null";
            self.issues.push(Issue::at(field_span(node, "targets", place), "the entry goes to no target").hint(hint));
        }
        all.iter().filter(|target| chosen.contains(target.name.as_str())).collect()
    }

    fn selector(&mut self, text: &str, span: Span) -> Option<Selector> {
        let parsed = Selector::parse(text);
        parsed.map_err(|error| self.issues.push(Issue::at(span, format!("not a glob: {error}")))).ok()
    }

    fn no_target(&self, text: &str, span: Span) -> Issue {
        let names = self.context.targets.iter().map(|target| target.name.as_str());
        Issue::at(span, format!("no target is called `{text}`")).maybe_hint(suggest(text, names))
    }

    /// Returns the layers of an entry, the winning ones last, and says which of them nothing uses.
    fn layers(&mut self, node: &'a Node, chosen: &[&Declared]) -> Vec<(Selector, &'a Member)> {
        let Some(map) = node.get("per_target").and_then(|member| member.node.map()) else { return Vec::new() };
        let mut layers = Vec::new();
        for (text, member) in map.iter().filter(|(_, member)| !member.node.is_null()) {
            let Some(selector) = self.selector(text, member.key) else { continue };
            if !self.context.targets.iter().any(|target| selector.matches(&target.name)) {
                let issue = self.no_target(text, member.key);
                let way_out = format!("to drop it for this file set it to null: {{ {text}: null }}");
                let hint = issue.hint.clone().map_or(way_out.clone(), |hint| format!("{hint} otherwise, {way_out}"));
                self.issues.push(issue.hint(hint));
            } else if !chosen.iter().any(|target| selector.matches(&target.name)) {
                self.issues.push(
                    Issue::at(member.key, format!("`{text}` is not among this entry's targets"))
                        .hint("add it to `targets`, or drop it here"),
                );
            }
            for name in CHOOSING {
                if let Some(field) = member.node.get(name) {
                    let message = format!("`{name}` cannot be set below `per_target`");
                    self.issues.push(Issue::at(field.key, message).hint("it belongs to the entry itself"));
                }
            }
            layers.push((selector, member));
        }
        layers.sort_by(|a, b| a.0.rank().cmp(&b.0.rank()));
        layers
    }

    /// Says which fields no store takes, at the entry itself and in its layers.
    fn advise(&mut self, name: &str, node: &Node, chosen: &[&Declared], layers: &[(Selector, &Member)]) {
        let mut found = idle::advise(node, chosen);
        for (selector, layer) in layers {
            let reached: Vec<_> = chosen.iter().copied().filter(|target| selector.matches(&target.name)).collect();
            found.extend(idle::advise(&layer.node, &reached));
        }
        self.out.advice.extend(found.into_iter().map(|issue| issue.key(name)));
    }

    fn check_pins(&mut self, node: &Node, raw: &file::Entry, chosen: &[&Declared]) {
        let Some(pins) = &raw.pin else { return };
        for (name, version) in pins {
            let place = node.get("pin").and_then(|member| member.node.get(name));
            let Some(place) = place else { continue };
            let Some(target) = chosen.iter().find(|target| target.name.as_str() == name) else {
                let names = chosen.iter().map(|target| target.name.as_str());
                let known = self.context.targets.iter().any(|target| target.name.as_str() == name);
                let issue = match known {
                    true => Issue::at(place.key, format!("pinned on `{name}`, which does not hold this entry")),
                    false => Issue::at(place.key, format!("no target is called `{name}`")),
                };
                self.issues.push(issue.maybe_hint(suggest(name, names)));
                continue;
            };
            let is_ssm = matches!(target.config, TargetConfig::AwsSsm(_));
            let fits =
                if is_ssm { version.0.parse().is_ok_and(|version: u64| version > 0) } else { !version.0.is_empty() };
            if !fits {
                let message = if is_ssm { "an SSM version is a whole number from 1" } else { "the version is empty" };
                self.issues.push(Issue::at(place.node.span, message).hint("`repin history KEY` lists them"));
            }
        }
    }

    /// Lays the matching layers over an entry's own fields.
    fn effective<'d>(&mut self, declaration: &'d Declaration<'_>, target: &Declared) -> Option<Effective<'d>> {
        let mut matching = declaration
            .layers
            .iter()
            .filter(|(selector, _)| selector.matches(&target.name))
            .map(|(_, member)| member)
            .peekable();
        if matching.peek().is_none() {
            return Some(Effective { node: Cow::Borrowed(declaration.node), raw: Cow::Borrowed(&declaration.raw) });
        }
        let mut merged = Member { key: declaration.place, node: declaration.node.clone() };
        if let Data::Map(fields) = &mut merged.node.data {
            fields.shift_remove("per_target");
        }
        for layer in matching {
            merge_fields(&mut merged, (*layer).clone());
        }
        // Each part was decoded before, and its flaws reported then.
        let raw = decode(&merged.node, declaration.place, &mut Vec::new())?;
        Some(Effective { node: Cow::Owned(merged.node), raw: Cow::Owned(raw) })
    }

    fn expand(
        &mut self,
        declaration: &Declaration<'a>,
        target: &'a Declared,
        effective: &Effective<'_>,
        named: &HashSet<&str>,
    ) {
        let Some(ValueFrom::Files(glob)) = &effective.raw.value_from else {
            let hint = "say which files make the entries: value_from: { files: GLOB }";
            self.issues.push(Issue::at(declaration.place, "a key with `*` needs `files`").hint(hint));
            return;
        };
        let span = source_span(&effective.node, "files").unwrap_or(declaration.place);
        let base = self.context.sources.folder(span.file);
        let pattern = match Pattern::parse(glob) {
            Ok(pattern) => pattern,
            Err(error) => return self.issues.push(Issue::at(span, format!("not a glob of files: {error}"))),
        };
        let unmounted = !base.join(pattern.folder()).is_dir();
        let found = match self.out.values.files(base, &pattern) {
            Ok(found) if found.is_empty() => {
                return self.issues.push(Issue::at(span, format!("no file matches `{glob}`")).hint(UNMOUNTED));
            }
            Ok(found) => found,
            Err(message) => {
                let hint = if unmounted { UNMOUNTED } else { UNLISTED };
                return self.issues.push(Issue::at(span, message).hint(hint));
            }
        };
        for (capture, path) in found {
            let name = declaration.name.replacen('*', &capture, 1);
            if named.contains(name.as_str()) {
                continue;
            }
            match Key::parse(&name) {
                Ok(key) => self.build(declaration, target, effective, &key, Some((&path, glob))),
                Err(error) => self.issues.push(Issue::at(span, format!("{}: {error}", path.display()))),
            }
        }
    }

    /// Makes what one target should hold under one key.
    fn build(
        &mut self,
        declaration: &Declaration<'a>,
        target: &'a Declared,
        effective: &Effective<'_>,
        key: &Key,
        found: Option<(&Path, &str)>,
    ) {
        if content::is_misspelt(&effective.node) {
            return;
        }
        let before = self.issues.len();
        let request = content::Request {
            place: declaration.place,
            key,
            target,
            node: &effective.node,
            raw: &effective.raw,
            pin: declaration.raw.pin.as_ref().and_then(|pins| pins.get(target.name.as_str())),
            found,
            adopt: self.context.adopt,
        };
        let Context { env, sources, .. } = *self.context;
        match content::make(request, Outside { env, sources, values: &mut self.out.values }) {
            Ok(Made { entry, identity, advice }) => {
                let name = |issue: Issue| issue.key(key.as_str()).target(target.name.as_str());
                self.out.advice.extend(advice.into_iter().map(name));
                self.out.digest.add(&target.place, key, &entry, &identity);
                self.insert(declaration, target, key, entry);
            }
            Err(issue) => self.issues.push(*issue),
        }
        for issue in &mut self.issues[before..] {
            issue.key = Some(key.as_str().into());
            issue.target = Some(target.name.as_str().into());
        }
    }

    fn insert(&mut self, declaration: &Declaration<'a>, target: &'a Declared, key: &Key, entry: Entry) {
        self.audit(declaration, target, key, &entry);
        let native = native_name(&target.config, key);
        if let Some(Claim { target: other, key: claimed }) = self.natives.get(&native) {
            let (message, hint) = match claimed {
                None => (
                    format!("`{key}` is where readers of `{other}` find the snapshot that it serves"),
                    "rename the entry, or name another key in the target's `serve`",
                ),
                Some(_) if *other == target.name.as_str() => {
                    (format!("`{key}` is made a second time"), "two patterns find files for it; narrow one of them")
                }
                Some(claimed) => (
                    format!("the same name in the store as `{claimed}` on `{other}`"),
                    "one name in a store belongs to one entry; rename one, or change a prefix",
                ),
            };
            self.issues.push(Issue::at(declaration.place, message).hint(hint));
            return;
        }
        self.natives.insert(native, Claim { target: target.name.as_str(), key: Some(key.clone()) });
        self.out.entries.entry(target.name.clone()).or_default().insert(key.clone(), entry);
    }

    fn audit(&mut self, declaration: &Declaration<'_>, target: &Declared, key: &Key, entry: &Entry) {
        let content = stored(entry);
        let refusals = match &target.config {
            TargetConfig::AwsSsm(config) => repin_aws_ssm::audit(config, key, &content),
            TargetConfig::AzureAppConfiguration(config) => appconfig::audit(config, key, &content),
        };
        for Refusal { message, hint } in refusals {
            let message = format!("{} cannot hold `{key}`: {message}", target.name);
            self.issues.push(Issue::at(declaration.place, message).maybe_hint(hint));
        }
    }

    /// Checks what only all entries of a target together can exceed.
    fn check_totals(&mut self) {
        for target in self.context.targets {
            let Some(entries) = self.out.entries.get(&target.name) else { continue };
            let refusal = match &target.config {
                TargetConfig::AwsSsm(config) => {
                    let advanced = |entry: &&Entry| entry.tier.or(config.tier) == Some(Tier::Advanced);
                    let advanced = entries.values().filter(advanced).count();
                    repin_aws_ssm::audit_count(entries.len() - advanced, advanced)
                }
                TargetConfig::AzureAppConfiguration(config) => {
                    let size = |(key, entry)| appconfig::size(config, key, &stored(entry));
                    appconfig::audit_total(config, entries.iter().map(size).sum())
                }
            };
            if let Some(Refusal { message, hint }) = refusal {
                let issue = Issue::at(target.key, format!("{} cannot hold so much: {message}", target.name));
                self.issues.push(issue.maybe_hint(hint).target(target.name.as_str()));
            }
        }
    }
}

fn stored(entry: &Entry) -> Content {
    Content {
        value: entry.value.clone(),
        content_type: entry.content_type.clone(),
        tags: entry.tags.clone().unwrap_or_default(),
        description: entry.description.clone(),
        tier: entry.tier,
    }
}

fn native_name(config: &TargetConfig, key: &Key) -> String {
    match config {
        TargetConfig::AwsSsm(config) => {
            format!("{}/{}{}/{key}", config.account, config.region, config.prefix.trim_end_matches('/'))
        }
        TargetConfig::AzureAppConfiguration(config) => {
            let joined = if config.prefix.is_empty() { "" } else { config.separator.as_str() };
            let label = config.label.as_deref().unwrap_or_default();
            let store = config.endpoint.trim_end_matches('/').to_lowercase();
            format!("{store}\0{label}\0{}{joined}{key}", config.prefix)
        }
    }
}
