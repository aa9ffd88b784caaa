//! `repin doctor`: what keeps the file from working here, each with its mend.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::join_all;
use repin_emulator::Emulator;
use repin_provider::limit::Share;
use repin_provider::{Error, Key, Owner, TargetName, Value, network};

use super::args::{Common, DoctorArgs};
use super::print::Printer;
use super::{Failure, connect, session};
use crate::control::places::Places;
use crate::doctor::net::Trust;
use crate::doctor::{self, Finding, Mark, Sheet, aws, azure, host};
use crate::exit::Exit;
use crate::iam::azure::Scope;
use crate::iam::{self, Access, Mode};
use crate::model::desired::{Desired, Identity, TargetConfig};
use crate::model::release::TargetId;
use crate::report::words::counted;
use crate::report::{Trouble, doctor as report, text};

/// How long one target may take in all; each step has its own, shorter time.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn run(common: &Common, args: &DoctorArgs, printer: &Printer) -> Result<Exit, Failure> {
    let mut sheet = Sheet::new(None);
    let identity = match session::load_identity(common) {
        Ok(identity) => identity,
        // Without any file there is nothing to look at.
        Err(failure) if failure.exit == Exit::Usage => return Err(failure),
        Err(failure) => {
            let mend = "Mend it: repin validate shows all that is wrong with it.";
            // What is wrong with the whole says more than what it lacks.
            let failure = session::load(common).err().unwrap_or(failure);
            note(&mut sheet, "file", &failure, mend);
            sheet.skip("targets", "not looked at: the file does not say them");
            return Ok(tell(None, &sheet.finish(), printer));
        }
    };
    let targets = session::scope(common, &identity.targets)?;
    let desired = look_at_file(&mut sheet, common, &identity);
    let dir = session::state_dir(common);
    host::state(&mut sheet, &dir, &identity.name);
    let places = Places::new(dir.clone(), common.emulate.is_some());
    host::daemon(&mut sheet, &dir, &places, &identity.name).await;
    let mut findings = sheet.finish();

    let emulator = session::start_emulator(common, &identity.targets, printer).await?;
    let room = Room { name: &identity.name, mode: args.mode.into(), emulator };
    let looks = targets.iter().map(async |(target, config)| {
        let looked = tokio::time::timeout(PATIENCE, room.look(target, config, desired.as_ref())).await;
        looked.unwrap_or_else(|_| silent(target))
    });
    findings.extend(join_all(looks).await.into_iter().flatten());
    Ok(tell(Some(&identity.name), &findings, printer))
}

fn tell(name: Option<&Owner>, findings: &[Finding], printer: &Printer) -> Exit {
    printer.result(|| report::text(name, findings, printer.width()), || report::json(name, findings));
    doctor::exit(findings)
}

/// Looks at the file: what is broken in its entries keeps nothing else from being looked at.
fn look_at_file(sheet: &mut Sheet, common: &Common, identity: &Identity) -> Option<Desired> {
    let files = session::files(common).unwrap_or_default();
    let files: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
    let targets = counted(identity.targets.len() as u64, "target");
    sheet.ok("file", format!("{}: {} on {targets}", files.join(", "), identity.name));
    match session::load(common) {
        Ok(desired) => {
            for warning in &desired.warnings {
                let mend = warning.hint.as_deref().unwrap_or("Look at it again.");
                let found = text::one_line(&Trouble::of_problem(warning.clone()));
                sheet.warn("entries", found, &doctor::sentence(mend));
            }
            let entries: usize = desired.targets.values().map(|target| target.entries.len()).sum();
            sheet.ok("entries", format!("{} to keep, all targets together", counted(entries as u64, "value")));
            Some(desired)
        }
        Err(failure) => {
            note(sheet, "entries", &failure, "Mend it: repin validate shows all that is wrong.");
            None
        }
    }
}

