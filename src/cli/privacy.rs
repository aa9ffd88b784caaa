//! What this process keeps to itself: its memory, and what it says when it stops over a mistake of its own.

use std::any::Any;
use std::io::Write as _;
use std::panic::{self, Location, PanicHookInfo};

use rustix::process::{Resource, Rlimit, setrlimit};

/// Keeps what is in memory out of core dumps, and from other processes of the same user; and has a panic say where it
/// happened and nothing that was read at run time. To be called before anything is read.
///
/// Where the platform refuses, nothing is lost but this. Root may look all the same, and everything under a debugger
/// that started it.
pub fn keep_memory_private() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    // A handler that the kernel pipes dumps to (core(5), core_pattern) is not held back by the limit.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    panic::set_hook(Box::new(report));
}

fn report(info: &PanicHookInfo<'_>) {
    super::progress::make_way();
    let _ = writeln!(std::io::stderr(), "{}", describe(info.payload(), info.location()));
}

/// Describes a panic. Only a text that stands in the source is said: one that was put together may quote a value, as
/// `unwrap` quotes the error that it met.
fn describe(payload: &(dyn Any + Send), place: Option<&Location<'_>>) -> String {
    let place = place.map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
    let why = payload.downcast_ref::<&'static str>().map_or_else(String::new, |why| format!(": {why}"));
    format!("repin stopped over a mistake of its own{place}{why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stop: impl FnOnce() + panic::UnwindSafe) -> String {
        let payload = panic::catch_unwind(stop).expect_err("it panics");
        describe(&*payload, Some(Location::caller()))
    }

    #[test]
    fn a_panic_says_where_and_only_what_stands_in_the_source() {
        let text = said(|| panic!("a claim has a number"));
        assert!(text.contains(" at src/cli/privacy.rs:") && text.ends_with(": a claim has a number"), "{text}");
        let bytes = b"hunter2 \xff".to_vec();
        let text = said(move || drop(String::from_utf8(bytes).expect("text")));
        assert!(!text.contains("hunter2") && !text.contains("104, 117"), "{text}");
        let value = "hunter2".to_owned();
        let text = said(move || panic!("what is this: {value}"));
        assert!(text.contains("privacy.rs") && !text.contains("hunter2"), "{text}");
    }
}
