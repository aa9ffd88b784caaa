//! The program: arguments in, exit code out.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

/// Make the AWS SDK write request or response bodies, secrets included, into its logs.
const LEAKY: [&str; 2] = ["LOG_SENSITIVE_BODIES", "LOG_SIGNABLE_BODY"];

fn main() -> ExitCode {
    // A core dump would hold secrets. Where the platform refuses, nothing is lost but this.
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    if LEAKY.iter().any(|name| std::env::var_os(name).is_some()) {
        return without_leaks();
    }
    ExitCode::from(repin::cli::run(std::env::args_os()).code())
}

/// Starts this program again without the variables: a process cannot safely change its own environment.
fn without_leaks() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| "repin".into());
    let program = std::env::current_exe().unwrap_or_else(|_| name.clone().into());
    let mut again = Command::new(program);
    again.arg0(name).args(arguments);
    for variable in LEAKY {
        again.env_remove(variable);
    }
    // Returns only where it failed; going on with them set would risk a leak.
    let _failed = again.exec();
    ExitCode::FAILURE
}
