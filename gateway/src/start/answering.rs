//! Answering: what every request meets before and behind the router. Before it a check, which answers
//! requests whose headers are too large with a problem, where hyper alone would answer without a body,
//! and requests that come too often. Behind it a wall that catches a handler's panic, the request's id
//! and the access log.

use crate::answer::error::{ApiError, panicked};
use crate::ask::rates::Rates;
use crate::ask::request::{Peer, REQUEST_ID};
use crate::ask::sample::Sample;
use crate::meters::{Face, Meters, Route};
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use engine::clock::Stopwatch;
use futures_util::FutureExt;
use futures_util::future::CatchUnwind;
use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, HOST, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, TRANSFER_ENCODING, VARY,
};
use hyper::service::Service;
use hyper::{Method, Request, StatusCode, Version};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tower::Service as _;

const HEADERS_MAX: usize = 96;
const HEADER_BYTES_MAX: usize = 16 << 10;
/// On the platform listener a cursor of the outbox may list all open sales.
const CURSOR_BYTES_MAX: usize = 96 << 10;
/// The longest request id that is taken from a client.
const ID_BYTES_MAX: usize = 128;

/// The router, and what stands around it.
#[derive(Debug, Clone)]
pub(super) struct Answering {
    pub(super) router: Router,
    pub(super) rates: Arc<Rates>,
    pub(super) peer: IpAddr,
    pub(super) meters: Arc<OfConnection>,
    pub(super) face: Face,
    /// Which part of the requests the access log has.
    pub(super) logged: Arc<Sample>,
    /// Origins whose pages may read what is answered.
    pub(super) allowed: Arc<[HeaderValue]>,
}

/// What is counted of a connection's requests. Each connection has one, so that holding on to it writes
/// no word that other connections write, too.
#[derive(Debug)]
pub(super) struct OfConnection(pub(super) Arc<Meters>);

/// A request that the access log has.
#[derive(Debug)]
struct Access {
    method: Method,
    path: String,
    trace: Option<HeaderValue>,
    peer: IpAddr,
}

/// What is counted of a request.
#[derive(Debug)]
struct Counted {
    meters: Arc<OfConnection>,
    face: Face,
    route: Route,
    method: Method,
    watch: Stopwatch,
}

pin_project! {
    /// The answer to one request.
    pub(super) struct Answer {
        #[pin]
        routed: Option<CatchUnwind<AssertUnwindSafe<RouteFuture<Infallible>>>>,
        refused: Option<Response>,
        id: Option<HeaderValue>,
        access: Option<Access>,
        counted: Counted,
        // The origin of a page that may read an answer that the router does not make.
        origin: Option<HeaderValue>,
    }
}

impl Future for Answer {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.routed.as_pin_mut() {
            None => {
                let refused = this.refused.take().expect("a refused request has its answer, once");
                readable(refused, this.origin.take())
            }
            Some(routed) => match ready!(routed.poll(cx)) {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(panic) => readable(panicked(&*panic, this.id.as_ref()), this.origin.take()),
            },
        };
        let took = this.counted.note(response.status());
        if let Some(access) = this.access.take() {
            access.log(&response, took, this.id.as_ref());
        }
        if let Some(id) = this.id.take() {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        Poll::Ready(Ok(response))
    }
}

