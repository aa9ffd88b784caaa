//! The control socket: who may speak over it is said by the file system, who did by the kernel.
//!
//! A peer may say nothing, nonsense, or too much, may not listen, or go away: each is bounded in time and size, and none
//! of it keeps a pass waiting.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::de::DeserializeOwned;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use super::board::Board;
use super::listen::{Address, Kind, Listener, Unlink};
use super::service;
use super::visit::{self, StopSender, Visit, Visitor};
use crate::control::places::check_length;
use crate::control::{CANCEL, COMMAND, Cancel, Line, MAX_BODY, Request};
use crate::model::outcome::Interrupt;

/// The most conversations at a time; further ones wait.
const CONVERSATIONS: usize = 64;
/// The most commands at a time; further ones are sent away.
const COMMANDS: usize = 16;
/// The most bytes that are kept of what is said before it is read: the headers, and a piece of the body.
const MOST_SAID: usize = 64 << 10;
/// How long one who came may take to begin to say what they want.
const SAID_BY: Duration = Duration::from_secs(2);
/// How long a conversation may last that is no command's, and how long a command may take to be said.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a peer may listen to nothing that is said.
const LISTENS_BY: Duration = Duration::from_secs(30);
/// How often a peer is told that the daemon is there.
const ALIVE: Duration = Duration::from_secs(5);
/// How long the names of users are waited for: they may be kept on another host.
const NAMED_BY: Duration = Duration::from_secs(2);
/// How long the last words to peers are waited for when the daemon ends.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The number of the user.
    pub uid: u32,
    /// The user's name, or `uid N` where the number has none.
    pub user: String,
}

/// Where lines for a peer go.
pub type Lines = mpsc::UnboundedSender<Line>;

/// Understands what peers ask for.
pub trait Reception: Send + Sync {
    /// Makes a command of what was posted.
    ///
    /// # Errors
    /// Says why it is none, as a sentence.
    fn receive(&self, request: Request, peer: Peer, lines: Lines) -> Result<Box<dyn Visit>, String>;
}

/// The socket. It goes when this is dropped.
#[derive(Debug)]
pub struct Socket {
    serving: JoinHandle<()>,
    commands: Arc<Semaphore>,
    _file: Unlink,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Socket {
    /// Waits until the peers with commands have heard how these ended, for a while.
    pub async fn last_words(self) {
        let all = u32::try_from(COMMANDS).expect("a few");
        let _ = tokio::time::timeout(LAST_WORDS, self.commands.acquire_many(all)).await;
    }
}

/// Answers over the first of these sockets that can be had. Where none can, the daemon goes on without.
pub async fn listen(
    paths: &[PathBuf],
    board: Arc<Board>,
    reception: Arc<dyn Reception>,
    door: mpsc::Sender<Visitor>,
) -> Option<Socket> {
    for path in paths {
        match bind(path).await {
            Ok((listener, file)) => {
                tracing::debug!(path = %path.display(), "the control socket is there");
                let commands = Arc::new(Semaphore::new(COMMANDS));
                let desk = Desk { reception, door, commands: Arc::clone(&commands), stops: Arc::default() };
                let serving = tokio::spawn(serve(listener, router(board, desk)));
                return Some(Socket { serving, commands, _file: file });
            }
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the control socket cannot be here");
            }
        }
    }
    tracing::warn!("there is no socket: probes will find nobody, and commands need credentials of their own");
    None
}

