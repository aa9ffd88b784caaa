//! Tells systemd how the daemon is (`Type=notify`). Without it nothing is told to anybody.

use std::time::Duration;

use sd_notify::NotifyState;

use super::board::BEAT;

/// The service manager that started this process, if one did.
#[derive(Debug)]
pub(super) struct Manager {
    watchdog: Option<Duration>,
    status: String,
}

impl Manager {
    pub(super) fn new() -> Self {
        Self { watchdog: sd_notify::watchdog_enabled(), status: String::new() }
    }

    /// Returns how often the loop has to turn at least.
    pub(super) fn beat(&self) -> Duration {
        self.watchdog.map_or(BEAT, |watchdog| BEAT.min(watchdog / 2))
    }

    /// Says that the daemon is at work. That no store was reached yet is no reason to call its start a failure.
    pub(super) fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// Says that the file is read again because somebody asked for it; [`ready`](Self::ready) ends it.
    pub(super) fn reloading(&self) {
        // With `Type=notify-reload` the time is what tells this reload from an earlier one.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// Feeds the watchdog: only the loop that begins the passes and takes their results does so, and not where a pass is
    /// stuck. To be started anew is safe at any moment, and all that helps then.
    pub(super) fn turn(&self, stuck_for: Option<Duration>) {
        if is_fed(self.watchdog, stuck_for) {
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// Says in one line how things stand, where that is news.
    pub(super) fn status(&mut self, text: String) {
        if self.status != text {
            tell(&[NotifyState::Status(&text)]);
            self.status = text;
        }
    }
}

/// Says why the daemon does not start. While it waits for its next attempt, `systemctl status` shows this, and no longer
/// what the last attempt wrote.
pub fn not_started(why: &str) {
    tell(&[NotifyState::Status(why)]);
}

/// Tells whether the watchdog is fed with a turn of the loop.
fn is_fed(watchdog: Option<Duration>, stuck_for: Option<Duration>) -> bool {
    watchdog.is_some() && stuck_for.is_none()
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loop_whose_work_gets_on_feeds_the_watchdog() {
        let minute = Some(Duration::from_secs(60));
        assert!(is_fed(minute, None));
        assert!(!is_fed(minute, Some(Duration::from_secs(1800))), "a pass hangs");
        assert!(!is_fed(None, None), "nobody asked");
    }

    #[test]
    fn the_loop_turns_twice_within_what_the_watchdog_waits() {
        let beat = |watchdog| Manager { watchdog, status: String::new() }.beat();
        assert_eq!(beat(None), BEAT);
        assert_eq!(beat(Some(Duration::from_secs(2))), Duration::from_secs(1));
        assert_eq!(beat(Some(Duration::from_secs(3600))), BEAT);
    }
}
