//! Whether the daemon does its work: what the service manager's watchdog and `/livez` are told. No clock, no I/O.
//!
//! ```text
//! the loop hangs           no beat at all: nobody feeds the watchdog, and /livez misses the turns
//! a pass hangs             beats, but nothing is sent and nothing ends: not alive after a while
//! a store is down          requests fail and passes end: alive
//! nothing is to be done    alive
//! ```

use std::time::Duration;

use super::schedule::Moment;

/// How long a pass may be at work without anything being sent or ending. The longest that one waits on purpose is two
/// minutes after throttles; one whose turn comes after a rollback of thousands of entries has that one's requests as a
/// sign of life.
const STUCK: Duration = Duration::from_secs(30 * 60);

/// The signs of life of whatever is at work.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pulse {
    /// When there was last nothing at work, or a sign of life.
    moved: Moment,
    /// How many requests were sent and pieces of work ended by then.
    signs: u64,
}

impl Pulse {
    /// Takes one turn of the loop: how many pieces are at work, and how many requests were sent and pieces ended since the
    /// start. Returns for how long nothing moves although something should, where that is too long.
    pub(super) fn beat(&mut self, now: Moment, at_work: usize, signs: u64) -> Option<Duration> {
        if at_work == 0 || signs != self.signs {
            (self.moved, self.signs) = (now, signs);
        }
        let still = now.saturating_sub(self.moved);
        (still >= STUCK).then_some(still)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(n: u64) -> Moment {
        Duration::from_secs(60 * n)
    }

    #[test]
    fn a_pass_that_neither_sends_nor_ends_is_stuck_after_a_while() {
        let mut pulse = Pulse::default();
        assert_eq!(pulse.beat(minutes(1), 1, 7), None);
        assert_eq!(pulse.beat(minutes(30), 2, 7), None);
        assert_eq!(pulse.beat(minutes(31), 2, 7), Some(minutes(30)));
        assert_eq!(pulse.beat(minutes(40), 2, 7), Some(minutes(39)), "for as long as it hangs");
        assert_eq!(pulse.beat(minutes(41), 2, 8), None, "it goes on after all");
    }

    #[test]
    fn a_store_that_is_down_or_slow_is_no_reason() {
        let mut pulse = Pulse::default();
        // A request that fails each minute.
        for n in 0..600 {
            assert_eq!(pulse.beat(minutes(n), 1, n), None);
        }
    }

    #[test]
    fn an_idle_daemon_is_alive() {
        let mut pulse = Pulse::default();
        for n in 0..600 {
            assert_eq!(pulse.beat(minutes(n), 0, 3), None);
        }
        assert_eq!(pulse.beat(minutes(628), 1, 3), None, "what has just begun is not stuck");
    }
}
