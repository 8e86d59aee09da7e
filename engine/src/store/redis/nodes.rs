//! Leasing: nodes' leases are in one hash, a sale's owner is beside the sale.

use super::keys::{self, SaleKeys};
use super::store::RedisStore;
use super::{library, rows};
use crate::rules::node::{Node, NodeId};
use crate::rules::terms::SaleId;
use crate::rules::time::Millis;
use crate::store::{Leasing, Living, Opened, Ownership, Seen, StoreError};
use async_trait::async_trait;
use std::time::Duration;

/// The longest lease.
const LASTS_MAX: Duration = Duration::from_secs(86_400);

#[async_trait]
impl Leasing for RedisStore {
    async fn renew(&self, node: &Node, lasts: Duration) -> Result<Living, StoreError> {
        self.begin(keys::LEASES, node, lasts).await
    }

    async fn living(&self) -> Result<Living, StoreError> {
        let call = library::call_on("living", &[keys::LEASES]);
        living(&self.link.ask::<Vec<String>>(&call).await?)
    }

    async fn end(&self, node: &Node) -> Result<(), StoreError> {
        self.end_of(keys::LEASES, &node.id, node.process).await
    }

    async fn latch(&self, name: &NodeId, by: u64, lasts: Duration) -> Result<bool, StoreError> {
        // It is kept as a lease is, and nobody is reached by it.
        let holder = Node { id: name.clone(), process: by, address: "".into() };
        match self.begin(keys::LATCHES, &holder, lasts).await {
            Ok(_) => Ok(true),
            Err(StoreError::NodeIdTaken(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn unlatch(&self, name: &NodeId, by: u64) -> Result<(), StoreError> {
        self.end_of(keys::LATCHES, name, by).await
    }

    async fn owner(&self, sale: &SaleId) -> Result<Option<Ownership>, StoreError> {
        let mut read = redis::cmd("HMGET");
        read.arg(SaleKeys::of(sale).sale).arg(&["epoch", "node"]);
        let (epoch, node): (Option<String>, Option<String>) = self.link.ask(&read).await?;
        let Some(epoch) = epoch else { return Ok(None) };
        let seen = Seen { epoch: rows::word("the epoch", &epoch)?, kept: 0 };
        let node = node.unwrap_or_default();
        let words: Vec<&str> = node.split(' ').collect();
        // What was written in another epoch counts no more: what opened the sale since may know of no nodes.
        let (owner, next, kept) = match words[..] {
            [of, kept, name] if of == epoch => (Some(named(name)?), None, kept),
            [of, kept, ">", name] if of == epoch => (None, Some(named(name)?), kept),
            _ => (None, None, "0"),
        };
        let seen = Seen { kept: rows::word("a count", kept)?, ..seen };
        Ok(Some(Ownership { seen, owner, next }))
    }

    async fn peek(&self, sale: &SaleId) -> Result<Option<Opened>, StoreError> {
        self.row(sale).await?.map(|rows| rows.opened()).transpose()
    }

    async fn number(&self, sale: &SaleId) -> Result<Option<u32>, StoreError> {
        let mut read = redis::cmd("HGET");
        read.arg(SaleKeys::of(sale).sale).arg("number");
        let number: Option<String> = self.link.ask(&read).await?;
        number.map(|number| rows::word("the number", &number)).transpose()
    }

    async fn take(&self, sale: &SaleId, by: &NodeId, seen: Seen) -> Result<Opened, StoreError> {
        self.open_by(sale, Some((by, seen))).await
    }

    async fn keep(&self, sale: &SaleId, epoch: u64, by: &NodeId) -> Result<(), StoreError> {
        let mut call = self.sellers_call("keep", sale, epoch);
        self.call(sale, call.arg(by.as_str())).await.map(drop)
    }

    async fn hand_over(&self, sale: &SaleId, epoch: u64, to: &NodeId) -> Result<(), StoreError> {
        let mut call = self.sellers_call("hand_over", sale, epoch);
        self.call(sale, call.arg(to.as_str())).await.map(drop)
    }
}

impl RedisStore {
    async fn begin(
        &self,
        key: &'static str,
        node: &Node,
        lasts: Duration,
    ) -> Result<Living, StoreError> {
        let mut call = library::call_on("renew", &[key]);
        let lasts = u64::try_from(lasts.min(LASTS_MAX).as_millis()).expect("a day is short");
        call.arg(node.id.as_str()).arg(node.process).arg(lasts).arg(&*node.address);
        living(&self.link.ask::<Vec<String>>(&call).await?)
    }

    async fn end_of(&self, key: &'static str, id: &NodeId, process: u64) -> Result<(), StoreError> {
        let mut call = library::call_on("end", &[key]);
        self.link.ask::<Vec<String>>(call.arg(id.as_str()).arg(process)).await?;
        Ok(())
    }
}

fn living(words: &[String]) -> Result<Living, StoreError> {
    match words {
        [ok, at, living @ ..] if ok == "OK" => {
            let mut living: Vec<Node> = living.chunks(3).map(lease).collect::<Result<_, _>>()?;
            living.sort_unstable_by(|a, b| a.id.cmp(&b.id));
            Ok(Living { living, at: Millis(rows::word("the time", at)?) })
        }
        [taken, address] if taken == "ID_TAKEN" => Err(StoreError::NodeIdTaken(address.clone())),
        words => Err(rows::unreadable("a lease", &words.join(" "))),
    }
}

fn lease(words: &[String]) -> Result<Node, StoreError> {
    let [id, process, address] = words else {
        return Err(rows::unreadable("a lease", &words.join(" ")));
    };
    Ok(Node {
        id: named(id)?,
        process: rows::word("a process", process)?,
        address: address.as_str().into(),
    })
}

fn named(name: &str) -> Result<NodeId, StoreError> {
    name.parse().map_err(|_| rows::unreadable("a node's name", name))
}
