//! A configuration that is in use, beside others', and the mistakes that are made with its file.

use crate::support::{Ran, World, hand};
use crate::whole::{Whole, assert_kept, assert_same, whole};

/// The prompts of a folder: more than a pass may delete.
pub(crate) const PROMPTS: usize = 12;

/// Entries beside the prompts: one on both clouds, one on each alone, and a secret.
pub(crate) const ENTRIES: &str = "  chat/config: { value: { model: gpt-4o } }
  on/aws: { targets: [aws-eu], value: x }
  on/azure: { targets: [azure], value: x }
  chat/key: { targets: [aws-eu], secret: true, value_from: { env: TEST_SECRET } }
";
pub(crate) const PATTERN: &str = "  prompts/*: { value_from: { files: \"prompts/**/*.md\" } }\n";

/// Both stores with a release in them.
pub(crate) struct Stage {
    pub(crate) world: World,
    before: Whole,
}

impl Stage {
    /// Releases the prompts and the entries, beside what somebody else has under the same prefix.
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        for store in hand(&world).await {
            store.overwrite("theirs/one", "1").await;
            store.overwrite("prompts/theirs", "2").await;
        }
        for number in 0..PROMPTS {
            world.write(&format!("prompts/p{number}.md"), "Be kind.\n");
        }
        world.entries(&format!("{ENTRIES}{PATTERN}"));
        world.run(&["reconcile"]).await.expect(0);
        let before = whole(&world).await;
        assert_eq!(before.keys().filter(|name| name.contains("/prompts/p")).count(), 2 * PROMPTS, "{before:#?}");
        Self { world, before }
    }

    /// Returns the file as it is.
    pub(crate) fn file(&self) -> String {
        std::fs::read_to_string(self.world.path("repin.yaml")).expect("written")
    }

    /// Changes one text of the file, which is there once.
    #[track_caller]
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let file = self.file();
        assert_eq!(file.matches(from).count(), 1, "{from:?} in\n{file}");
        self.world.write("repin.yaml", &file.replace(from, to));
    }

    /// Plans and reconciles, on a host that has seen the stores and on one that has not: each refuses with this code, says
    /// all of `said`, and leaves both stores exactly as they were.
    pub(crate) async fn refuses(&self, code: i32, said: &[&str]) {
        self.refuses_to(&["plan"], code, said).await;
        self.refuses_to(&["reconcile"], code, said).await;
        self.world.lose_state();
        self.refuses_to(&["reconcile", "--atomic"], code, said).await;
    }

    /// Runs one command that refuses.
    pub(crate) async fn refuses_to(&self, command: &[&str], code: i32, said: &[&str]) {
        let ran = self.world.run(command).await;
        self.judge(&ran.expect(code), said, &format!("{command:?}")).await;
    }

    /// Asserts what was said, and that nothing in either store is different.
    pub(crate) async fn judge(&self, ran: &Ran, said: &[&str], what: &str) {
        for text in said {
            assert!(ran.stderr.contains(text), "{what}: {text:?} is not in\n{}", ran.stderr);
        }
        assert!(!ran.stdout.contains("Nothing to do"), "{what}: {}", ran.stdout);
        assert_same(&self.before, &whole(&self.world).await, what);
    }

    /// Asserts that all there was is there as it was, in whatever else was written.
    pub(crate) async fn assert_all_kept(&self, what: &str) {
        let ours = |name: &str| !name.contains("repin/test/");
        let data = |all: &Whole| -> Whole {
            all.iter().filter(|(name, _)| ours(name)).map(|(name, told)| (name.clone(), told.clone())).collect()
        };
        assert_kept(&data(&self.before), &data(&whole(&self.world).await), what);
    }

    /// Asserts that the right file is in force again at once: nothing is left to do, and nothing has to be made good.
    pub(crate) async fn recovers(&self, file: &str) {
        self.world.write("repin.yaml", file);
        self.world.run(&["plan", "--detailed-exitcode"]).await.expect(0);
        self.world.run(&["reconcile"]).await.expect(0);
        assert_same(&self.before, &whole(&self.world).await, "the right file again");
    }
}
