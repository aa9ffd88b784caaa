//! Help, completions, manual pages, the schema, and how mistakes are told.

use serde_json::json;

use crate::support::World;

/// Every command, from the program's own help.
async fn commands(world: &World) -> Vec<String> {
    let help = world.run(&["--help"]).await.expect(0).stdout;
    let section = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list");
    let names = section.lines().filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_help_with_an_example() {
    let world = World::new().await;
    let commands = commands(&world).await;
    assert!(commands.len() >= 11, "{commands:?}");
    for command in commands {
        let page = world.run(&[&command, "--help"]).await.expect(0).stdout;
        let examples = examples(&page);
        let own = |example: &String| example.split_whitespace().nth(1) == Some(&command);
        assert!(examples.iter().any(own), "{command} has no example:\n{page}");
        examples.iter().for_each(|example| understood(example));
        assert!(page.lines().all(|line| line.chars().count() <= 120), "{command}:\n{page}");
    }
}

/// The commands of repin below the word Example.
fn examples(page: &str) -> Vec<String> {
    let below = page.lines().skip_while(|line| !line.starts_with("Example")).skip(1);
    let rows = below.take_while(|line| line.starts_with("  ")).map(str::trim);
    let said = rows.map(|row| row.split("   ").next().expect("one part at least"));
    let commands = said.flat_map(|row| row.split(['|', ';']).flat_map(|part| part.split("&&"))).map(str::trim);
    commands.filter(|command| command.starts_with("repin ")).map(str::to_owned).collect()
}

/// Asserts that the program takes an example as it stands.
#[track_caller]
fn understood(example: &str) {
    let example = example.split(" > ").next().expect("one part at least");
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in example.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("one at least").push(c),
        }
    }
    assert!(!quoted, "{example}");
    let words = words.into_iter().filter(|word| !word.is_empty()).map(std::ffi::OsString::from);
    if let Err(error) = repin::cli::check(words) {
        panic!("{example}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_topic_has_a_page_that_fits_and_examples_that_run() {
    let world = World::new().await;
    let main = world.run(&["help"]).await.expect(0).stdout;
    assert_eq!(main, world.run(&["--help"]).await.expect(0).stdout, "all of it");
    for topic in ["serve", "holds", "retention", "quotas", "exit-codes"] {
        assert!(main.contains(&format!("\n  {topic} ")), "{main}");
        let page = world.run(&["help", topic]).await.expect(0).stdout;
        assert!(page.lines().all(|line| line.chars().count() <= 80 && line == line.trim_end()), "{page}");
        let examples = examples(&page);
        assert!(!examples.is_empty(), "{page}");
        examples.iter().for_each(|example| understood(example));
        let mut narrow = world.command(&["help", topic]);
        let output = narrow.env("COLUMNS", "60").output().await.expect("the program runs");
        let narrow = String::from_utf8(output.stdout).expect("text");
        let prose = narrow.lines().filter(|line| !line.starts_with(' '));
        let wide: Vec<_> = prose.filter(|line| line.chars().count() > 60).collect();
        assert!(wide.is_empty(), "{wide:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn help_of_a_command_is_that_of_its_flag_and_a_slip_is_answered() {
    let world = World::new().await;
    for command in commands(&world).await {
        let by_flag = world.run(&[&command, "--help"]).await.expect(0).stdout;
        assert_eq!(world.run(&["help", &command]).await.expect(0).stdout, by_flag, "{command}");
    }
    let by_alias = world.run(&["help", "apply"]).await.expect(0).stdout;
    assert!(by_alias.contains("repin reconcile [OPTIONS]"), "{by_alias}");
    for (slip, meant) in
        [("hold-s", "holds"), ("exitcodes", "exit-codes"), ("rolback", "rollback"), ("quota", "quotas")]
    {
        let said = world.run(&["help", slip]).await.expect(64).stderr;
        assert!(said.contains(&format!("Did you mean repin help {meant}?")), "{slip}: {said}");
    }
    let said = world.json(64, &["help", "gardening"]).await;
    assert_eq!(said["error"]["message"], "no command and no topic is called \"gardening\"");
    let hint = said["error"]["hint"].as_str().expect("text");
    assert!(hint.contains("serve, holds, retention, quotas, exit-codes"), "{hint}");
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
    for exit in repin::exit::Exit::ALL {
        let row = format!("\n  {:>3}  {}\n", exit.code(), exit.meaning());
        assert!(page.contains(&row), "{row}:\n{page}");
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
    for topic in ["serve", "holds", "retention", "quotas", "exit-codes"] {
        let page = std::fs::read_to_string(dir.join(format!("repin-{topic}.7"))).expect("a page");
        assert!(page.contains(&format!(".TH repin-{topic} 7")) && page.contains("Examples:"), "{page}");
    }
    // A page that another names is there.
    let made: Vec<_> = std::fs::read_dir(&dir).expect("a folder").flatten().map(|file| file.path()).collect();
    for path in &made {
        let page = std::fs::read_to_string(path).expect("text");
        let page = page.replace("\\fB", "").replace("\\fR", "").replace('\\', "");
        for name in page.lines().filter_map(|line| line.strip_suffix("(1)")) {
            assert!(dir.join(format!("{name}.1")).is_file(), "{} names {name}(1)", path.display());
        }
    }
    let refused = world.run(&["man", "--dir", "/nowhere/at/all"]).await.expect(1);
    assert!(refused.stderr.contains("Name a folder that is there"), "{}", refused.stderr);
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
