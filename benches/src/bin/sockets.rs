//! `sockets`: a server with no Flashlane in it that answers each message of a WebSocket with given text, so that
//! sockets can be measured beside kept HTTP connections.

use benches::run::listener;
use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use std::io::Write;
use tokio::net::TcpStream;
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Answers each message of a WebSocket with a given text; prints its address
#[derive(Debug, Parser)]
struct Options {
    /// The answer
    #[arg(long)]
    body: String,
}

/// Bytes that are read at once: the default of 128 KiB would be taken for each viewer.
const READ_BUFFER: usize = 4 << 10;
const UNREAD_BYTES_MAX: usize = 64 << 10;

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let body = Utf8Bytes::from(Options::parse().body);
    let listener = listener()?;
    writeln!(std::io::stdout(), "public http://{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let body = body.clone();
        // A peer that is gone ends its own socket only.
        tokio::spawn(async move { answer(stream, body).await.ok() });
    }
}

async fn answer(stream: TcpStream, body: Utf8Bytes) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let bounds = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(UNREAD_BYTES_MAX);
    let mut socket = accept_async_with_config(stream, Some(bounds)).await?;
    while let Some(message) = socket.next().await {
        if message?.is_text() {
            socket.send(Message::Text(body.clone())).await?;
        }
    }
    Ok(())
}
