//! Deadline: how long a client may take to read what is written to it.
//!
//! The time runs from the first byte that has to wait until nothing waits any more: bytes that are read
//! in between do not start it anew. So an answer has one deadline as a whole, and a stream has one for
//! each piece that it writes.

use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a request's headers may take to arrive, and a connection may idle between requests.
pub(super) const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// How long a client may take to read an answer, or a piece of a stream, before its connection is cut.
pub(super) const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// Most bytes that may wait in this process for a client to read them.
pub(super) const UNREAD_BYTES_MAX: usize = 64 << 10;
/// Pieces of a write that are together this long at most are written as one.
const JOINED_MAX: usize = 1_024;

/// A listener's connection, as hyper reads and writes it.
pub(super) type Io<S> = TokioIo<Deadline<S>>;

/// A connection that fails when its client does not read in time.
#[derive(Debug)]
pub(super) struct Deadline<S> {
    stream: S,
    may_take: Duration,
    /// Is called with a stream whose client is too late, so that nothing is kept for it any more.
    cut: fn(&S),
    /// Runs while something waits to be written.
    over: Option<Pin<Box<Sleep>>>,
    /// What was read of the stream already, and is to be read first.
    begun: Vec<u8>,
}

impl<S> Deadline<S> {
    pub(super) fn new(stream: S, may_take: Duration, cut: fn(&S)) -> Self {
        Self { stream, may_take, cut, over: None, begun: Vec::new() }
    }

    /// Of the stream this was read already.
    pub(super) fn behind(self, begun: Vec<u8>) -> Self {
        Self { begun, ..self }
    }

    /// Lets a write stand if it is in time.
    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_pending() && self.over.is_none() {
            self.over = Some(Box::pin(sleep(self.may_take)));
        }
        let is_over = self.over.as_mut().is_some_and(|over| over.as_mut().poll(cx).is_ready());
        if is_over {
            (self.cut)(&self.stream);
            Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "not read in time")))
        } else {
            written
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deadline<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.begun.is_empty() {
            let bytes = self.begun.len().min(buf.remaining());
            buf.put_slice(&self.begun[..bytes]);
            self.begun.drain(..bytes);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Deadline<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.in_time(cx, written)
    }

    /// Copies short pieces behind one another: that costs less than telling the kernel of each.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes: usize = bufs.iter().map(|piece| piece.len()).sum();
        let mut joined = [0; JOINED_MAX];
        let written = if bytes <= JOINED_MAX {
            let mut at = 0;
            for piece in bufs {
                joined[at..at + piece.len()].copy_from_slice(piece);
                at += piece.len();
            }
            Pin::new(&mut self.stream).poll_write(cx, &joined[..at])
        } else {
            Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
        };
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Is called when all that was to be written is written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        ready!(self.in_time(cx, flushed))?;
        self.over = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const MAY_TAKE: Duration = Duration::from_secs(10);

    /// Writes pieces to a client that reads one byte a second. Returns how many were written.
    async fn written(pieces: &[usize]) -> usize {
        let (server, mut client) = tokio::io::duplex(1);
        let reading = tokio::spawn(async move {
            loop {
                sleep(Duration::from_secs(1)).await;
                if client.read_u8().await.is_err() {
                    return;
                }
            }
        });
        let mut stream = Deadline::new(server, MAY_TAKE, |_| {});
        let mut whole = 0;
        for piece in pieces {
            let written = async {
                stream.write_all(&vec![7; *piece]).await?;
                stream.flush().await
            };
            match written.await {
                Ok(()) => whole += 1,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    break;
                }
            }
        }
        drop(stream);
        reading.await.expect("the client");
        whole
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_byte_by_byte_gets_no_new_time_with_each() {
        assert_eq!(written(&[20]).await, 0, "it is always reading, and too slow as a whole");
        assert_eq!(written(&[8]).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn each_piece_of_a_stream_has_a_time_of_its_own() {
        assert_eq!(written(&[8; 9]).await, 9);
        assert_eq!(written(&[8, 8, 20, 8]).await, 2);
    }
}
