//! `repin init --from`: the file filled with what stores hold. Reads the stores, and writes nothing to them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::join_all;
use repin_aws_ssm::Ssm;
use repin_azure_app_configuration::AppConfiguration;
use repin_emulator::Emulator;
use repin_provider::limit::Share;
use repin_provider::{Error, Key, Needs, Owner, Provider, ReadRequest, RequestCounts, TargetName};
use serde_json::{Value, json};

use super::STARTER;
use super::files::{self, Staged};
use crate::arrive::{self, Entries, Found, Head, Manner, Reasons, Unfit};
use crate::cli::args::{Common, InitArgs};
use crate::cli::print::Printer;
use crate::cli::progress::Line;
use crate::cli::{Failure, connect, session};
use crate::desired;
use crate::exit::Exit;
use crate::model::desired::{Identity, TargetConfig};
use crate::model::printable;
use crate::model::release::{Ledger, TargetId};
use crate::observe::former;
use crate::report::Trouble;
use crate::report::words::counted;

/// The largest file that is added to, in bytes.
const MAX_FILE: u64 = 16 << 20;
/// How often the file is made anew without what was found to be refused.
const ROUNDS: usize = 5;
/// The most keys that are named in a sentence.
const NAMED: usize = 5;

pub(in crate::cli) async fn run(common: &Common, args: &InitArgs, printer: &Printer) -> Result<Exit, Failure> {
    let path = existing(common)?;
    let common = Common { files: vec![path.clone()], targets: args.from.clone(), ..common.clone() };
    let identity = session::load_identity(&common)?;
    let text = desired::read_text(&path, MAX_FILE)
        .map_err(|why| failed("system", format!("{} cannot be read: {why}", path.display())))?;
    let head = arrive::fit(&text, identity.policy.adopt, examples()).map_err(|unfit| refuse(&path, &unfit))?;
    let place = files::Place::new(&path, args.secrets.as_deref())?;
    let scope = session::scope(&common, &identity.targets)?;
    let emulator = session::start_emulator(&common, &identity.targets, printer).await?;
    let stores = connect_all(&identity.name, &scope, emulator.as_ref()).await?;
    let providers = stores.iter().map(|store| (store.target.clone(), store.provider())).collect();
    let survey = join_all(stores.iter().map(|store| store.survey(place.has_secrets())));
    let found = Line::new(&providers).during(printer, survey).await;
    let found = all(found)?;
    let made = settle(&identity, &head, &found, &place)?;
    let written = files::keep(&place, made.staged, &made.entries)?;
    let report = Report {
        path: &path,
        identity: &identity,
        entries: &made.entries,
        found: &found,
        written: &written,
        requests: providers.iter().map(|(name, provider)| (name.clone(), provider.requests())).collect(),
        place: &place,
    };
    tell(&report, printer);
    Ok(Exit::Done)
}

/// Returns the file that says where the targets are.
fn existing(common: &Common) -> Result<PathBuf, Failure> {
    let hint = "Write one with repin init, set its name and targets, and run this again.";
    let files = session::files(common)
        .map_err(|_| Failure::usage("there is no file yet that says where the targets are", hint))?;
    let [path] = files.as_slice() else {
        return Err(Failure::usage("init writes one file", "Give -f once."));
    };
    if !path.exists() {
        let message = format!("{} is not there, which would say where the targets are", path.display());
        return Err(Failure::usage(message, hint));
    }
    super::check_name(path)?;
    Ok(path.clone())
}

/// Returns the entries of the starter file, which stand for nobody's.
fn examples() -> &'static str {
    STARTER.find("\nentries:\n").map_or(STARTER, |at| &STARTER[at + 1..])
}

fn refuse(path: &Path, unfit: &Unfit) -> Failure {
    let path = path.display();
    match unfit {
        Unfit::HasEntries(count) => Failure::usage(
            format!("{path} has {} already, and nothing is written over them", counted(*count as u64, "entry")),
            "Take its name and targets into another file without entries, and name that with -f.",
        ),
        Unfit::Unreadable => Failure::usage(
            format!("{path} is not written in a way that entries can be added to"),
            "Let each of its sections (version, name, targets, ...) begin a line.",
        ),
    }
}

fn failed(kind: &'static str, message: String) -> Failure {
    Failure::new(Exit::Failed, Trouble::new(kind, message))
}

/// One target, by what it is.
struct Store {
    owner: Owner,
    target: TargetName,
    config: TargetConfig,
    client: Client,
}

enum Client {
    Ssm(Arc<Ssm>),
    AppConfiguration(Arc<AppConfiguration>),
}

