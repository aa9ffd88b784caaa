//! Logs: to stderr, levels by `-v`, and never more of other crates than is safe.

use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::args::{Color, Common, LogFormat};

/// Our own crates, which never log a value. All others are capped: SDKs have printed request bodies and credentials at
/// their lowest levels before.
const OURS: [&str; 5] =
    ["repin", "repin_aws_ssm", "repin_azure_app_configuration", "repin_emulator", "azure_data_app_configuration"];

/// What the daemon says of itself: a line where something happens, and none where nothing does.
const DAEMON: &str = "repin::daemon";

/// Starts logging. A daemon has no other way to say what it does.
pub(super) fn init(common: &Common, daemon: bool) {
    let level = match common.verbose {
        0 => Level::WARN,
        1 => Level::INFO,
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let others = LevelFilter::from_level(level.min(Level::INFO));
    let filter = Targets::new().with_default(others).with_targets(OURS.map(|target| (target, level)));
    let filter = if daemon { filter.with_target(DAEMON, level.max(Level::INFO)) } else { filter };
    let registry = tracing_subscriber::registry();
    let layer = tracing_subscriber::fmt::layer().with_writer(stderr).with_target(common.verbose > 1);
    // A second initialisation can only be a test's; the first one stays.
    let _ = match common.log_format {
        LogFormat::Json => registry.with(layer.json().with_filter(filter)).try_init(),
        LogFormat::Text => registry.with(layer.with_ansi(colored(common)).with_filter(filter)).try_init(),
    };
}

/// Makes way for a line of the log.
fn stderr() -> std::io::Stderr {
    super::progress::make_way();
    std::io::stderr()
}

fn colored(common: &Common) -> bool {
    match common.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never,
    }
}