impl Access {
    fn log(self, response: &Response, took: Duration, id: Option<&HeaderValue>) {
        let Self { method, path, trace, peer } = self;
        let text = |value: Option<&HeaderValue>| {
            value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let status = response.status().as_u16();
        let (id, traceparent) = (text(id), text(trace.as_ref()));
        tracing::info!(%method, path, status, us, %peer, request_id = id, traceparent, "answered");
    }
}

impl Counted {
    /// Counts the answer; returns how long it took.
    fn note(&self, status: StatusCode) -> Duration {
        let Self { meters, face, route, method, watch } = self;
        let took = watch.elapsed();
        meters.0.requests(*face).note(*route, method, status, took);
        took
    }
}

impl Service<Request<Incoming>> for Answering {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: Request<Incoming>) -> Answer {
        let id = request_id(request.headers());
        let (access, origin) = (self.access(&request), self.origin(request.headers()));
        let counted = self.counted(&request);
        if let Err(error) = self.check(&request) {
            let refused = Some(error.into_response());
            return Answer { routed: None, refused, id: Some(id), access, counted, origin };
        }
        // Members' handlers read it only for lines that are seldom wanted.
        let is_private = self.face != Face::Public;
        if is_private || tracing::enabled!(tracing::Level::DEBUG) {
            request.headers_mut().insert(REQUEST_ID, id.clone());
        }
        if is_private {
            request.extensions_mut().insert(Peer(self.peer));
        }
        // The router is always ready, so it is called at once. A handler shares nothing that a
        // panic could leave half-written: each of the engine's atomic words is whole at any
        // instant.
        let answer = self.router.clone().call(request.map(Body::new));
        let routed = Some(AssertUnwindSafe(answer).catch_unwind());
        Answer { routed, refused: None, id: Some(id), access, counted, origin }
    }
}

/// Lets the page that asked read an answer that the router did not make; those that it makes have passed
/// its own layer.
fn readable(mut response: Response, origin: Option<HeaderValue>) -> Response {
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(VARY, HeaderValue::from_static("origin"));
        let exposed = HeaderValue::from_static("retry-after,x-request-id");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

impl Answering {
    /// The origin of the page that asks, if such pages may read what is answered.
    fn origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.allowed.is_empty() {
            return None;
        }
        headers.get(ORIGIN).filter(|origin| self.allowed.contains(origin)).cloned()
    }

    fn check(&self, request: &Request<Incoming>) -> Result<(), ApiError> {
        let headers = request.headers();
        let bytes =
            |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
        let path_bytes = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
        let fits = headers.len() <= HEADERS_MAX
            && path_bytes + headers.iter().map(bytes).sum::<usize>() <= header_bytes_max(self.face);
        if !fits {
            return Err(ApiError::HeadersTooLarge);
        }
        if let Some(wrong) = misfit(request.version(), headers) {
            return Err(ApiError::BadRequest(wrong.into()));
        }
        Ok(self.rates.request(self.peer, headers)?)
    }

    fn counted(&self, request: &Request<Incoming>) -> Counted {
        let (watch, face) = (Stopwatch::start(), self.face);
        let route = self.meters.0.requests(face).route(request.uri().path());
        let (meters, method) = (Arc::clone(&self.meters), request.method().clone());
        Counted { meters, face, route, method, watch }
    }

    fn access(&self, request: &Request<Incoming>) -> Option<Access> {
        self.logged.takes().then(|| Access {
            method: request.method().clone(),
            // Without the query: a pass may stand in it.
            path: request.uri().path().to_owned(),
            trace: request.headers().get("traceparent").cloned(),
            peer: self.peer,
        })
    }
}

/// Most bytes of a request's path and headers.
pub(super) const fn header_bytes_max(face: Face) -> usize {
    match face {
        Face::Platform | Face::Node => CURSOR_BYTES_MAX,
        Face::Public | Face::Operator | Face::Metrics => HEADER_BYTES_MAX,
    }
}

/// The id that the client gave, if it is one, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |value: &HeaderValue| {
        let bytes = value.as_bytes();
        (1..=ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    };
    let given = headers.get(REQUEST_ID).filter(|value| is_plain(value)).cloned();
    given.unwrap_or_else(|| {
        // Digits one by one: formatting would cost each click more than the rest of this.
        let bytes = fastrand::u64(..).to_le_bytes();
        let digit =
            |nth: usize| b"0123456789abcdef"[usize::from(bytes[nth / 2] >> (4 * (nth % 2)) & 15)];
        HeaderValue::from_bytes(&std::array::from_fn::<u8, 16, _>(digit)).expect("plain ASCII")
    })
}

/// Why a request cannot be taken as one that HTTP/1.1 knows: proxies before this process may have read
/// it in another way.
fn misfit(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let hosts = headers.get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && version == Version::HTTP_11) {
        return Some("Host: exactly one is needed");
    }
    let coding = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(one), None) if coding(one) => None,
        _ => Some("Transfer-Encoding: only `chunked` is understood"),
    }
}
