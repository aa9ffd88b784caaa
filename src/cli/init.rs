//! `repin init`: a commented starter file, and the schema that editors check it against.

mod files;
pub(super) mod from;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::Common;
use super::print::Printer;
use super::session::USUAL_FILE;
use super::{Failure, schema};
use crate::exit::Exit;
use crate::report::Trouble;

/// The starter file. Its first line names the schema beside it.
const STARTER: &str = include_str!("starter.yaml");

/// The schema's file, beside the starter file. A file and not an address, so that editors need no network.
const SCHEMA_FILE: &str = "repin.schema.json";

pub(super) fn run(common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let path = path(common)?;
    if !create(&path, STARTER)? {
        let trouble = Trouble::new("exists", format!("{} is there already", path.display()))
            .with_hint("Nothing was written. Name another file with -f FILE.");
        return Err(Failure::new(Exit::Failed, trouble));
    }
    let schema_path = path.with_file_name(SCHEMA_FILE);
    let made_schema = create(&schema_path, &schema::text())?;
    printer.result(
        || said(&path, &schema_path, made_schema),
        || json!({ "file": path, "schema": schema_path, "schema_written": made_schema }),
    );
    Ok(Exit::Done)
}

fn said(path: &Path, schema: &Path, made_schema: bool) -> String {
    let (file, schema) = (path.display(), schema.display());
    let schema = match made_schema {
        true => format!("Wrote {schema}, which editors check it against.\n"),
        false => format!("Left {schema} as it is; repin schema > {schema} renews it.\n"),
    };
    let flag = if path == Path::new(USUAL_FILE) { String::new() } else { format!(" -f {file}") };
    format!("Wrote {file}.\n{schema}Try it without an account: repin plan{flag} --emulate\n")
}

fn path(common: &Common) -> Result<PathBuf, Failure> {
    let path = match common.files.as_slice() {
        [] => PathBuf::from(USUAL_FILE),
        [path] => path.clone(),
        _ => return Err(Failure::usage("init writes one file", "Give -f once.")),
    };
    check_name(&path)?;
    Ok(path)
}

fn check_name(path: &Path) -> Result<(), Failure> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => Ok(()),
        _ => Err(Failure::usage(
            format!("{} is not named as a YAML file", path.display()),
            "What init writes is YAML, since JSON has no comments: name it .yaml.",
        )),
    }
}

/// Writes a new file; returns whether there was none.
fn create(path: &Path, text: &str) -> Result<bool, Failure> {
    let made = OpenOptions::new().write(true).create_new(true).open(path);
    match made.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => {
            let message = format!("{} cannot be written: {error}", path.display());
            Err(Failure::new(Exit::Failed, Trouble::new("system", message)))
        }
    }
}