/// Notes why a file cannot be used: the first reason, and how many more there are.
fn note(sheet: &mut Sheet, check: &str, failure: &Failure, mend: &str) {
    let first = failure.troubles.first();
    let mut found = first.map(text::one_line).unwrap_or_else(|| "it cannot be used".to_owned());
    if let Some(more) = failure.troubles.len().checked_sub(1).filter(|more| *more > 0) {
        found.push_str(&format!(" (and {more} more: repin validate shows them)"));
    }
    let mend = first.and_then(|trouble| trouble.hint.as_deref()).unwrap_or(mend);
    sheet.note(check, Mark::Fail(failure.exit), found, Some(&doctor::sentence(mend)));
}

fn silent(target: &TargetName) -> Vec<Finding> {
    let mut sheet = Sheet::new(Some(target));
    let found = format!("given up after {} s", PATIENCE.as_secs());
    sheet.fail("network", Exit::TryAgain, found, "Try again; -vv shows how far it got.");
    sheet.finish()
}

/// What the looks at all targets share.
struct Room<'a> {
    name: &'a Owner,
    mode: Mode,
    emulator: Option<Emulator>,
}

impl Room<'_> {
    async fn look(&self, target: &TargetName, config: &TargetConfig, desired: Option<&Desired>) -> Vec<Finding> {
        let one = BTreeMap::from([(target.clone(), config.clone())]);
        let access = iam::access(self.name, &one, self.mode, &Scope::default());
        let looked = match config {
            TargetConfig::AwsSsm(of) => self.look_at_aws(target, config, of, &access, desired).await,
            TargetConfig::AzureAppConfiguration(of) => self.look_at_azure(target, config, of, &access).await,
        };
        looked.unwrap_or_else(|error| {
            let mut sheet = Sheet::new(Some(target));
            sheet.failed("settings", &error, "Mend this target's settings in the file.");
            sheet.finish()
        })
    }

    async fn look_at_aws(
        &self,
        target: &TargetName,
        place: &TargetConfig,
        config: &repin_aws_ssm::Config,
        access: &Access,
        desired: Option<&Desired>,
    ) -> Result<Vec<Finding>, Error> {
        let id = TargetId::of(&place.place());
        let ssm = connect::aws_ssm(self.name, &id, config, self.emulator.as_ref(), Share::WHOLE).await?;
        let statements = access.aws.first().map(|principal| principal.statements.as_slice()).unwrap_or_default();
        let secret = desired.and_then(|desired| secret_of(desired, target));
        let subject = aws::Subject { target, config, mode: self.mode, statements, secret };
        Ok(aws::examine(&subject, &ssm, &trust(config.ca_bundle.clone().or_else(aws_bundle))).await)
    }

    async fn look_at_azure(
        &self,
        target: &TargetName,
        place: &TargetConfig,
        config: &repin_azure_app_configuration::Config,
        access: &Access,
    ) -> Result<Vec<Finding>, Error> {
        let id = TargetId::of(&place.place());
        let store = connect::app_configuration(self.name, &id, config, self.emulator.as_ref(), Share::WHOLE)?;
        let Some(access) = access.azure.first() else { return Ok(Vec::new()) };
        let nonce = format!("repin-doctor-{}", hex::encode(rand::random::<[u8; 8]>()));
        let emulated = self.emulator.is_some();
        let subject = azure::Subject { target, config, mode: self.mode, access, nonce: &nonce, emulated };
        Ok(azure::examine(&subject, &store, &trust(config.ca_bundle.clone())).await)
    }
}

/// Loads whom the clients of a target trust. That its own authorities can be read was seen when these were made.
fn trust(bundle: Option<PathBuf>) -> Trust {
    let authorities = bundle.and_then(|path| network::read_authorities(&path).ok());
    Trust::load(authorities.as_deref().unwrap_or_default())
}

/// What the clients of AWS know beside the file.
fn aws_bundle() -> Option<PathBuf> {
    std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Returns a key of the file that is a secret on a target.
fn secret_of<'a>(desired: &'a Desired, target: &TargetName) -> Option<&'a Key> {
    let entries = &desired.targets.get(target)?.entries;
    entries.iter().find(|(_, entry)| matches!(entry.value, Value::Secret(_))).map(|(key, _)| key)
}
