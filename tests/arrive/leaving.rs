//! Letting go, handing over, and what a file of another name or place is told.

use crate::bystander::Bystander;
use crate::support::{World, steps};

const ENTRIES: &str = "  a: { value: one }\n  b: { value: { x: 1 } }\n  \
                       c: { secret: true, value_from: { env: TEST_SECRET }, targets: [aws-eu] }\n";

/// A world in which `test` has released three entries.
async fn world() -> (World, Bystander) {
    let world = World::new().await;
    world.entries(ENTRIES);
    world.run(&["reconcile"]).await.expect(0);
    let others = Bystander::of(&world);
    (world, others)
}

/// Writes the file of another name that asks for the same, and takes over what is equal.
fn file_of(world: &World, name: &str) -> String {
    let head = world.head().replace("name: test", &format!("name: {name}"));
    let file = format!("{name}.yaml");
    world.write(&file, &format!("{head}policy: {{ adopt: equal }}\nentries:\n{ENTRIES}"));
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_go_of_stays_as_it_is_and_another_name_takes_it_over() {
    let (world, others) = world().await;
    let before = others.shown().await;
    let next = file_of(&world, "next");
    let refused = world.json(5, &["plan", "-f", &next]).await;
    assert!(
        refused["blocks"][0]["message"].as_str().is_some_and(|text| text.contains("belongs to \"test\"")),
        "{refused}"
    );

    world.run(&["forget", "--all"]).await.expect(0);
    assert_eq!(others.shown().await, before);
    let planned = world.json(0, &["plan", "-f", &next]).await;
    assert!(steps(&planned, "aws-eu").iter().all(|step| step["action"] == "adopt"), "{planned}");
    assert_eq!((steps(&planned, "aws-eu").len(), steps(&planned, "azure").len()), (3, 2));
    world.run(&["reconcile", "-f", &next]).await.expect(0);
    assert_eq!(others.shown().await, before, "taking over writes nothing but the ledger");
    world.json(0, &["plan", "-f", &next, "--detailed-exitcode"]).await;

    // It is theirs now in all that matters.
    let head = std::fs::read_to_string(world.path(&next)).expect("there");
    world.write(&next, &head.replace("value: one", "value: two"));
    world.run(&["reconcile", "-f", &next]).await.expect(0);
    assert_eq!(world.served("azure", "a").await["value"], "two");
    world.run(&["rollback", "-f", &next]).await.expect(0);
    assert_eq!(world.served("aws-eu", "a").await["value"], "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_over_is_at_no_moment_anybodys() {
    let (world, others) = world().await;
    let before = others.shown().await;
    let (heir, third, former) = (file_of(&world, "heir"), file_of(&world, "third"), file_of(&world, "test"));
    let said = world.run(&["forget", "--all", "--to", "heir"]).await.expect(0);
    assert!(said.stdout.contains("only heir may take them over"), "{}", said.stdout);
    for stranger in [&third, &former] {
        let refused = world.json(5, &["reconcile", "-f", stranger]).await;
        let message = refused["error"]["message"].as_str().expect("text").to_owned();
        assert!(message.contains("belongs to \"heir\""), "{stranger}: {message}");
    }
    world.run(&["reconcile", "-f", &heir]).await.expect(0);
    assert_eq!(others.shown().await, before);
    for stranger in [&third, &former] {
        world.json(5, &["reconcile", "-f", stranger]).await;
    }
    // And back again.
    world.run(&["forget", "--all", "--to", "test", "-f", &heir]).await.expect(0);
    world.json(5, &["reconcile", "-f", &third]).await;
    world.run(&["reconcile", "-f", &former]).await.expect(0);
    assert_eq!(others.shown().await, before);
    world.json(5, &["reconcile", "-f", &heir]).await;
    world.run(&["forget", "--all", "--to", "Not A Name"]).await.expect(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_told_with_its_version_date_and_author() {
    let world = World::new().await;
    let others = Bystander::of(&world);
    others.text("a", "theirs").await;
    world.entries("  a: { value: ours, adopt: equal }\n");
    let refused = world.json(5, &["plan"]).await;
    let blocks = refused["blocks"].as_array().expect("blocks").clone();
    let of = |target: &str| {
        let block = blocks.iter().find(|block| block["target"] == target).expect("a block");
        block["message"].as_str().expect("text").to_owned()
    };
    let aws = of("aws-eu");
    for part in [
        "holds something else: version 1 of 20",
        "value is \"theirs\" there and \"ours\" in the file",
        "last written by arn:aws:",
    ] {
        assert!(aws.contains(part), "{aws}");
    }
    assert!(of("azure").contains("value is \"theirs\" there"), "{}", of("azure"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_known_by_its_place_whatever_it_is_called() {
    let (world, others) = world().await;
    let before = others.shown().await;
    let text = std::fs::read_to_string(world.path("repin.yaml")).expect("there");
    world.write("repin.yaml", &text.replace("aws-eu", "frankfurt"));
    world.json(0, &["plan", "--detailed-exitcode"]).await;
    world.run(&["reconcile"]).await.expect(0);

    // Moved: the old place is left as it is, and plan says so.
    world.write("repin.yaml", &text.replace("prefix: /ai/test", "prefix: /ai/moved"));
    let planned = world.run(&["plan"]).await.expect(0);
    assert!(planned.stdout.contains("aws-eu was at another place in earlier releases"), "{}", planned.stdout);
    world.run(&["reconcile"]).await.expect(0);
    let after = others.shown().await;
    assert!(before.iter().all(|(name, shown)| after.get(name) == Some(shown)), "the old place is as it was");
    assert!(after.keys().any(|name| name == "/ai/moved/a"), "{:?}", after.keys());
}
