//! The targets of a file: decoded by provider, checked, and told apart by place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use globset::GlobMatcher;
use repin_aws_ssm as ssm;
use repin_azure_app_configuration as appconfig;
use repin_provider::{Place, Refusal, TargetName, network};
use url::Url;

use super::de::decode;
use super::file::PROVIDERS;
use super::nearest::suggest;
use super::problem::Issue;
use super::source::Sources;
use super::tree::{Data, Map, Member, Node, Span};
use crate::model::desired::TargetConfig;

/// One target and where the file names it.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) name: TargetName,
    pub(super) key: Span,
    pub(super) config: TargetConfig,
    pub(super) place: Place,
}

/// Decodes and checks every target; what is wrong goes to `issues`.
pub(super) fn declare(section: &Member, sources: &Sources, issues: &mut Vec<Issue>) -> Vec<Declared> {
    let Some(map) = section.node.map() else {
        issues.push(Issue::at(section.key, "no targets").hint("name at least one place under `targets`"));
        return Vec::new();
    };
    if map.is_empty() {
        issues.push(Issue::at(section.key, "no targets").hint("name at least one place under `targets`"));
    }
    let declared: Vec<_> = map.iter().filter_map(|(name, member)| target(name, member, sources, issues)).collect();
    refuse_shared_places(&declared, issues);
    declared
}

fn target(name: &str, member: &Member, sources: &Sources, issues: &mut Vec<Issue>) -> Option<Declared> {
    let before = issues.len();
    let parsed = TargetName::parse(name);
    if let Err(error) = &parsed {
        issues.push(Issue::at(member.key, error.to_string()));
    }
    let config = config(member, sources, issues);
    for issue in &mut issues[before..] {
        issue.target = Some(name.into());
    }
    let (name, config) = (parsed.ok()?, config?);
    let place = config.place();
    Some(Declared { name, key: member.key, config, place })
}

fn config(member: &Member, sources: &Sources, issues: &mut Vec<Issue>) -> Option<TargetConfig> {
    let Some(fields) = member.node.map() else {
        issues.push(Issue::at(member.key, format!("expected a map, found {}", member.node.describe())));
        return None;
    };
    let provider = provider(fields, member.key, issues)?;
    let mut fields = fields.clone();
    fields.shift_remove("provider");
    refuse_literal(&fields, issues)?;
    let node = Node { span: member.node.span, data: Data::Map(fields) };
    match provider {
        "aws-ssm" => {
            let mut config: ssm::Config = decode(&node, member.key, issues)?;
            check_url(&node, "endpoint_url", (true, config.allow_http), issues);
            normalise_path(&mut config.ca_bundle, &node, "ca_bundle", sources);
            report(ssm::audit_settings(&config), &node, member.key, issues);
            let trimmed = config.prefix.trim_end_matches('/').len();
            config.prefix.truncate(trimmed);
            Some(TargetConfig::AwsSsm(config))
        }
        _ => {
            let mut config: appconfig::Config = decode(&node, member.key, issues)?;
            check_url(&node, "endpoint", (false, config.allow_http), issues);
            report(appconfig::audit_settings(&config), &node, member.key, issues);
            normalise(&mut config, &node, sources);
            Some(TargetConfig::AzureAppConfiguration(config))
        }
    }
}

/// Brings a prefix to the one form in which exactly one separator joins it, and a path to where it starts from.
fn normalise(config: &mut appconfig::Config, node: &Node, sources: &Sources) {
    if !config.separator.is_empty() {
        while let Some(shorter) = config.prefix.strip_suffix(&config.separator) {
            config.prefix = shorter.to_owned();
        }
    }
    normalise_path(&mut config.ca_bundle, node, "ca_bundle", sources);
    let source = node.get("connection_string").map(|member| member.node.span.file);
    if let (Some(appconfig::SecretSource::File(path)), Some(file)) = (&mut config.connection_string, source) {
        *path = sources.folder(file).join(&*path);
    }
}

/// Brings a path to where it starts from: the folder of the file that names it.
fn normalise_path(path: &mut Option<PathBuf>, node: &Node, field: &str, sources: &Sources) {
    if let (Some(path), Some(member)) = (path, node.get(field)) {
        *path = sources.folder(member.node.span.file).join(&*path);
    }
}

fn provider(fields: &Map, place: Span, issues: &mut Vec<Issue>) -> Option<&'static str> {
    let Some(member) = fields.get("provider") else {
        let hint = format!("say which: {}", PROVIDERS.map(|name| format!("`{name}`")).join(" or "));
        issues.push(Issue::at(place, "missing field `provider`").hint(hint));
        return None;
    };
    let known = member.node.text().and_then(|text| PROVIDERS.into_iter().find(|name| *name == text));
    if known.is_none() {
        let issue = match member.node.text() {
            Some(text) => {
                Issue::at(member.node.span, format!("unknown provider `{text}`")).maybe_hint(suggest(text, PROVIDERS))
            }
            None => Issue::at(member.node.span, format!("expected text, found {}", member.node.describe())),
        };
        issues.push(issue);
    }
    known
}

