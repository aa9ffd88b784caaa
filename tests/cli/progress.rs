//! What a terminal shows while a pass takes its time, and that nothing else sees it.

use std::process::Stdio;
use std::time::Duration;

use repin_emulator::Fault;

use crate::support::World;
use crate::terminal::Terminal;

/// Runs the program with a terminal as its stderr; returns what that was sent, and stdout.
async fn on_a_terminal(world: &World, args: &[&str]) -> (String, String) {
    let terminal = Terminal::open(80);
    let mut command = world.command(args);
    command.env("TERM", "xterm").stderr(terminal.screen()).stdout(Stdio::piped());
    let child = command.spawn().expect("runs");
    // Our side of the terminal is closed with it.
    drop(command);
    let output = child.wait_with_output().await.expect("runs");
    assert_eq!(output.status.code(), Some(0));
    let shown = String::from_utf8_lossy(&terminal.shown().await).into_owned();
    (shown, String::from_utf8_lossy(&output.stdout).into_owned())
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
