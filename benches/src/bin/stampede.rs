//! `stampede`: viewers who all click within a moment, on connections that are new, on HTTP connections that were kept,
//! and on WebSockets. How long until the last of them has an answer, and what a viewer takes of memory.

use anyhow::{Context, ensure};
use benches::load::members::{Clicker, clickers};
use benches::run::client::Client;
use benches::run::operator::Operator;
use benches::run::server::Server;
use benches::run::usage::Usage;
use benches::told::tally::Latency;
use benches::world::{Lamps, open_to_all};
use clap::Parser;
use futures_util::future::try_join_all;
use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Measures viewers who all click within a moment
#[derive(Debug, Parser)]
struct Options {
    /// Rounds; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Viewers
    #[arg(long, default_value_t = 10_000)]
    viewers: usize,
    /// Within how many milliseconds they click
    #[arg(long, default_value_t = 100)]
    within_ms: u64,
}

const SALE: &str = "gone";
const CLICK: &str = "{\"units\":1}";

/// A viewer's way to the server.
enum Line {
    /// HTTP; a client that is not connected yet connects when it clicks.
    Http(Client, Clicker),
    Socket(WebSocketStream<TcpStream>),
}

/// How a round went.
struct Round {
    last: f64,
    latency: Latency,
    cpu: f64,
    memory: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let files = rlimit::increase_nofile_limit(u64::MAX)?;
    ensure!(files > options.viewers as u64 + 100, "raise ulimit -n: {files} files may be open");
    let data = tempfile::tempdir()?;
    let own = Server::flashlane(data.path(), &[])?;
    let (viewers, _) = clickers(data.path(), options.viewers, &[92, 4, 2, 1, 1], 0)?;
    let refusal = sold_out(&own, data.path(), &viewers[0]).await?;
    let kind = "application/problem+json";
    let cores = std::thread::available_parallelism()?.to_string();
    let answer = ["--status", "409", "--body", &refusal, "--content-type", kind];
    let loops = Server::start("bare", &[&answer[..], &["--loops", &cores]].concat())?;
    let bare = Server::start("bare", &answer)?;
    let sockets = Server::start("sockets", &["--body", &refusal])?;

    let mut out = std::io::stdout();
    let Options { rounds, viewers: count, within_ms } = &options;
    writeln!(
        out,
        "| {count} viewers click within {within_ms} ms, {rounds} rounds | last answer, ms | p50 | p99 | CPU us a click | KiB of memory a viewer |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- |")?;
    let cases = [
        ("Flashlane, kept connections", &own, Kind::Kept),
        ("Flashlane, new connections", &own, Kind::New),
        ("a bare route, kept connections", &bare, Kind::Kept),
        ("a bare route, new connections", &bare, Kind::New),
        ("a bare route, a socket and a loop a core, kept", &loops, Kind::Kept),
        ("a bare route, a socket and a loop a core, new", &loops, Kind::New),
        ("bare WebSockets", &sockets, Kind::Socket),
    ];
    let mut told: Vec<(f64, Vec<Round>)> = cases.iter().map(|_| (0.0, Vec::new())).collect();
    for round in 0..=options.rounds {
        for ((_, server, kind), (memory, told)) in cases.iter().zip(&mut told) {
            let measured = stampede(&options, server, *kind, &viewers).await?;
            // The first round warms up. Only then is a server new, and its memory that of its viewers.
            if round == 0 {
                *memory = measured.memory;
            } else {
                told.push(measured);
            }
        }
    }
    for ((name, ..), (memory, rounds)) in cases.iter().zip(&told) {
        let percentile =
            |p| median(rounds, |round| round.latency.0.value_at_percentile(p) as f64 / 1e3);
        let last = median(rounds, |round| round.last);
        let cpu = median(rounds, |round| round.cpu);
        let memory = if *memory > 0.0 { format!("{memory:.1}") } else { String::new() };
        let (p50, p99) = (percentile(50.0), percentile(99.0));
        writeln!(out, "| {name} | {last:.0} | {p50:.1} | {p99:.0} | {cpu:.1} | {memory} |")?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    New,
    Kept,
    Socket,
}

/// Makes a sale of one unit, sells it, and returns what the next click hears.
async fn sold_out(server: &Server, data: &Path, viewer: &Clicker) -> anyhow::Result<String> {
    let key = std::fs::read_to_string(data.join("operator.key"))?;
    let mut operator = Operator::new(server.operator.context("an operator listener")?, &key)?;
    operator.make_sale(&open_to_all(SALE, Lamps { stock: 1, limit: 1 })).await?;
    let mut client = Client::new(server.public);
    client.send(request(viewer)).await?;
    operator.settled(SALE, Duration::from_secs(10)).await?;
    let (_, refusal) = client.send(request(viewer)).await?;
    Ok(String::from_utf8(refusal.to_vec())?)
}

fn request(viewer: &Clicker) -> Request<Full<Bytes>> {
    Request::post(format!("/v1/sales/{SALE}/orders"))
        .header(header::HOST, "flashlane")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, &viewer.authorization)
        .body(Full::new(Bytes::from_static(CLICK.as_bytes())))
        .expect("a plain request")
}

