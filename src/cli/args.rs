//! Arguments.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

pub(super) use self::operator::{ForgetArgs, HoldArgs, PinArgs, ResumeArgs, RollbackArgs, UnpinArgs};
use super::topics;
use crate::daemon::listen::Address;

mod operator;

/// The argument of every command that takes a message.
pub(super) const MESSAGE: &str = "message";

/// How a file comes to say what is there.
const INIT_HELP: &str = "\
With --from the file is there already, from repin init for example, with its name and targets and no entries \
of its own. The stores are only read. What both clouds hold alike becomes one entry, what differs stands below \
per_target with a comment that says so; JSON becomes YAML, long texts become files in values/. What a file cannot \
say is named with the reason, and left alone. The policy then says adopt: equal, so that repin plan writes no \
entry, and the first repin reconcile only takes over what is there.

Examples:
  repin init && repin validate && repin plan --emulate
  repin init --from aws-eu azure --secrets secrets
  repin plan && repin reconcile -m \"taken over\"";

/// How a plan is read.
const PLAN_HELP: &str = "\
How to read it:
  +  is created          ~  is changed          -  is deleted
  ^  is served at another version that is there already, or taken over as it is
  !  differs from what repin last wrote, and policy.drift only reports that
A column says what each target serves now and will serve; below a key stand the changed JSON paths. \
A secret only says that it differs. What is below a prefix and not in the file is never touched.

Examples:
  repin plan -f repin.yaml --detailed-exitcode
  repin plan -f repin.yaml -o markdown > comment.md
  repin plan --out release.plan && repin reconcile --plan release.plan";

/// What a pass does.
const RECONCILE_HELP: &str = "\
A pass looks at every target, plans, claims the release in every target's ledger, and only then \
writes. If looking, planning or claiming fails anywhere, nothing is written anywhere. If a target \
fails later, the others go on, the rest is recorded as pending (exit 3), and the next pass of any \
host takes it up. With nothing to do it writes nothing and makes no release.

Examples:
  repin reconcile -f repin.yaml -m \"warmer answers\"
  repin plan --out release.plan && repin reconcile --plan release.plan";

/// What the daemon does.
const DAEMON_HELP: &str = "\
It looks at every target once an interval, puts back what others changed, and releases the file as \
soon as it changes: also where it is renamed over, reached through links, or a mounted volume. A file \
that cannot be read leaves the last good one in force. Targets are independent: one that is down \
keeps no other from being corrected, and only a release waits for all of them.

Signals:
  SIGHUP        read the file again, take fresh credentials, look at each target
  SIGTERM       stop as soon as nothing is half done, within 25 s; exit 0
  SIGINT        the same; exit 130
  a second one  stop at once; exit 143 or 130; what was begun is recorded

Beside it every other command works: a rollback or a hold is obeyed, whichever host it comes from. On \
this host commands go through its socket ($RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/repin, else beside \
its state) and need no credentials of their own: its user and group are served. --direct goes round it.

Examples:
  repin daemon -f repin.yaml --dry-run   watch only, for a first week
  repin daemon -f repin.yaml
  repin status -f repin.yaml --probe ready";

/// What the words of `status` mean.
const STATUS_HELP: &str = "\
Sync says whether a target serves what the ledger says:
  synced   it does
  drifted  somebody else changed something; the next pass puts it back
  pending  a release is not wholly served yet; any host's next pass goes on
  unknown  the target could not be seen

Only the name and the targets of the file are needed; a file that is otherwise broken is told and does no harm.

Examples:
  repin status -f repin.yaml
  repin status -f repin.yaml --probe ready";

/// What rights are printed.
const IAM_HELP: &str = "\
For each principal on AWS a policy, for each App Configuration store a role; nothing is sent anywhere \
and only the name and the targets of the file are needed. A change of entries changes nothing in it; \
another prefix, key, name or way of serving does.

Examples:
  repin iam --mode apply -f repin.yaml
  repin iam --mode plan -f repin.yaml -o json | jq .aws[0].policy > plan.json
  repin iam --mode apply --target azure --subscription ID --resource-group ai";

/// What is looked at, and what the words mean.
const DOCTOR_HELP: &str = "\
For this host and for each target one line a check, and where it is not well the mend. It changes nothing \
anywhere: rights are tried by reads, on App Configuration also by writes under a condition that cannot \
hold, and what cannot be tried without an effect is named. At most 20 requests go to a target.
  ok    it is well
  warn  it works, and may be wanted otherwise
  fail  it does not work: the gravest gives the exit code (78, 5, 77, 1, 75)
  skip  it was not tried, and why

With -o json: {format: 1, name, checks: [{target, check, result: ok|warn|fail|skip, found, mend, rights}]}; \
target is null for this host, name where the file does not say it, and mend where there is none. \
It looks with the credentials of this command; for those of a service run it as the service's user.

