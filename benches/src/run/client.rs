//! One kept connection, HTTP/1.1 or HTTP/2, which connects again by itself after it was cut.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// A connection to one server.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    speaks_http2: bool,
    sender: Option<Sender>,
}

#[derive(Debug)]
enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    /// Returns a client that connects at its first request.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, speaks_http2: false, sender: None }
    }

    /// As [`Client::new`], but HTTP/2, without asking whether the server speaks it.
    #[must_use]
    pub fn http2(address: SocketAddr) -> Self {
        Self { speaks_http2: true, ..Self::new(address) }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When no answer came. It is not known then whether the server has carried out the request.
    pub async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        match self.exchange(request).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.sender = None;
                Err(error)
            }
        }
    }

    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let (head, body) = self.begin(request).await?.into_parts();
        Ok((head.status, body.collect().await?.to_bytes()))
    }

    /// Sends a request and returns its answer as soon as that begins; its body is still to be read.
    ///
    /// # Errors
    /// When no answer came. It is not known then whether the server has carried out the request.
    pub async fn begin(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<Response<Incoming>> {
        let sender = match &mut self.sender {
            Some(sender) if !sender.is_closed() => sender,
            gone => gone.insert(connect(self.address, self.speaks_http2).await?),
        };
        match sender {
            Sender::One(sender) => {
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
            Sender::Two(sender) => {
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
        }
    }
}

impl Sender {
    fn is_closed(&self) -> bool {
        match self {
            Self::One(sender) => sender.is_closed(),
            Self::Two(sender) => sender.is_closed(),
        }
    }
}

async fn connect(address: SocketAddr, speaks_http2: bool) -> anyhow::Result<Sender> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let stream = TokioIo::new(stream);
    // The caller that awaits an answer on this connection gets the connection's errors as well.
    if speaks_http2 {
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        // Room for the answer to a large batch.
        http2.initial_stream_window_size(1 << 20).initial_connection_window_size(1 << 20);
        let (sender, connection) = http2.handshake(stream).await?;
        tokio::spawn(async move { connection.await.ok() });
        return Ok(Sender::Two(sender));
    }
    let (sender, connection) = http1::handshake(stream).await?;
    tokio::spawn(async move { connection.await.ok() });
    Ok(Sender::One(sender))
}
