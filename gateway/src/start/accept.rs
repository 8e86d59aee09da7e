//! The accept loop: what a connection may cost is bounded before a request is read.

use super::answering::{Answering, OfConnection, header_bytes_max};
use super::deadline::{Deadline, HEADER_DEADLINE, Io, UNREAD_BYTES_MAX, WRITE_DEADLINE};
use super::http2::{self, Requests, Tasks};
use crate::ask::rates::{Connected, Rates};
use crate::ask::sample::Sample;
use crate::meters::{Face, Meters};
use axum::Router;
use engine::sync::Ordering;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long requests in flight may take to end once the listener has stopped.
const DRAIN_DEADLINE: Duration = Duration::from_secs(20);

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\n\
    content-length: 131\r\n\r\n\
    {\"type\":\"/problems/busy\",\"title\":\"Service Unavailable\",\"status\":503,\
    \"detail\":\"too many connections; try again soon\",\"code\":\"busy\"}\n";

/// Most connections a listener tells at once that there is no room; with one more the connection is
/// closed without a word. So what is turned away takes no descriptor that the rest of the process
/// needs.
pub(super) const TURNED_AWAY_MAX: usize = 32;

type Permit = (OwnedSemaphorePermit, Connected);

/// One address that this process serves at.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) router: Router,
    /// Room for connections; several listeners may share it.
    pub(crate) room: Arc<Semaphore>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) face: Face,
    pub(crate) rates: Arc<Rates>,
    /// Connections are made over TLS.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Which part of the requests the access log has.
    pub(crate) logged: Arc<Sample>,
    /// Origins whose pages may read what is answered.
    pub(crate) allowed: Arc<[HeaderValue]>,
}

impl Listener {
    /// Serves until told to stop, then lets requests in flight end.
    pub(crate) async fn serve(self, mut stop: watch::Receiver<bool>) {
        let door = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
        let graceful = GracefulShutdown::new();
        let (mut connections, tasks) = (JoinSet::new(), Tasks::default());
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                // `stop` changes once only, to true. A closed channel means the same: stop.
                _ = stop.changed() => break,
            };
            let (stream, peer) = match accepted {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            if let Some((stream, permit)) = self.let_in(stream, peer, &door) {
                match self.face {
                    Face::Platform | Face::Node => {
                        let (watcher, stop) = (graceful.watcher(), stop.clone());
                        let (answering, tasks) = (self.answering(peer), tasks.clone());
                        match self.tls.clone() {
                            None => connections.spawn(async move {
                                either(stream, reset, answering, watcher, stop, tasks).await;
                                drop(permit);
                            }),
                            Some(tls) => connections.spawn(async move {
                                let mut stopping = stop.clone();
                                let secured = tokio::select! {
                                    secured = secured(tls, stream) => secured,
                                    // Nothing was asked yet.
                                    _ = stopping.changed() => None,
                                };
                                if let Some(stream) = secured {
                                    let cut = |stream: &TlsStream<_>| reset(stream.get_ref().0);
                                    either(stream, cut, answering, watcher, stop, tasks).await;
                                }
                                drop(permit);
                            }),
                        };
                    }
                    Face::Public | Face::Operator | Face::Metrics => {
                        let connection = graceful
                            .watch(http1(timed(stream, reset, Vec::new()), self.answering(peer)));
                        connections.spawn(async move {
                            note(connection.await);
                            drop(permit);
                        });
                    }
                }
            }
        }
        drop(self.socket);
        if tokio::time::timeout(DRAIN_DEADLINE, graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests did not end in time and were cut off");
        }
        // A connection that is still open must not click any more: its order would not be
        // confirmed.
        connections.shutdown().await;
        tasks.end().await;
    }

    /// Returns the connection if there is room for it. Otherwise its peer is told so and turned
    /// away.
    fn let_in(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        door: &Arc<Semaphore>,
    ) -> Option<(TcpStream, Permit)> {
        // Ordering: Relaxed, a count that publishes nothing but itself.
        self.meters.connections.fetch_add(1, Ordering::Relaxed);
        let permit = Arc::clone(&self.room).try_acquire_owned().ok().zip(self.rates.connect(peer));
        let Some(permit) = permit else {
            // Ordering: Relaxed, as above.
            self.meters.turned_away.fetch_add(1, Ordering::Relaxed);
            if let Ok(at_the_door) = Arc::clone(door).try_acquire_owned() {
                turn_away(stream, at_the_door);
            }
            return None;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the peer is gone already");
            return None;
        }
        Some((stream, permit))
    }

    fn answering(&self, peer: IpAddr) -> Answering {
        Answering {
            router: self.router.clone(),
            rates: Arc::clone(&self.rates),
            peer,
            meters: Arc::new(OfConnection(Arc::clone(&self.meters))),
            face: self.face,
            logged: Arc::clone(&self.logged),
            allowed: Arc::clone(&self.allowed),
        }
    }
}

