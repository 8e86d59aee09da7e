//! Owners: the store's rules of nodes' leases and of who owns a sale. Pure; Redis has them in Lua.
//!
//! The store does not look at a lease when a sale is taken over: a lease and a sale may lie on different
//! machines. A node looks, and says which epoch it saw; the sale is taken over only if that is still its
//! epoch. What keeps two nodes from selling one sale is in `nodes/own_lease.rs`.

use super::StoreError;
use crate::rules::node::{Node, NodeId};
use crate::rules::time::Millis;
use std::collections::BTreeMap;
use std::time::Duration;

/// Nodes' leases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Leases(BTreeMap<NodeId, (Node, Millis)>);

impl Leases {
    /// Begins a node's lease, or makes it last longer: so long from now on, by the store's clock. Leases that
    /// are over are forgotten.
    ///
    /// # Errors
    /// [`StoreError::NodeIdTaken`] if another process with this name has a lease.
    pub fn renew(&mut self, node: &Node, lasts: Duration, now: Millis) -> Result<(), StoreError> {
        self.0.retain(|_, (_, until)| *until > now);
        if let Some((other, _)) = self.0.get(&node.id)
            && other.process != node.process
        {
            return Err(StoreError::NodeIdTaken(other.address.to_string()));
        }
        self.0.insert(node.id.clone(), (node.clone(), now + lasts));
        Ok(())
    }

    /// Ends a node's lease. A repeated call changes nothing.
    pub fn end(&mut self, node: &Node) {
        self.0.retain(|_, (of, _)| of.id != node.id || of.process != node.process);
    }

    /// The nodes whose leases are not over, by name.
    pub fn living(&self, now: Millis) -> impl Iterator<Item = &Node> {
        self.0.values().filter(move |(_, until)| *until > now).map(|(node, _)| node)
    }
}

/// A sale's owner, as it stands beside the sale.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ownership {
    /// Which opening of the sale the owner sells; 0 if it was never opened.
    pub epoch: u64,
    /// The node that sells it; `None` before the first one, and after it was handed over.
    pub owner: Option<NodeId>,
    /// The node that it was handed over to, and that has not taken it yet.
    pub next: Option<NodeId>,
}

impl Ownership {
    /// A node takes the sale over, in a fresh epoch. It has seen the sale in the epoch `seen`.
    ///
    /// # Errors
    /// [`StoreError::OtherOwner`] if somebody has taken it over since.
    pub fn take(&mut self, by: &NodeId, seen: u64, fresh: u64) -> Result<(), StoreError> {
        if self.epoch != seen {
            return Err(StoreError::OtherOwner);
        }
        *self = Self { epoch: fresh, owner: Some(by.clone()), next: None };
        Ok(())
    }

    /// The owner of this epoch leaves the sale to another node. A repeated call changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if another node has taken it over.
    pub fn hand_over(&mut self, epoch: u64, to: &NodeId) -> Result<(), StoreError> {
        if self.epoch != epoch {
            return Err(StoreError::Fenced);
        }
        (self.owner, self.next) = (None, Some(to.clone()));
        Ok(())
    }
}
