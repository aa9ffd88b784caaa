//! The commands, and what is there before each.

use crate::stage::{Forms, Scene};

/// A command under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Command {
    Plan,
    Reconcile,
    Rollback,
    Hold,
    Resume,
    Pin,
    Unpin,
    Forget,
    Status,
    History,
    Show,
    Diff,
    Get,
    Daemon,
}

/// The first file, the second one, and the one that is there in the end: a creation, changes and a deletion.
const FIRST: &str = "  a: { value: a1 }\n  b: { value: { n: 1 } }\n  c: { value: c1 }\n";
const SECOND: &str = "  a: { value: a2 }\n  b: { value: { n: 1 } }\n  c: { value: c1 }\n";
const THIRD: &str = "  a: { value: a3 }\n  b: { value: { n: 1 } }\n  d: { value: d1 }\n";

impl Command {
    pub(crate) const ALL: [Self; 14] = [
        Self::Plan,
        Self::Reconcile,
        Self::Rollback,
        Self::Hold,
        Self::Resume,
        Self::Pin,
        Self::Unpin,
        Self::Forget,
        Self::Status,
        Self::History,
        Self::Show,
        Self::Diff,
        Self::Get,
        Self::Daemon,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Reconcile => "reconcile",
            Self::Rollback => "rollback",
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Forget => "forget",
            Self::Status => "status",
            Self::History => "history",
            Self::Show => "show",
            Self::Diff => "diff",
            Self::Get => "get",
            Self::Daemon => "daemon",
        }
    }

    /// Tells whether it writes nothing anywhere.
    pub(crate) fn looks(self) -> bool {
        matches!(self, Self::Plan | Self::Status | Self::History | Self::Show | Self::Diff | Self::Get)
    }

    /// Tells whether it is written to the ledgers that can be reached, and is to be run again for the others.
    pub(crate) fn is_repeated(self) -> bool {
        matches!(self, Self::Hold | Self::Resume | Self::Unpin | Self::Forget)
    }

    /// Makes what must be there before: two releases, and what this command is about. Returns its arguments.
    pub(crate) async fn prepare(self, scene: &Scene<'_>) -> Vec<String> {
        scene.write(FIRST);
        scene.run(&["reconcile"]).await.expect(0);
        scene.write(SECOND);
        scene.run(&["reconcile"]).await.expect(0);
        let target = if scene.forms == Forms::Plain { "aws-eu" } else { "azure" };
        let words: Vec<&str> = match self {
            Self::Plan => {
                scene.write(THIRD);
                vec!["plan", "-o", "json"]
            }
            Self::Reconcile | Self::Daemon => {
                scene.write(THIRD);
                vec!["reconcile"]
            }
            Self::Rollback => vec!["rollback", "-m", "why"],
            Self::Hold => vec!["hold", "a", "-m", "why"],
            Self::Resume => {
                scene.run(&["hold", "a", "-m", "why"]).await.expect(0);
                scene.write(THIRD);
                scene.run(&["reconcile"]).await.expect(0);
                vec!["resume", "a"]
            }
            Self::Pin | Self::Unpin => {
                let version = scene.version_in_release(target, 1).await;
                let pin = ["pin", "a", "--target", target, "--version", &version, "-m", "why"];
                if self == Self::Pin {
                    return pin.map(str::to_owned).into();
                }
                scene.run(&pin).await.expect(0);
                vec!["unpin", "a"]
            }
            Self::Forget => {
                scene.write(THIRD);
                vec!["forget", "c"]
            }
            Self::Status => vec!["status", "-o", "json"],
            Self::History => vec!["history", "-o", "json"],
            Self::Show => vec!["show", "2", "-o", "json"],
            Self::Diff => vec!["diff", "1", "2", "-o", "json"],
            Self::Get => vec!["get", "s", "--reveal", "-o", "json"],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Edits the file after the command, so that it shows whether the command took effect.
    pub(crate) fn edit_after(self, scene: &Scene<'_>) {
        if self == Self::Hold {
            scene.write(THIRD);
        }
    }
}
