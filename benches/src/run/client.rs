//! One keep-alive HTTP/1.1 connection, which connects again by itself after it was cut.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// A connection to one server.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// Returns a client that connects at its first request.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, sender: None }
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
            gone => gone.insert(connect(self.address).await?),
        };
        sender.ready().await?;
        Ok(sender.send_request(request).await?)
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // The caller that awaits an answer on this connection gets the connection's errors as well.
    tokio::spawn(async move { connection.await.ok() });
    Ok(sender)
}