async fn connect_all(
    owner: &Owner,
    scope: &BTreeMap<TargetName, TargetConfig>,
    emulator: Option<&Emulator>,
) -> Result<Vec<Store>, Failure> {
    let each = scope.iter().map(async |(target, config)| {
        let id = TargetId::of(&config.place());
        let client = match config {
            TargetConfig::AwsSsm(config) => {
                let client = connect::aws_ssm(owner, &id, config, emulator, Share::WHOLE).await;
                client.map(|client| Client::Ssm(Arc::new(client)))
            }
            TargetConfig::AzureAppConfiguration(config) => {
                let client = connect::app_configuration(owner, &id, config, emulator, Share::WHOLE);
                client.map(|client| Client::AppConfiguration(Arc::new(client)))
            }
        };
        let client = client.map_err(|error| of(target, &error))?;
        Ok(Store { owner: owner.clone(), target: target.clone(), config: config.clone(), client })
    });
    all(join_all(each).await)
}

/// Insists on all of them: what is equal everywhere is only known where everything was seen.
fn all<T>(results: Vec<Result<T, Failure>>) -> Result<Vec<T>, Failure> {
    let (mut done, mut failure) = (Vec::new(), None::<Failure>);
    for result in results {
        match result {
            Ok(one) => done.push(one),
            Err(more) => {
                failure = Some(match failure {
                    Some(failure) => failure.and(more),
                    None => more,
                });
            }
        }
    }
    failure.map_or(Ok(done), Err)
}

fn of(target: &TargetName, error: &Error) -> Failure {
    Failure::new(Exit::of_error(error), Trouble::of_error(error).with_target(target))
}

impl Store {
    fn provider(&self) -> Arc<dyn Provider> {
        match &self.client {
            Client::Ssm(client) => client.clone(),
            Client::AppConfiguration(client) => client.clone(),
        }
    }

    async fn survey(&self, with_secrets: bool) -> Result<Found, Failure> {
        self.look(with_secrets).await.map_err(|error| of(&self.target, &error))
    }

    async fn look(&self, with_secrets: bool) -> Result<Found, Error> {
        // What another account holds under the same names is not what the file is about.
        self.provider().preflight(Needs::default()).await?;
        let (mut items, described) = match &self.client {
            Client::Ssm(client) => {
                let survey = client.survey().await?;
                (survey.items, survey.described)
            }
            Client::AppConfiguration(client) => (client.survey().await?, true),
        };
        // A tag stays when its owner lets go.
        let named = items.iter_mut().filter_map(|one| Some((one.key.as_ref().ok()?, &mut one.item)));
        former::correct(&self.owner, self.provider().as_ref(), &Ledger::default(), named).await?;
        let mut found = Found {
            target: self.target.clone(),
            config: self.config.clone(),
            items,
            described,
            secrets: BTreeMap::new(),
        };
        if with_secrets {
            self.read_secrets(&mut found).await?;
        }
        Ok(found)
    }

    async fn read_secrets(&self, found: &mut Found) -> Result<(), Error> {
        let secret = found.items.iter().filter(|item| item.item.secret);
        let wanted: Vec<(Key, ReadRequest)> = secret
            .filter_map(|item| {
                let key = item.key.clone().ok()?;
                let request = ReadRequest { key: key.clone(), version: Some(item.item.version.clone()) };
                Some((key, request))
            })
            .collect();
        let (keys, requests): (Vec<Key>, Vec<ReadRequest>) = wanted.into_iter().unzip();
        let values = self.provider().read(&requests).await?;
        // One that is gone meanwhile is to be filled as any other that was not read.
        found.secrets = keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?.value))).collect();
        Ok(())
    }
}

/// A file that was made, read back, and found to be right.
struct Made {
    entries: Entries,
    staged: Staged,
}

/// Makes the file, and makes it again without what is refused, until all of it is right.
fn settle(identity: &Identity, head: &Head, found: &[Found], place: &files::Place) -> Result<Made, Failure> {
    let targets: BTreeSet<_> = identity.targets.keys().cloned().collect();
    let manner = Manner {
        name: &identity.name,
        targets: &targets,
        adopt_each: head.adopt_each,
        values: place.values(),
        secrets: place.secrets(),
    };
    let mut refused = Reasons::new();
    for _ in 0..ROUNDS {
        let entries = arrive::entries(found, &manner, &refused);
        let staged = files::stage(place, &head.with(&entries.text), &entries)?;
        match judge(found, &entries, &staged, &refused)? {
            more if more.is_empty() => return Ok(Made { entries, staged }),
            more => refused.extend(more),
        }
    }
    Err(failed("unexpected", format!("no valid file could be made in {ROUNDS} tries")))
}

