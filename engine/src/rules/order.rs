//! An order: a click that was accepted, its id and what became of it.

use crate::rules::seat::Seat;
use crate::rules::terms::{BadSaleId, SaleId};
use crate::rules::time::Millis;
use crate::rules::units::Units;
use membership::Tier;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where an order is in its life. Each step happens once.
///
/// ```text
/// reserved -> confirmed -> paid -> returned
///     |           |------> cancelled -> refund_due -> refunded   (paid all the same)
///     |           '------> expired ---> refund_due -> refunded
///     '-----> released
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Status {
    /// Its units are held; the store has not decided yet.
    Reserved = 1,
    /// The store has it on disk; it waits for its payment.
    Confirmed = 2,
    /// The store refused it; its units went back.
    Released = 3,
    /// It was paid in time; its units are sold.
    Paid = 4,
    /// The member took it back before it was paid; its units went back.
    Cancelled = 5,
    /// It was not paid in time; its units went back.
    Expired = 6,
    /// It was paid after it had been cancelled or had expired: the member gets the money back, and
    /// no units.
    RefundDue = 7,
    /// It was to be paid back, and was.
    Refunded = 8,
    /// It was paid, and all of the money went back. It goes on holding its units, which the operator
    /// puts on sale again, or not.
    Returned = 9,
}

/// What may happen to an order once it is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The payment provider has the money.
    Pay,
    /// The member does not want it any more.
    Cancel,
    /// The time to pay is over.
    Expire,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 3] = [Self::Pay, Self::Cancel, Self::Expire];

    /// The word for the step, as it is sent to the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pay => "pay",
            Self::Cancel => "cancel",
            Self::Expire => "expire",
        }
    }
}

impl Status {
    /// Every status that a store keeps, in the order in which tallies are kept.
    pub const STORED: [Self; 8] = [
        Self::Confirmed,
        Self::Released,
        Self::Paid,
        Self::Cancelled,
        Self::Expired,
        Self::RefundDue,
        Self::Refunded,
        Self::Returned,
    ];

    /// The word for the status in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Confirmed => "confirmed",
            Self::Released => "released",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::RefundDue => "refund_due",
            Self::Refunded => "refunded",
            Self::Returned => "returned",
        }
    }

    /// Whether an order in this state holds its units, so that no other order can have them.
    #[must_use]
    pub const fn holds_units(self) -> bool {
        match self {
            Self::Reserved | Self::Confirmed | Self::Paid | Self::Returned => true,
            Self::Released | Self::Cancelled | Self::Expired | Self::RefundDue | Self::Refunded => {
                false
            }
        }
    }

    /// The states through which an order came to this one, from the verdict on. Of an order that was
    /// to be paid back it is not known any more whether it was cancelled or had expired: its path goes
    /// through `Cancelled`.
    #[must_use]
    pub const fn path(self) -> &'static [Self] {
        match self {
            Self::Reserved => &[],
            Self::Confirmed => &[Self::Confirmed],
            Self::Released => &[Self::Released],
            Self::Paid => &[Self::Confirmed, Self::Paid],
            Self::Cancelled => &[Self::Confirmed, Self::Cancelled],
            Self::Expired => &[Self::Confirmed, Self::Expired],
            Self::RefundDue => &[Self::Confirmed, Self::Cancelled, Self::RefundDue],
            Self::Refunded => &[Self::Confirmed, Self::Cancelled, Self::RefundDue, Self::Refunded],
            Self::Returned => &[Self::Confirmed, Self::Paid, Self::Returned],
        }
    }

    /// How many steps of its life an order in this state has taken. Of two states of one order, the
    /// later one has more.
    #[must_use]
    pub const fn steps(self) -> u64 {
        self.path().len() as u64
    }

    /// Whether a stored order in this state may come to `later`, by one step or several.
    #[must_use]
    pub fn leads_to(self, later: Self) -> bool {
        let steps = Step::ALL.into_iter().filter_map(|step| self.after(step));
        let mut next = steps.chain(self.after_refund());
        next.any(|next| next == later || next.leads_to(later))
    }

    /// The status to which the step leads from this one; `None` if it changes nothing.
    #[must_use]
    pub const fn after(self, step: Step) -> Option<Self> {
        match (self, step) {
            (Self::Confirmed, Step::Pay) => Some(Self::Paid),
            (Self::Confirmed, Step::Cancel) => Some(Self::Cancelled),
            (Self::Confirmed, Step::Expire) => Some(Self::Expired),
            (Self::Cancelled | Self::Expired, Step::Pay) => Some(Self::RefundDue),
            _ => None,
        }
    }

    /// The status once all of the money has gone back; `None` if none was paid, or all went back
    /// before.
    #[must_use]
    pub const fn after_refund(self) -> Option<Self> {
        match self {
            Self::RefundDue => Some(Self::Refunded),
            Self::Paid => Some(Self::Returned),
            Self::Reserved
            | Self::Confirmed
            | Self::Released
            | Self::Cancelled
            | Self::Expired
            | Self::Refunded
            | Self::Returned => None,
        }
    }

    pub(crate) const fn of_code(code: u64) -> Option<Self> {
        match code {
            1 => Some(Self::Reserved),
            2 => Some(Self::Confirmed),
            3 => Some(Self::Released),
            4 => Some(Self::Paid),
            5 => Some(Self::Cancelled),
            6 => Some(Self::Expired),
            7 => Some(Self::RefundDue),
            8 => Some(Self::Refunded),
            9 => Some(Self::Returned),
            _ => None,
        }
    }
}

/// What the board knows of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Place in the sale's order of arrival, from 1.
    pub number: u64,
    /// The seat of the member whose order it is.
    pub seat: Seat,
    /// The tier at the click.
    pub tier: Tier,
    /// Units that the order holds, or held.
    pub units: Units,
    /// Where the order is in its life.
    pub status: Status,
    /// When the click was accepted.
    pub reserved_at: Millis,
    /// When the store confirmed or released it; `None` while it is reserved.
    pub settled_at: Option<Millis>,
    /// When the order entered its status; `None` while it is reserved.
    pub changed_at: Option<Millis>,
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

/// A text that is not an order id.
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
