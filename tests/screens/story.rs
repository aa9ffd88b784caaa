//! A working day in front of a terminal, and what every screen of it has to be like.

use std::fs;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use vt100::{Color, Parser, Screen};

use crate::picture::THEMES;
use crate::support::{Hand, World, hand};
use crate::terminal::Terminal;

/// Rows that are enough for every command; help is the longest.
const ROWS: u16 = 400;

/// A word that is longer has no place beside the columns of a table in 80 columns.
const LONG_WORD: usize = 56;

/// Whether NO_COLOR is set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    Wanted,
    Unwanted,
}

/// Plays the day on one kind of terminal.
pub(crate) struct Teller {
    world: World,
    folder: PathBuf,
    columns: u16,
    colours: Colours,
    number: u32,
}

impl Teller {
    pub(crate) async fn new(name: &str, columns: u16, colours: Colours) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
        let folder = target.join("tests/screens").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("made");
        Self { world: World::new().await, folder, columns, colours, number: 0 }
    }

    fn file(&self, temperature: &str, answer: &str, more: &str) {
        self.world.write("prompts/rag/answer.md", answer);
        self.world.entries(&format!(
            "  chat/config:
    type: ai-chat
    value: {{ model: gpt-4o, temperature: {temperature}, max_tokens: 800 }}
  chat/endpoint:
    per_target:
      \"aws-*\": {{ value: \"https://bedrock-runtime.eu-west-1.amazonaws.com\" }}
      azure: {{ value: \"https://contoso-assistant-production.openai.azure.com\" }}
  chat/api-key: {{ targets: [\"aws-*\"], secret: true, value_from: {{ env: TEST_SECRET }} }}
  prompts/*: {{ type: json-string, value_from: {{ files: \"prompts/**/*.md\" }} }}
{more}"
        ));
    }

    /// The whole day. Every command is looked at as it ends.
    pub(crate) async fn tell(mut self) {
        self.releases().await;
        self.drifts().await;
        self.goes_back().await;
        self.looks_back().await;
        self.is_refused().await;
        self.asks_for_help().await;
    }

    async fn releases(&mut self) {
        let stores = hand(&self.world).await;
        each(&stores, "theirs/one", "1").await;
        each(&stores, "theirs/two", "2").await;
        self.file("0.2", "Answer from the documents alone.\nSay so where they have no answer.\n", LIMITS);
        self.show(0, &["validate"]).await;
        self.show(0, &["plan"]).await;
        self.show(0, &["reconcile", "-m", "first release"]).await;
        self.show(0, &["reconcile"]).await;
        self.file(
            "0.3",
            "Answer from the documents alone, and name the one that the answer is from.\nSay so where they have no answer.\n",
            "  routing/canary-share: { value: 5 }\n",
        );
        self.show(0, &["plan"]).await;
        self.show(0, &["reconcile", "-m", "warmer answers, and a canary for the model that is to come next month"])
            .await;
    }

    async fn drifts(&mut self) {
        each(&hand(&self.world).await, "routing/canary-share", "50").await;
        self.show(0, &["status"]).await;
        self.show(0, &["plan"]).await;
        self.show(0, &["reconcile"]).await;
    }

    async fn goes_back(&mut self) {
        self.file("1.4", "Answer at length.\n", "  routing/canary-share: { value: 50 }\n");
        self.show(0, &["reconcile", "-m", "livelier"]).await;
        self.show(0, &["rollback", "--dry-run"]).await;
        self.show(0, &["rollback", "-m", "refusals are up since the change of this morning"]).await;
        self.show(0, &["status"]).await;
        self.show(6, &["reconcile"]).await;
        self.show(0, &["hold", "chat/**", "-m", "frozen for the launch on Thursday; ask the platform team"]).await;
        self.show(0, &["status"]).await;
        self.show(0, &["resume", "--all", "--dry-run"]).await;
        self.show(0, &["pin", "chat/config", "--target", "aws-eu", "--version", "1", "-m", "the last good one"]).await;
        self.show(0, &["plan"]).await;
    }

    async fn looks_back(&mut self) {
        self.show(0, &["history"]).await;
        self.show(0, &["history", "chat/config"]).await;
        self.show(0, &["show", "2"]).await;
        self.show(0, &["diff", "1", "2"]).await;
        self.show(0, &["diff", "2"]).await;
        self.show(0, &["get", "chat/config"]).await;
        self.show(0, &["doctor"]).await;
    }

    async fn is_refused(&mut self) {
        let right = fs::read_to_string(self.world.path("repin.yaml")).expect("written");
        for (from, to) in [("per_target:", "per_traget:"), ("prompts/**", "promts/**")] {
            assert!(right.contains(from), "{from}");
            self.world.write("repin.yaml", &right.replace(from, to));
            self.show(78, &["validate"]).await;
        }
        self.world.write("repin.yaml", &right[..right.find("entries:").expect("there")]);
        self.show(1, &["plan"]).await;
        self.world.write("repin.yaml", &right.replace("name: test", "name: tset"));
        self.show(5, &["plan"]).await;
        self.world.write("repin.yaml", &right.replace("111122223333", "999988887777"));
        self.show(5, &["reconcile"]).await;
        self.world.write("repin.yaml", &right);
        self.show(64, &["rolback"]).await;
        self.show(64, &["plan", "--target", "gcp"]).await;
        self.world.faults(|call| match call.service.as_str() {
            "appconfig" => repin_emulator::Fault::DropBefore,
            _ => repin_emulator::Fault::None,
        });
        self.show(75, &["plan"]).await;
        self.show(75, &["status"]).await;
        self.world.emulator.faults().clear();
    }

    async fn asks_for_help(&mut self) {
        for topic in ["serve", "holds", "retention", "quotas", "exit-codes"] {
            self.show(0, &["help", topic]).await;
        }
        for command in ["plan", "rollback", "doctor"] {
            self.show(0, &[command, "--help"]).await;
        }
        self.show(0, &["--help"]).await;
        self.show(64, &["help", "hold-s"]).await;
    }

    /// Runs a command on the terminal, keeps pictures of it, and judges it.
    async fn show(&mut self, code: i32, args: &[&str]) {
        let shown = self.run(code, args).await;
        let size = |n| NonZeroU16::new(n).expect("more than none");
        let mut parser = Parser::new(size(ROWS), size(self.columns), 0);
        parser.process(&shown);
        let screen = parser.screen();
        let (rows, _) = screen.cursor_position();
        assert!(rows > 0 && rows < ROWS - 1, "{args:?}: {rows} rows");
        self.keep(screen, rows, args);
        self.judge(screen, rows, args);
    }

    async fn run(&self, code: i32, args: &[&str]) -> Vec<u8> {
        let terminal = Terminal::open(self.columns);
        let mut command = self.world.command(args);
        command.env("TERM", "xterm-256color").stdout(terminal.screen()).stderr(terminal.screen());
        if self.colours == Colours::Unwanted {
            command.env("NO_COLOR", "1");
        }
        let mut child = command.spawn().expect("runs");
        // Our side of the terminal is closed with it.
        drop(command);
        let ended = child.wait().await.expect("ends");
        let shown = terminal.shown().await;
        assert_eq!(ended.code(), Some(code), "{args:?}: {}", String::from_utf8_lossy(&shown));
        shown
    }

    fn keep(&mut self, screen: &Screen, rows: u16, args: &[&str]) {
        self.number += 1;
        let command = format!("repin {}", args.join(" "));
        let name: String = args.iter().take(2).map(|word| format!("-{}", word.trim_start_matches('-'))).collect();
        let name = format!("{:02}{}", self.number, name.replace(['/', '*', ' '], "_"));
        let text: Vec<_> = screen.rows(0, self.columns).take(usize::from(rows)).collect();
        fs::write(self.folder.join(format!("{name}.txt")), text.join("\n") + "\n").expect("written");
        for theme in &THEMES {
            let path = self.folder.join(format!("{name}-{}.svg", theme.name));
            fs::write(path, theme.draw(screen, self.columns, rows, &command)).expect("written");
        }
    }

    fn judge(&self, screen: &Screen, rows: u16, args: &[&str]) {
        let text: Vec<_> = screen.rows(0, self.columns).take(usize::from(rows)).collect();
        let whole = text.join("\n");
        // A value is shown as it is, however long its lines are.
        if args.first() != Some(&"get") {
            for row in 0..rows {
                let breaks = screen.row_wrapped(row) && !is_one_word(&text[usize::from(row)..]);
                assert!(!breaks, "{args:?}: row {row} runs over {} columns\n{whole}", self.columns);
            }
        }
        let coloured = (0..rows).any(|row| (0..self.columns).any(|column| is_styled(screen, row, column)));
        if self.colours == Colours::Unwanted {
            assert!(!coloured, "{args:?} is styled in spite of NO_COLOR\n{whole}");
        }
        assert!(!whole.contains("\\u{"), "{args:?}: something of ours is escaped\n{whole}");
        assert!(!whole.contains(crate::support::SENTINEL), "{args:?} shows a secret");
    }
}

/// Tells whether what goes over the end of the first row is a word that has no row of its own to fit into: an ARN.
fn is_one_word(rows: &[String]) -> bool {
    let begins = rows[0].rsplit(' ').next().unwrap_or_default();
    let ends = rows.get(1).and_then(|row| row.split(' ').next()).unwrap_or_default();
    begins.len() + ends.len() > LONG_WORD
}

fn is_styled(screen: &Screen, row: u16, column: u16) -> bool {
    let cell = screen.cell(row, column).expect("inside");
    let plain = cell.fgcolor() == Color::Default && cell.bgcolor() == Color::Default;
    !plain || cell.bold() || cell.dim() || cell.italic() || cell.underline() || cell.inverse()
}

const LIMITS: &str = "  limits/requests-per-minute: { value: 120 }\n";

/// Writes past the ledger, on both clouds.
async fn each(stores: &[Hand], key: &str, value: &str) {
    for store in stores {
        store.overwrite(key, value).await;
    }
}
