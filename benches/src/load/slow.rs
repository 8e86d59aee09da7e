//! Clients that hold a server up: slow headers, slow bodies, and answers that they never read.

use crate::load::members::Clicker;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The time between two bytes of a slow client.
const BETWEEN: Duration = Duration::from_millis(300);

/// Starts `count` slow clients, a third of each kind; they come back whenever they are cut off, and
/// end when the set is dropped.
#[must_use]
pub fn clients(target: SocketAddr, count: usize, clicker: &Clicker, sale: &str) -> JoinSet<()> {
    let token = clicker.authorization.to_str().unwrap_or_default();
    let head: Arc<str> =
        format!("POST /v1/sales/{sale}/orders HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n")
            .into();
    let mut clients = JoinSet::new();
    for i in 0..count {
        let head = Arc::clone(&head);
        clients.spawn(async move {
            loop {
                // A client that was cut off or turned away comes back.
                be_slow(target, i, &head).await.ok();
                tokio::time::sleep(BETWEEN).await;
            }
        });
    }
    clients
}

async fn be_slow(target: SocketAddr, kind: usize, head: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(target).await?;
    match kind % 3 {
        0 => {
            for byte in head.bytes() {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(BETWEEN).await;
            }
        }
        1 => {
            stream.write_all(format!("{head}content-length: 400\r\n\r\n").as_bytes()).await?;
            for _ in 0..400 {
                stream.write_all(b" ").await?;
                tokio::time::sleep(BETWEEN).await;
            }
        }
        _ => {
            let ask = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20);
            loop {
                stream.write_all(&ask).await?;
                tokio::time::sleep(BETWEEN).await;
            }
        }
    }
    Ok(())
}
