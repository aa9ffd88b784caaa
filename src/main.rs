//! The program: arguments in, exit code out.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

/// Make the AWS SDK write request or response bodies, secrets included, into its logs.
const LEAKY: [&str; 2] = ["LOG_SENSITIVE_BODIES", "LOG_SIGNABLE_BODY"];

/// The C library's allocator keeps what a pass over many entries took at its height: ten times what is in use between two
/// passes. tests/run figures measures it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Has the allocator give memory back when it is freed: a daemon is idle most of the time, and nothing would remind it
/// later.
const GIVE_BACK: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "0");

fn main() -> ExitCode {
    repin::cli::keep_memory_private();
    if LEAKY.iter().any(|name| std::env::var_os(name).is_some()) {
        // Returns only where it failed; going on with them set would risk a leak.
        again();
        return ExitCode::FAILURE;
    }
    if std::env::args_os().any(|word| word == "daemon") && std::env::var_os(GIVE_BACK.0).is_none() {
        // Where it fails, nothing is lost but memory.
        again();
    }
    ExitCode::from(repin::cli::run(std::env::args_os()).code())
}

/// Becomes this program anew with another environment: a process cannot safely change its own, and the allocator looks at
/// it before anything else runs. The process stays the same one. Returns where that failed.
fn again() {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| "repin".into());
    let program = std::env::current_exe().unwrap_or_else(|_| name.clone().into());
    let mut again = Command::new(program);
    again.arg0(name).args(arguments);
    for variable in LEAKY {
        again.env_remove(variable);
    }
    if std::env::var_os(GIVE_BACK.0).is_none() {
        again.env(GIVE_BACK.0, GIVE_BACK.1);
    }
    let _failed = again.exec();
}
