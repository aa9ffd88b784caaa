//! Asks the daemon of this host how it is, through its socket.
//!
//! ```text
//! <folder>/<name>/daemon.sock    GET /live, GET /ready (HTTP/1.0): 200 is yes, anything else is no
//! ```
//! Nothing here speaks to a store: a probe that did would restart a healthy daemon because a cloud is slow.

use std::path::{Path, PathBuf};
use std::time::Duration;

use repin_provider::Owner;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::Failure;
use super::args::Probe;
use crate::control::places::Places;
use crate::exit::Exit;
use crate::report::Trouble;

/// How long a daemon may take to answer; a healthy one takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 16 << 10;

/// Asks, and returns what the daemon said.
///
/// # Errors
/// Says that no daemon is there, or what it said where it said no.
pub(super) async fn ask(places: &Places, name: &Owner, what: Probe) -> Result<String, Failure> {
    let (path, stream) = reach(places, name).await?;
    let answer = match tokio::time::timeout(PATIENCE, talk(stream, what)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(nobody(&path, name, &error.to_string())),
        Err(_) => return Err(nobody(&path, name, "it did not answer in time")),
    };
    match parse(&answer) {
        Some((200, body)) => Ok(body.to_owned()),
        Some((_, body)) => Err(no(&format!("the daemon for {name} is not {}: {body}", what.word()), None)),
        None => Err(nobody(&path, name, "what it answered is no HTTP")),
    }
}

/// Connects to the first socket that somebody has; where nobody has any, says so of the first place.
async fn reach(places: &Places, name: &Owner) -> Result<(PathBuf, UnixStream), Failure> {
    let mut failed = None;
    for path in places.of(name) {
        let why = match tokio::time::timeout(PATIENCE, UnixStream::connect(&path)).await {
            Ok(Ok(stream)) => return Ok((path, stream)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it did not answer in time".to_owned(),
        };
        failed.get_or_insert_with(|| nobody(&path, name, &why));
    }
    let nowhere = || no(&format!("no daemon for {name} can be here: the path of its socket would be too long"), None);
    Err(failed.unwrap_or_else(nowhere))
}

async fn talk(mut stream: UnixStream, what: Probe) -> std::io::Result<String> {
    let request = format!("GET /{} HTTP/1.0\r\nhost: localhost\r\n\r\n", what.word());
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Returns the status and the body of an answer.
fn parse(answer: &str) -> Option<(u16, &str)> {
    let status = answer.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Some((status, body.trim()))
}

fn nobody(path: &Path, name: &Owner, why: &str) -> Failure {
    let message = format!("no daemon for {name} answers on this host: {}: {why}", path.display());
    no(
        &message,
        Some("A probe asks a running repin daemon with the same --state-dir; to look at the stores leave --probe out."),
    )
}

fn no(message: &str, hint: Option<&str>) -> Failure {
    let trouble = Trouble::new("probe", message);
    Failure::new(
        Exit::Failed,
        match hint {
            Some(hint) => trouble.with_hint(hint),
            None => trouble,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(parse("HTTP/1.1 200 OK\r\na: b\r\n\r\nready\n"), Some((200, "ready")));
        assert_eq!(parse("HTTP/1.0 503 Service Unavailable\r\n\r\nfirst pass\n"), Some((503, "first pass")));
        for odd in ["", "hello", "HTTP/1.1", "HTTP/1.1 xyz"] {
            assert_eq!(parse(odd), None, "{odd}");
        }
    }
}
