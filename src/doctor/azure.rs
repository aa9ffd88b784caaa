//! One target in App Configuration.

use jiff::{SignedDuration, Timestamp};
use repin_azure_app_configuration::{AppConfiguration, Config, SecretSource};
use repin_provider::{Error, ErrorKind, Result, TargetName};

use super::judge::{clock, until};
use super::net::Trust;
use super::rights::{Trial, data_trial, short};
use super::{Finding, Sheet, endpoints};
use crate::exit::Exit;
use crate::iam::Mode;
use crate::iam::azure::AzureAccess;

/// How far a clock may be off until the service refuses a signature (App Configuration REST reference: 15 minutes).
const TOLERATED: SignedDuration = SignedDuration::from_mins(15);

/// What is looked at.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The file's name for it.
    pub target: &'a TargetName,
    /// Its settings.
    pub config: &'a Config,
    /// What the rights are for.
    pub mode: Mode,
    /// The rights, as `repin iam` prints them for this target alone.
    pub access: &'a AzureAccess,
    /// What no etag and no snapshot is called.
    pub nonce: &'a str,
    /// Whether the store is embedded in this process.
    pub emulated: bool,
}

/// Looks at a target.
pub async fn examine(subject: &Subject<'_>, store: &AppConfiguration, trust: &Trust) -> Vec<Finding> {
    let mut sheet = Sheet::new(Some(subject.target));
    let place = repin_provider::Provider::endpoint(store);
    let settings = "`endpoint` (a store that was deleted has no name any more)";
    endpoints::try_all(&mut sheet, &[("the store", place)], settings, trust).await;
    if sheet.stopped().is_none() {
        let looked = store.try_read().await;
        sign_in(&mut sheet, subject, store, &looked);
        try_rights(&mut sheet, subject, store, looked.result).await;
    } else {
        try_rights(&mut sheet, subject, store, Ok(())).await;
    }
    if sheet.stopped().is_none() {
        sheet.skip("quota", quota(subject.config));
    }
    sheet.finish()
}

/// Judges the first answer: who signed it, and what time it is there.
fn sign_in(
    sheet: &mut Sheet,
    subject: &Subject<'_>,
    store: &AppConfiguration,
    looked: &repin_azure_app_configuration::Looked,
) {
    let here = Timestamp::now();
    let from = signed_by(subject, store, here);
    // Without a role one is signed in all the same.
    let refused = looked.result.as_ref().err().filter(|e| e.kind == ErrorKind::Denied && looked.status != Some(403));
    let mut skewed = Sheet::default();
    clock(&mut skewed, here, looked.at, TOLERATED);
    match refused {
        None if looked.result.as_ref().is_err_and(|error| error.kind != ErrorKind::Denied) => {
            sheet.skip("credentials", format!("{from}; whether it is good is not known"));
        }
        None => drop(sheet.ok("credentials", from)),
        Some(_) if skewed.stopped().is_some() => {
            sheet.skip("credentials", format!("{from}; whether it is good shows once the clock is right"));
        }
        Some(error) => {
            let finding = sheet.failed("credentials", error, "Sign in anew.");
            finding.found = format!("{from}; {}", finding.found);
            if looked.status == Some(401) && store.credential().is_none() {
                finding.mend = Some(mend_of_key(&subject.config.endpoint));
            }
            sheet.stop("not tried with a credential that is refused");
        }
    }
    clock(sheet, here, looked.at, TOLERATED);
}

/// Access keys are renewed, revoked, and deleted where they are disabled: the service answers all of it alike.
fn mend_of_key(endpoint: &str) -> String {
    let host = endpoint.split("://").nth(1).unwrap_or(endpoint);
    let (name, _) = host.split_once(".azconfig.").unwrap_or(("STORE", ""));
    format!(
        "Put a current one there: az appconfig credential list --name {name}. Where access keys are disabled for the store \
         there is none: then leave `connection_string` out, and sign in with Microsoft Entra ID."
    )
}

