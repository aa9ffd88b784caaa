//! One line on the terminal while a pass takes its time. Nothing of it reaches a file, a pipe or a program; but where the
//! quotas make a pass take long, a log is told so now and then.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use repin_provider::{Error, Provider, TargetName};
use unicode_width::UnicodeWidthChar as _;

use super::args::Output;
use super::print::Printer;
use crate::model::outcome::{Progress, StepOutcome};
use crate::model::plan::{Plan, TargetPlan};

/// A pass that is over sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(700);

/// How often the line is drawn again.
const TICK: Duration = Duration::from_millis(200);

/// Where there is no terminal, a wait for the quotas is told of if it takes longer than this.
const WORTH_TELLING: Duration = Duration::from_secs(10);

/// How often it is told again.
const TOLD_EVERY: Duration = Duration::from_secs(30);

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
    /// Requests that all of it takes.
    writes: u64,
    /// Requests a second that are let through now; `None` where nothing limits them.
    rate: Option<f64>,
}

impl Done {
    /// Returns how long the rest takes at the present rate, where there is one.
    fn left(self, took: Duration) -> Option<Duration> {
        let rate = self.rate.filter(|rate| *rate > 0.0)?;
        let steps = self.of.saturating_sub(self.ended) as f64;
        // A step may take two requests, of which the first are all sent before any step ends.
        let by_steps = steps * self.writes as f64 / self.of.max(1) as f64;
        let by_time = self.writes as f64 - took.as_secs_f64() * rate;
        Duration::try_from_secs_f64(by_steps.min(by_time).max(steps) / rate).ok()
    }

    /// Says how far a target is whose quota makes it wait.
    fn sentence(self, name: &TargetName, took: Duration) -> Option<String> {
        let left = self.left(took).filter(|left| *left > Duration::from_secs(3))?;
        let (ended, of, rate) = (grouped(self.ended), grouped(self.of), rate(self.rate?));
        Some(format!("{name}: {ended} of {of} written, about {} left at {rate} a second", rounded(left)))
    }
}

impl Line {
    pub(super) fn new(providers: &BTreeMap<TargetName, Arc<dyn Provider>>) -> Self {
        let state = State { began: Instant::now(), targets: BTreeMap::new(), waits: None };
        Self { providers: providers.clone(), state: Mutex::new(state) }
    }

