//! The words that all kinds share.

/// What is sold, and how much of it to one member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shop {
    pub(crate) stock: i64,
    pub(crate) limit: i64,
}

/// A click of a member.
#[derive(Debug, Clone)]
pub(crate) struct Click {
    pub(crate) member: String,
    pub(crate) tier: String,
    pub(crate) units: i64,
}

/// What a click is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is this order, which may not be on disk yet.
    Reserved(i64),
    /// It is this order, which is on disk.
    Confirmed(i64),
    SoldOut,
    LimitReached,
}

impl Told {
    /// Reads the answer of a store: an order's number from 1, or a refusal.
    pub(crate) fn confirmed(answer: i64) -> Self {
        match answer {
            -1 => Self::SoldOut,
            -2 => Self::LimitReached,
            number => Self::Confirmed(number),
        }
    }
}