/// Refuses a connection string that stands in the file, without looking at it any closer.
fn refuse_literal(fields: &Map, issues: &mut Vec<Issue>) -> Option<()> {
    let Some(member) = fields.get("connection_string").filter(|member| member.node.text().is_some()) else {
        return Some(());
    };
    issues.push(
        Issue::at(member.key, "a connection string is a secret and does not belong into the file")
            .hint("say where it is read from: { env: NAME } or { file: PATH }"),
    );
    None
}

fn report(found: Vec<(&'static str, Refusal)>, node: &Node, place: Span, issues: &mut Vec<Issue>) {
    for (field, refusal) in found {
        let span = node.get(field).map_or(place, |member| member.node.span);
        issues.push(Issue::at(span, format!("{field}: {}", refusal.message)).maybe_hint(refusal.hint));
    }
}

fn check_url(node: &Node, field: &str, allows: (bool, bool), issues: &mut Vec<Issue>) {
    let Some(member) = node.get(field) else { return };
    if let Some(text) = member.node.text()
        && let Err((message, hint)) = endpoint(text, allows)
    {
        issues.push(Issue::at(member.node.span, format!("{field}: {message}")).hint(hint));
    }
}

/// Checks a URL, which may have a path, and be plain http to another host, where these are allowed.
fn endpoint(text: &str, (paths, allow_http): (bool, bool)) -> Result<(), (&'static str, &'static str)> {
    let example = "for example `https://contoso-ai.azconfig.io`";
    let url = Url::parse(text).map_err(|_| ("this is not a URL", example))?;
    let host = url.host_str().ok_or(("this URL names no host", example))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(("credentials do not belong into a URL", "leave out what stands before the @"));
    }
    if url.query().is_some() || url.fragment().is_some() || !(paths || url.path() == "/") {
        return Err(("an endpoint is a scheme and a host, nothing after them", example));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if allow_http || network::is_loopback(host) => Ok(()),
        "http" => Err((
            "plain http is allowed only to this machine itself",
            "use https; `allow_http: true` allows what anybody on the way can read and change",
        )),
        _ => Err(("only https is spoken", example)),
    }
}

fn refuse_shared_places(declared: &[Declared], issues: &mut Vec<Issue>) {
    let mut places: BTreeMap<&Place, &Declared> = BTreeMap::new();
    for target in declared {
        if let Some(first) = places.get(&target.place) {
            let message =
                format!("`{}` is the same place as `{}` (line {})", target.name, first.name, first.key.start.line);
            let hint = "a place is served by one target; give them different prefixes, regions or labels";
            issues.push(Issue::at(target.key, message).hint(hint).target(target.name.as_str()));
        } else {
            places.insert(&target.place, target);
        }
    }
}

/// Names or a glob of targets: what `targets` lists and what `per_target` is keyed by.
#[derive(Debug)]
pub(super) struct Selector {
    pub(super) text: String,
    matcher: Option<GlobMatcher>,
}

impl Selector {
    /// Parses a name or a glob.
    ///
    /// # Errors
    /// Says what is wrong with the glob.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let is_glob = text.contains(['*', '?', '[', '{']);
        let matcher = match is_glob {
            true => Some(globset::Glob::new(text).map_err(|error| error.kind().to_string())?.compile_matcher()),
            false => None,
        };
        Ok(Self { text: text.to_owned(), matcher })
    }

    /// Tells whether a target is meant.
    pub(super) fn matches(&self, name: &TargetName) -> bool {
        match &self.matcher {
            Some(matcher) => matcher.is_match(name.as_str()),
            None => self.text == name.as_str(),
        }
    }

    /// Orders selectors from the one that gives way to the one that wins: globs by length, then by text; names last.
    pub(super) fn rank(&self) -> (bool, usize, &str) {
        (self.matcher.is_none(), self.text.len(), &self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for good in [
            "https://x.azconfig.io",
            "https://x.azconfig.io/",
            "http://127.0.0.1:8080",
            "http://[::1]:1",
            "http://localhost",
        ] {
            assert_eq!(endpoint(good, (false, false)), Ok(()), "{good}");
        }
        for bad in [
            "http://x.azconfig.io",
            "x.azconfig.io",
            "ftp://x",
            "https://u:p@x.io",
            "https://x.io/kv",
            "https://x.io?a",
            "",
        ] {
            assert!(endpoint(bad, (false, false)).is_err(), "{bad}");
        }
        assert_eq!(endpoint("http://x.azconfig.io", (false, true)), Ok(()));
        assert!(endpoint("ftp://x.azconfig.io", (false, true)).is_err());
    }

    #[test]
    fn names_win_over_globs_and_long_globs_over_short() {
        let mut selectors: Vec<_> =
            ["aws-eu", "*", "aws-*", "aws-e?"].into_iter().map(|text| Selector::parse(text).expect("valid")).collect();
        selectors.sort_by(|a, b| a.rank().cmp(&b.rank()));
        let texts: Vec<_> = selectors.iter().map(|selector| selector.text.as_str()).collect();
        assert_eq!(texts, ["*", "aws-*", "aws-e?", "aws-eu"]);
    }
}