/// Loads what was made, and returns what of it is refused or does not read back as it was found.
fn judge(found: &[Found], entries: &Entries, staged: &Staged, refused: &Reasons) -> Result<Reasons, Failure> {
    let to_fill: BTreeSet<String> = entries.to_fill.values().cloned().collect();
    let env = move |name: &str| {
        if to_fill.contains(name) { Some("to be filled".to_owned()) } else { std::env::var(name).ok() }
    };
    match desired::load(&desired::Request::new([staged.file()], env)) {
        Ok(desired) => Ok(arrive::unlike(found, &desired, refused)),
        Err(invalid) => {
            let (about, others) = arrive::blame(found, invalid.problems);
            if about.is_empty() { Err(session::invalid(desired::Invalid { problems: others })) } else { Ok(about) }
        }
    }
}

/// What is told at the end.
struct Report<'a> {
    path: &'a Path,
    identity: &'a Identity,
    entries: &'a Entries,
    found: &'a [Found],
    written: &'a files::Written,
    requests: BTreeMap<TargetName, RequestCounts>,
    place: &'a files::Place,
}

fn tell(report: &Report<'_>, printer: &Printer) {
    printer.result(|| said(report), || as_json(report));
    for left in &report.entries.left_out {
        let (native, reason) = (printable::line(&left.native), printable::line(&left.reason));
        printer.note(&format!("left out: {} {native}: {reason}", left.target));
    }
    for found in report.found.iter().filter(|found| !found.described) {
        let target = &found.target;
        printer.note(&format!(
            "{target}: tiers, keys and descriptions are not known without the right ssm:DescribeParameters"
        ));
    }
}

fn said(report: &Report<'_>) -> String {
    let Report { path, entries, found, .. } = report;
    let shown = path.display();
    let each: Vec<_> =
        found.iter().map(|one| format!("{} {}", one.target, counted(one.items.len() as u64, "item"))).collect();
    let mut out = format!("Wrote {shown}: {} from {}.\n", counted(entries.count as u64, "entry"), each.join(", "));
    let mut say = |line: String| out.push_str(&line);
    if !entries.differences.is_empty() {
        let keys: Vec<_> =
            entries.differences.iter().map(|(key, _)| printable::line(key.as_str()).into_owned()).collect();
        say(format!("{} by target: {}\n", differ(entries.differences.len()), some(&keys)));
    }
    if !entries.left_out.is_empty() {
        let count = counted(entries.left_out.len() as u64, "item");
        say(format!("{count} left out, each with its reason at the end of the file.\n"));
    }
    if let Some(folder) = &report.written.values {
        say(format!("Long texts are in {}.\n", folder.display()));
    }
    if let Some(folder) = &report.written.secrets {
        say(format!("Secrets are in {}, readable by you alone and ignored by git.\n", folder.display()));
    }
    let flag = if *path == Path::new(session::USUAL_FILE) { String::new() } else { format!(" -f {shown}") };
    if !entries.to_fill.is_empty() {
        let names: Vec<_> = entries.to_fill.values().cloned().collect();
        say(format!("To be filled in the environment first: {}\n", some(&names)));
        say(format!("or let repin init{flag} --from ... --secrets DIR read them into files.\n"));
    }
    say(format!("Next: repin plan{flag}, which takes over what is equal and writes none of it.\n"));
    out
}

fn differ(count: usize) -> String {
    if count == 1 { "1 entry differs".to_owned() } else { format!("{} differ", counted(count as u64, "entry")) }
}

/// Names the first few.
fn some(names: &[String]) -> String {
    let mut shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        shown.push_str(&format!(" and {} more", names.len() - NAMED));
    }
    shown
}

fn as_json(report: &Report<'_>) -> Value {
    let Report { path, identity, entries, found, written, requests, place } = report;
    let targets: BTreeMap<_, _> = found
        .iter()
        .map(|one| {
            let left_out = entries.left_out.iter().filter(|left| left.target == one.target).count();
            let items = one.items.len();
            (one.target.as_str(), json!({ "items": items, "taken": items - left_out, "left_out": left_out }))
        })
        .collect();
    let differences: Vec<_> =
        entries.differences.iter().map(|(key, what)| json!({ "key": key, "differs": what })).collect();
    let left_out: Vec<_> = entries
        .left_out
        .iter()
        .map(|left| json!({ "target": left.target, "native": left.native, "reason": left.reason }))
        .collect();
    let requests: BTreeMap<_, _> = requests.iter().map(|(name, counts)| (name.as_str(), counts)).collect();
    let to_fill: Vec<_> = entries.to_fill.iter().map(|(key, name)| json!({ "key": key, "env": name })).collect();
    json!({
        "name": identity.name,
        "file": path,
        "values": written.values,
        "secrets": written.secrets.as_ref().filter(|_| place.has_secrets()),
        "entries": entries.count,
        "targets": targets,
        "differences": differences,
        "left_out": left_out,
        "to_fill": to_fill,
        "requests": requests,
    })
}
