//! Arguments.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

/// Keeps AWS SSM Parameter Store and Azure App Configuration equal to one reviewed file, in numbered releases that can
/// be put back.
#[derive(Debug, Parser)]
#[command(name = "repin", version, arg_required_else_help = true, max_term_width = 100)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Parser)]
pub(super) struct Common {
    /// The desired-state file, YAML or JSON; several are merged in order [env: REPIN_FILE, colon-separated]
    #[arg(short, long = "file", value_name = "FILE", global = true)]
    pub(super) files: Vec<PathBuf>,

    /// Where this host remembers what it saw; losing it loses nothing but speed
    #[arg(long, value_name = "DIR", env = "REPIN_STATE_DIR", global = true)]
    pub(super) state_dir: Option<PathBuf>,

    /// Only the targets that match
    #[arg(long = "target", value_name = "GLOB", global = true)]
    pub(super) targets: Vec<String>,

    /// How results are written
    #[arg(short, long, value_enum, default_value_t = Output::Text, global = true)]
    pub(super) output: Output,

    /// Use both clouds embedded in this process instead of the real ones, with their data in DIR
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true,
          default_missing_value = ".repin-emulate", global = true)]
    pub(super) emulate: Option<PathBuf>,

    /// Log more: -v what is done, -vv why, -vvv everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(super) verbose: u8,

    /// How logs are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true)]
    pub(super) log_format: LogFormat,

    /// When to use colour; NO_COLOR is obeyed
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true)]
    pub(super) color: Color,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check everything that can be known offline
    #[command(after_help = "Example:\n  repin validate -f base.yaml -f prod.yaml")]
    Validate,
    /// Show what a pass would do and cost; writes nothing anywhere
    #[command(after_help = "Example:\n  repin plan -f repin.yaml --detailed-exitcode")]
    Plan(PlanArgs),
    /// Make the stores equal to the file, once
    #[command(visible_alias = "apply", after_help = "Example:\n  repin reconcile -f repin.yaml -m \"warmer answers\"")]
    Reconcile(ReconcileArgs),
    /// Show what each target serves for one key
    #[command(after_help = "Example:\n  repin get chat/config -f repin.yaml")]
    Get(GetArgs),
    /// List releases, newest first, or the versions of one key
    #[command(after_help = "Example:\n  repin history chat/config -f repin.yaml")]
    History(HistoryArgs),
    /// Show one release
    #[command(after_help = "Example:\n  repin show 42 -f repin.yaml")]
    Show(ShowArgs),
    /// Serve both stores on loopback, for aws, boto3 and the official SDKs
    #[command(after_help = "Example:\n  repin emulator --dir /tmp/clouds --aws 127.0.0.1:4566 --azure 127.0.0.1:8483")]
    Emulator(EmulatorArgs),
}

/// Arguments of `plan`.
#[derive(Debug, Parser)]
pub(super) struct PlanArgs {
    /// Exit with 2 where changes or drift exist
    #[arg(long)]
    pub(super) detailed_exitcode: bool,

    /// Plan as if an older file might be released again
    #[arg(long)]
    pub(super) allow_older: bool,
}

/// Arguments of `reconcile`.
#[derive(Debug, Parser)]
pub(super) struct ReconcileArgs {
    /// Show the plan and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Release a file that a newer release has superseded, after git revert for example
    #[arg(long)]
    pub(super) allow_older: bool,

    /// What this release is about; kept in its record
    #[arg(short, long, env = "REPIN_MESSAGE", value_name = "TEXT")]
    pub(super) message: Option<String>,

    /// How long to try again what may pass: 90s, 5m
    #[arg(long, default_value = "2m", value_parser = parse_duration, value_name = "TIME")]
    pub(super) timeout: Duration,
}

/// Arguments of `get`.
#[derive(Debug, Parser)]
pub(super) struct GetArgs {
    /// The entry's key
    pub(super) key: String,

    /// Show a secret's value too
    #[arg(long)]
    pub(super) reveal: bool,
}

/// Arguments of `history`.
#[derive(Debug, Parser)]
pub(super) struct HistoryArgs {
    /// The entry's key; left out, releases are listed
    pub(super) key: Option<String>,
}

/// Arguments of `show`.
#[derive(Debug, Parser)]
pub(super) struct ShowArgs {
    /// The release's number
    pub(super) release: u64,
}

/// Arguments of `emulator`.
#[derive(Debug, Parser)]
pub(super) struct EmulatorArgs {
    /// Where to keep the data; left out, in memory
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,

    /// Where to serve SSM, KMS and STS; loopback only, port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(super) aws: SocketAddr,

    /// Where to serve App Configuration; loopback only, port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(super) azure: SocketAddr,

    /// The account that its credentials belong to
    #[arg(long, value_name = "ID", default_value = repin_emulator::credentials::DEFAULT_ACCOUNT)]
    pub(super) account: String,

    /// KMS keys that exist from the start, in the emulator's own region: alias/NAME or a key id
    #[arg(long = "kms-key", value_name = "KEY")]
    pub(super) kms_keys: Vec<String>,
}

/// Parses a duration as people write it.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| format!("{text:?} is no time; write 90s or 5m"))?;
    Duration::try_from(span).map_err(|_| "a time cannot be negative".to_owned())
}
