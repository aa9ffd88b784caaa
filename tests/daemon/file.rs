//! What becomes of the file while the daemon runs.

use std::os::unix::fs::symlink;

use rustix::process::Signal;
use serde_json::json;

use crate::running::{NEVER, Running, SOON, releases, several_passes};
use crate::support::World;

fn text(world: &World, entries: &str) -> String {
    format!("{}entries:\n{entries}", world.head())
}

/// Renames a file over another, as editors and `git` do.
fn replace(world: &World, name: &str, text: &str) {
    let new = world.write(&format!("{name}.new"), text);
    std::fs::rename(new, world.path(name)).expect("renamed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_renamed_over_is_released_once() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    replace(&world, "repin.yaml", &text(&world, "  a: { value: two }\n"));
    daemon.until_said("release 2 is served").await;
    for target in ["aws-eu", "azure"] {
        assert_eq!(world.served(target, "a").await["value"], "two");
    }
    // Touched, and rewritten as it is: nothing else is asked for.
    for _ in 0..3 {
        replace(&world, "repin.yaml", &text(&world, "  # a comment\n  a: { value: two }\n"));
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    }
    several_passes().await;
    assert_eq!(releases(&world).await, [2, 1]);
    assert_eq!(daemon.stop().await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_that_change_together_make_one_release() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        world.write(&format!("prompts/{name}.md"), "one");
    }
    world.entries("  prompts/*: { value_from: { files: \"prompts/**/*.md\" } }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    // It is stopped meanwhile, so that they come at once also where this machine is busy: what it is told of queues up.
    daemon.signal(Signal::STOP);
    for name in ["a", "b", "c", "deep/d"] {
        replace(&world, &format!("prompts/{name}.md"), "two");
    }
    daemon.signal(Signal::CONT);
    daemon.until_said("release 2 is served: 4 on aws-eu, 4 on azure").await;
    // The folder that came with it is watched too.
    replace(&world, "prompts/deep/d.md", "three");
    daemon.until_said("release 3 is served: 1 on aws-eu, 1 on azure").await;
    assert_eq!(releases(&world).await, [3, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_volume_that_swaps_its_link_is_followed() {
    let world = World::new().await;
    let put = |version: &str, value: &str| {
        world.write(&format!("mount/..{version}/repin.yaml"), &text(&world, &format!("  a: {{ value: {value} }}\n")));
        symlink(format!("..{version}"), world.path("mount/..data_tmp")).expect("linked");
        std::fs::rename(world.path("mount/..data_tmp"), world.path("mount/..data")).expect("swapped");
    };
    put("v1", "one");
    symlink("..data/repin.yaml", world.path("mount/repin.yaml")).expect("linked");
    symlink("mount/repin.yaml", world.path("repin.yaml")).expect("linked");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    for (n, version) in ["v2", "v3"].into_iter().enumerate() {
        put(version, version);
        daemon.until_said(&format!("release {} is served", n + 2)).await;
        assert_eq!(world.served("azure", "a").await["value"], version);
    }
    assert_eq!(releases(&world).await, [3, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_edit_leaves_the_last_good_one_in_force() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: two }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    world.entries("  a: { value: one }\n  b: { valeu: three }\n");
    daemon.until_said("the last good one stays in force").await;
    assert!(daemon.log().contains("repin.yaml:21:"), "it says where: {}", daemon.log());
    crate::support::hand(&world).await[0].overwrite("a", "tampered").await;
    daemon.until_said("drift was put back: a").await;
    several_passes().await;
    assert_eq!(daemon.said("the last good one stays in force"), 1, "once: {}", daemon.log());
    let status = daemon.status().await;
    assert_eq!((&status["file"], &status["daemon"]["file"]["valid"]), (&json!("invalid"), &json!(false)));
    assert_eq!(status["daemon"]["file"]["problems"][0]["location"]["line"], 21);
    assert!(daemon.ask("/ready").await.starts_with("HTTP/1.0 200"), "the last good state is served");
    assert_eq!(world.served("azure", "b").await["value"], "two");
    // An empty file, and none at all, are broken edits too.
    world.write("repin.yaml", "");
    several_passes().await;
    std::fs::remove_file(world.path("repin.yaml")).expect("removed");
    several_passes().await;
    world.entries("  a: { value: one }\n  b: { value: three }\n");
    daemon.until_said("the file is valid again").await;
    daemon.until_said("release 2 is served: 1 on aws-eu, 1 on azure").await;
    assert_eq!(world.served("azure", "b").await["value"], "three");
    assert_eq!(releases(&world).await, [2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_is_put_though_the_file_stays_the_same() {
    let world = World::new().await;
    let secret = world.write("secret", "first-token");
    let entry = format!("  k: {{ targets: [aws-eu], secret: true, value_from: {{ file: {} }} }}\n", secret.display());
    world.entries(&format!("{entry}  a: {{ value: one }}\n"));
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    replace(&world, "secret", "second-token");
    daemon.until_said("release 2 is served: 1 on aws-eu").await;
    assert_eq!(world.served("aws-eu", "k").await["value"], "second-token");
    assert!(!daemon.log().contains("-token"), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_the_environment_is_said_to_be_fixed() {
    let world = World::new().await;
    world.entries("  k: { targets: [aws-eu], secret: true, value_from: { env: TEST_SECRET } }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    several_passes().await;
    assert_eq!(daemon.said("fixed at start"), 1);
    assert!(daemon.log().contains("AZURE_CONNECTION, TEST_SECRET"), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_makes_everything_be_looked_at() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, NEVER).await;
    daemon.until_said("release 1 is served").await;
    crate::support::hand(&world).await[1].overwrite("a", "tampered").await;
    several_passes().await;
    assert_eq!(world.served("azure", "a").await["value"], "tampered", "the interval is far away");
    daemon.signal(Signal::HUP);
    daemon.until_said("drift was put back: a").await;
    assert_eq!(world.served("azure", "a").await["value"], "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_in_the_file_is_another_daemons_business() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let daemon = Running::start(&world, SOON).await;
    daemon.until_said("release 1 is served").await;
    let renamed = text(&world, "  a: { value: two }\n").replace("name: test", "name: other");
    replace(&world, "repin.yaml", &renamed);
    daemon.until_said("the file's name changed from test to other").await;
    several_passes().await;
    assert_eq!(releases(&world).await.len(), 0, "nothing was made for the other name");
    world.entries("  a: { value: one }\n");
    daemon.until_said("the file is valid again").await;
    assert_eq!(releases(&world).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_invalid_from_the_start_starts_nothing() {
    let world = World::new().await;
    world.entries("  a: { valeu: one }\n");
    let ran = world.run(&["daemon"]).await.expect(78);
    assert!(ran.stderr.contains("valeu"), "{}", ran.stderr);
}