fn signed_by(subject: &Subject<'_>, store: &AppConfiguration, now: Timestamp) -> String {
    if subject.emulated {
        return "from this program, for its own clouds".to_owned();
    }
    match (store.signed_in(), store.credential(), &subject.config.connection_string) {
        (Some(signed), ..) => format!("from {}{}", signed.with, until(now, signed.expires)),
        (None, None, Some(SecretSource::Env(name))) => format!("the connection string in the variable {name}"),
        (None, None, Some(SecretSource::File(path))) => format!("the connection string in {}", path.display()),
        (None, Some(kind), _) => {
            let kind = serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
            format!("no access token (`credential: {}`)", kind.unwrap_or_default())
        }
        (None, None, None) => "a connection string".to_owned(),
    }
}

async fn try_rights(sheet: &mut Sheet, subject: &Subject<'_>, store: &AppConfiguration, read: Result<()>) {
    if let Some(why) = sheet.stopped().map(str::to_owned) {
        sheet.skip("rights", why).rights = subject.access.data_actions.iter().map(|a| (*a).to_owned()).collect();
        return;
    }
    let (mut allowed, mut read) = (Vec::new(), Some(read));
    for action in &subject.access.data_actions {
        let stopped = sheet.stopped().map(str::to_owned);
        if let Some(why) = stopped {
            sheet.skip(short(action), why).rights = vec![(*action).to_owned()];
            continue;
        }
        let asked = match data_trial(action).unwrap_or(Trial::Not("nobody knows how")) {
            Trial::ReadKeyValue => read.take().unwrap_or(Ok(())),
            Trial::WriteKeyValue => store.try_write(subject.nonce).await,
            Trial::DeleteKeyValue => store.try_delete(subject.nonce).await,
            Trial::ReadSnapshot => store.try_read_snapshot(subject.nonce).await,
            Trial::ArchiveSnapshot => store.try_archive(subject.nonce).await,
            Trial::Not(why) => {
                sheet.skip(short(action), format!("not tried: {why}")).rights = vec![(*action).to_owned()];
                continue;
            }
            _ => continue,
        };
        match asked {
            Ok(()) => allowed.push(*action),
            Err(error) => note_refused(sheet, subject, store, action, &error),
        }
    }
    if !allowed.is_empty() {
        let names: Vec<_> = allowed.iter().map(|action| short(action)).collect();
        let found = format!("{} allowed on the whole store", names.join(", "));
        sheet.ok("rights", found).rights = allowed.iter().map(|action| (*action).to_owned()).collect();
    }
}

fn note_refused(sheet: &mut Sheet, subject: &Subject<'_>, store: &AppConfiguration, action: &str, error: &Error) {
    let check = short(action);
    let finding = match error.kind {
        ErrorKind::Denied => {
            let found = format!("{check} is not allowed: {error}");
            let mend = match store.credential() {
                None => "Use a read-write access key: this one only reads, which is enough for repin plan.".to_owned(),
                Some(_) => format!(
                    "Assign a role that allows {action} on the store: {} does, and repin iam --mode {} prints a smaller one. \
                     It may take 15 minutes.",
                    subject.access.built_in.0,
                    subject.mode.word()
                ),
            };
            sheet.fail(check, Exit::Denied, found, &mend)
        }
        ErrorKind::Throttled | ErrorKind::Unreachable => {
            sheet.failed(check, error, "Try again later.").rights = vec![action.to_owned()];
            sheet.stop("not tried after that");
            return;
        }
        _ => sheet.failed(check, error, "Try again; if it stays so, report it with what was found."),
    };
    finding.rights = vec![action.to_owned()];
}

fn quota(config: &Config) -> &'static str {
    match config.rates {
        Some(_) => "the store does not say its tier; the file's own `rates` count",
        None => {
            "the store does not say its tier: that of Standard is kept to (300 reads and 60 writes a second, 30,000 \
             requests an hour); set `rates` for another"
        }
    }
}