async fn bind(path: &Path) -> io::Result<(UnixListener, Unlink)> {
    check_length(path)?;
    let new = path.parent().filter(|folder| !folder.exists());
    if let Some(folder) = new {
        DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
        // The file mode creation mask of a service may be stricter, and its group is to come in. What is there already,
        // as the folder in the state directory, stays as it is.
        std::fs::set_permissions(folder, Permissions::from_mode(0o750))?;
    }
    match Listener::bind(&Address::Unix(path.to_owned())).await?.kind {
        Kind::Unix(listener, file) => Ok((listener, file)),
        Kind::Tcp(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// What every conversation needs.
#[derive(Clone)]
struct Desk {
    reception: Arc<dyn Reception>,
    door: mpsc::Sender<Visitor>,
    commands: Arc<Semaphore>,
    /// What stops a command, by its ticket.
    stops: Arc<Mutex<HashMap<String, StopSender>>>,
}

/// One conversation.
struct Talk {
    peer: Option<u32>,
    /// Held from when a command was taken until the conversation is over.
    command: Mutex<Option<OwnedSemaphorePermit>>,
    hang_up: Notify,
}

async fn serve(listener: UnixListener, router: Router) {
    let seats = Arc::new(Semaphore::new(CONVERSATIONS));
    loop {
        // Whoever comes while all seats are taken waits in the kernel's line, which is short.
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        match accept(&listener).await {
            Some(stream) => drop(tokio::spawn(converse(stream, router.clone(), seat))),
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn accept(listener: &UnixListener) -> Option<UnixStream> {
    match listener.accept().await {
        Ok((stream, _)) => Some(stream),
        Err(error) => {
            // Out of file descriptors, most likely: waiting is all that helps.
            tracing::debug!(%error, "cannot accept a connection");
            None
        }
    }
}

async fn converse(stream: UnixStream, router: Router, _seat: OwnedSemaphorePermit) {
    let peer = stream.peer_cred().ok().map(|credentials| credentials.uid());
    let talk = Arc::new(Talk { peer, command: Mutex::new(None), hang_up: Notify::new() });
    let service = TowerToHyperService::new(router.layer(Extension(Arc::clone(&talk))));
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SAID_BY)
        .max_buf_size(MOST_SAID)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let late = async {
        tokio::time::sleep(PATIENCE).await;
        if talk.is_command() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = conversation => {}
        () = late => {}
        () = talk.hang_up.notified() => {}
    }
}

impl Talk {
    fn is_command(&self) -> bool {
        self.command.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn begin_command(&self, permit: OwnedSemaphorePermit) {
        *self.command.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
    }
}

fn router(board: Arc<Board>, desk: Desk) -> Router {
    let commands = Router::new().route(COMMAND, post(command)).route(CANCEL, post(cancel)).with_state(desk);
    service::router(board).merge(commands)
}

async fn command(State(desk): State<Desk>, Extension(talk): Extension<Arc<Talk>>, body: Body) -> Response {
    match take(&desk, &talk, body).await {
        Ok(answer) => ([(header::CONTENT_TYPE, "application/x-ndjson")], answer).into_response(),
        Err((status, why)) => (status, format!("{why}\n")).into_response(),
    }
}

type Refused = (StatusCode, String);

/// Takes a command, and returns what is said about it while it goes on.
async fn take(desk: &Desk, talk: &Arc<Talk>, body: Body) -> Result<Body, Refused> {
    let request: Request = read(body).await?;
    let Some(uid) = talk.peer else {
        return Err((StatusCode::FORBIDDEN, "nobody says who you are".to_owned()));
    };
    let busy = |what: &str| (StatusCode::SERVICE_UNAVAILABLE, what.to_owned());
    let permit = Arc::clone(&desk.commands).try_acquire_owned();
    let permit = permit.map_err(|_| busy("too many commands are at work already"))?;
    let peer = Peer { uid, user: user(uid).await };
    tracing::debug!(user = %peer.user, "a command came over the socket");
    let (lines, said) = mpsc::unbounded_channel();
    let (stop, _) = watch::channel(None);
    let ticket = hex::encode(rand::random::<[u8; 16]>());
    let _ = lines.send(Line::Ticket(ticket.clone()));
    let teller = lines.clone();
    let tell = Box::new(move |text: &str| drop(teller.send(Line::Stderr(format!("{text}\n")))));
    let visit = desk.reception.receive(request, peer, lines).map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    let visitor = Visitor { visit, stop: stop.clone(), tell };
    desk.door.try_send(visitor).map_err(|_| busy("the daemon is stopping, or has too much to do"))?;
    talk.begin_command(permit);
    desk.stops().insert(ticket.clone(), stop.clone());
    let (to_peer, from_here) = mpsc::channel::<Bytes>(1);
    let (desk, talk) = (desk.clone(), Arc::downgrade(talk));
    tokio::spawn(async move {
        let listens = forward(said, &to_peer).await;
        desk.stops().remove(&ticket);
        if !listens {
            // Nobody hears what becomes of it. It ends where nothing is half done, and is recorded.
            visit::stop(&stop, Interrupt::Interrupted);
            if let Some(talk) = talk.upgrade() {
                talk.hang_up.notify_one();
            }
        }
    });
    let chunks = futures::stream::unfold(from_here, async |mut from_here| {
        from_here.recv().await.map(|chunk| (Ok::<_, Infallible>(chunk), from_here))
    });
    Ok(Body::from_stream(chunks))
}

/// Says to a peer what there is to say, until that is all. Returns whether the peer listened to the end.
async fn forward(mut said: mpsc::UnboundedReceiver<Line>, to_peer: &mpsc::Sender<Bytes>) -> bool {
    loop {
        let line = tokio::select! {
            line = said.recv() => match line {
                Some(line) => line,
                None => return true,
            },
            () = to_peer.closed() => return false,
            () = tokio::time::sleep(ALIVE) => Line::Alive(true),
        };
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        if to_peer.send_timeout(text.into(), LISTENS_BY).await.is_err() {
            return false;
        }
    }
}

async fn cancel(State(desk): State<Desk>, body: Body) -> Response {
    let said: Cancel = match read(body).await {
        Ok(said) => said,
        Err((status, why)) => return (status, format!("{why}\n")).into_response(),
    };
    let Some(stop) = desk.stops().get(&said.ticket).cloned() else { return StatusCode::GONE.into_response() };
    visit::stop(&stop, if said.terminated { Interrupt::Terminated } else { Interrupt::Interrupted });
    StatusCode::NO_CONTENT.into_response()
}

impl Desk {
    fn stops(&self) -> MutexGuard<'_, HashMap<String, StopSender>> {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Refused> {
    let bytes = match tokio::time::timeout(PATIENCE, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            let why = format!("what is posted has at most {MAX_BODY} bytes, and comes as a whole");
            return Err((StatusCode::PAYLOAD_TOO_LARGE, why));
        }
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "it took too long to say".to_owned())),
    };
    serde_json::from_slice(&bytes).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

/// Names a user.
async fn user(uid: u32) -> String {
    let find = tokio::task::spawn_blocking(move || nix::unistd::User::from_uid(uid.into()));
    match tokio::time::timeout(NAMED_BY, find).await {
        Ok(Ok(Ok(Some(user)))) => user.name,
        _ => format!("uid {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn users_are_named_or_numbered() {
        assert_eq!(user(0).await, "root");
        assert_eq!(user(4_000_000_001).await, "uid 4000000001");
    }

    #[tokio::test]
    async fn a_folder_is_made_for_the_group() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("run/a/daemon.sock");
        let listener = bind(&path).await.expect("bound");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(path.parent().expect("inside")), mode(&path)), (0o750, 0o660));
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_refused_in_words() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = bind(&dir.path().join("x".repeat(120)).join("daemon.sock")).await.expect_err("too long");
        assert!(error.to_string().starts_with("the path of a socket has at most 107 bytes"), "{error}");
    }
}