    /// Shows the line for as long as the work takes, where somebody may be looking at it.
    pub(super) async fn during<T>(&self, printer: &Printer, work: impl Future<Output = T>) -> T {
        if printer.output() == Output::Json {
            return work.await;
        }
        if !printer.shows_progress() {
            return tokio::select! {
                done = work => done,
                () = self.tell(printer) => unreachable!("telling never ends"),
            };
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

    /// Tells a log how long the quotas make the pass take.
    async fn tell(&self, printer: &Printer) {
        let mut told: Option<Instant> = None;
        loop {
            tokio::time::sleep(PATIENCE).await;
            let now = Instant::now();
            if told.is_some_and(|told| now.saturating_duration_since(told) < TOLD_EVERY) {
                continue;
            }
            if let Some(text) = slow(&self.updated(), now) {
                printer.note(&text);
                told = Some(now);
            }
        }
    }

    /// Returns the state with the rates as they are now.
    fn updated(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        for (name, done) in &mut state.targets {
            done.rate = self.providers.get(name).and_then(|provider| provider.pace()).map(|pace| pace.writes);
        }
        state
    }

    fn text(&self, now: Instant) -> String {
        let state = self.updated();
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
    let took = now.saturating_duration_since(state.began);
    let slow: Vec<_> = state.targets.iter().filter_map(|(name, done)| done.sentence(name, took)).collect();
    let mut text = format!("{ended} of {of} done: {}", each.join(", "));
    if !slow.is_empty() {
        text = slow.join("; ");
    } else if let Some(left) = left(ended, of, took) {
        let _ = write!(text, ", about {left} left");
    }
    if let Some((target, until, why)) = &state.waits
        && *until > now
    {
        let _ = write!(text, "; {target} waits {} s ({why})", (*until - now).as_secs() + 1);
    }
    text
}

/// Says which targets the quotas make wait for long.
fn slow(state: &State, now: Instant) -> Option<String> {
    let took = now.saturating_duration_since(state.began);
    let is_long = |done: &Done| done.left(took).is_some_and(|left| left > WORTH_TELLING);
    let long = state.targets.iter().filter(|(_, done)| is_long(done));
    let texts: Vec<_> = long.filter_map(|(name, done)| done.sentence(name, took)).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// Says a rate of writes: `3 writes`, `1 write`, `0.5 writes`.
fn rate(rate: f64) -> String {
    let digits = if rate >= 10.0 { 0 } else { 1 };
    let text = format!("{rate:.digits$}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    match text {
        "0" => "less than 0.1 writes".to_owned(),
        "1" => "1 write".to_owned(),
        _ => format!("{text} writes"),
    }
}

/// Writes a number with its thousands apart.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn rounded(left: Duration) -> String {
    let seconds = left.as_secs_f64().ceil();
    if seconds < 90.0 { format!("{seconds} s") } else { format!("{} min", (seconds / 60.0).ceil()) }
}

/// Returns how long the rest takes if it goes on as it went so far.
fn left(ended: usize, of: usize, took: Duration) -> Option<String> {
    if ended == 0 || ended >= of || took < Duration::from_secs(1) {
        return None;
    }
    Some(rounded(took.mul_f64((of - ended) as f64 / ended as f64)))
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
        let done = |target: &TargetPlan| Done { of: target.steps.len(), writes: target.cost.writes, ..Done::default() };
        state.targets = busy.map(|(name, target)| (name.clone(), done(target))).collect();
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
        let done = |ended, of| Done { ended, of, ..Done::default() };
        let targets = [(target("aws-eu"), done(20, 100)), (target("azure"), done(40, 40))];
        let mut state = State { began, targets: targets.into(), waits: None };
        let later = began + Duration::from_secs(30);
        assert_eq!(serving(&state, later), "60 of 140 done: aws-eu 20/100, azure 40/40, about 40 s left");
        state.waits = Some((target("aws-eu"), later + Duration::from_millis(2500), "throttled"));
        assert!(serving(&state, later).ends_with("; aws-eu waits 3 s (throttled)"));
        assert!(!serving(&state, later + Duration::from_secs(5)).contains("waits"));
    }

    #[test]
    fn a_wait_for_the_quota_is_said_with_the_rate() {
        let began = Instant::now();
        let paced = Done { ended: 812, of: 2000, writes: 2002, rate: Some(3.0) };
        let targets = [(target("aws-eu"), paced), (target("azure"), Done { ended: 9, of: 9, ..Done::default() })];
        let state = State { began, targets: targets.into(), waits: None };
        let now = began + Duration::from_secs(271);
        let text = "aws-eu: 812 of 2,000 written, about 7 min left at 3 writes a second";
        assert_eq!(serving(&state, now), text);
        assert_eq!(slow(&state, now).as_deref(), Some(text), "and a log is told so");
        let soon = Done { ended: 1985, ..paced };
        let state = State { targets: [(target("aws-eu"), soon)].into(), ..state };
        assert_eq!(serving(&state, now), "aws-eu: 1,985 of 2,000 written, about 6 s left at 3 writes a second");
        assert_eq!(slow(&state, now), None);
    }

    #[test]
    fn of_two_writes_a_step_the_first_are_sent_before_any_step_ends() {
        let labelled = Done { ended: 0, of: 100, writes: 202, rate: Some(2.0) };
        let left = |done: Done, took| done.left(Duration::from_secs(took)).map(|left| left.as_secs());
        assert_eq!(left(labelled, 0), Some(101));
        assert_eq!(left(labelled, 50), Some(51), "half of it was put");
        assert_eq!(left(labelled, 500), Some(50), "and no step has ended yet");
        assert_eq!(left(Done { rate: None, ..labelled }, 0), None);
        assert_eq!(left(Done { rate: Some(0.0), ..labelled }, 0), None);
    }

    #[test]
    fn rates_and_numbers_are_said_as_people_do() {
        for (number, text) in [(3.0, "3 writes"), (1.0, "1 write"), (0.5, "0.5 writes"), (49.6, "50 writes")] {
            assert_eq!(rate(number), text);
        }
        assert_eq!(rate(0.01), "less than 0.1 writes");
        assert_eq!([1, 999, 1000, 1_234_567].map(grouped), ["1", "999", "1,000", "1,234,567"]);
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
