//! Relay: speaks to other nodes, over a few connections that last, as HTTP/2.

use super::between::{ASKED_WITH, FACE, NODE, PEER};
use crate::ask::request::Peer;
use crate::meters::Face;
use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::uri::Scheme;
use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
};
use engine::rules::node::Node;
use engine::sync::{AtomicU64, Ordering};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tower::BoxError;
use tower::timeout::Timeout;
use tower::util::BoxCloneSyncService;

/// A node that accepts no connection for so long is not there.
const CONNECT_MAX: Duration = Duration::from_millis(500);
/// A node is asked this often whether it is still there, and has as long to say so.
const ALIVE_EVERY: Duration = Duration::from_millis(500);
/// How long an answer may take to begin: a client's wait is at most 10 s.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// What is no client's is answered in so long, with so many bytes.
const TELL_MAX: Duration = Duration::from_secs(2);
const SAID_BYTES_MAX: usize = 16 << 20;
/// Bytes of answers that a connection may send before they are taken, and of one of them.
const WINDOW_BYTES: u32 = 16 << 20;
const ANSWER_WINDOW_BYTES: u32 = 4 << 20;
/// Bytes of one feed that may wait for this process. The connection has room for as many feeds as there are sales.
const FEED_WINDOW_BYTES: u32 = 256 << 10;
const FEEDS_WINDOW_BYTES: u32 = 2_147_483_647;
/// Headers that are about one connection, and those that other parts of this program write.
const NOT_PASSED_ON: [HeaderName; 8] = [
    header::CONNECTION,
    header::HOST,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    HeaderName::from_static("keep-alive"),
];

/// Why a node gave no answer. What became of the request is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// The sale is not there any more; nothing was done.
    #[error("the sale is not there")]
    Moved,
    /// The connection broke, or could not be made.
    #[error("{0}")]
    Broken(#[from] hyper_util::client::legacy::Error),
    /// One of the two speaks TLS, and the other does not. Nothing was sent.
    #[error("one speaks TLS, and the other does not")]
    OtherTls,
    /// The node does not know this one's key.
    #[error("it does not accept this node's key")]
    Refused,
    /// It took too long.
    #[error("no answer in time")]
    TooLate,
}

type Connector = BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, BoxError>;

/// Trusts nobody.
fn no_tls() -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("it has TLS 1.2 and 1.3");
    builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}

fn client<B>(tls: Option<&ClientConfig>, window_bytes: u32, each_bytes: u32) -> Client<Connector, B>
where
    B: hyper::body::Body<Data: Send> + Send,
{
    let mut plain = HttpConnector::new();
    plain.set_nodelay(true);
    plain.set_connect_timeout(Some(CONNECT_MAX));
    plain.enforce_http(false);
    // Without certificates every address is one without TLS.
    let tls = tls.cloned().unwrap_or_else(no_tls);
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let connector = connector.enable_http2().wrap_connector(plain);
    // That covers the handshake, too.
    let connector = Timeout::new(connector, CONNECT_MAX);
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_only(true)
        .http2_initial_connection_window_size(window_bytes)
        .http2_initial_stream_window_size(each_bytes)
        .http2_keep_alive_interval(ALIVE_EVERY)
        .http2_keep_alive_timeout(ALIVE_EVERY)
        .http2_keep_alive_while_idle(true)
        .build(BoxCloneSyncService::new(connector))
}

/// What a node has answered, as a client may have it.
fn taken(answer: Response<Incoming>) -> Result<Response<Body>, NoAnswer> {
    if answer.status() == StatusCode::MISDIRECTED_REQUEST {
        return Err(NoAnswer::Moved);
    }
    // What a node answers for its clients bears its name; its guard's word is not for them.
    if answer.status() == StatusCode::UNAUTHORIZED && !answer.headers().contains_key(NODE) {
        return Err(NoAnswer::Refused);
    }
    let (mut parts, body) = answer.into_parts();
    NOT_PASSED_ON.iter().for_each(|name| drop(parts.headers.remove(name)));
    Ok(Response::from_parts(parts, Body::new(body)))
}

impl NoAnswer {
    /// Says what an operator has to mend.
    pub(super) fn say(&self, node: &Node) {
        match self {
            Self::Refused => {
                tracing::error!(node = %node.id, "a node does not accept this node's key");
            }
            Self::OtherTls => {
                tracing::error!(node = %node.id, "of two nodes one has certificates; give them to all or to none");
            }
            Self::Moved | Self::Broken(_) | Self::TooLate => {}
        }
    }
}

/// What was passed on to other nodes, since this process started.
#[derive(Debug)]
pub(crate) struct Passed {
    /// Clicks that went in batches, each as often as it was sent.
    pub(crate) clicks: AtomicU64,
    /// The batches.
    pub(crate) batches: AtomicU64,
    /// Requests that went as they came, and what nodes tell one another.
    pub(crate) requests: AtomicU64,
    /// Those of all that were not answered.
    pub(crate) unanswered: AtomicU64,
    /// Plain clicks that were refused without being passed on.
    pub(crate) refused: AtomicU64,
}