Examples:
  repin doctor -f repin.yaml
  repin doctor --mode plan -o json | jq '.checks[] | select(.result == \"fail\")'";

/// Where pages go.
const MAN_HELP: &str = "\
Examples:
  repin man | man -l -
  repin man --dir pages
  install -Dm 644 -t /usr/local/share/man/man1 pages/*.1";

/// Keeps AWS SSM Parameter Store and Azure App Configuration equal to one reviewed file, in numbered releases that can
/// be put back.
#[derive(Debug, Parser)]
#[command(name = "repin", version, arg_required_else_help = true, disable_help_subcommand = true, max_term_width = 100,
          after_long_help = topics::main_page())]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Parser)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Common {
    /// The file that says what the stores should hold, YAML or JSON. Given several times, later files are merged over
    /// earlier ones. Without it: REPIN_FILE (colon-separated), else repin.yaml in the current folder
    #[arg(short, long = "file", value_name = "FILE", global = true)]
    pub(super) files: Vec<PathBuf>,

    /// Only the targets of the file whose name matches, for example "aws-*"; may be repeated
    #[arg(long = "target", value_name = "GLOB", global = true)]
    pub(super) targets: Vec<String>,

    /// How results are written to stdout: text for people, json for programs (one object), markdown for a pull request
    /// (a plan only). Logs and progress go to stderr
    #[arg(short, long, value_enum, default_value_t = Output::Text, value_name = "FORM", hide_possible_values = true,
          global = true)]
    pub(super) output: Output,

    /// Use both clouds embedded in this process instead of the real ones, with their data in DIR, or in
    /// .repin-emulate if DIR is left out
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true,
          default_missing_value = ".repin-emulate", global = true)]
    pub(super) emulate: Option<PathBuf>,

    /// Where this host remembers what it saw, $XDG_STATE_HOME/repin or ~/.local/state/repin if left out; losing it
    /// loses nothing but speed
    #[arg(long, value_name = "DIR", env = "REPIN_STATE_DIR", hide_env_values = true, global = true)]
    pub(super) state_dir: Option<PathBuf>,

    /// Go round the daemon of this host, which otherwise carries commands out with its own file and credentials
    #[arg(long, global = true)]
    pub(super) direct: bool,

    /// What a daemon lends to a command that it carries out
    #[arg(skip)]
    pub(super) lent: Option<std::sync::Arc<super::lent::Lent>>,

    /// Log more: -v what is done, -vv why, -vvv everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(super) verbose: u8,

    /// How logs are written: text, or json with one object a line
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORM", hide_possible_values = true,
          global = true)]
    pub(super) log_format: LogFormat,

    /// When to use colour: always, never, or auto, which is on a terminal unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN", hide_possible_values = true,
          global = true)]
    pub(super) color: Color,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// One JSON object
    Json,
    /// For a pull request (only plan, and reconcile --dry-run)
    Markdown,
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
    /// Write a commented starter file, or fill one with what the stores hold; writes over nothing
    #[command(after_help = INIT_HELP)]
    Init(InitArgs),
    /// Check everything about the file that can be known offline
    #[command(after_help = "Example:\n  repin validate -f base.yaml -f prod.yaml")]
    Validate,
    /// Show what a pass would do and cost; needs only read rights and writes nothing anywhere
    #[command(after_help = PLAN_HELP)]
    Plan(PlanArgs),
    /// Make the stores equal to the file, once
    #[command(visible_alias = "apply", after_help = RECONCILE_HELP)]
    Reconcile(ReconcileArgs),
    /// Keep the stores equal to the file for as long as it runs
    #[command(after_help = DAEMON_HELP)]
    Daemon(DaemonArgs),
    /// Show how everything stands: what each target serves, and what is left to do
    #[command(after_help = STATUS_HELP)]
    Status(StatusArgs),
    /// Show what each target serves for one key
    #[command(after_help = "Example:\n  repin get chat/config -f repin.yaml")]
    Get(GetArgs),
    /// List releases, newest first, or the versions of one key
    #[command(after_help = "Examples:\n  repin history -f repin.yaml\n  repin history chat/config -f repin.yaml")]
    History(HistoryArgs),
    /// Show one release: what it did on each target, and whether it can be restored
    #[command(after_help = "Example:\n  repin show 42 -f repin.yaml")]
    Show(ShowArgs),
    /// Show what differs between two releases, or between one and what is served now
    #[command(after_help = "Examples:\n  repin diff 41 42 -f repin.yaml\n  repin diff 41 -f repin.yaml")]
    Diff(DiffArgs),
    /// Serve again what an earlier release served, on every target
    #[command(after_help = operator::ROLLBACK_HELP)]
    Rollback(RollbackArgs),
    /// Stop the file's changes of some entries, on every host
    #[command(after_help = operator::HOLD_HELP)]
    Hold(HoldArgs),
    /// Allow the file's changes again
    #[command(after_help = operator::RESUME_HELP)]
    Resume(ResumeArgs),
    /// Serve one native version of one entry on one target, whatever the file says
    #[command(after_help = operator::PIN_HELP)]
    Pin(PinArgs),
    /// Let the file's value of a pinned entry count again
    #[command(after_help = operator::UNPIN_HELP)]
    Unpin(UnpinArgs),
    /// Give up ownership of entries and leave the stores as they are
    #[command(after_help = operator::FORGET_HELP)]
    Forget(ForgetArgs),
    /// Serve both stores on loopback, for aws, boto3 and the official SDKs
    #[command(after_help = "Example:\n  repin emulator --dir /tmp/clouds --aws 127.0.0.1:4566 --azure 127.0.0.1:8483")]
    Emulator(EmulatorArgs),
    /// Find what keeps the file from working here: credentials, reachability, rights, keys; says the mend, changes nothing
    #[command(after_help = DOCTOR_HELP)]
    Doctor(DoctorArgs),
    /// Print the least rights that the file needs: AWS policies and Azure roles; asks nobody
    #[command(after_help = IAM_HELP)]
    Iam(IamArgs),
    /// Print the JSON Schema of the file, for editors and other checkers
    #[command(after_help = "Example:\n  repin schema > repin.schema.json")]
    Schema,
    /// Print the completions of a shell
    #[command(after_help = "Example:\n  repin completions bash > /etc/bash_completion.d/repin")]
    Completions(CompletionsArgs),
    /// Print the manual page of repin, or write one page a command and a topic
    #[command(after_help = MAN_HELP)]
    Man(ManArgs),
    /// Explain a command, or a topic: serve, holds, retention, quotas, exit-codes
    #[command(after_help = "Examples:\n  repin help rollback\n  repin help exit-codes")]
    Help(HelpArgs),
}

/// Arguments of `init`.
#[derive(Debug, Parser)]
pub(super) struct InitArgs {
    /// Fill the file with what these of its targets hold (names or globs); it must be there, and have no entries yet
    #[arg(long, value_name = "TARGET", num_args = 1..)]
    pub(super) from: Vec<String>,

    /// Read secrets too, each into a file of its own in this new folder, readable by you alone. Left out, the file refers
    /// to environment variables that are to be filled
    #[arg(long, value_name = "DIR", requires = "from")]
    pub(super) secrets: Option<PathBuf>,
}

/// Arguments of `plan`.
#[derive(Debug, Parser)]
pub(super) struct PlanArgs {
    /// Exit with 2 where changes or drift exist
    #[arg(long)]
    pub(super) detailed_exitcode: bool,

    /// Save the plan, so that repin reconcile --plan FILE applies exactly it, on this host or another. Values stand in
    /// the file, secrets only as references; it is written for its owner alone
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,

    /// List what is below the prefixes and not in the file, which is never touched; otherwise it is only counted
    #[arg(long)]
    pub(super) foreign: bool,

    /// Plan as if a file that a newer release has superseded might be released again
    #[arg(long)]
    pub(super) allow_older: bool,
}

/// Arguments of `reconcile`.
#[derive(Debug, Parser)]
pub(super) struct ReconcileArgs {
    /// Apply this saved plan and nothing else. Refused with exit 5 once anything is no longer as it was planned from:
    /// a store, a ledger, or a file given with -f, which is not needed otherwise
    #[arg(long, value_name = "FILE", conflicts_with = "allow_older")]
    pub(super) plan: Option<PathBuf>,

    /// Show the plan and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Where not everything can be served, put back what was served already (exit 4) instead of leaving the rest to
    /// the next pass
    #[arg(long)]
    pub(super) atomic: bool,

    /// Release a file that a newer release has superseded, after git revert for example
    #[arg(long)]
    pub(super) allow_older: bool,

    /// What this release is about; kept in its record
    #[arg(short, long, env = "REPIN_MESSAGE", hide_env_values = true, value_name = "TEXT")]
    pub(super) message: Option<String>,

    /// How long to try again what may pass: 90s, 5m
    #[arg(long, default_value = "2m", value_parser = parse_duration, value_name = "TIME")]
    pub(super) timeout: Duration,
}

/// Arguments of `daemon`.
#[derive(Debug, Parser)]
pub(super) struct DaemonArgs {
    /// The time between two looks at a target: 30s, 5m. It is stretched where a pass cannot fit it
    #[arg(long, default_value = "60s", value_parser = parse_interval, value_name = "TIME")]
    pub(super) interval: Duration,

    /// Only watch: say what would be written, and write nothing anywhere
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Also answer over HTTP: /livez, /readyz, /metrics for Prometheus and /v1/status. Only on loopback or a Unix socket,
    /// since nobody is asked who they are: 127.0.0.1:9187, unix:/run/repin/http.sock
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<Address>,

    /// Let --listen take an address that others can reach, in a container for example
    #[arg(long, requires = "listen")]
    pub(super) listen_public: bool,
}

/// Arguments of `status`.
#[derive(Debug, Parser)]
pub(super) struct StatusArgs {
    /// Ask only the daemon that runs on this host, for a liveness or readiness probe; exit 0 for yes, 1 for no or
    /// where none runs
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(super) probe: Option<Probe>,
}

/// What a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Probe {
    /// Is the daemon's loop turning? No is a reason to start it again
    Live,
    /// Has every target had a good pass? No is a reason to wait
    Ready,
}

impl Probe {
    /// Returns the word that the daemon is asked with.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Ready => "ready",
        }
    }
}

/// Arguments of `get`.
#[derive(Debug, Parser)]
pub(super) struct GetArgs {
    /// The entry's key, as the file writes it
    pub(super) key: String,

    /// Show a secret's value too
    #[arg(long)]
    pub(super) reveal: bool,
}

/// Arguments of `history`.
#[derive(Debug, Parser)]
pub(super) struct HistoryArgs {
    /// The entry's key, as the file writes it; left out, releases are listed
    pub(super) key: Option<String>,
}

/// Arguments of `show`.
#[derive(Debug, Parser)]
pub(super) struct ShowArgs {
    /// The release's number
    pub(super) release: u64,
}

/// Arguments of `diff`.
#[derive(Debug, Parser)]
pub(super) struct DiffArgs {
    /// The release to start from
    #[arg(value_name = "RELEASE")]
    pub(super) from: u64,

    /// The release to compare it with; left out, what is served now
    #[arg(value_name = "OTHER")]
    pub(super) to: Option<u64>,
}

/// Arguments of `iam`.
#[derive(Debug, Parser)]
pub(super) struct IamArgs {
    /// What the rights are for: plan only looks, rollback also does what operators do, apply does everything
    #[arg(long, value_enum, value_name = "MODE")]
    pub(super) mode: IamMode,

    /// The Azure subscription that the stores are in, for the scopes of roles
    #[arg(long, value_name = "ID")]
    pub(super) subscription: Option<String>,

    /// The resource group that the stores are in
    #[arg(long, value_name = "NAME")]
    pub(super) resource_group: Option<String>,
}

/// Arguments of `doctor`.
#[derive(Debug, Parser)]
pub(super) struct DoctorArgs {
    /// What the rights are looked at for: plan only looks, rollback also does what operators do, apply does everything
    #[arg(long, value_enum, value_name = "MODE", default_value_t = IamMode::Apply)]
    pub(super) mode: IamMode,
}

/// What rights are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum IamMode {
    /// plan, status, history, show, diff, get, and every --dry-run
    Plan,
    /// reconcile and daemon, and everything else
    Apply,
    /// rollback, hold, resume, pin, unpin, forget, and looking
    Rollback,
}

impl From<IamMode> for crate::iam::Mode {
    fn from(mode: IamMode) -> Self {
        match mode {
            IamMode::Plan => Self::Plan,
            IamMode::Apply => Self::Apply,
            IamMode::Rollback => Self::Rollback,
        }
    }
}

/// Arguments of `completions`.
#[derive(Debug, Parser)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Parser)]
pub(super) struct ManArgs {
    /// Write a page for repin, for each command (section 1) and for each topic (section 7) into this folder
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

/// Arguments of `help`.
#[derive(Debug, Parser)]
pub(super) struct HelpArgs {
    /// The command or the topic; left out, all of them are listed
    #[arg(value_name = "COMMAND or TOPIC")]
    pub(super) about: Option<String>,
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

    /// Where to hand out tokens of Entra and managed identities, and credentials of containers; loopback only
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(super) identity: SocketAddr,

    /// Serve everything over TLS, which Entra tokens and the Azure command line need. The certificate to trust is
    /// DIR/ca.pem, made on first use and good for loopback only
    #[arg(long, requires = "dir")]
    pub(super) tls: bool,

    /// The account that its credentials belong to
    #[arg(long, value_name = "ID", default_value = repin_emulator::credentials::DEFAULT_ACCOUNT)]
    pub(super) account: String,

    /// KMS keys that exist from the start, in the emulator's own region: alias/NAME or a key id
    #[arg(long = "kms-key", value_name = "KEY")]
    pub(super) kms_keys: Vec<String>,
}

/// Parses the time between two passes.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    if interval < Duration::from_millis(100) { Err("the shortest interval is 100ms".to_owned()) } else { Ok(interval) }
}

/// Parses a duration as people write it.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| format!("{text:?} is no time; write 90s or 5m"))?;
    Duration::try_from(span).map_err(|_| "a time cannot be negative".to_owned())
}
