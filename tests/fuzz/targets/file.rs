//! The desired state: several files merged, YAML or JSON.

use repin::desired::{Request, load, load_identity};
use repin::report::{Trouble, text::trouble};

use super::{SEPARATOR, folder, text};

/// Loads one file for each part of the input: JSON where the part begins as an object does, else YAML.
///
/// What loads as a whole must load as an identity too, with the same name.
pub(crate) fn file(bytes: &[u8]) -> bool {
    let text = text(bytes);
    let mut files = Vec::new();
    for (n, part) in text.split(SEPARATOR).take(4).enumerate() {
        let extension = if part.starts_with('{') { "json" } else { "yaml" };
        let path = folder().join(format!("{}-{n}.{extension}", std::process::id()));
        std::fs::write(&path, part).expect("a temporary file");
        files.push(path);
    }
    let env = |name: &str| (name == "SET").then(|| "a value".to_owned());
    let request = Request::new(&files, env);
    let identity = load_identity(&request);
    match (load(&request), identity) {
        (Ok(desired), identity) => {
            let identity = identity.expect("the identity of a valid file is valid");
            assert_eq!(desired.name, identity.name);
            assert_eq!(desired.targets.len(), identity.targets.len());
            true
        }
        (Err(invalid), _) => {
            assert!(!invalid.problems.is_empty(), "nobody is told why");
            for problem in invalid.problems {
                let _ = problem.to_string();
                let _ = trouble(&Trouble::of_problem(problem));
            }
            false
        }
    }
}
