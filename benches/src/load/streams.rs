//! Many open event streams, and what they are told.

use anyhow::{Context, ensure};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Open streams; they end when this is dropped.
#[derive(Debug)]
pub struct Streams {
    readers: JoinSet<()>,
    events: Arc<AtomicU64>,
}

impl Streams {
    /// Opens `count` streams of a sale. Each has been told how the sale stands when this returns.
    ///
    /// # Errors
    /// When a stream cannot be opened.
    pub async fn open(target: SocketAddr, sale: &str, count: usize) -> anyhow::Result<Self> {
        let events = Arc::new(AtomicU64::new(0));
        let ask = format!("GET /v1/sales/{sale}/events HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut readers = JoinSet::new();
        for _ in 0..count {
            let mut stream = TcpStream::connect(target).await.context("a stream")?;
            stream.write_all(ask.as_bytes()).await?;
            let mut bytes = [0; 2_048];
            let first = stream.read(&mut bytes).await?;
            ensure!(bytes[..first].starts_with(b"HTTP/1.1 200"), "a stream was refused");
            let events = Arc::clone(&events);
            readers.spawn(async move {
                while let Ok(read) = stream.read(&mut bytes).await
                    && read > 0
                {
                    let told = bytes[..read].windows(6).filter(|text| text == b"event:").count();
                    // Ordering: Relaxed, a count that publishes nothing but itself.
                    events.fetch_add(told as u64, Ordering::Relaxed);
                }
            });
        }
        Ok(Self { readers, events })
    }

    /// How many events were read so far, on all streams together.
    #[must_use]
    pub fn events(&self) -> u64 {
        // Ordering: Relaxed, as above.
        self.events.load(Ordering::Relaxed)
    }

    /// How many streams are still open.
    #[must_use]
    pub fn still_open(&mut self) -> usize {
        while self.readers.try_join_next().is_some() {}
        self.readers.len()
    }
}
