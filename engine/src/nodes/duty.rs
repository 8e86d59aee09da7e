//! Duty: what a node has to do about a sale, from what it saw of the store.

use super::wanted::wanted;
use crate::rules::node::NodeId;
use crate::rules::terms::SaleId;
use crate::store::{Ownership, Seen};

/// What a node has to do about a sale.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Duty {
    /// Nothing.
    None,
    /// To take it over, if its ownership is still as it was seen.
    Take {
        /// What was seen.
        seen: Seen,
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
    /// Those that may get the sale.
    pub candidates: &'a [NodeId],
    /// Whether this node has the sale open. A sale that it took in an earlier term of its lease it keeps without a look at
    /// all this: the store refuses that if the sale is another node's by now.
    pub is_here: bool,
    /// Whether the sale stays where it is while its owner lives.
    pub stays: bool,
}

/// What `me` has to do about a sale.
#[must_use]
pub fn duty(me: &NodeId, sale: &SaleId, situation: Situation<'_>) -> Duty {
    let Situation { ownership, living, candidates, is_here, stays } = situation;
    let lives = |node: &NodeId| living.contains(node);
    if !lives(me) {
        return Duty::None;
    }
    let wanted = wanted(sale, candidates);
    // What it has open in an earlier epoch it lets go first.
    let take = || if is_here { Duty::None } else { Duty::Take { seen: ownership.seen } };
    match (&ownership.owner, &ownership.next) {
        (Some(owner), _) if owner == me => match wanted {
            Some(to) if is_here && to != me && !stays => Duty::HandOver { to: to.clone() },
            _ => take(),
        },
        (Some(owner), _) if lives(owner) => Duty::None,
        (None, Some(next)) if lives(next) && next == me => take(),
        (None, Some(next)) if lives(next) => Duty::None,
        // Nobody has it: it was never opened, or whose it is does not live.
        _ if wanted == Some(me) => take(),
        _ => Duty::None,
    }
}
