//! Help, completions, manual pages, the schema, and how mistakes are told.

use serde_json::json;

use crate::support::World;

/// Every command, from the program's own help.
async fn commands(world: &World) -> Vec<String> {
    let help = world.run(&["--help"]).await.expect(0).stdout;
    let section = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list");
    let names = section.lines().filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help" && !name.is_empty()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_help_with_an_example() {
    let world = World::new().await;
    let commands = commands(&world).await;
    assert!(commands.len() >= 11, "{commands:?}");
    for command in commands {
        let page = world.run(&[&command, "--help"]).await.expect(0).stdout;
        assert!(page.contains("Example"), "{command}:\n{page}");
        assert!(page.contains(&format!("  repin {command}")), "{command}:\n{page}");
        assert!(page.lines().all(|line| line.chars().count() <= 120), "{command}:\n{page}");
    }
}

/// Paragraphs are as wide as the terminal, and rows of tables fit into a narrow one.
#[tokio::test(flavor = "multi_thread")]
async fn help_is_wrapped_by_the_terminal_alone() {
    let world = World::new().await;
    let mut pages = commands(&world).await;
    pages.push(String::new());
    for command in pages {
        let mut rows = Vec::new();
        for width in [80, 100] {
            let mut asked = world.command(&[&command, "--help"][usize::from(command.is_empty())..]);
            let output = asked.env("COLUMNS", width.to_string()).output().await.expect("the program runs");
            let page = String::from_utf8(output.stdout).expect("text");
            let lines: Vec<_> = page.lines().collect();
            for pair in lines.windows(2).filter(|pair| is_prose(pair[0]) && is_prose(pair[1])) {
                let next = pair[1].split(' ').next().expect("one at least");
                let fits = pair[0].chars().count() + 1 + next.chars().count() <= width;
                assert!(!fits, "{command} at {width}: {pair:?}\n{page}");
            }
            let (_, after) = page.rsplit_once("When to use colour").expect("an option of every command");
            let (_, after) = after.split_once("\n\n").expect("an example at least");
            let after = after.split_once("[default: auto]").map_or(after, |(_, after)| after);
            rows.push(after.lines().filter(|line| line.starts_with(' ')).map(str::to_owned).collect::<Vec<_>>());
        }
        assert!(!rows[0].is_empty(), "{command} has no example");
        assert_eq!(rows[0], rows[1], "{command}: a row does not fit into 80 columns");
    }
}

fn is_prose(line: &str) -> bool {
    !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':')
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_page_lists_every_exit_code() {
    let world = World::new().await;
    let page = world.run(&["--help"]).await.expect(0).stdout;
    for code in ["  0", "  1", "  2", "  3", "  5", "  6", " 64", " 75", " 77", " 78", "130", "143"] {
        assert!(page.contains(code), "{code}:\n{page}");
    }
    world.run(&[]).await.expect(64);
    world.run(&["recncile"]).await.expect(64);
    world.run(&["plan", "--nonsense"]).await.expect(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_manual_know_every_command() {
    let world = World::new().await;
    let commands = commands(&world).await;
    for shell in ["bash", "zsh", "fish"] {
        let script = world.run(&["completions", shell]).await.expect(0).stdout;
        assert!(commands.iter().all(|command| script.contains(command.as_str())), "{shell}");
    }
    let page = world.run(&["man"]).await.expect(0).stdout;
    assert!(page.contains(".TH repin 1"), "{page}");
    std::fs::create_dir(world.path("man")).expect("made");
    let dir = world.path("man");
    world.run(&["man", "--dir", dir.to_str().expect("text")]).await.expect(0);
    for command in commands {
        assert!(dir.join(format!("repin-{command}.1")).is_file(), "{command}");
    }
    world.run(&["man", "--dir", "/nowhere/at/all"]).await.expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file_says_where_in_fields_of_their_own() {
    let world = World::new().await;
    let path = world.write("broken.yaml", &format!("{}entries:\n  a: {{ valeu: 1 }}\n", world.head()));
    let path = path.to_str().expect("text");
    let line = world.head().lines().count() + 2;
    let said = world.json(78, &["validate", "-f", path]).await;
    let error = &said["error"];
    assert_eq!((&said["format"], &error["kind"]), (&json!(1), &json!("invalid")));
    assert_eq!(error["location"]["file"], path);
    assert_eq!((&error["location"]["line"], &error["location"]["column"]), (&json!(line), &json!(8)), "{said}");
    let message = error["message"].as_str().expect("text");
    assert!(message.contains("valeu") && !message.contains("broken.yaml"), "{said}");
    let text = world.run(&["validate", "-f", path]).await.expect(78);
    assert!(text.stderr.starts_with(&format!("error: {path}:{line}:8: ")), "{}", text.stderr);
    assert!(text.stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_arguments_is_an_error_object_too() {
    let world = World::new().await;
    for form in [&["-o", "json"][..], &["--output=json"], &["-ojson"]] {
        let said = world.run(&[&["show"], form].concat()).await.expect(64);
        assert_eq!(said.stderr, "");
        let error = &said.json()["error"];
        assert_eq!(error["kind"], "usage");
        assert_eq!(error["message"], "the following required arguments were not provided: <RELEASE>");
        assert!(error["hint"].as_str().expect("text").starts_with("Usage: repin show "), "{error}");
    }
    world.entries("  a: { value: x }\n");
    let said = world.json(64, &["plan", "--target", "gcp"]).await;
    assert_eq!(said["error"]["kind"], "usage");
    assert!(world.run(&["show"]).await.expect(64).stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn colour_only_where_it_is_wanted() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let coloured = |text: &str| text.contains('\u{1b}');
    assert!(!coloured(&world.run(&["plan"]).await.expect(0).stdout), "a pipe is no terminal");
    assert!(coloured(&world.run(&["plan", "--color", "always"]).await.expect(0).stdout));
    assert!(!coloured(&world.run(&["plan", "--color", "never"]).await.expect(0).stdout));
    let output = world.command(&["plan"]).env("NO_COLOR", "1").output().await.expect("runs");
    assert!(!coloured(&String::from_utf8_lossy(&output.stdout)));
}
