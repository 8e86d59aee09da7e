//! A Redis script for each click. Clicks that come together share a connection, so Redis finds them together
//! and writes them to disk together.

use crate::shop::{Click, Shop, Told};
use anyhow::Context;
use redis::aio::MultiplexedConnection;

const SCRIPT: &str = include_str!("script.lua");

/// A connection to Redis, and the script's name there.
#[derive(Debug)]
pub(crate) struct Script {
    connection: MultiplexedConnection,
    sha: String,
    shop: Shop,
}

impl Script {
    pub(crate) async fn connect(url: &str, shop: Shop) -> anyhow::Result<Self> {
        let client = redis::Client::open(url)?;
        let mut connection =
            client.get_multiplexed_async_connection().await.context(url.to_owned())?;
        let mut load = redis::cmd("SCRIPT");
        let sha = load.arg("LOAD").arg(SCRIPT).query_async(&mut connection).await?;
        let mut set = redis::cmd("SET");
        set.arg("stock").arg(shop.stock).query_async::<()>(&mut connection).await?;
        Ok(Self { connection, sha, shop })
    }

    pub(crate) async fn buy(&self, click: &Click) -> anyhow::Result<Told> {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.sha).arg(3).arg("stock").arg("held").arg("orders");
        call.arg(&click.member).arg(&click.tier).arg(click.units).arg(self.shop.limit);
        Ok(Told::confirmed(call.query_async(&mut self.connection.clone()).await?))
    }
}
