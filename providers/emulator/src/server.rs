//! The HTTP server under both halves, and the seam where faults come in.
//!
//! ```text
//! connection ─> collect the body ─> name the operation ─> log, ask Faults ─┬─> the half's router ─> Date ─> answer
//!                                                                         ├─> the same, with the answer spoilt
//!                                                                         ├─> refusal in the service's format
//!                                                                         └─> close the connection, or never answer
//! ```

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;

use axum::body::{Body, HttpBody, to_bytes};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Router};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;
use crate::counters::{Call, Counters};
use crate::faults::{Fault, Faults, Oddity};
use crate::spoil;

/// More than any request of either cloud holds.
pub(crate) const MAX_BODY: usize = 8 << 20;

/// The name of what a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) service: &'static str,
    pub(crate) operation: String,
    pub(crate) name: Option<String>,
}

/// What one half tells the server about itself.
#[derive(Clone)]
pub(crate) struct Half {
    pub(crate) router: Router,
    /// Names what a request asks for, before anything is checked.
    pub(crate) identify: fn(&Parts, &[u8]) -> Operation,
    /// Writes an error in the service's own format.
    pub(crate) refusal: fn(&Call, &Refusal) -> Response,
}

/// A refusal that a fault asks for.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) retry_after_ms: Option<u64>,
}

/// What both halves share.
#[derive(Clone)]
pub(crate) struct Seam {
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    pub(crate) faults: Faults,
    /// Where there is one, nothing else than TLS is spoken.
    pub(crate) tls: Option<TlsAcceptor>,
}

/// The connection is to be closed without an answer. hyper drops the socket when a service fails.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
struct Closed;

/// Serves until the task is dropped, which also drops every connection.
pub(crate) async fn serve(listener: TcpListener, half: Half, seam: Seam) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(converse(stream, half.clone(), seam.clone())); }
                // Out of file descriptors, most likely: waiting is all that helps.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, half: Half, seam: Seam) {
    // Small answers must not wait for each other; without it a failing setting only costs speed.
    let _ = stream.set_nodelay(true);
    match seam.tls.clone() {
        None => exchange(stream, half, seam).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => exchange(stream, half, seam).await,
            // A client that does not trust the authority, or does not speak TLS.
            Err(error) => tracing::debug!(%error, "no TLS with a client"),
        },
    }
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin, half: Half, seam: Seam) {
    let service = service_fn(move |request| answer(request, half.clone(), seam.clone()));
    // No timeout on idle connections: clients keep them for later, and a test may have stopped the runtime's clock.
    let connection = hyper::server::conn::http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Does what may wait for the disk; `None` where it panicked.
///
/// A runtime of one thread does it there and then: on a thread of its own, which of two requests is answered first would
/// be left to the machine, and a test that stops the clock plays the same story twice.
pub(crate) async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return catch_unwind(AssertUnwindSafe(work)).ok();
    }
    tokio::task::spawn_blocking(work).await.ok()
}

/// One half, spoken to without a connection.
///
/// Nothing waits for a socket, so that a test may stop the runtime's clock and let it run only while nothing else does.
/// Counters and faults are those of the connections.
#[derive(Clone)]
pub struct InProcess {
    half: Half,
    seam: Seam,
}

impl InProcess {
    pub(crate) fn new(half: Half, seam: Seam) -> Self {
        Self { half, seam }
    }

    /// Answers one request; `None` where a connection would have been closed before the end of the answer.
    pub async fn send(&self, request: Request<Bytes>) -> Option<http::Response<Bytes>> {
        let answer = self.deliver(request).await.filter(|answer| answer.is_whole)?;
        Some(answer.response)
    }

    /// Answers one request as far as the answer goes; `None` where a connection would have been closed without one.
    pub async fn deliver(&self, request: Request<Bytes>) -> Option<Delivered> {
        let request = request.map(Body::from);
        let response = answer(request, self.half.clone(), self.seam.clone()).await.ok()?;
        let (parts, mut body) = response.into_parts();
        let mut came = Vec::new();
        let is_whole = loop {
            match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                Some(Ok(frame)) => came.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Some(Err(_)) => break false,
                None => break true,
            }
        };
        Some(Delivered { response: http::Response::from_parts(parts, came.into()), is_whole })
    }
}

/// What came of an answer.
#[derive(Debug)]
pub struct Delivered {
    /// The head of the answer, and its body as far as it came.
    pub response: http::Response<Bytes>,
    /// Whether that is all of the body; if not, the connection was closed there.
    pub is_whole: bool,
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcess").finish_non_exhaustive()
    }
}

async fn answer<B>(request: Request<B>, half: Half, seam: Seam) -> Result<Response, Closed>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::GET && parts.uri.path() == "/_emulator/requests" {
        return Ok(requests(&seam.counters));
    }
    let Ok(body) = to_bytes(Body::new(body), MAX_BODY).await else {
        return Ok(StatusCode::PAYLOAD_TOO_LARGE.into_response());
    };
    let asked = (half.identify)(&parts, &body);
    let spoilt = spoil::Asked::new(&parts, &body, &asked.operation);
    let call = seam.counters.arrived(asked.service, &asked.operation, asked.name.as_deref());
    let fault = seam.faults.decide(&call);
    let skew = Oddity::skew(if let Fault::Odd(oddity) = fault { Some(oddity) } else { None });
    let mut response = match fault {
        Fault::None => handle(parts, body, half).await,
        Fault::Odd(oddity) => {
            parts.extensions.insert(oddity);
            handle(parts, body, half).await
        }
        Fault::Spoil(how) => spoil::spoil(how, &spoilt, handle(parts, body, half).await).await,
        Fault::Delay(wait) => {
            tokio::time::sleep(wait).await;
            handle(parts, body, half).await
        }
        Fault::Refuse { status, code, message, retry_after_ms } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            seam.counters.record(&call.service, &call.operation, status.as_u16());
            (half.refusal)(&call, &Refusal { status, code, message, retry_after_ms })
        }
        Fault::DropBefore => {
            seam.counters.record(&call.service, &call.operation, 0);
            return Err(Closed);
        }
        Fault::DropAfter => {
            handle(parts, body, half).await;
            return Err(Closed);
        }
        Fault::HangBefore => {
            seam.counters.record(&call.service, &call.operation, 0);
            seam.faults.hang_reached();
            return pending().await;
        }
        Fault::HangAfter => {
            handle(parts, body, half).await;
            seam.faults.hang_reached();
            return pending().await;
        }
    };
    // Where the date is set, hyper does not add the host's.
    let now = seam.clock.now();
    let now = now.saturating_add(skew).unwrap_or(now);
    response.headers_mut().entry(header::DATE).or_insert_with(|| http_date(now));
    Ok(response)
}

async fn handle(parts: Parts, body: Bytes, half: Half) -> Response {
    let request = Request::from_parts(parts, Body::from(body));
    match hyper::service::Service::call(&TowerToHyperService::new(half.router), request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Answers the counters as JSON: `{"ssm": {"PutParameter": 3}}`.
fn requests(counters: &Counters) -> Response {
    let mut services = serde_json::Map::new();
    for ((service, operation), count) in counters.snapshot() {
        let operations = services.entry(service).or_insert_with(|| serde_json::Value::Object(serde_json::Map::new()));
        operations[operation] = count.into();
    }
    let body = serde_json::Value::Object(services).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Writes a time as HTTP headers do: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(at: Timestamp) -> HeaderValue {
    let text = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::from_str(&text).expect("a date is printable ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_http_dates() {
        let at = Timestamp::from_second(784_111_777).unwrap();
        assert_eq!(http_date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