/// Serves a connection of one of the platform's servers, which may speak HTTP/2.
async fn either<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    mut stream: S,
    cut: fn(&S),
    answering: Answering,
    watcher: Watcher,
    mut stop: watch::Receiver<bool>,
    tasks: Tasks,
) {
    let begun = tokio::select! {
        begun = http2::beginning(&mut stream) => begun,
        // Nothing was asked yet.
        _ = stop.changed() => return,
    };
    match begun {
        Ok(begun) if http2::is_http2(&begun) => {
            let requests = Requests::new(tasks, answering.face);
            let connection =
                http2::connection(timed(stream, cut, begun), answering, requests.clone());
            tokio::select! {
                ended = watcher.watch(connection) => note(ended),
                () = requests.idle() => {}
            }
        }
        Ok(begun) => note(watcher.watch(http1(timed(stream, cut, begun), answering)).await),
        Err(error) => tracing::debug!(%error, "a connection ended before its first request"),
    }
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// The connection over TLS; `None` if its peer does not come to terms in time.
async fn secured(tls: Arc<ServerConfig>, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    match tokio::time::timeout(HEADER_DEADLINE, TlsAcceptor::from(tls).accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a connection ended before it was secured");
            None
        }
        Err(_) => None,
    }
}

fn http1<S>(io: Io<S>, answering: Answering) -> http1::Connection<Io<S>, Answering>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let face = answering.face;
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE)
        .max_header_size(2 * header_bytes_max(face))
        .max_buf_size(UNREAD_BYTES_MAX.max(2 * header_bytes_max(face)))
        .serve_connection(io, answering)
}

/// A connection whose client has to read in time; `begun` was read of it already.
fn timed<S>(stream: S, cut: fn(&S), begun: Vec<u8>) -> Io<S> {
    TokioIo::new(Deadline::new(stream, WRITE_DEADLINE, cut).behind(begun))
}

/// Waits when this process is out of file descriptors or memory, so that the accept loop does not
/// spin until some come back.
async fn pause_after(error: &io::Error) {
    let is_about_one_peer =
        matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset);
    if !is_about_one_peer {
        tracing::warn!(%error, "cannot accept connections for the moment");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Lets the kernel forget what a client has not read: the connection is reset when it is closed.
fn reset(stream: &TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "the peer is gone already");
    }
}

/// Says that there is no room, without waiting for the peer.
fn turn_away(mut stream: TcpStream, at_the_door: OwnedSemaphorePermit) {
    tokio::spawn(async move {
        let _at_the_door = at_the_door;
        let tell = async {
            stream.write_all(FULL).await?;
            stream.shutdown().await?;
            // If the request were left unread, the kernel would reset the connection and the peer
            // would lose the answer.
            tokio::io::copy(&mut stream.take(64 << 10), &mut tokio::io::sink()).await
        };
        let told = tokio::time::timeout(Duration::from_secs(1), tell).await;
        if !matches!(told, Ok(Ok(_))) {
            tracing::debug!("a peer over the cap did not wait for its answer");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn the_answer_of_a_full_house_has_the_length_that_it_names() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_a_500_without_detail_and_the_process_goes_on() {
        let fails = async || -> &'static str { panic!("canary in {}", "a panic") };
        let router = Router::new()
            .route("/fails", axum::routing::get(fails))
            .route("/works", axum::routing::get(async || "works"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = watch::Sender::new(false);
        let listener = Listener {
            socket: listener,
            router,
            room: Arc::new(Semaphore::new(10)),
            meters: Arc::new(Meters::new(Arc::default(), Default::default())),
            face: Face::Public,
            rates: Arc::default(),
            tls: None,
            logged: Arc::new(Sample::new(0.0)),
            allowed: Arc::default(),
        };
        let serving = tokio::spawn(listener.serve(stop.subscribe()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        // All requests come on one connection, which must outlive the panic, too.
        for (path, status, said) in
            [("fails", "500", "\"code\":\"internal\""), ("works", "200", "works")].repeat(3)
        {
            let ask = format!("GET /{path} HTTP/1.1\r\nhost: x\r\n\r\n");
            stream.write_all(ask.as_bytes()).await.unwrap();
            let mut bytes = [0; 4_096];
            let read = stream.read(&mut bytes).await.unwrap();
            let answer = String::from_utf8_lossy(&bytes[..read]);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
            assert!(answer.contains(said) && !answer.contains("canary"), "{answer}");
        }
        drop(stream);
        stop.send_replace(true);
        serving.await.unwrap();
    }
}
