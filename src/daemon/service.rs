//! Answers those who ask how the daemon is: over a socket in the state directory, and over `--listen`.
//!
//! ```text
//! GET /live, /livez      200 while the loop turns; never depends on a store
//! GET /ready, /readyz    200 once every target has had a good pass, and from then on
//! GET /metrics           counters and gauges for Prometheus, asking no store (deploy/prometheus lists them)
//! GET /v1/status         the object of `repin status -o json` with `daemon` beside it, asking no store
//! ```
//! One who says nothing, or nonsense, or too much, is hung up on; however many do so, passes go on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::board::Board;
use super::exposition::Form;
use super::listen::{self, Kind, Listener, Unlink};

/// The most conversations at a time on one address; further ones wait.
const CONVERSATIONS: usize = 64;
/// How long one who came may take to say what they want.
const SAID_BY: Duration = Duration::from_secs(2);
/// How long a conversation may last.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of what is asked that are kept for one conversation, its headers included.
const MOST_SAID: usize = 16 << 10;

/// Answers over `--listen` as well, until this is dropped.
#[derive(Debug)]
pub struct Answering {
    serving: JoinHandle<()>,
    // Not the task's: a task that is aborted is dropped some time later, and the process may be gone by then.
    _file: Option<Unlink>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers over an address that was taken. Where only this host can reach it, only this host's own names are answered
/// to: `localhost` and addresses.
pub fn listen_on(listener: Listener, board: Arc<Board>) -> Answering {
    let address = listener.address().ok();
    match &address {
        Some(address @ listen::Address::Tcp(_)) => tracing::info!("answering on http://{address}"),
        Some(address) => tracing::info!("answering on {address}"),
        None => {}
    }
    let (router, seats) = (router(board), Arc::new(Semaphore::new(CONVERSATIONS)));
    let (serving, file) = match listener.kind {
        Kind::Tcp(listener) => {
            let guarded = address.is_none_or(|address| address.is_local());
            let router = if guarded { router.layer(middleware::from_fn(refuse_strangers)) } else { router };
            let serving = tokio::spawn(async move {
                loop {
                    let accepted = listener.accept().await.map(|(stream, _)| stream);
                    take(accepted, &router, &seats).await;
                }
            });
            (serving, None)
        }
        Kind::Unix(listener, file) => {
            let serving = tokio::spawn(async move {
                loop {
                    let accepted = listener.accept().await.map(|(stream, _)| stream);
                    take(accepted, &router, &seats).await;
                }
            });
            (serving, Some(file))
        }
    };
    Answering { serving, _file: file }
}

/// Answers nobody who was led here under another host's name.
async fn refuse_strangers(request: Request, next: Next) -> Response {
    let said = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    let named = request.uri().authority().map(|authority| authority.as_str());
    // Programs of before HTTP/1.1 may leave it out; browsers never do.
    if said.into_iter().chain(named).all(listen::is_local_host) {
        return next.run(request).await;
    }
    (StatusCode::MISDIRECTED_REQUEST, "ask for localhost or for an address\n").into_response()
}

/// Speaks with one who came, once there is a seat.
async fn take<S>(accepted: io::Result<S>, router: &Router, seats: &Arc<Semaphore>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = match accepted {
        Ok(stream) => stream,
        Err(error) => {
            // Out of file descriptors, most likely: waiting is all that helps.
            tracing::debug!(%error, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            return;
        }
    };
    let Ok(seat) = Arc::clone(seats).acquire_owned().await else { return };
    let service = TowerToHyperService::new(router.clone());
    tokio::spawn(async move {
        let conversation = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(SAID_BY)
            .max_buf_size(MOST_SAID)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        let _ = tokio::time::timeout(PATIENCE, conversation).await;
        drop(seat);
    });
}

/// Returns what answers those who ask how the daemon is.
pub(super) fn router(board: Arc<Board>) -> Router {
    let live = get(async |State(board): State<Arc<Board>>| answer(board.live()));
    let ready = get(async |State(board): State<Arc<Board>>| answer(board.ready()));
    // One at a time, and beside the passes: it reads what is remembered of every target.
    let desk = Arc::new(Semaphore::new(1));
    let status = get(move |State(board): State<Arc<Board>>| status(board, Arc::clone(&desk)));
    let metrics = get(async |State(board): State<Arc<Board>>, headers: HeaderMap| metrics(&board, &headers));
    Router::new()
        .route("/live", live.clone())
        .route("/livez", live)
        .route("/ready", ready.clone())
        .route("/readyz", ready)
        .route("/v1/status", status)
        .route("/metrics", metrics)
        .with_state(board)
        .layer(middleware::map_response(guard))
}

/// Has browsers take an answer for nothing but what it says it is, and keep none.
async fn guard(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn answer(said: Result<String, String>) -> Response {
    match said {
        Ok(yes) => (StatusCode::OK, format!("{yes}\n")).into_response(),
        Err(no) => (StatusCode::SERVICE_UNAVAILABLE, format!("{no}\n")).into_response(),
    }
}

async fn status(board: Arc<Board>, desk: Arc<Semaphore>) -> Response {
    let _turn = desk.acquire().await;
    match tokio::task::spawn_blocking(move || format!("{}\n", board.status())).await {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn metrics(board: &Board, headers: &HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let form = Form::accepted(&accepted.collect::<Vec<_>>().join(","));
    match board.metrics() {
        Ok(text) => ([(header::CONTENT_TYPE, form.content_type())], form.write(text)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
