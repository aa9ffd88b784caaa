//! The side of the operator: finds the daemon, posts a command, hears its lines.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request as HttpRequest, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::protocol::{CANCEL, COMMAND, Cancel, Line, Request};

/// How long a daemon may take to take a connection, or to begin an answer.
const ANSWERS_BY: Duration = Duration::from_secs(10);
/// How long nothing may be heard: a daemon that is there says so every five seconds.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read where it is not a stream of lines, in bytes.
const MAX_REFUSAL: usize = 16 << 10;

/// A connection to a daemon.
#[derive(Debug)]
pub struct Daemon {
    path: PathBuf,
    stream: UnixStream,
}

/// A command at work.
#[derive(Debug)]
pub struct Conversation {
    body: Incoming,
    /// What was heard and is not a whole line yet.
    heard: Vec<u8>,
    /// Drives the connection; it ends with this.
    driver: JoinHandle<()>,
}

/// Why a command was not taken.
#[derive(Debug)]
pub enum NotTaken {
    /// Nothing that makes sense was answered.
    Lost(String),
    /// The daemon has too much to do.
    Busy(String),
    /// The daemon does not understand it.
    Refused(String),
}

/// What comes of looking for a daemon at one place.
#[derive(Debug)]
pub enum Reached {
    /// It is there.
    Daemon(Daemon),
    /// There is none.
    Nobody,
    /// There may be one, and this user may not speak to it.
    Forbidden,
}

/// Connects to a socket.
pub async fn reach(path: &Path) -> Reached {
    match tokio::time::timeout(ANSWERS_BY, UnixStream::connect(path)).await {
        Ok(Ok(stream)) => Reached::Daemon(Daemon { path: path.to_owned(), stream }),
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => Reached::Forbidden,
        _ => Reached::Nobody,
    }
}

impl Daemon {
    /// Returns its socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Posts a command.
    ///
    /// # Errors
    /// Says why it was not taken; nothing was done then.
    pub async fn command(self, request: &Request) -> Result<Conversation, NotTaken> {
        let (answer, driver) = post(self.stream, COMMAND, request).await?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(Conversation { body: answer.into_body(), heard: Vec::new(), driver });
        }
        let text = read_refusal(answer).await;
        driver.abort();
        match status {
            StatusCode::SERVICE_UNAVAILABLE => Err(NotTaken::Busy(text)),
            StatusCode::NOT_FOUND => Err(NotTaken::Refused("it takes no commands over its socket".to_owned())),
            _ => Err(NotTaken::Refused(text)),
        }
    }
}

impl Conversation {
    /// Waits for the next line; `None` where the daemon is gone.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                match serde_json::from_slice(&line) {
                    Ok(line) => return Some(line),
                    // A newer daemon may say more than is known here.
                    Err(error) => tracing::debug!(%error, "a line that is not understood"),
                }
                continue;
            }
            let frame = tokio::time::timeout(SILENCE, self.body.frame()).await.ok()??.ok()?;
            if let Some(data) = frame.data_ref() {
                self.heard.extend_from_slice(data);
            }
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Asks a daemon to stop a command. Whether it heard shows in what the command ends with.
pub async fn cancel(path: &Path, cancel: &Cancel) {
    if let Reached::Daemon(daemon) = reach(path).await
        && let Ok((_, driver)) = post(daemon.stream, CANCEL, cancel).await
    {
        driver.abort();
    }
}

async fn post<T: Serialize>(
    stream: UnixStream,
    path: &str,
    said: &T,
) -> Result<(Response<Incoming>, JoinHandle<()>), NotTaken> {
    let lost = |why: &dyn std::fmt::Display| NotTaken::Lost(why.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to the daemon broke");
        }
    });
    let body = serde_json::to_vec(said).map_err(|error| lost(&error))?;
    let request = HttpRequest::post(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| lost(&error))?;
    match tokio::time::timeout(ANSWERS_BY, sender.send_request(request)).await {
        Ok(Ok(answer)) => Ok((answer, driver)),
        Ok(Err(error)) => Err(lost(&error)),
        Err(_) => Err(lost(&format!("it did not answer within {} s", ANSWERS_BY.as_secs()))),
    }
}

async fn read_refusal(answer: Response<Incoming>) -> String {
    let read = Limited::new(answer.into_body(), MAX_REFUSAL).collect();
    match tokio::time::timeout(ANSWERS_BY, read).await {
        Ok(Ok(body)) => String::from_utf8_lossy(&body.to_bytes()).trim().to_owned(),
        _ => "it did not say why".to_owned(),
    }
}
