//! `repin get KEY`: what each target serves.

use std::collections::BTreeMap;

use repin_provider::{Item, Key, Observe, Provider, ReadRequest, Seen, TargetName};
use serde_json::json;

use super::Failure;
use super::args::{Common, GetArgs};
use super::print::Printer;
use super::session::{self, Session};
use crate::exit::Exit;
use crate::model::printable;
use crate::report::words::{fit, short};
use crate::report::{Trouble, json};

/// What one target serves.
struct Served {
    native: String,
    item: Option<Item>,
    value: Option<String>,
}

pub(super) async fn run(common: &Common, args: &GetArgs, printer: &Printer) -> Result<Exit, Failure> {
    let key = Key::parse(&args.key).map_err(|error| Failure::usage(error.to_string(), "Write it as the file does."))?;
    let identity = session::load_identity(common)?;
    let mut session = Session::open(common, &identity.name, &identity.targets, printer).await?;
    let mut served: BTreeMap<&TargetName, Served> = BTreeMap::new();
    let mut troubles = Vec::new();
    let mut exit = Exit::Done;
    for failure in session.take_unconnected().into_values() {
        exit = exit.max(failure.exit);
        troubles.extend(failure.troubles);
    }
    for (target, provider) in &session.providers {
        match look(provider.as_ref(), &key, args.reveal).await {
            Ok(found) => {
                served.insert(target, found);
            }
            Err(error) => {
                exit = exit.max(Exit::of_error(&error));
                troubles.push(Trouble::of_error(&error).with_target(target));
            }
        }
    }
    if served.is_empty() {
        return Err(Failure { exit, troubles });
    }
    if troubles.is_empty() && served.values().all(|served| served.item.is_none()) {
        let trouble = Trouble::new("not-found", format!("no target holds {key}"))
            .with_hint("repin history lists what was released.");
        return Err(Failure::new(Exit::Failed, trouble));
    }
    printer.as_it_is(
        || served.iter().map(|(target, served)| text(target, served, printer.width())).collect(),
        || {
            let targets: Vec<_> = served.iter().map(|(target, served)| object(target, served)).collect();
            let errors: Vec<_> = troubles.iter().map(json::trouble).collect();
            json!({ "key": key, "targets": targets, "errors": errors })
        },
    );
    troubles.iter().for_each(|trouble| printer.note(crate::report::text::trouble(trouble).trim_end()));
    Ok(exit)
}

async fn look(provider: &dyn Provider, key: &Key, reveal: bool) -> Result<Served, repin_provider::Error> {
    let mut seen = provider.observe(Observe { keys: vec![key.clone()], census: false, ..Observe::default() }).await?;
    let native = provider.native_name(key);
    let item = match seen.items.remove(key) {
        Some(Seen::Present(item)) => item,
        Some(Seen::Unreadable(why)) => {
            return Err(repin_provider::Error::new(repin_provider::ErrorKind::Unreachable, "get", why).with_key(key));
        }
        Some(Seen::Absent) | None => return Ok(Served { native, item: None, value: None }),
    };
    let value = match &item.value {
        Some(value) => Some(value.clone()),
        None if reveal => {
            let request = ReadRequest { key: key.clone(), version: None };
            let read = provider.read(&[request]).await?;
            read.into_iter().flatten().next().map(|read| read.value.expose().to_owned())
        }
        None => None,
    };
    Ok(Served { native, item: Some(item), value })
}

/// Describes what a target serves; the value is as it is, whatever the width.
fn text(target: &TargetName, served: &Served, width: usize) -> String {
    let Some(item) = &served.item else {
        return format!("{target}  {}  not there\n", served.native);
    };
    let shown = |text: &String| format!("  {}", printable::line(text));
    let content_type = item.content_type.as_ref().map(shown).unwrap_or_default();
    let kind = item.native_type.as_ref().map(shown).unwrap_or_default();
    let value = match &served.value {
        Some(value) => printable::lines(value),
        None => "(secret; --reveal shows it)".into(),
    };
    let head = format!("{target}  {}  version {}{kind}{content_type}", served.native, short(&item.version));
    format!("{}\n{value}\n", fit(&head, width))
}

fn object(target: &TargetName, served: &Served) -> serde_json::Value {
    let item = served.item.as_ref();
    json!({
        "target": target,
        "native": served.native,
        "version": item.map(|item| item.version.id.as_str()),
        "secret": item.map(|item| item.secret),
        "value": served.value,
        "content_type": item.and_then(|item| item.content_type.as_deref()),
    })
}
