//! One line on the terminal while a pass takes its time. Nothing of it reaches a file, a pipe or a program.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use repin_provider::{Error, Provider, TargetName};
use unicode_width::UnicodeWidthChar as _;

use super::print::Printer;
use crate::model::outcome::{Progress, StepOutcome};
use crate::model::plan::Plan;

/// A pass that is over sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(700);

/// How often the line is drawn again.
const TICK: Duration = Duration::from_millis(200);

/// Goes to the beginning of the line and clears it.
const CLEAR: &str = "\r\x1b[2K";

/// Whether the line is on the screen, so that whatever else is written there clears it first.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// Clears the line if it is on the screen; it comes back with the next tick.
pub(super) fn make_way() {
    if DRAWN.swap(false, Ordering::AcqRel) {
        let _ = std::io::stderr().write_all(CLEAR.as_bytes());
    }
}

/// Draws the line; without text there is none.
pub(super) fn draw(text: &str) {
    if text.is_empty() {
        return make_way();
    }
    let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
    let text = fit(text, width.saturating_sub(1));
    DRAWN.store(true, Ordering::Release);
    let _ = std::io::stderr().write_all(format!("{CLEAR}{text}").as_bytes());
}

/// What a pass has done so far.
#[derive(Debug)]
pub(super) struct Line {
    providers: BTreeMap<TargetName, Arc<dyn Provider>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    began: Instant,
    targets: BTreeMap<TargetName, Done>,
    waits: Option<(TargetName, Instant, &'static str)>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Done {
    ended: usize,
    of: usize,
}

impl Line {
    pub(super) fn new(providers: &BTreeMap<TargetName, Arc<dyn Provider>>) -> Self {
        let state = State { began: Instant::now(), targets: BTreeMap::new(), waits: None };
        Self { providers: providers.clone(), state: Mutex::new(state) }
    }

    /// Shows the line for as long as the work takes, where somebody may be looking at it.
    pub(super) async fn during<T>(&self, printer: &Printer, work: impl Future<Output = T>) -> T {
        if !printer.shows_progress() {
            return work.await;
        }
        let done = tokio::select! {
            done = work => done,
            () = self.draw(printer) => unreachable!("drawing never ends"),
        };
        printer.progress("");
        done
    }

    async fn draw(&self, printer: &Printer) {
        tokio::time::sleep(PATIENCE).await;
        loop {
            printer.progress(&self.text(Instant::now()));
            tokio::time::sleep(TICK).await;
        }
    }

    fn text(&self, now: Instant) -> String {
        let state = self.lock();
        if state.targets.is_empty() {
            let requests: u64 = self.providers.values().flat_map(|provider| provider.requests().into_values()).sum();
            let names: Vec<_> = self.providers.keys().map(TargetName::as_str).collect();
            return format!("looking at {}: {requests} requests", names.join(", "));
        }
        serving(&state, now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serving(state: &State, now: Instant) -> String {
    let ended: usize = state.targets.values().map(|done| done.ended).sum();
    let of: usize = state.targets.values().map(|done| done.of).sum();
    let each: Vec<_> = state.targets.iter().map(|(name, done)| format!("{name} {}/{}", done.ended, done.of)).collect();
    let mut text = format!("{ended} of {of} done: {}", each.join(", "));
    if let Some(left) = left(ended, of, now.saturating_duration_since(state.began)) {
        let _ = write!(text, ", about {left} left");
    }
    if let Some((target, until, why)) = &state.waits
        && *until > now
    {
        let _ = write!(text, "; {target} waits {} s ({why})", (*until - now).as_secs() + 1);
    }
    text
}

/// Returns how long the rest takes if it goes on as it went so far.
fn left(ended: usize, of: usize, took: Duration) -> Option<String> {
    if ended == 0 || ended >= of || took < Duration::from_secs(1) {
        return None;
    }
    let seconds = (took.as_secs_f64() * (of - ended) as f64 / ended as f64).ceil();
    Some(if seconds < 90.0 { format!("{seconds} s") } else { format!("{} min", (seconds / 60.0).ceil()) })
}

/// Cuts a text to the width of a terminal.
fn fit(text: &str, width: usize) -> String {
    let mut used = 0;
    text.chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

impl Progress for Line {
    fn begins(&self, plan: &Plan) {
        let mut state = self.lock();
        state.began = Instant::now();
        let busy = plan.targets.iter().filter(|(_, target)| !target.steps.is_empty());
        state.targets = busy.map(|(name, target)| (name.clone(), Done { ended: 0, of: target.steps.len() })).collect();
    }

    fn ended(&self, step: &StepOutcome) {
        if let Some(done) = self.lock().targets.get_mut(&step.target) {
            done.ended += 1;
        }
    }

    fn waits(&self, target: &TargetName, wait: Duration, why: &Error) {
        self.lock().waits = Some((target.clone(), Instant::now() + wait, crate::report::kind_word(why.kind)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> TargetName {
        TargetName::parse(text).expect("valid")
    }

    #[test]
    fn the_line_says_how_far_and_how_long() {
        let began = Instant::now();
        let targets = [(target("aws-eu"), Done { ended: 20, of: 100 }), (target("azure"), Done { ended: 40, of: 40 })];
        let mut state = State { began, targets: targets.into(), waits: None };
        let later = began + Duration::from_secs(30);
        assert_eq!(serving(&state, later), "60 of 140 done: aws-eu 20/100, azure 40/40, about 40 s left");
        state.waits = Some((target("aws-eu"), later + Duration::from_millis(2500), "throttled"));
        assert!(serving(&state, later).ends_with("; aws-eu waits 3 s (throttled)"));
        assert!(!serving(&state, later + Duration::from_secs(5)).contains("waits"));
    }

    #[test]
    fn what_is_left_is_not_guessed_from_nothing() {
        let second = Duration::from_secs(1);
        assert_eq!(left(0, 10, second), None);
        assert_eq!(left(10, 10, second), None);
        assert_eq!(left(1, 10, Duration::ZERO), None);
        assert_eq!(left(1, 10, second).as_deref(), Some("9 s"));
        assert_eq!(left(10, 10_000, Duration::from_secs(3)).as_deref(), Some("50 min"));
    }

    #[test]
    fn the_line_fits_the_terminal() {
        assert_eq!(fit("abcdef", 4), "abcd");
        assert_eq!(fit("äöü", 2), "äö");
        assert_eq!(fit("a漢字", 4), "a漢");
    }
}
