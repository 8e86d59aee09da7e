//! HTTP/2: how it is noticed, and what a connection of one of the platform's servers may cost.

use super::answering::{Answering, header_bytes_max};
use super::deadline::{HEADER_DEADLINE, Io, UNREAD_BYTES_MAX};
use crate::meters::Face;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper_util::rt::TokioTimer;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How an HTTP/2 connection begins.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Requests that a connection may have on their way.
const STREAMS_MAX: u32 = 16;
/// Bytes of bodies that a connection may send before they are taken, so that most batches come without a
/// pause.
const WINDOW_BYTES: u32 = 1 << 20;
/// How long a request may take, with its answer: a peer that reads, but not this answer, keeps it no longer.
const STREAM_DEADLINE: Duration = Duration::from_secs(60);
/// Requests of another node on their way, each for a client of that node.
const NODE_STREAMS_MAX: u32 = 65_536;
/// A connection on which nothing was asked for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Reads how a connection begins, as far as it is like HTTP/2.
pub(super) async fn beginning(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let read = async {
        let mut begun = Vec::with_capacity(PREFACE.len());
        while begun.len() < PREFACE.len() && PREFACE.starts_with(&begun) {
            let room = (PREFACE.len() - begun.len()) as u64;
            if (&mut *stream).take(room).read_buf(&mut begun).await? == 0 {
                break;
            }
        }
        Ok(begun)
    };
    tokio::time::timeout(HEADER_DEADLINE, read).await?
}

/// Whether a connection that begins like this is HTTP/2.
pub(super) fn is_http2(begun: &[u8]) -> bool {
    begun == PREFACE
}

pub(super) fn connection<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    io: Io<S>,
    answering: Answering,
    requests: Requests,
) -> http2::Connection<Io<S>, Answering, Requests> {
    let header_bytes =
        u32::try_from(2 * header_bytes_max(answering.face)).expect("headers are small");
    http2::Builder::new(requests)
        .timer(TokioTimer::new())
        .keep_alive_interval(HEADER_DEADLINE)
        .keep_alive_timeout(HEADER_DEADLINE)
        .max_header_list_size(header_bytes)
        .max_send_buf_size(UNREAD_BYTES_MAX)
        .max_concurrent_streams(match answering.face {
            Face::Node => NODE_STREAMS_MAX,
            _ => STREAMS_MAX,
        })
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .serve_connection(io, answering)
}

/// The tasks of a listener's HTTP/2 requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// Ends them all; returns when none of them runs any more.
    pub(super) async fn end(&self) {
        let mut tasks = std::mem::take(&mut *self.0.lock());
        tasks.shutdown().await;
    }
}

/// Runs the requests of one connection.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    tasks: Tasks,
    /// How many are on their way.
    open: Arc<watch::Sender<usize>>,
    /// Feeds of other nodes end with their streams.
    deadline: Option<Duration>,
}

impl Requests {
    pub(super) fn new(tasks: Tasks, face: Face) -> Self {
        let deadline = (face != Face::Node).then_some(STREAM_DEADLINE);
        Self { tasks, open: Arc::new(watch::Sender::new(0)), deadline }
    }

    /// Resolves when none was on its way for a while.
    pub(super) async fn idle(&self) {
        let mut open = self.open.subscribe();
        loop {
            let is_idle = *open.borrow_and_update() == 0;
            let changed = tokio::time::timeout(IDLE_MAX, open.changed());
            if changed.await.is_err() && is_idle {
                return;
            }
        }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Requests {
    fn execute(&self, request: F) {
        let (open, deadline) = (Arc::clone(&self.open), self.deadline);
        open.send_modify(|open| *open += 1);
        let mut tasks = self.tasks.0.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            match deadline {
                // Err: its time is over, and the peer hears that it is reset.
                Some(deadline) => drop(tokio::time::timeout(deadline, request).await),
                None => drop(request.await),
            }
            open.send_modify(|open| *open -= 1);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::sync::oneshot::error::TryRecvError;

    #[tokio::test(start_paused = true)]
    async fn http2_is_noticed_by_how_it_begins_whatever_pieces_that_comes_in() {
        for (pieces, is_it) in [
            (vec![PREFACE.as_slice()], true),
            (PREFACE.chunks(5).collect(), true),
            (vec![PREFACE.as_slice(), b"more"], true),
            (vec![b"P".as_slice(), b"OST / HTTP/1.1\r\n"], false),
            (vec![b"GET / HTTP/1.1\r\n".as_slice()], false),
            (vec![&PREFACE[..7]], false),
            (vec![], false),
        ] {
            // Each piece is read before the next one is written.
            let (mut client, mut server) = tokio::io::duplex(5);
            let whole = pieces.concat();
            let writing = tokio::spawn({
                let pieces: Vec<Vec<u8>> = pieces.into_iter().map(<[u8]>::to_vec).collect();
                async move {
                    for piece in pieces {
                        client.write_all(&piece).await.unwrap();
                    }
                }
            });
            let mut begun = beginning(&mut server).await.unwrap();
            assert_eq!(is_http2(&begun), is_it, "{}", whole.escape_ascii());
            server.read_to_end(&mut begun).await.unwrap();
            assert_eq!(begun, whole, "nothing is lost");
            writing.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_go_on_is_given_up() {
        let (mut client, mut server) = tokio::io::duplex(64);
        client.write_all(&PREFACE[..7]).await.unwrap();
        let error = beginning(&mut server).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_in_time_and_with_the_listener_and_then_the_connection_is_idle() {
        let tasks = Tasks::default();
        let requests = Requests::new(tasks.clone(), Face::Platform);
        let begun = tokio::time::Instant::now();
        requests.execute(std::future::pending::<()>());
        requests.idle().await;
        assert_eq!(begun.elapsed(), STREAM_DEADLINE + IDLE_MAX);
        let (told, mut heard) = tokio::sync::oneshot::channel::<()>();
        requests.execute(async move {
            std::future::pending::<()>().await;
            drop(told);
        });
        tasks.end().await;
        assert_eq!(heard.try_recv(), Err(TryRecvError::Closed), "it is gone");
    }
}
