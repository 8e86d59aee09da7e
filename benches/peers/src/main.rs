//! `peer`: a sale as people build it without Flashlane, to be measured beside it. Each kind judges a click by
//! the same rules (stock, a limit by tier over all of a member's orders) and takes the same tokens.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod mutex;
mod peer;
mod postgres;
mod route;
mod script;
mod shop;

use crate::mutex::Plain;
use crate::peer::Peer;
use crate::postgres::Postgres;
use crate::script::Script;
use crate::shop::Shop;
use anyhow::Context;
use clap::{Parser, ValueEnum};
use std::io::Write;
use std::path::PathBuf;
use tokio::net::TcpSocket;

/// Sells one item over HTTP, as people do it without Flashlane
#[derive(Debug, Parser)]
struct Options {
    /// How it sells
    #[arg(long)]
    kind: Kind,
    /// The key of members' tokens (HS256)
    #[arg(long)]
    token_key: PathBuf,
    /// A file of its own (mutex), `redis://...` (script), or a connection string of PostgreSQL
    #[arg(long)]
    store: String,
    /// Units to sell
    #[arg(long, default_value_t = 100_000_000)]
    stock: i64,
    /// Most units of a member
    #[arg(long, default_value_t = 65_535)]
    limit: i64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// A mutex around plain state, and a thread that writes orders to redb in batches; answers before the disk
    Mutex,
    /// A Redis script for each click; answers when Redis has written it to disk
    Script,
    /// A transaction of PostgreSQL for each click, in a stored function, on 16 connections
    Transaction,
    /// As `transaction`, with up to 256 clicks gathered into one
    Gathered,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let shop = Shop { stock: options.stock, limit: options.limit };
    let peer = match options.kind {
        Kind::Mutex => Peer::Mutex(Plain::open(options.store.as_ref(), shop)?),
        Kind::Script => Peer::Script(Script::connect(&options.store, shop).await?),
        Kind::Transaction => Peer::Postgres(Postgres::connect(&options.store, shop, None).await?),
        Kind::Gathered => Peer::Postgres(Postgres::connect(&options.store, shop, Some(256)).await?),
    };
    let key = std::fs::read(&options.token_key).context("cannot read the tokens' key")?;
    // As many connections may wait to be accepted as with Flashlane.
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(4_096)?;
    writeln!(std::io::stdout(), "public http://{}", listener.local_addr()?)?;
    route::serve(listener, peer, &key).await
}
