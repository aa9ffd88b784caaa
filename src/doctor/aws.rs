//! One target in Parameter Store.

use jiff::{SignedDuration, Timestamp};
use repin_aws_ssm::{Config, Identified, KeyState, Source, Ssm};
use repin_provider::{Error, ErrorKind, Key, Result, TargetName};

use super::judge::{clock, until};
use super::net::Trust;
use super::rights::{Trial, trials};
use super::{Finding, Sheet, endpoints};
use crate::exit::Exit;
use crate::iam::Mode;
use crate::iam::aws::Statement;

/// How far a clock may be off until AWS refuses a signature (Signature Version 4: five minutes).
const TOLERATED: SignedDuration = SignedDuration::from_mins(5);

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
    pub statements: &'a [Statement],
    /// A secret of the file for this target, if there is one.
    pub secret: Option<&'a Key>,
}

/// Looks at a target.
pub async fn examine(subject: &Subject<'_>, ssm: &Ssm, trust: &Trust) -> Vec<Finding> {
    let mut sheet = Sheet::new(Some(subject.target));
    endpoints::try_all(&mut sheet, &ssm.services(), "`region` and `endpoint_url`", trust).await;
    if sheet.stopped().is_none() {
        sign_in(&mut sheet, subject.config, ssm).await;
    }
    let mut look = Look { subject, ssm, key: None };
    if let Some(why) = sheet.stopped() {
        let why = why.to_owned();
        look.skip_all(&mut sheet, &why);
        return sheet.finish();
    }
    for statement in subject.statements {
        look.try_statement(&mut sheet, statement).await;
    }
    sheet.finish()
}

/// Finds credentials, and asks whose they are and what time it is there.
async fn sign_in(sheet: &mut Sheet, config: &Config, ssm: &Ssm) {
    let source = match ssm.source().await {
        Ok(source) => source,
        Err(error) => {
            let mend = "Set credentials in the environment, a `profile`, or the role of the machine.";
            let finding = sheet.failed("credentials", &error, mend);
            // It is where the reader came from.
            finding.mend = finding.mend.take().map(|mend| mend.replace("; `repin doctor` tries them", ""));
            sheet.stop("not tried without credentials");
            return;
        }
    };
    let Identified { identity, at } = ssm.identify().await;
    let here = Timestamp::now();
    let from = described(&source, here);
    match &identity {
        Err(error) if error.kind == ErrorKind::Denied => {
            let mut skewed = Sheet::default();
            clock(&mut skewed, here, at, TOLERATED);
            if skewed.stopped().is_some() {
                sheet.skip("credentials", format!("{from}; whether they are good shows once the clock is right"));
            } else {
                let finding = sheet.failed("credentials", error, "Fetch new credentials.");
                finding.found = format!("{from}; {}", finding.found);
                sheet.stop("not tried with credentials that are refused");
            }
        }
        _ => {
            let assumed = source.role.is_some().then(|| "sts:AssumeRole".to_owned());
            sheet.ok("credentials", from).rights.extend(assumed);
        }
    }
    clock(sheet, here, at, TOLERATED);
    match identity {
        _ if sheet.stopped().is_some() => {}
        Err(error) => {
            sheet.failed("account", &error, "Try again; sts must answer before anything is written.");
            sheet.stop("not tried, since whose credentials these are is not known");
        }
        Ok(identity) => {
            let account = identity.account.unwrap_or_default();
            let principal = identity.principal.unwrap_or_else(|| "an unknown principal".to_owned());
            if account == config.account {
                sheet.ok("account", format!("{account}, as {principal}"));
            } else {
                let found =
                    format!("the credentials belong to {account} ({principal}), and the file names {}", config.account);
                let mend = "Use credentials of that account, or set `profile` or `assume_role` for this target.";
                sheet.fail("account", Exit::Conflict, found, mend);
                sheet.stop("not tried with credentials of another account");
            }
        }
    }
}

fn described(source: &Source, now: Timestamp) -> String {
    let mut text = format!("from {}", source.from);
    match source.expires {
        None if source.is_session => {
            text.push_str(", of a session that nothing renews and that does not say when it ends")
        }
        expires => text.push_str(&until(now, expires)),
    }
    if let Some((role, expires)) = &source.role {
        text.push_str(&format!("; the role {role} assumed with them{}", until(now, *expires)));
    }
    text
}

