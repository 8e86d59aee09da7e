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

/// In which state a node saw the ownership of a sale. A take-over that comes after any change of it is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seen {
    /// Which opening of the sale the owner sells; 0 if it was never opened.
    pub epoch: u64,
    /// How often the owner has kept the sale in this epoch.
    pub kept: u64,
}

/// A sale's owner, as it stands beside the sale.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ownership {
    /// What a take-over must have seen.
    pub seen: Seen,
    /// The node that sells it; `None` before the first one, and after it was handed over.
    pub owner: Option<NodeId>,
    /// The node that it was handed over to, and that has not taken it yet.
    pub next: Option<NodeId>,
}

impl Ownership {
    /// A node takes the sale over, in a fresh epoch.
    ///
    /// # Errors
    /// [`StoreError::OtherOwner`] if somebody has taken it over or kept it since the node saw it.
    pub fn take(&mut self, by: &NodeId, seen: Seen, fresh: u64) -> Result<(), StoreError> {
        if self.seen != seen {
            return Err(StoreError::OtherOwner);
        }
        let seen = Seen { epoch: fresh, kept: 0 };
        *self = Self { seen, owner: Some(by.clone()), next: None };
        Ok(())
    }

    /// The owner of this epoch comes back after its lease was over, and goes on. A take-over by a node that saw the
    /// sale before is refused from now on.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if another node has taken it over, or the owner has left it to one.
    pub fn keep(&mut self, by: &NodeId, epoch: u64) -> Result<(), StoreError> {
        // After a lost history was put back, nobody is written down as the owner.
        if self.seen.epoch != epoch || self.next.is_some() {
            return Err(StoreError::Fenced);
        }
        self.seen.kept += 1;
        self.owner = Some(by.clone());
        Ok(())
    }

    /// The owner of this epoch leaves the sale to another node. A repeated call changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if another node has taken it over.
    pub fn hand_over(&mut self, epoch: u64, to: &NodeId) -> Result<(), StoreError> {
        if self.seen.epoch != epoch {
            return Err(StoreError::Fenced);
        }
        (self.owner, self.next) = (None, Some(to.clone()));
        Ok(())
    }
}
