//! Leasing: nodes' leases are in one hash, a sale's owner is beside the sale.

use super::keys::{self, SaleKeys};
use super::store::RedisStore;
use super::{library, rows};
use crate::rules::node::{Node, NodeId};
use crate::rules::terms::SaleId;
use crate::store::{Leasing, Opened, Ownership, StoreError};
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
impl Leasing for RedisStore {
    async fn renew(&self, node: &Node, lasts: Duration) -> Result<Vec<Node>, StoreError> {
        let mut call = library::call_on("renew", &[keys::LEASES]);
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
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
            (Some("DAMAGED"), [what]) => Err(StoreError::Damaged(what.clone())),
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
        read.arg(SaleKeys::of(sale).sale).arg(&["epoch", "node", "next_node"]);
        let (epoch, owner, next): (Option<String>, Option<String>, Option<String>) =
            self.link.ask(&read).await?;
        let Some(epoch) = epoch else { return Ok(None) };
        let epoch = rows::word("the epoch", &epoch)?;
        Ok(Some(Ownership { epoch, owner: node(owner)?, next: node(next)? }))
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
    let id = id.parse().map_err(|_| rows::unreadable("a node's name", id))?;
    Ok(Node { id, process: rows::word("a process", process)?, address: address.as_str().into() })
}

/// The node that is named; none by an empty name, and in a sale that was never opened by one.
fn node(name: Option<String>) -> Result<Option<NodeId>, StoreError> {
    let name = name.filter(|name| !name.is_empty());
    name.map(|name| name.parse().map_err(|_| rows::unreadable("a node's name", &name))).transpose()
}