/// The rights of one target, statement by statement.
struct Look<'a> {
    subject: &'a Subject<'a>,
    ssm: &'a Ssm,
    /// The key, once it was seen to be usable.
    key: Option<KeyState>,
}

impl Look<'_> {
    fn skip_all(&self, sheet: &mut Sheet, why: &str) {
        let rights: Vec<_> = self.subject.statements.iter().flat_map(rights_of).collect();
        sheet.skip("rights", why).rights = rights;
    }

    async fn try_statement(&mut self, sheet: &mut Sheet, statement: &Statement) {
        let (mut allowed, mut untried) = (Vec::new(), Vec::<(&str, &str)>::new());
        for action in &statement.actions {
            let stopped = sheet.stopped().map(str::to_owned);
            if let Some(why) = stopped {
                sheet.skip(&statement.sid, format!("{action}: {why}")).rights = vec![(*action).to_owned()];
                continue;
            }
            let trials = trials(statement, action).unwrap_or_else(|| vec![Trial::Not("nobody knows how")]);
            let mut outcome = Outcome::Allowed;
            for trial in &trials {
                outcome = self.try_one(sheet, statement, action, trial).await;
                if outcome != Outcome::Allowed {
                    break;
                }
            }
            match outcome {
                Outcome::Allowed => allowed.push(*action),
                Outcome::Untried(why) => untried.push((action, why)),
                Outcome::Told => {}
            }
        }
        let on = places(statement);
        if !allowed.is_empty() {
            let rights = allowed.iter().map(|action| (*action).to_owned()).collect();
            sheet.ok(&statement.sid, format!("{} allowed on {on}", allowed.join(", "))).rights = rights;
        }
        let mut reasons: Vec<&str> = untried.iter().map(|(_, why)| *why).collect();
        reasons.dedup();
        for why in reasons {
            let names: Vec<_> =
                untried.iter().filter(|(_, of)| *of == why).map(|(name, _)| (*name).to_owned()).collect();
            let found = format!("{} not tried: {why}", names.join(", "));
            sheet.skip(&statement.sid, found).rights = names;
        }
    }

    async fn try_one(&mut self, sheet: &mut Sheet, statement: &Statement, action: &str, trial: &Trial) -> Outcome {
        let asked = match trial {
            Trial::Read(name) => self.ssm.try_read(name).await,
            Trial::History(name) => self.ssm.try_history(name).await,
            Trial::Tags(name) => self.ssm.try_tags(name).await,
            Trial::List(path) => self.ssm.try_list(path).await,
            Trial::Throughput => match self.ssm.has_high_throughput().await {
                Ok(high) => return self.note_quota(sheet, action, high),
                Err(error) => Err(error),
            },
            Trial::Key => match self.try_key(sheet, action).await {
                Ok(outcome) => return outcome,
                Err(error) => Err(error),
            },
            Trial::Rotation => match self.try_rotation(sheet, action).await {
                Ok(outcome) => return outcome,
                Err(error) => Err(error),
            },
            Trial::Decrypt => match self.try_decrypt().await {
                Ok(outcome) => return outcome,
                Err(error) => Err(error),
            },
            Trial::Not(why) => return Outcome::Untried(why),
            Trial::ReadKeyValue
            | Trial::WriteKeyValue
            | Trial::DeleteKeyValue
            | Trial::ReadSnapshot
            | Trial::ArchiveSnapshot => return Outcome::Untried("it is none of this store"),
        };
        match asked {
            Ok(()) => Outcome::Allowed,
            Err(error) => {
                self.note_refused(sheet, statement, action, &error);
                Outcome::Told
            }
        }
    }

    async fn try_key(&mut self, sheet: &mut Sheet, action: &str) -> Result<Outcome> {
        let Some(name) = &self.subject.config.kms_key else { return Ok(Outcome::Untried("the target names no key")) };
        let state = self.ssm.key_state(name).await?;
        let leads = if state.arn.ends_with(name.as_str()) { String::new() } else { format!(" ({})", state.arn) };
        let finding = match &state.problem {
            Some((problem, mend)) => sheet.fail("key", Exit::Failed, format!("{name} {problem}{leads}"), mend),
            None if state.is_aws_managed => {
                let found = format!("{name} is enabled{leads}, and AWS's own: everybody in the account may use it");
                sheet.warn("key", found, "Name a key of your own in `kms_key`, whose policy says who may read secrets.")
            }
            None => sheet.ok("key", format!("{name} is enabled{leads}")),
        };
        finding.rights = vec![action.to_owned()];
        self.key = state.problem.is_none().then_some(state);
        Ok(Outcome::Told)
    }

    async fn try_rotation(&self, sheet: &mut Sheet, action: &str) -> Result<Outcome> {
        let Some(state) = &self.key else { return Ok(Outcome::Untried("only a key that can be used is rotated")) };
        let finding = if self.ssm.is_rotated(&state.arn).await? {
            sheet.ok("rotation", "the key is rotated by itself")
        } else {
            let mend = format!("aws kms enable-key-rotation --key-id {}", state.arn);
            sheet.warn("rotation", "the key is never rotated by itself", &mend)
        };
        finding.rights = vec![action.to_owned()];
        Ok(Outcome::Told)
    }

    async fn try_decrypt(&self) -> Result<Outcome> {
        let Some(secret) = self.subject.secret else {
            return Ok(Outcome::Untried("the file has no secret for this target"));
        };
        if self.key.is_none() {
            return Ok(Outcome::Untried("the key cannot be used"));
        }
        Ok(match self.ssm.try_decrypt(secret).await? {
            true => Outcome::Allowed,
            false => Outcome::Untried("no secret of the file is there yet"),
        })
    }

    fn note_quota(&self, sheet: &mut Sheet, action: &str, high: bool) -> Outcome {
        let mut found = if high {
            "high throughput: Parameter Store takes 10 writes a second, from everybody in the account and region"
                .to_owned()
        } else {
            "standard throughput: Parameter Store takes 40 reads and 3 writes a second, from everybody in the account and \
             region"
                .to_owned()
        };
        if self.subject.config.rates.is_some() {
            found.push_str("; the file's own `rates` count");
        }
        sheet.ok("quota", found).rights = vec![action.to_owned()];
        Outcome::Told
    }

    fn note_refused(&self, sheet: &mut Sheet, statement: &Statement, action: &str, error: &Error) {
        let said = error.to_string();
        let sid = &statement.sid;
        let finding = match error.kind {
            ErrorKind::Denied if said.contains("AccessDenied") => {
                let found = format!("{action} is not allowed on {}: {said}", places(statement));
                let mend = format!(
                    "Allow {action} on {}: statement {sid} of repin iam --mode {}.",
                    statement.resources.join(", "),
                    self.subject.mode.word()
                );
                // Without these two everything works, only slower or less known.
                match action {
                    "ssm:GetServiceSetting" | "kms:GetKeyRotationStatus" => sheet.warn(sid, found, &mend),
                    _ => sheet.fail(sid, Exit::Denied, found, &mend),
                }
            }
            ErrorKind::KeyUnusable => sheet.failed("key", error, "Check `kms_key`."),
            ErrorKind::Throttled | ErrorKind::Unreachable => {
                let finding = sheet.failed(sid, error, "Try again later.");
                finding.rights = vec![action.to_owned()];
                sheet.stop("not tried after that");
                return;
            }
            _ => sheet.failed(sid, error, "Try again; if it stays so, report it with what was found."),
        };
        finding.rights = vec![action.to_owned()];
    }
}

/// What came of trying one right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Allowed,
    Untried(&'static str),
    /// A finding of its own says it.
    Told,
}

fn rights_of(statement: &Statement) -> impl Iterator<Item = String> {
    statement.actions.iter().map(|action| (*action).to_owned())
}

/// Says what a statement is about without what all ARNs begin with.
fn places(statement: &Statement) -> String {
    let short = |resource: &String| match resource.split_once(":parameter") {
        Some((_, name)) => name.to_owned(),
        None => resource.rsplit(':').next().unwrap_or(resource).to_owned(),
    };
    statement.resources.iter().map(short).collect::<Vec<_>>().join(", ")
}
