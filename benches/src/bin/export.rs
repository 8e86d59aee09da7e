//! `export`: measures what it costs a server to stream all orders of a large sale, in time and in memory.

use anyhow::{Context, ensure};
use benches::run::client::Client;
use benches::run::server::Server;
use benches::world::fill;
use clap::Parser;
use engine::store::{JournalOptions, JournalStore};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, header};
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Measures the export of a large sale's orders, in time and in the server's memory
#[derive(Debug, Parser)]
struct Options {
    /// Orders of the sale, 1 to 10,000,000
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    orders: u64,
}

/// What one export was.
struct Exported {
    lines: u64,
    bytes: u64,
    seconds: f64,
    /// The most that the server's memory grew over what it had before, looked at as the export came.
    grown: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Options { orders } = Options::parse();
    let data = tempfile::tempdir()?;
    let store = JournalStore::open(data.path(), JournalOptions::default())?.into();
    fill(&store, orders).await;
    drop(store);
    let server = Server::flashlane(data.path(), &[])?;
    let key = std::fs::read_to_string(data.path().join("operator.key"))?;
    ready(server.public).await?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| an export of {orders} orders | bytes | seconds | memory grown by, MiB | of, MiB |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- |")?;
    for (kind, heads) in [("text/csv", 1), ("application/x-ndjson", 0)] {
        let before = mib(server.resident_bytes()?);
        let Exported { lines, bytes, seconds, grown } = export(&server, key.trim(), kind).await?;
        ensure!(lines == orders + heads, "{lines} lines came for {orders} orders");
        writeln!(out, "| {kind} | {bytes} | {seconds:.1} | {:.1} | {before:.1} |", mib(grown))?;
    }
    Ok(())
}

/// Waits until the sale is open.
async fn ready(public: SocketAddr) -> anyhow::Result<()> {
    let (mut client, start) = (Client::new(public), Instant::now());
    loop {
        let request =
            Request::get("/readyz").header(header::HOST, "flashlane").body(Full::default())?;
        let (status, body) = client.send(request).await?;
        if status.is_success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        ensure!(start.elapsed().as_secs() < 120, "not ready after two minutes: {text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn export(server: &Server, key: &str, kind: &str) -> anyhow::Result<Exported> {
    let operator = server.operator.context("flashlane says where operators connect")?;
    let request = Request::get("/v1/sales/bench/orders")
        .header(header::HOST, "flashlane")
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::ACCEPT, kind)
        .body(Full::<Bytes>::default())?;
    let (before, start) = (server.resident_bytes()?, Instant::now());
    let mut client = Client::new(operator);
    let answer = client.begin(request).await?;
    ensure!(answer.status().is_success(), "the export was answered with {}", answer.status());
    let (mut body, mut pieces) = (answer.into_body(), 0_u64);
    let mut exported = Exported { lines: 0, bytes: 0, seconds: 0.0, grown: 0 };
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        exported.lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        exported.bytes += piece.len() as u64;
        pieces += 1;
        if pieces.is_multiple_of(1_000) {
            let grown = server.resident_bytes()?.saturating_sub(before);
            exported.grown = exported.grown.max(grown);
        }
    }
    exported.seconds = start.elapsed().as_secs_f64();
    Ok(exported)
}

#[expect(clippy::cast_precision_loss, reason = "a figure that is read")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
