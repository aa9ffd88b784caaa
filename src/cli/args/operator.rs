//! Arguments of what operators do: going back, holding, pinning, letting go.

use std::time::Duration;

use clap::Parser;
use clap::builder::NonEmptyStringValueParser;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use repin_provider::Owner;

use super::parse_duration;

/// How to go back.
pub(super) const ROLLBACK_HELP: &str = "\
Every target serves again what it served at that release, by its own native versions, and the file \
may not bring back what was taken back: those entries are held until the file gives them another \
content, or until repin resume. Everything else goes on being reconciled. Going back makes a release \
of its own, so it can be gone back from.

Only the name and the targets of the file are needed. A target that cannot be reached keeps no other \
waiting: it is recorded as pending (exit 3), and any host's next pass finishes it.

Examples:
  repin rollback -m \"refusals up\"   one step; once more goes further back
  repin rollback 41 -f repin.yaml --dry-run
  repin rollback --at 2026-11-22T03:00Z -f repin.yaml
  repin rollback 41 --key \"prompts/**\" -f repin.yaml";

/// Who may change what.
pub(super) const HOLD_HELP: &str = "\
The file changes nothing of these entries until repin resume, on any host. They are still put back \
when somebody changes them in a store, and they can be rolled back.

Example:
  repin hold \"prompts/**\" -m \"frozen for the launch\" -f repin.yaml";

/// How holds end.
pub(super) const RESUME_HELP: &str = "\
Only lifts holds, those of rollbacks and those of repin hold; the next pass of any host releases what \
the file asks for. What is pinned stays so until repin unpin.

Examples:
  repin resume chat/config -f repin.yaml
  repin resume --all --dry-run -f repin.yaml";

/// What a version is.
pub(super) const PIN_HELP: &str = "\
The entry serves this version and stays there, whatever the file says, until repin unpin. A version is \
what repin history KEY lists: a number on SSM, an etag on App Configuration, or there a time that \
names one revision.

Examples:
  repin pin chat/config --target aws-eu --version 7 -m \"last good one\"
  repin pin chat/config --target azure --version 2026-11-22T03:00:00Z";

/// How pins end.
pub(super) const UNPIN_HELP: &str = "\
What the file says counts again with the next pass of any host.

Example:
  repin unpin chat/config --target aws-eu -f repin.yaml";

/// What is left.
pub(super) const FORGET_HELP: &str = "\
The stores stay as they are, and keep the tag that says whose it was. An entry that the file still has \
is met again as something that is not ours: take it out of the file too, or name it in forget there. \
Another name whose file has adopt: equal takes over what was let go of; with --to only that one can, so \
that at no moment it is anybody's.

Examples:
  repin forget \"legacy/**\" -f repin.yaml
  repin forget --all --purge -f repin.yaml
  repin forget --all --to assistant-v2 && repin reconcile -f assistant-v2.yaml";

/// Arguments of `rollback`.
#[derive(Debug, Parser)]
pub(crate) struct RollbackArgs {
    /// The release to go back to; left out, one step back
    pub(crate) release: Option<u64>,

    /// So many steps back, over releases of changed files that were not rolled back
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "release")]
    pub(crate) steps: Option<u32>,

    /// To the release that was fully served at this time, for example 2026-11-22T03:00Z; UTC where no zone is given
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with_all = ["release", "steps"])]
    pub(crate) at: Option<Timestamp>,

    /// Only the entries whose key matches
    #[arg(long = "key", value_name = "GLOB", value_parser = parse_glob)]
    pub(crate) keys: Option<String>,

    /// Show what would be done and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) why: Why,

    /// How long to try again what may pass: 90s, 5m
    #[arg(long, default_value = "2m", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) timeout: Duration,
}

/// What operators say about what they do.
#[derive(Debug, Parser)]
pub(crate) struct Why {
    /// Why; kept in the record, and shown where something is held
    #[arg(short, long, env = "REPIN_MESSAGE", hide_env_values = true, value_name = "TEXT")]
    pub(crate) message: Option<String>,
}

