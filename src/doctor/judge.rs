//! PURE: from times to findings.

use jiff::{SignedDuration, Timestamp, Unit};

use super::Sheet;
use crate::exit::Exit;

/// How far a clock may be off before it is worth a word.
const SKEW_SEEN: SignedDuration = SignedDuration::from_mins(1);
/// How soon a certificate ends that is worth a word.
const CERTIFICATE_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Compares this host's clock with a store's. Requests that are further apart than `tolerated` are refused.
pub(super) fn clock(sheet: &mut Sheet, here: Timestamp, there: Option<Timestamp>, tolerated: SignedDuration) {
    let Some(there) = there else {
        sheet.skip("clock", "not compared: no answer said what time it is");
        return;
    };
    let off = here.duration_since(there);
    let way = if off.is_negative() { "behind" } else { "ahead of" };
    // A store says the time to the second, and its answer took a while.
    let about = off.abs().round(Unit::Minute).unwrap_or(off.abs());
    let found = format!("this host's clock is {} {way} the store's", words(about));
    let mend = "Set the clock, and keep it by NTP: timedatectl set-ntp true.";
    if off.abs() > tolerated {
        let found = format!("{found}, and requests that are more than {} off are refused", words(tolerated));
        sheet.fail("clock", Exit::Denied, found, mend);
        sheet.stop("not tried with a clock that is so far off");
    } else if off.abs() > SKEW_SEEN {
        sheet.warn("clock", found, mend);
    } else {
        sheet.ok("clock", "agrees with the store's, to the minute");
    }
}

/// Says until when something is good: `, until 10:40Z (in 55 min)`.
pub(super) fn until(now: Timestamp, end: Option<Timestamp>) -> String {
    match end {
        Some(end) if end <= now => format!(", ended {} ago", words(now.duration_since(end))),
        Some(end) => format!(", good for {}", words(end.duration_since(now))),
        None => String::new(),
    }
}

/// Tells whether a certificate ends soon.
pub(super) fn ends_soon(now: Timestamp, end: Timestamp) -> bool {
    end.duration_since(now) < CERTIFICATE_SOON
}

/// Says a duration as people do, to two units at most.
pub(super) fn words(duration: SignedDuration) -> String {
    let rounded = duration.abs().round(Unit::Second).unwrap_or(duration);
    let seconds = rounded.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds % 86_400 / 3_600, seconds % 3_600 / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, ..) => format!("{hours} h {minutes} min"),
        (1, ..) => "1 day".to_owned(),
        _ => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Mark;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a time")
    }

    #[test]
    fn a_clock_may_be_a_minute_off() {
        let tolerated = SignedDuration::from_mins(5);
        let judge = |off: i64| {
            let mut sheet = Sheet::new(None);
            clock(&mut sheet, at(off), Some(at(0)), tolerated);
            let stopped = sheet.stopped().is_some();
            let finding = sheet.finish().remove(0);
            (finding.mark, stopped, finding.found)
        };
        assert_eq!(judge(59).0, Mark::Ok);
        assert_eq!(judge(-60).0, Mark::Ok);
        assert_eq!(judge(61).0, Mark::Warn);
        assert_eq!(judge(-300).0, Mark::Warn);
        let (mark, stopped, found) = judge(-1_199);
        assert_eq!((mark, stopped), (Mark::Fail(Exit::Denied), true));
        assert!(found.contains("20 min behind"), "{found}");
        assert!(judge(1_200).2.contains("20 min ahead of"));
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let cases = [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3_600, "1 h"), (3_720, "1 h 2 min"), (90_000, "1 day")];
        for (seconds, text) in cases {
            assert_eq!(words(SignedDuration::from_secs(seconds)), text);
        }
        assert_eq!(words(SignedDuration::from_hours(300)), "12 days");
    }

    #[test]
    fn what_ended_is_told_from_what_will() {
        assert_eq!(until(at(0), None), "");
        assert_eq!(until(at(0), Some(at(3_000))), ", good for 50 min");
        assert_eq!(until(at(120), Some(at(0))), ", ended 2 min ago");
        assert!(ends_soon(at(0), at(86_400)) && !ends_soon(at(0), at(90 * 86_400)));
    }
}
