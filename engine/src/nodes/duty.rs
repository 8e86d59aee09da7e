//! Duty: what a node has to do about a sale, from what it saw of the store.

use super::wanted::wanted;
use crate::rules::node::NodeId;
use crate::rules::terms::SaleId;
use crate::store::Ownership;

/// What a node has to do about a sale.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Duty {
    /// Nothing.
    None,
    /// To take it over, if its epoch is still this one.
    Take {
        /// The epoch that was seen.
        seen: u64,
    },
    /// To hand it over to another node.
    HandOver {
        /// The node that it is to belong to.
        to: NodeId,
    },
}

/// What a node saw of a sale.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The sale's ownership. This was read before `living`: what was seen the other way round may be an owner who
    /// came to life in between.
    pub ownership: &'a Ownership,
    /// The nodes that lived after that.
    pub living: &'a [NodeId],
    /// Whether this node has the sale open, in whatever epoch.
    pub is_open_here: bool,
    /// Whether the sale stays where it is while its owner lives.
    pub stays: bool,
}

/// What `me` has to do about a sale.
#[must_use]
pub fn duty(me: &NodeId, sale: &SaleId, situation: Situation<'_>) -> Duty {
    let Situation { ownership, living, is_open_here, stays } = situation;
    let lives = |node: &NodeId| living.contains(node);
    if !lives(me) {
        return Duty::None;
    }
    let wanted = wanted(sale, living);
    let take = || match is_open_here {
        true => Duty::None,
        false => Duty::Take { seen: ownership.epoch },
    };
    match (&ownership.owner, &ownership.next) {
        (Some(owner), _) if owner == me && !is_open_here => take(),
        (Some(owner), _) if owner == me => match wanted {
            Some(to) if to != me && !stays => Duty::HandOver { to: to.clone() },
            _ => Duty::None,
        },
        (Some(owner), _) if lives(owner) => Duty::None,
        (None, Some(next)) if lives(next) => {
            if next == me {
                take()
            } else {
                Duty::None
            }
        }
        // Nobody has it: it was never opened, or whose it is does not live.
        _ if wanted == Some(me) => take(),
        _ => Duty::None,
    }
}
