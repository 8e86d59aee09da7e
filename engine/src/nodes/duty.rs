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
    /// To keep it: the node has it open in this epoch, from before its lease was over.
    Keep {
        /// The epoch that it is open in.
        epoch: u64,
    },
    /// To hand it over to another node.
    HandOver {
        /// The node that it is to belong to.
        to: NodeId,
    },
}

/// Whether a node has a sale open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    /// No.
    No,
    /// It may sell it while it holds its lease.
    Sells,
    /// It took it in a term of its lease that is over.
    Lapsed {
        /// The epoch that it has it open in.
        epoch: u64,
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
    /// Whether this node has the sale open.
    pub here: Here,
    /// Whether the sale stays where it is while its owner lives.
    pub stays: bool,
}

/// What `me` has to do about a sale.
#[must_use]
pub fn duty(me: &NodeId, sale: &SaleId, situation: Situation<'_>) -> Duty {
    let Situation { ownership, living, candidates, here, stays } = situation;
    let lives = |node: &NodeId| living.contains(node);
    if !lives(me) {
        return Duty::None;
    }
    let wanted = wanted(sale, candidates);
    let take = || match here {
        Here::No => Duty::Take { seen: ownership.seen },
        // What it has open in an earlier epoch it lets go first.
        Here::Sells | Here::Lapsed { .. } => Duty::None,
    };
    match (&ownership.owner, &ownership.next) {
        (Some(owner), _) if owner == me => match (here, wanted) {
            (Here::No, _) => take(),
            (_, Some(to)) if to != me && !stays => Duty::HandOver { to: to.clone() },
            (Here::Lapsed { epoch }, _) => Duty::Keep { epoch },
            (Here::Sells, _) => Duty::None,
        },
        (Some(owner), _) if lives(owner) => Duty::None,
        (None, Some(next)) if lives(next) && next == me => take(),
        (None, Some(next)) if lives(next) => Duty::None,
        // After a lost history was put back, nobody is written down as the owner.
        (None, None) if here == (Here::Lapsed { epoch: ownership.seen.epoch }) => {
            Duty::Keep { epoch: ownership.seen.epoch }
        }
        // Nobody has it: it was never opened, or whose it is does not live.
        _ if wanted == Some(me) => take(),
        _ => Duty::None,
    }
}
