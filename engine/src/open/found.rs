//! Found: an order as the engine knows it, wherever it was found.

use crate::rules::money::Money;
use crate::rules::order::{Order, Status};
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::sale::Sale;
use crate::store::Record;

/// An order as the engine knows it: on its board, or from before in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Taken by this process.
    Here(Order),
    /// Taken by a former process and stored.
    Before(Record),
}

impl Found {
    /// The order's number in its sale.
    #[must_use]
    pub const fn number(&self) -> u64 {
        match self {
            Self::Here(order) => order.number,
            Self::Before(record) => record.number,
        }
    }

    /// Where the order is in its life.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Here(order) => order.status,
            Self::Before(record) => record.status,
        }
    }

    /// Units that the order holds, or held.
    #[must_use]
    pub const fn units(&self) -> Units {
        match self {
            Self::Here(order) => order.units,
            Self::Before(record) => record.units,
        }
    }

    /// What the order costs.
    #[must_use]
    pub fn money(&self, sale: &Sale) -> Money {
        match self {
            Self::Here(order) => sale.money(order),
            Self::Before(record) => record.money.clone(),
        }
    }

    /// When the order entered its status; for a reserved order, when it was reserved.
    #[must_use]
    pub fn changed_at(&self) -> Millis {
        match self {
            Self::Here(order) => order.changed_at.unwrap_or(order.reserved_at),
            Self::Before(record) => record.changed_at,
        }
    }
}
