//! Leasing: nodes' leases are in one hash, a sale's owner is beside the sale.

use super::keys::{self, SaleKeys};
use super::store::RedisStore;
use super::{library, rows};
use crate::rules::node::{Node, NodeId};
use crate::rules::terms::SaleId;
use crate::store::{Leasing, Opened, Ownership, StoreError};
use async_trait::async_trait;
use std::time::Duration;

/// The longest lease.
const LASTS_MAX: Duration = Duration::from_secs(86_400);

#[async_trait]
impl Leasing for RedisStore {
    async fn renew(&self, node: &Node, lasts: Duration) -> Result<Vec<Node>, StoreError> {
        let mut call = library::call_on("renew", &[keys::LEASES]);
        let lasts = u64::try_from(lasts.min(LASTS_MAX).as_millis()).expect("a day is short");
        call.arg(node.id.as_str()).arg(node.process).arg(lasts).arg(&*node.address);
        let words: Vec<String> = self.link.ask(&call).await?;
        let mut words = words.into_iter();
        match (words.next().as_deref(), words.as_slice()) {
            (Some("OK"), living) => {
                let mut living: Vec<Node> =
                    living.chunks(3).map(lease).collect::<Result<_, _>>()?;
                living.sort_unstable_by(|a, b| a.id.cmp(&b.id));
                Ok(living)
            }
            (Some("ID_TAKEN"), [address]) => Err(StoreError::NodeIdTaken(address.clone())),
            (word, _) => Err(rows::unreadable("a lease", word.unwrap_or_default())),
        }
    }

    async fn end(&self, node: &Node) -> Result<(), StoreError> {
        let mut call = library::call_on("end", &[keys::LEASES]);
        self.link.ask::<Vec<String>>(call.arg(node.id.as_str()).arg(node.process)).await?;
        Ok(())
    }

    async fn owner(&self, sale: &SaleId) -> Result<Option<Ownership>, StoreError> {
        let mut read = redis::cmd("HMGET");
        read.arg(SaleKeys::of(sale).sale).arg(&["epoch", "node"]);
        let (epoch, node): (Option<String>, Option<String>) = self.link.ask(&read).await?;
        let Some(epoch) = epoch else { return Ok(None) };
        let none = Ownership { epoch: rows::word("the epoch", &epoch)?, ..Ownership::default() };
        let node = node.unwrap_or_default();
        // What was written in another epoch counts no more: what opened the sale since may know of no nodes.
        Ok(Some(match node.split_once(' ') {
            Some((of, name)) if of == epoch => match name.strip_prefix("> ") {
                None => Ownership { owner: Some(named(name)?), ..none },
                Some(name) => Ownership { next: Some(named(name)?), ..none },
            },
            _ => none,
        }))
    }

    async fn take(&self, sale: &SaleId, by: &NodeId, seen: u64) -> Result<Opened, StoreError> {
        self.open_by(sale, Some((by, seen))).await
    }

    async fn hand_over(&self, sale: &SaleId, epoch: u64, to: &NodeId) -> Result<(), StoreError> {
        let mut call = self.sellers_call("hand_over", sale, epoch);
        self.call(sale, call.arg(to.as_str())).await.map(drop)
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
