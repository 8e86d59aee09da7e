//! Resume: where a sale starts, and what it takes up of former processes.

use super::Sale;
use crate::rules::door::Door;
use crate::rules::key::IdempotencyKey;
use crate::rules::seat::Seat;
use crate::rules::terms::Terms;
use crate::rules::units::Units;
use crate::sale::aside::Aside;
use crate::sale::board::Board;
use crate::sale::holdings::Holdings;
#[cfg(not(flash_loom))]
use crate::sale::keys::ByNumber;
use crate::sale::keys::{Body, Keys};
use crate::sale::meter::Meter;
use crate::sale::queue::OrderQueue;
use crate::sale::stock::{Counts, Stock};
use crate::sale::vouch::{Vouch, Vouched};
use crate::sync::{AtomicU64, SharedMap};
use membership::event::Tender;
use membership::{PerTier, Tier};

/// Where a sale starts: what former processes left of it.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Which opening of the sale this is.
    pub epoch: u64,
    /// Units in all, top-ups included.
    pub stock: Units,
    /// Units that nobody holds.
    pub left: Units,
    /// The number of the next order, from 1.
    pub next_number: u64,
    /// The most orders that one member may make in this sale, whatever becomes of them; from 1.
    pub orders_per_member: u16,
    /// For how many units the tables have room from the beginning.
    pub room: Units,
}

/// The most orders of one member in one sale, unless another number is asked for.
pub const ORDERS_PER_MEMBER: u16 = 1_000;

impl Sale {
    /// A sale without any order yet, opened for the first time.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        let start = Start {
            epoch: 1,
            stock: terms.stock,
            left: terms.stock,
            next_number: 1,
            orders_per_member: ORDERS_PER_MEMBER,
            room: terms.stock,
        };
        Self::resume(terms, start, Meter::new())
    }

    /// A sale as former processes left it, with the counts of what they stored.
    #[must_use]
    pub fn resume(terms: Terms, start: Start, meter: Meter) -> Self {
        let Start { epoch, stock, left, next_number, orders_per_member, room } = start;
        Self {
            doors: PerTier(Tier::ALL.map(|tier| Door::new(&terms, tier))),
            closes_at: AtomicU64::new(terms.windows.closes_at().0),
            terms,
            epoch,
            stock: Stock::resume(Counts { total: stock, left }),
            aside: Aside::default(),
            holdings: Holdings::new(room, orders_per_member),
            keys: Keys::with_room_for(room.0 as usize),
            vouched: Vouched::new(Vouch::ALWAYS),
            queue: OrderQueue::new(next_number),
            board: Board::new(next_number, room),
            mixed: SharedMap::default(),
            meter,
        }
    }

    /// The keys of accepted clicks, by the number of their order.
    #[cfg(not(flash_loom))]
    pub(crate) fn keys_by_number(&self) -> ByNumber {
        self.keys.by_number()
    }

    /// Takes up the units that a seat held in a former process, and the number of orders that it had
    /// made. Call it only before other threads have the sale.
    pub fn restore_holding(&self, seat: Seat, units: Units, orders: u32) {
        self.holdings.restore(seat, units, orders);
    }

    /// Takes up a key that stands for an order of a former process. Call it only before other
    /// threads have the sale.
    pub fn restore_key(
        &self,
        seat: Seat,
        key: IdempotencyKey,
        asked: (Units, Tender),
        number: u64,
    ) {
        let (units, tender) = asked;
        self.keys.restore(seat, key, &Body { units, tender }, number);
    }
}
