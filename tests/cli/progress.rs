//! What a terminal shows while a pass takes its time, and that nothing else sees it.

use std::fs::File;
use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use repin_emulator::Fault;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::World;

/// Runs the program with a terminal as its stderr; returns what that was sent, and stdout.
async fn on_a_terminal(world: &World, args: &[&str]) -> (String, String) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("usable");
    let name = ptsname(&terminal, Vec::new()).expect("named").into_string().expect("text");
    let screen = File::options().read(true).write(true).open(name).expect("opened");
    let reader = tokio::task::spawn_blocking(move || {
        let mut shown = Vec::new();
        let mut piece = [0; 4096];
        let mut terminal = File::from(terminal);
        // The end is an error on Linux: the other side has closed.
        while let Ok(read @ 1..) = terminal.read(&mut piece) {
            shown.extend_from_slice(&piece[..read]);
        }
        String::from_utf8_lossy(&shown).into_owned()
    });
    let child = world.command(args).env("TERM", "xterm").stderr(screen).stdout(Stdio::piped()).spawn().expect("runs");
    let output = child.wait_with_output().await.expect("runs");
    assert_eq!(output.status.code(), Some(0));
    (reader.await.expect("read"), String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn slow_world() -> World {
    let world = World::new().await;
    let entries: String = (0..12).map(|n| format!("  k{n}: {{ targets: [\"aws-*\"], value: x }}\n")).collect();
    world.entries(&entries);
    world.faults(|call| match call.operation.as_str() {
        "PutParameter" => Fault::Delay(Duration::from_millis(600)),
        _ => Fault::None,
    });
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_pass_shows_how_far_it_is_and_leaves_nothing_behind() {
    let world = slow_world().await;
    let (screen, stdout) = on_a_terminal(&world, &["reconcile"]).await;
    assert!(screen.contains(" of 12 done: aws-eu "), "{screen:?}");
    assert!(screen.ends_with("\r\u{1b}[2K"), "{screen:?}");
    assert!(!screen.contains('\n'), "one line only: {screen:?}");
    assert!(stdout.contains(" 12 applied; ") && !stdout.contains("of 12 done"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_and_pipes_see_none_of_it() {
    let world = slow_world().await;
    let (screen, _) = on_a_terminal(&world, &["reconcile", "-o", "json"]).await;
    assert_eq!(screen, "");
    let entries: String = (0..12).map(|n| format!("  k{n}: {{ targets: [\"aws-*\"], value: y }}\n")).collect();
    world.entries(&entries);
    assert_eq!(world.run(&["reconcile"]).await.expect(0).stderr, "");
}
