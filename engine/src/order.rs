//! An order: a click that was accepted, its id and what became of it.

use crate::clock::Millis;
use crate::roster::Seat;
use crate::stock::Units;
use crate::terms::{BadSaleId, SaleId};
use membership::Tier;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where an order is in its life. Each step happens once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Status {
    /// Its units are held; the store has not said yet.
    Reserved = 1,
    /// The store has it on disk.
    Confirmed = 2,
    /// The store refused it; its units went back.
    Released = 3,
}

impl Status {
    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Confirmed => "confirmed",
            Self::Released => "released",
        }
    }
}

/// What the board knows of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Place in the sale's order of arrival, from 1.
    pub number: u64,
    /// Whose it is.
    pub seat: Seat,
    /// The tier at the click.
    pub tier: Tier,
    /// Units it holds, or held.
    pub units: Units,
    /// Where it is in its life.
    pub status: Status,
    /// When the click was accepted.
    pub reserved_at: Millis,
    /// When the store said what becomes of it; `None` while it is reserved.
    pub settled_at: Option<Millis>,
}

/// `{sale}.{epoch}.{number}`: unique over restarts, in order of arrival.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OrderId {
    /// Which sale.
    pub sale: SaleId,
    /// Which opening of the sale by a process.
    pub epoch: u64,
    /// Which order.
    pub number: u64,
}

/// A text that is no order id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order id is {{sale}}.{{epoch}}.{{number}}")]
pub struct BadOrderId;

impl From<BadSaleId> for BadOrderId {
    fn from(_: BadSaleId) -> Self {
        Self
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.sale, self.epoch, self.number)
    }
}

impl FromStr for OrderId {
    type Err = BadOrderId;

    fn from_str(text: &str) -> Result<Self, BadOrderId> {
        let mut parts = text.split('.');
        let (Some(sale), Some(epoch), Some(number), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadOrderId);
        };
        Ok(Self { sale: sale.parse()?, epoch: count(epoch)?, number: count(number)? })
    }
}

/// A count in its only spelling: no sign, no leading zero.
fn count(text: &str) -> Result<u64, BadOrderId> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    if plain { text.parse().map_err(|_| BadOrderId) } else { Err(BadOrderId) }
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_has_one_spelling() {
        let id: OrderId = "drop-1.3.1042".parse().unwrap();
        assert_eq!((id.epoch, id.number), (3, 1042));
        assert_eq!(id.to_string(), "drop-1.3.1042");
        for bad in ["", "a.1", "a.1.2.3", "a.01.2", "a.+1.2", "a.1.0", "A.1.2", "a.1.", "{a}.1.2"] {
            assert_eq!(bad.parse::<OrderId>(), Err(BadOrderId), "{bad}");
        }
    }
}
