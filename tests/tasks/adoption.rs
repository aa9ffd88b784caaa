//! Taking over what is there already: what the file does not name is kept as it is.

use repin_provider::{Item, Key, Observe, Owner, Provider as _, Secret};
use serde_json::{Value, json};

use crate::support::World;

/// A world in which `a` is in both stores with everything that an item can have, and in no ledger.
async fn world() -> World {
    let world = World::new().await;
    world.entries(
        "  a: { value: one, content_type: text/plain, description: why, tags: { team: ml } }\n  b: { value: x }\n",
    );
    world.run(&["reconcile"]).await.expect(0);
    let_go(&world).await;
    world
}

async fn let_go(world: &World) {
    world.write("repin.yaml", &format!("{}forget: [a]\nentries:\n  b: {{ value: x }}\n", world.head()));
    world.run(&["reconcile"]).await.expect(0);
}

fn want(world: &World, fields: &str) {
    world.entries(&format!("  a: {{ {fields} }}\n  b: {{ value: x }}\n"));
}

/// Returns the item as App Configuration holds it; SSM does not answer descriptions and tags with an item.
async fn held(world: &World) -> Item {
    let config = serde_json::from_value(json!({
        "endpoint": world.emulator.azure_endpoint(), "prefix": "test", "label": "prod",
    }))
    .expect("valid");
    let mut options = repin_azure_app_configuration::Options::new(Owner::parse("looker-on").expect("valid"), "look");
    options.connection_string = Some(Secret::new(world.emulator.connection_string()));
    let store = repin_azure_app_configuration::connect(&config, options).expect("connects");
    let key = Key::parse("a").expect("valid");
    let request = Observe { keys: vec![key.clone()], census: false, ..Observe::default() };
    store.observe(request).await.expect("observed").items[&key].item().expect("there").clone()
}

fn actions(report: &Value) -> Vec<(&str, &str)> {
    let steps = report["steps"].as_array().expect("steps");
    steps.iter().map(|step| (step["target"].as_str().expect("text"), step["action"].as_str().expect("text"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_over_unasked() {
    let world = world().await;
    for (fields, said) in [
        ("value: one", "is there already and is not in the ledger"),
        ("value: two, adopt: never", "is there already and is not in the ledger"),
        ("value: two, adopt: equal", "is there already and holds something else"),
    ] {
        want(&world, fields);
        world.reset();
        let refused = world.json(5, &["reconcile"]).await;
        assert!(refused["error"]["message"].as_str().expect("text").contains(said), "{fields}: {refused}");
        assert_eq!(world.writes(), 0, "{fields}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_equal_is_taken_over_without_a_write_of_it() {
    let world = world().await;
    let before = held(&world).await;
    want(&world, "value: one, adopt: equal");
    let report = world.json(0, &["reconcile"]).await;
    assert_eq!(actions(&report), [("aws-eu", "adopt"), ("azure", "adopt")]);
    assert_eq!(held(&world).await.version, before.version);
    assert_eq!(world.served("aws-eu", "a").await["version"], "1");
    world.json(0, &["plan", "--detailed-exitcode"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_file_does_not_name_is_preserved_and_what_it_names_is_set() {
    let world = world().await;
    want(&world, "value: two, adopt: always");
    let report = world.json(0, &["reconcile"]).await;
    assert_eq!(actions(&report), [("aws-eu", "update"), ("azure", "update")]);
    for target in ["aws-eu", "azure"] {
        assert_eq!(world.served(target, "a").await["value"], "two");
    }
    let item = held(&world).await;
    assert_eq!(item.content_type.as_deref(), Some("text/plain"));
    assert_eq!(item.description.as_deref(), Some("why"));
    assert_eq!(item.tags, Some([("team".to_owned(), "ml".to_owned())].into()));

    want(&world, "value: two, content_type: text/x, description: because, tags: { team: ai }");
    world.run(&["reconcile"]).await.expect(0);
    let item = held(&world).await;
    assert_eq!(item.content_type.as_deref(), Some("text/x"));
    assert_eq!(item.description.as_deref(), Some("because"));
    assert_eq!(item.tags, Some([("team".to_owned(), "ai".to_owned())].into()));
    world.json(0, &["plan", "--detailed-exitcode"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_speaks_for_entries_that_say_nothing() {
    let world = world().await;
    let file = |entry: &str| format!("{}policy: {{ adopt: equal }}\nentries:\n  a: {{ {entry} }}\n", world.head());
    world.write("repin.yaml", &format!("{}  b: {{ value: x }}\n", file("value: one, adopt: never")));
    world.json(5, &["reconcile"]).await;
    world.write("repin.yaml", &format!("{}  b: {{ value: x }}\n", file("value: one")));
    let report = world.json(0, &["reconcile"]).await;
    assert_eq!(actions(&report), [("aws-eu", "adopt"), ("azure", "adopt")]);
}