/// Connections to other nodes.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) passed: Passed,
    client: Client<Connector, Full<Bytes>>,
    /// Feeds have connections of their own: one that is not read must not keep others from being answered.
    feeds: Client<Connector, Body>,
    /// `http`, or `https` if nodes speak over TLS.
    scheme: Scheme,
    /// The key that nodes know one another by, as `Authorization` has it.
    key: HeaderValue,
}

impl Relay {
    /// With this key, and over TLS if it is said by whom certificates are signed.
    pub(crate) fn new(key: HeaderValue, tls: Option<&ClientConfig>) -> Self {
        let feeds = client(tls, FEEDS_WINDOW_BYTES, FEED_WINDOW_BYTES);
        let passed = Passed {
            clicks: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        let client = client(tls, WINDOW_BYTES, ANSWER_WINDOW_BYTES);
        let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        Self { passed, client, feeds, scheme, key }
    }

    /// Counts a batch of clicks.
    pub(super) fn note_batch(&self, clicks: usize) {
        // Ordering: Relaxed, counts that publish nothing but themselves.
        self.passed.batches.fetch_add(1, Ordering::Relaxed);
        // Ordering: as above.
        self.passed.clicks.fetch_add(clicks as u64, Ordering::Relaxed);
    }

    /// Passes a request on, as it came to this listener.
    pub(crate) async fn ask(
        &self,
        node: &Node,
        face: Face,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Response<Body>, NoAnswer> {
        self.ask_within(ANSWER_MAX, node, face, parts, body).await
    }

    /// As [`Relay::ask`], with so much time until the answer begins.
    pub(crate) async fn ask_within(
        &self,
        most: Duration,
        node: &Node,
        face: Face,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Response<Body>, NoAnswer> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = self.to(node, path, Full::new(body))?;
        *request.method_mut() = parts.method.clone();
        *request.headers_mut() = self.headers(&parts.headers, face);
        // Private listeners know it: the log of what was carried out has it.
        if let Some(Peer(peer)) = parts.extensions.get::<Peer>() {
            let peer = HeaderValue::try_from(peer.to_string());
            request.headers_mut().insert(PEER, peer.expect("an address is plain ASCII"));
        }
        self.answered(most, self.client.request(request)).await
    }

    /// Asks a node for a feed, with what is asked of it as the body.
    pub(super) async fn feed(
        &self,
        node: &Node,
        path: &str,
        asks: Body,
    ) -> Result<Response<Body>, NoAnswer> {
        let mut request = self.to(node, path, asks)?;
        *request.method_mut() = Method::POST;
        *request.headers_mut() = self.headers(&HeaderMap::new(), Face::Node);
        self.answered(TELL_MAX, self.feeds.request(request)).await
    }

    /// Waits for an answer, and counts it.
    async fn answered(
        &self,
        most: Duration,
        asked: ResponseFuture,
    ) -> Result<Response<Body>, NoAnswer> {
        // Ordering: Relaxed, counts that publish nothing but themselves.
        self.passed.requests.fetch_add(1, Ordering::Relaxed);
        let answer = match tokio::time::timeout(most, asked).await {
            Ok(Ok(answer)) => taken(answer),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(NoAnswer::TooLate),
        };
        if !matches!(answer, Ok(_) | Err(NoAnswer::Moved)) {
            // Ordering: as above.
            self.passed.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// Tells another node something that is no client's; returns what it says.
    pub(crate) async fn tell(
        &self,
        node: &Node,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), NoAnswer> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::try_from(path).unwrap_or_default();
        let (parts, ()) = request.into_parts();
        let told = async {
            let answer = self.ask_within(TELL_MAX, node, Face::Node, &parts, body).await?;
            let (head, body) = answer.into_parts();
            let said = to_bytes(body, SAID_BYTES_MAX).await.map_err(|_| NoAnswer::TooLate)?;
            Ok((head.status, said))
        };
        tokio::time::timeout(TELL_MAX, told).await.unwrap_or(Err(NoAnswer::TooLate))
    }

    /// A request to a node. One that speaks otherwise is sent nothing: the key would go there in clear.
    fn to<B>(&self, node: &Node, path: &str, body: B) -> Result<Request<B>, NoAnswer> {
        if node.speaks_tls() != (self.scheme == Scheme::HTTPS) {
            return Err(NoAnswer::OtherTls);
        }
        let uri = format!("{}://{}{path}", self.scheme, node.reached_at().unwrap_or_default());
        let mut request = Request::new(body);
        // Err: an address that is none leads nowhere.
        *request.uri_mut() = Uri::try_from(uri).unwrap_or_default();
        Ok(request)
    }

    fn headers(&self, given: &HeaderMap, face: Face) -> HeaderMap {
        let mut headers = given.clone();
        NOT_PASSED_ON.iter().for_each(|name| drop(headers.remove(name)));
        headers.remove(ASKED_WITH);
        headers.remove(PEER);
        if let header::Entry::Occupied(given) = headers.entry(header::AUTHORIZATION) {
            let (_, values) = given.remove_entry_mult();
            let values: Vec<_> = values.collect();
            for value in values {
                headers.append(ASKED_WITH, value);
            }
        }
        headers.insert(header::AUTHORIZATION, self.key.clone());
        headers.insert(FACE, HeaderValue::from_static(face.as_str()));
        headers
    }
}
