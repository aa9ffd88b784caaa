//! Logs: to stderr, levels by `-v`, and never more of other crates than is safe.
//!
//! Where stderr leads to the journal, each line begins with its level as journald understands it (sd-daemon(3)), and has
//! neither time nor colour: the journal keeps the one, and shows the other.

use std::fmt;
use std::io::{self, Write};
use std::os::fd::AsFd;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::args::{Color, Common, LogFormat};
use crate::model::printable;

/// Our own crates, which never log a value. All others are capped: SDKs have printed request bodies and credentials at
/// their lowest levels before.
const OURS: [&str; 5] =
    ["repin", "repin_aws_ssm", "repin_azure_app_configuration", "repin_emulator", "azure_data_app_configuration"];

/// Says at each attempt why a certificate is not believed, which the error of the request says too.
const TWICE: &str = "rustls_platform_verifier";

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
    let filter = Targets::new().with_default(others).with_target(TWICE, LevelFilter::OFF);
    let filter = filter.with_targets(OURS.map(|target| (target, level)));
    let filter = if daemon { filter.with_target(DAEMON, level.max(Level::INFO)) } else { filter };
    let registry = tracing_subscriber::registry();
    let layer = tracing_subscriber::fmt::layer().with_writer(stderr);
    let format = Format::default().with_target(common.verbose > 1);
    // A second initialisation can only be a test's; the first one stays.
    let _ = match (common.log_format, is_journal()) {
        (LogFormat::Json, true) => {
            let layer = layer.json().event_format(Prefixed(format.json().without_time()));
            registry.with(layer.with_filter(filter)).try_init()
        }
        (LogFormat::Json, false) => {
            registry.with(layer.json().event_format(format.json()).with_filter(filter)).try_init()
        }
        (LogFormat::Text, true) => {
            let layer = layer.with_ansi(false).event_format(Prefixed(format.without_time()));
            registry.with(layer.with_filter(filter)).try_init()
        }
        (LogFormat::Text, false) => {
            registry.with(layer.with_ansi(colored(common)).event_format(format).with_filter(filter)).try_init()
        }
    };
}

/// Tells whether stderr leads to the journal, as the service manager says (systemd.exec(5), `JOURNAL_STREAM`).
fn is_journal() -> bool {
    let said = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    rustix::fs::fstat(io::stderr().as_fd()).is_ok_and(|stat| is_stream(&said, stat.st_dev, stat.st_ino))
}

/// Tells whether a stream is the one that is named: a child may have been given another one.
fn is_stream(named: &str, device: u64, inode: u64) -> bool {
    let numbers = named.split_once(':').and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    numbers == Some((device, inode))
}

/// Puts the level before each line of an event.
struct Prefixed<F>(F);

impl<S, N, F> FormatEvent<S, N> for Prefixed<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut text = String::new();
        self.0.format_event(context, Writer::new(&mut text), event)?;
        let level = priority(event.metadata().level());
        text.lines().try_for_each(|line| writeln!(writer, "<{level}>{line}"))
    }
}

/// Returns the level as syslog(3) numbers it.
fn priority(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Makes way for a line of the log.
fn stderr() -> Printable<io::Stderr> {
    super::progress::make_way();
    Printable(io::stderr())
}

/// Writes events so that nothing in them steers a terminal.
struct Printable<W>(W);

impl<W: Write> Write for Printable<W> {
    /// Takes one whole event, as the layer writes it. What goes on in another line is indented: no text of others looks like
    /// an event of its own. The journal gets its levels before each line, and they come first.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = if text.starts_with('{') { printable::json(&text) } else { printable::screen(&text) };
        let (body, end) = text.strip_suffix('\n').map_or((&*text, ""), |body| (body, "\n"));
        let level = body.get(..3).filter(|start| start.starts_with('<') && start.ends_with('>')).unwrap_or_default();
        let next = format!("\n{level}    ");
        let lines: Vec<_> = body.split('\n').map(|line| line.strip_prefix(level).unwrap_or(line)).collect();
        self.0.write_all(format!("{level}{}{end}", lines.join(&next)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn colored(common: &Common) -> bool {
    match common.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("whole").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_stream_is_the_one_that_is_named() {
        assert!(is_stream("8:4321", 8, 4321));
        for other in ["", "8", "8:", ":4321", "9:4321", "8:4322", "8:4321:1"] {
            assert!(!is_stream(other, 8, 4321), "{other}");
        }
    }

    #[test]
    fn each_line_has_its_level() {
        let kept = Kept::default();
        let writer = kept.clone();
        let format = Prefixed(Format::default().with_target(false).without_time());
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer.event_format(format));
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("gone");
            tracing::warn!("one\ntwo");
            let _span = tracing::info_span!("pass", of = "release").entered();
            tracing::info!("well");
        });
        let text = String::from_utf8(kept.0.lock().expect("whole").clone()).expect("text");
        assert_eq!(text, "<3>ERROR gone\n<4> WARN one\n<4>two\n<6> INFO pass{of=\"release\"}: well\n");
    }

    #[test]
    fn nothing_in_an_event_looks_like_another() {
        for (event, shown) in [
            ("ERROR gone\n", "ERROR gone\n"),
            ("WARN a\nERROR forged\n", "WARN a\n    ERROR forged\n"),
            ("<4>WARN a\n<4><3>ERROR forged\n", "<4>WARN a\n<4>    <3>ERROR forged\n"),
            ("\u{1b}[2mWARN\u{1b}[0m \u{1b}]0;t\u{7}\u{202e}\n", "\u{1b}[2mWARN\u{1b}[0m \\u{1b}]0;t\\u{7}\\u{202e}\n"),
            ("{\"a\":\"\u{202e}\u{9b}\"}\n", "{\"a\":\"\\u202e\\u009b\"}\n"),
        ] {
            let kept = Kept::default();
            Printable(kept.clone()).write_all(event.as_bytes()).expect("kept");
            assert_eq!(String::from_utf8(kept.0.lock().expect("whole").clone()).expect("text"), shown);
        }
    }
}
