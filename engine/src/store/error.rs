//! Why the store did not do what it was asked.

use super::Verdict;
use crate::rules::units::Units;

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A sale with this id is there already.
    #[error("a sale with this id is there already")]
    SaleExists,
    /// No such sale.
    #[error("no sale has this id")]
    UnknownSale,
    /// Another process has opened the sale since.
    #[error("another process has opened this sale since; this one no longer sells it")]
    Fenced,
    /// The sale is in another epoch than the caller saw.
    #[error("this sale was taken over in the meantime")]
    OtherOwner,
    /// Another process with the same node's name is there.
    #[error("another process at {0} has this node's name; give each node a name of its own")]
    NodeIdTaken(String),
    /// The sale would have more units than a sale may have.
    #[error("a sale has at most 10,000,000 units; this one has {0}")]
    TooMuchStock(Units),
    /// Orders that were confirmed hold more units than the store has left.
    #[error("the store has only {0} units left, fewer than the orders that it lost")]
    TooLittleStock(Units),
    /// The idempotency key stands for a top-up by another amount.
    #[error("this idempotency key was used for a top-up by {0} units")]
    TopUpConflict(Units),
    /// The store is not an embedded one.
    #[error(
        "the store has means of its own for that: Redis's persistence and replicas (docs/redis.md)"
    )]
    NotEmbedded,
    /// The store refused and changed nothing; asking again may help.
    #[error("the store refused for now: {0}")]
    Refused(String),
    /// The store gave no answer and may have done what was asked. The caller asks again with the
    /// same ids until there is one.
    #[error("the store did not answer: {0}")]
    Unknown(String),
    /// The store's state is older than what it told before.
    #[error("the store has lost part of its history: {0}")]
    HistoryLost(String),
    /// The store may not be used as it is; the text says what to do about it.
    #[error("{0}")]
    Unusable(String),
    /// What is stored is not what Flashlane wrote. Nothing may be sold on top of that.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

/// A commit that broke off before every order had its verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct BrokenOff {
    /// Why the others have none.
    pub error: StoreError,
    /// The verdicts that came, an entry for each order of the batch; empty when none came.
    pub answered: Vec<Option<Verdict>>,
}

impl From<StoreError> for BrokenOff {
    fn from(error: StoreError) -> Self {
        Self { error, answered: Vec::new() }
    }
}

impl StoreError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unknown(_) => true,
            Self::SaleExists
            | Self::NotEmbedded
            | Self::UnknownSale
            | Self::Fenced
            | Self::OtherOwner
            | Self::NodeIdTaken(_)
            | Self::TooMuchStock(_)
            | Self::TooLittleStock(_)
            | Self::HistoryLost(_)
            | Self::Unusable(_)
            | Self::TopUpConflict(_)
            | Self::Damaged(_) => false,
        }
    }
}