/// Arguments of `hold`.
#[derive(Debug, Parser)]
pub(crate) struct HoldArgs {
    /// The entries whose key matches
    #[arg(value_name = "GLOB", value_parser = parse_glob)]
    pub(crate) keys: String,

    /// Why; shown to everybody who meets the hold
    #[arg(short, long, env = "REPIN_MESSAGE", hide_env_values = true, value_name = "WHY", required = true,
          value_parser = NonEmptyStringValueParser::new())]
    pub(crate) message: String,
}

/// Which entries: a glob, or all of them said out loud.
#[derive(Debug, Parser)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// The entries whose key matches
    #[arg(value_name = "GLOB", value_parser = parse_glob)]
    pub(crate) keys: Option<String>,

    /// All entries
    #[arg(long)]
    pub(crate) all: bool,
}

/// Arguments of `resume`.
#[derive(Debug, Parser)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) which: Which,

    /// Show which holds would be lifted and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) why: Why,
}

/// Arguments of `pin`.
#[derive(Debug, Parser)]
pub(crate) struct PinArgs {
    /// The entry's key, as the file writes it
    pub(crate) key: String,

    /// The version to serve
    // An etag may begin with a hyphen.
    #[arg(long, value_name = "V", value_parser = NonEmptyStringValueParser::new(), allow_hyphen_values = true)]
    pub(crate) version: String,

    #[command(flatten)]
    pub(crate) why: Why,

    /// How long to try again what may pass: 90s, 5m
    #[arg(long, default_value = "2m", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) timeout: Duration,
}

/// Arguments of `unpin`.
#[derive(Debug, Parser)]
pub(crate) struct UnpinArgs {
    /// The entry's key, as the file writes it
    pub(crate) key: String,

    #[command(flatten)]
    pub(crate) why: Why,
}

/// Arguments of `forget`.
#[derive(Debug, Parser)]
pub(crate) struct ForgetArgs {
    #[command(flatten)]
    pub(crate) which: Which,

    /// Let only this name take them over, until it has: its file asks for them with adopt: equal
    #[arg(long, value_name = "NAME", value_parser = parse_owner)]
    pub(crate) to: Option<Owner>,

    /// Remove the copies, too, that the ledger keeps of their past contents; those cannot be restored any more
    #[arg(long)]
    pub(crate) purge: bool,

    #[command(flatten)]
    pub(crate) why: Why,
}

fn parse_glob(text: &str) -> Result<String, String> {
    match globset::Glob::new(text) {
        Ok(_) if !text.is_empty() => Ok(text.to_owned()),
        Ok(_) => Err("an empty glob matches nothing".to_owned()),
        Err(error) => Err(error.kind().to_string()),
    }
}

fn parse_owner(text: &str) -> Result<Owner, String> {
    Owner::parse(text).map_err(|error| format!("a name {}", error.rule))
}

/// Parses a time as people write it: with a zone, or in UTC.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("{text:?} is no time; write 2026-11-22T03:00Z");
    text.parse::<Timestamp>().or_else(|_| {
        let civil = text.parse::<DateTime>().map_err(|_| wrong())?;
        civil.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|_| wrong())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_a_zone_or_in_utc() {
        let zoned = parse_time("2026-11-22T03:00:00Z").expect("a time");
        for same in ["2026-11-22T04:00:00+01:00", "2026-11-22T03:00", "2026-11-22 03:00:00", "2026-11-22T03:00Z"] {
            assert_eq!(parse_time(same), Ok(zoned), "{same}");
        }
        assert_eq!(parse_time("2026-11-22").map(|day| day.to_string()), Ok("2026-11-22T00:00:00Z".to_owned()));
        for wrong in ["", "yesterday", "03:00", "2026-13-01T00:00Z"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_glob_that_is_none_is_refused() {
        assert_eq!(parse_glob("prompts/**"), Ok("prompts/**".to_owned()));
        assert!(parse_glob("a[").is_err() && parse_glob("").is_err());
    }
}