/// All viewers click at random instants within the moment.
async fn stampede(
    options: &Options,
    server: &Server,
    kind: Kind,
    viewers: &Arc<[Clicker]>,
) -> anyhow::Result<Round> {
    let before = server.resident_bytes()?;
    let mut lines = Vec::with_capacity(viewers.len());
    for viewer in viewers.iter() {
        lines.push(Line::open(server.public, kind, viewer).await?);
    }
    let memory = match kind {
        Kind::New => 0.0,
        Kind::Kept | Kind::Socket => server.resident_bytes()?.saturating_sub(before) as f64,
    };
    let used = Usage::of(server.pid())?;
    // Time enough for every task to wait for its instant.
    let start = Instant::now() + Duration::from_millis(500);
    let clicks = lines.into_iter().map(|line| {
        let at = start + Duration::from_micros(fastrand::u64(..options.within_ms * 1_000));
        tokio::spawn(async move {
            sleep_until(at).await;
            let line = line.click().await?;
            anyhow::Ok((at.elapsed(), Instant::now(), line))
        })
    });
    let mut latency = Latency::default();
    let (mut last, mut kept) = (start, Vec::new());
    for told in try_join_all(clicks.collect::<Vec<_>>()).await? {
        let (took, at, line) = told?;
        latency.0.saturating_record(u64::try_from(took.as_micros())?);
        last = last.max(at);
        kept.push(line);
    }
    let cpu = (Usage::of(server.pid())? - used).cpu.as_secs_f64() * 1e6;
    drop(kept);
    let clicks = viewers.len() as f64;
    let last = (last - start).as_secs_f64() * 1e3;
    Ok(Round { last, latency, cpu: cpu / clicks, memory: memory / clicks / 1_024.0 })
}

impl Line {
    async fn open(target: SocketAddr, kind: Kind, viewer: &Clicker) -> anyhow::Result<Self> {
        if kind == Kind::Socket {
            let stream = TcpStream::connect(target).await?;
            stream.set_nodelay(true)?;
            let (socket, _) = client_async("ws://flashlane/", stream).await?;
            return Ok(Self::Socket(socket));
        }
        let line = Self::Http(Client::new(target), viewer.clone());
        // A click of before keeps the connection open.
        if kind == Kind::Kept { line.click().await } else { Ok(line) }
    }

    async fn click(self) -> anyhow::Result<Self> {
        match self {
            Self::Http(mut client, viewer) => {
                let (status, _) = client.send(request(&viewer)).await?;
                ensure!(status == StatusCode::CONFLICT, "a click was told {status}");
                Ok(Self::Http(client, viewer))
            }
            Self::Socket(mut socket) => {
                socket.send(Message::text(CLICK)).await?;
                let told = socket.next().await.context("the socket ended")??;
                ensure!(told.is_text(), "a click was told {told}");
                Ok(Self::Socket(socket))
            }
        }
    }
}

fn median(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> f64 {
    let mut all: Vec<f64> = rounds.iter().map(figure).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
