//! What is said over the socket.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::desired::FileDigest;

/// Where commands are posted.
pub const COMMAND: &str = "/v1/command";
/// Where commands are stopped.
pub const CANCEL: &str = "/v1/cancel";
/// The most bytes of a request. Only a saved plan makes one large.
pub const MAX_BODY: usize = 4 << 20;
/// The version of what is said.
pub const FORMAT: u64 = 1;

/// A command, as it is posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The version of this form.
    pub format: u64,
    /// The arguments as the operator wrote them, the program's name first, with `--message` where `REPIN_MESSAGE` had it.
    /// What is about the operator's own side counts
    /// for nothing: -f, --state-dir, --emulate, -v, --log-format, --color, --direct, and what paths are called.
    pub argv: Vec<String>,
    /// The operator's own file; `None` where there is none, and the daemon's counts unseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSaid>,
    /// The content of the saved plan that `--plan` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// How wide the operator's terminal is, in columns; `None` where stdout is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Whether progress is shown.
    #[serde(default)]
    pub progress: bool,
    /// Whether the embedded clouds are meant.
    #[serde(default)]
    pub emulated: bool,
    /// Who stands behind a `sudo`; believed of root alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo_user: Option<String>,
}

/// What an operator's own file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSaid {
    /// Its name, which owns what is written.
    pub name: String,
    /// The files that it was read from.
    pub files: Vec<FileId>,
    /// Its targets, with the place of each.
    pub targets: BTreeMap<String, String>,
    /// What it asks for; `None` where the command does not depend on it, or it could not be read as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<FileDigest>,
}

/// Names a file on this machine, also where a container sees it at another path, or another one at this path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    /// Its path, for people.
    pub path: PathBuf,
    /// The number of its device.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

impl FileId {
    /// Names a file that is there. What is at the end of links counts.
    pub fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Some(Self { path, device: found.dev(), inode: found.ino() })
    }

    /// Tells whether both are one file.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Stops a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// What [`Line::Ticket`] named; nobody else can know it.
    pub ticket: String,
    /// Whether it was SIGTERM rather than SIGINT.
    #[serde(default)]
    pub terminated: bool,
}

/// A line of the answer: one JSON object with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// Names the command for [`Cancel`]; comes first.
    Ticket(String),
    /// The command no longer waits, and may change something from now on.
    Begun(bool),
    /// Nothing is new, and the daemon is there.
    Alive(bool),
    /// Text for stdout.
    Stdout(String),
    /// Text for stderr.
    Stderr(String),
    /// How far it is, for a line that is drawn over; empty where there is none any more.
    Progress(String),
    /// The content for the file that `--out` names.
    Save(String),
    /// What the command ends with; comes last.
    Exit(u8),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_objects_with_one_field() {
        let said = |line: Line| serde_json::to_string(&line).expect("plain data");
        assert_eq!(said(Line::Stdout("a\n".into())), r#"{"stdout":"a\n"}"#);
        assert_eq!(said(Line::Exit(3)), r#"{"exit":3}"#);
        assert_eq!(serde_json::from_str::<Line>(r#"{"alive":true}"#).ok(), Some(Line::Alive(true)));
    }

    #[test]
    fn a_request_needs_little() {
        let request: Request = serde_json::from_str(r#"{"format":1,"argv":["repin","status"]}"#).expect("enough");
        assert_eq!((request.argv.len(), request.file, request.progress), (2, None, false));
    }

    #[test]
    fn a_file_is_the_same_through_a_link() {
        let dir = tempfile::tempdir().expect("a folder");
        let (file, link) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&file, "x").expect("written");
        std::os::unix::fs::symlink("a", &link).expect("linked");
        let id = |path: &Path| FileId::of(path).expect("there");
        assert!(id(&file).is_same(&id(&link)));
        std::fs::copy(&file, dir.path().join("c")).expect("copied");
        assert!(!id(&file).is_same(&id(&dir.path().join("c"))));
        assert_eq!(FileId::of(&dir.path().join("missing")), None);
    }
}
