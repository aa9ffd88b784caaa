//! What `init --from` writes: first into a folder of its own, where it is read back, and then to where it belongs.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::arrive::{Entries, Text};
use crate::cli::Failure;
use crate::exit::Exit;
use crate::report::Trouble;

/// The folder of long texts.
const VALUES: &str = "values";
/// Keeps a whole folder out of git, itself included.
const IGNORE: &str = "# Secrets are not for a repository.\n*\n";

/// Where everything goes.
#[derive(Debug)]
pub(super) struct Place {
    /// The file, links resolved.
    path: PathBuf,
    folder: PathBuf,
    values: String,
    secrets: Option<Secrets>,
}

#[derive(Debug)]
struct Secrets {
    dir: PathBuf,
    /// The folder as the file refers to it.
    referred: String,
}

impl Place {
    /// Finds a place for what is written beside a file. Folders that are there already are not written into.
    pub(super) fn new(path: &Path, secrets: Option<&Path>) -> Result<Self, Failure> {
        let path = fs::canonicalize(path).map_err(|error| cannot(path, "be found", &error))?;
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        let free = |name: &String| !folder.join(name).exists();
        let numbered = |n: usize| if n == 1 { VALUES.to_owned() } else { format!("{VALUES}-{n}") };
        let values = (1..).map(numbered).find(free).expect("one of endless many is free");
        let secrets = secrets.map(|dir| Secrets::new(dir, &folder)).transpose()?;
        Ok(Self { path, folder, values, secrets })
    }

    /// Returns the folder of long texts as the file refers to it.
    pub(super) fn values(&self) -> &str {
        &self.values
    }

    /// Returns the folder of secrets as the file refers to it.
    pub(super) fn secrets(&self) -> Option<&str> {
        self.secrets.as_ref().map(|secrets| secrets.referred.as_str())
    }

    pub(super) fn has_secrets(&self) -> bool {
        self.secrets.is_some()
    }
}

impl Secrets {
    fn new(dir: &Path, folder: &Path) -> Result<Self, Failure> {
        let dir = std::path::absolute(dir).map_err(|error| cannot(dir, "be found", &error))?;
        let is_new = !dir.exists() || fs::read_dir(&dir).is_ok_and(|mut inside| inside.next().is_none());
        if !is_new {
            let message = format!("{} is there already and is no empty folder", dir.display());
            return Err(Failure::usage(message, "Name a folder for the secrets that is not there yet."));
        }
        // What a parent that is not there yet leads to is not known before it is made.
        let whole = match (dir.parent().and_then(|parent| fs::canonicalize(parent).ok()), dir.file_name()) {
            (Some(parent), Some(name)) => parent.join(name),
            _ => dir,
        };
        let referred = whole.strip_prefix(folder).unwrap_or(&whole).to_str().map(str::to_owned);
        let Some(referred) = referred.filter(|text| !text.is_empty()) else {
            let message = format!("{} cannot be the folder of the secrets", whole.display());
            return Err(Failure::usage(message, "Name one that is not there yet, in UTF-8."));
        };
        Ok(Self { dir: whole, referred })
    }
}

/// What was made and not yet put where it belongs. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct Staged {
    dir: TempDir,
    name: PathBuf,
    /// Files that are where they belong already.
    outside: Vec<PathBuf>,
}

impl Drop for Staged {
    fn drop(&mut self) {
        for path in &self.outside {
            let _ = fs::remove_file(path);
        }
    }
}

impl Staged {
    /// Returns the file, which can be loaded.
    pub(super) fn file(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }
}

/// What was written beside the file.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) values: Option<PathBuf>,
    pub(super) secrets: Option<PathBuf>,
}

/// Writes everything into a folder beside the file, for nobody else to read. What the file refers to by a whole path is
/// not found there: it goes to where it belongs at once, into a folder that nobody had.
pub(super) fn stage(place: &Place, text: &str, entries: &Entries) -> Result<Staged, Failure> {
    let dir = tempfile::Builder::new()
        .prefix(".repin-init-")
        .tempdir_in(&place.folder)
        .map_err(|error| cannot(&place.folder, "be written to", &error))?;
    let name = PathBuf::from(place.path.file_name().unwrap_or_default());
    let mut staged = Staged { dir, name, outside: Vec::new() };
    for beside in &entries.beside {
        // A whole path takes the place of the folder.
        let path = staged.dir.path().join(&beside.path);
        if !path.starts_with(staged.dir.path()) {
            staged.outside.push(path.clone());
        }
        write(&path, text_of(&beside.text), matches!(beside.text, Text::Secret(_)))?;
    }
    write(&staged.file(), text, false)?;
    Ok(staged)
}

fn text_of(text: &Text) -> &str {
    match text {
        Text::Plain(text) => text,
        Text::Secret(secret) => secret.expose(),
    }
}

/// Puts everything where it belongs, the file itself last.
pub(super) fn keep(place: &Place, mut staged: Staged, entries: &Entries) -> Result<Written, Failure> {
    let mut written = Written::default();
    let has = |secret: bool| entries.beside.iter().any(|beside| matches!(beside.text, Text::Secret(_)) == secret);
    if let Some(secrets) = place.secrets.as_ref().filter(|_| has(true)) {
        let made = staged.dir.path().join(&secrets.referred);
        if made != secrets.dir {
            make_folders(secrets.dir.parent().unwrap_or(Path::new("/")))?;
            let _ = fs::remove_dir(&secrets.dir);
            fs::rename(&made, &secrets.dir).map_err(|error| cannot(&secrets.dir, "be written", &error))?;
        }
        write(&secrets.dir.join(".gitignore"), IGNORE, true)?;
        written.secrets = Some(secrets.dir.clone());
    }
    if has(false) {
        let folder = place.folder.join(&place.values);
        fs::rename(staged.dir.path().join(&place.values), &folder)
            .map_err(|error| cannot(&folder, "be written", &error))?;
        written.values = Some(folder);
    }
    let rights = fs::metadata(&place.path).map_err(|error| cannot(&place.path, "be read", &error))?.permissions();
    let file = staged.file();
    fs::set_permissions(&file, rights)
        .and_then(|()| fs::rename(&file, &place.path))
        .map_err(|error| cannot(&place.path, "be written", &error))?;
    staged.outside.clear();
    Ok(written)
}

/// Writes a file, its folders included, over nothing but what an earlier try wrote.
fn write(path: &Path, text: &str, is_secret: bool) -> Result<(), Failure> {
    let (folder_mode, mode) = if is_secret { (0o700, 0o600) } else { (0o777, 0o666) };
    let made =
        path.parent().map_or(Ok(()), |folder| DirBuilder::new().recursive(true).mode(folder_mode).create(folder));
    let opened = made.and_then(|()| OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path));
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| cannot(path, "be written", &error))
}

fn make_folders(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| cannot(folder, "be made", &error))
}

fn cannot(path: &Path, what: &str, error: &std::io::Error) -> Failure {
    let message = format!("{} cannot {what}: {error}", path.display());
    Failure::new(Exit::Failed, Trouble::new("system", message))
}
