//! What this process takes of the machine, from `/proc` (proc(5)).

use std::fs;

/// What it takes now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    /// Processor time since the start, in seconds.
    pub(super) cpu: f64,
    /// Resident memory, in bytes.
    pub(super) resident: u64,
    /// Open file descriptors.
    pub(super) descriptors: u64,
}

/// Looks; `None` where there is no `/proc`.
pub(super) fn usage() -> Option<Usage> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (ticks, pages) = parse(&stat)?;
    // The folder that is listed is one of them.
    let descriptors = (fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1);
    Some(Usage {
        cpu: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        resident: pages * rustix::param::page_size() as u64,
        descriptors,
    })
}

/// Returns the clock ticks (fields 14 and 15) and the pages (field 24) of a `stat`.
fn parse(stat: &str) -> Option<(u64, u64)> {
    // The second field is the name in parentheses and may itself hold spaces and parentheses.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some((field(14)? + field(15)?, field(24)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_those_of_the_manual() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 12345 9000000 777 184467 1 1 0 0";
        assert_eq!(parse(stat), Some((300, 777)));
        assert_eq!(parse("42 (a) S 1"), None);
    }

    #[test]
    fn this_process_takes_something() {
        let usage = usage().expect("there is /proc");
        assert!(usage.resident > 1 << 20 && usage.descriptors >= 3 && usage.cpu >= 0.0, "{usage:?}");
    }
}
