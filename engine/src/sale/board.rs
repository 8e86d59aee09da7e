//! Board: what became of each order of this process, for the member who asks.
//!
//! An order's slot is found by its number, so ids need no hash map. A slot is written once by the
//! click, which puts the order on the queue; from then on its state moves forward, one exchange a step,
//! and once, when the confirmer takes the order in, it is linked to its seat's order before it.

use crate::rules::key::IdempotencyKey;
use crate::rules::order::{Order, Status};
use crate::rules::seat::Seat;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::sale::queued::Queued;
use crate::sale::seats::Seats;
use crate::sale::table::Table;
use crate::sync::{AHEAD_CELLS, AtomicU64, Ordering};
use membership::Tier;
use std::convert::Infallible;
use std::num::NonZeroU64;
use std::ops::Range;

/// 32 bytes an order.
#[derive(Debug, Default)]
struct Slot {
    /// Bits 0..32 seat; 32..64 the seat's order before this one, as its index plus one: `UNLINKED`
    /// until the confirmer has linked it, `FIRST` if there is none.
    seat_and_link: AtomicU64,
    /// Bits 0..48 reserved at, in milliseconds; 48..64 units.
    arrival: AtomicU64,
    /// Bits 0..48 when the order entered its status, in milliseconds; 48..54 tier; `WAS_CONFIRMED`,
    /// `IS_MIXED`; 56..64 status, 0 while unwritten.
    state: AtomicU64,
    /// The key of the click, 0 for none; with `WAS_CONFIRMED` when the order was confirmed, in milliseconds.
    key_or_confirmed_at: AtomicU64,
}

const UNLINKED: u32 = 0;
const FIRST: u32 = u32::MAX;
const AT_MASK: u64 = Millis::MAX.0;
const TIER_AT: u32 = 48;
const TIER_MASK: u64 = 0x3f << TIER_AT;
/// The order's status is beyond confirmed, and when it was confirmed is known.
const WAS_CONFIRMED: u64 = 1 << 54;
/// The order is paid with points or a coupon in part.
const IS_MIXED: u64 = 1 << 55;
const STATUS_AT: u32 = 56;

/// The orders from one number on.
#[derive(Debug)]
pub struct Board {
    first_number: u64,
    slots: Table<Slot>,
    /// By seat: its newest linked order, as the index plus one; 0 for none.
    newest: Seats,
    /// Every slot below this index is linked.
    linked_below: AtomicU64,
}

impl Board {
    /// An empty board of a sale of this stock; the first order it takes has the number `first_number`.
    #[must_use]
    pub fn new(first_number: u64, stock: Units) -> Self {
        let (slots, newest) = (Table::new(), Seats::with_room_for(stock.0 as usize));
        slots.get_or_grow(0);
        Self { first_number, slots, newest, linked_below: AtomicU64::new(0) }
    }

    /// The lowest number that can be on this board.
    #[must_use]
    pub fn first_number(&self) -> u64 {
        self.first_number
    }

    /// Writes down a reserved order, its click's key, and whether it is paid with points or a coupon in part.
    ///
    /// # Panics
    /// When the number is below [`Board::first_number`], or 4,294,967,294 or more above it.
    #[inline]
    pub fn write(&self, order: &Order, key: Option<IdempotencyKey>, is_mixed: bool) {
        let slot = self.slots.get_or_grow(self.index(order.number));
        let seat_and_link = u64::from(UNLINKED) << 32 | u64::from(order.seat.number());
        let arrival = u64::from(order.units.0) << 48 | (order.reserved_at.0 & AT_MASK);
        // Ordering: Relaxed, published by the write to `state`.
        slot.seat_and_link.store(seat_and_link, Ordering::Relaxed);
        slot.arrival.store(arrival, Ordering::Relaxed);
        slot.key_or_confirmed_at.store(key.map_or(0, |key| key.0.get()), Ordering::Relaxed);
        let kept = (order.tier as u64) << TIER_AT | if is_mixed { IS_MIXED } else { 0 };
        // Ordering: Release, paired with the Acquire in `read_slot`: a thread that sees a status
        // also sees the order.
        slot.state.store(state(Status::Reserved, Millis(0), kept), Ordering::Release);
    }

    /// The order with this number as it is on the queue, if it is written. Only the confirmer may call this,
    /// before anything became of the order.
    pub(super) fn queued(&self, number: u64) -> Option<(Queued, Order)> {
        let slot = self.slots.get(self.index(number))?;
        let (order, state) = read_slot(slot, number)?;
        // Ordering: Relaxed, written before the state that was acquired by `read_slot`.
        let key = NonZeroU64::new(slot.key_or_confirmed_at.load(Ordering::Relaxed));
        let key = key.filter(|_| state & WAS_CONFIRMED == 0).map(IdempotencyKey);
        Some((Queued { key, is_mixed: state & IS_MIXED != 0 }, order))
    }

    #[inline]
    fn index(&self, number: u64) -> usize {
        let index = number.checked_sub(self.first_number).filter(|i| *i < u64::from(FIRST) - 1);
        let index = index.and_then(|index| usize::try_from(index).ok());
        index.expect("a process takes fewer than 4,294,967,294 orders")
    }

    /// Links an order to its seat's order before it; all below the number `all_below` are linked then. Only the
    /// confirmer may call this, once per order: there is one writer, so plain writes are enough.
    pub(super) fn link(&self, order: &Order, all_below: u64) {
        let index = self.index(order.number);
        // A click seldom has to make the room that it writes to.
        self.slots.get_or_grow((index + AHEAD_CELLS).min(FIRST as usize));
        let slot = self.slots.get_or_grow(index);
        let link = u32::try_from(index + 1).expect("`index` is below FIRST");
        // A thread that follows the chain to this slot sees where it goes on.
        let Ok(_) = self.newest.change(order.seat, |newest| {
            let before = if newest == 0 { FIRST } else { newest };
            let seat_and_link = u64::from(before) << 32 | u64::from(order.seat.number());
            // Ordering: Relaxed, published by the write to `newest`.
            slot.seat_and_link.store(seat_and_link, Ordering::Relaxed);
            Ok::<_, Infallible>(link)
        });
        // Ordering: Release, paired with the Acquire in `linked_orders_of`: the chains contain every
        // order below this index.
        self.linked_below.store(all_below - self.first_number, Ordering::Release);
    }

    /// Brings what [`Board::link`] needs of these orders near the processor: members come at random, and so the waits
    /// for memory overlap.
    pub(super) fn bring_near(&self, numbers: Range<u64>) {
        let slots = numbers.filter_map(|number| self.slots.get(self.index(number)));
        // Ordering: Relaxed, a guess: the slot may not be written yet.
        let seats = slots.map(|slot| slot.seat_and_link.load(Ordering::Relaxed));
        let newest = seats.map(|seat| self.newest.read(Seat::new((seat & 0xffff_ffff) as u32)));
        std::hint::black_box(newest.fold(0, u32::wrapping_add));
    }

    /// A seat's linked orders, in no particular order, and the number from which on orders may not be
    /// linked yet: the confirmer has not taken them in.
    pub(crate) fn linked_orders_of(&self, seat: Seat) -> (Vec<Order>, u64) {
        // Ordering: Acquire, paired with the Release in `link`. It is read before the chain, so
        // that an order that is linked in between is not missed: it counts as not linked yet.
        let below = self.linked_below.load(Ordering::Acquire);
        let mut orders = Vec::new();
        let mut link = match self.newest.read(seat) {
            0 => FIRST,
            link => link,
        };
        while link != FIRST {
            let index = link - 1;
            let slot = self.slots.get(index as usize).expect("a linked order has its slot");
            let number = self.first_number + u64::from(index);
            let (order, _) = read_slot(slot, number).expect("a linked order is written");
            if u64::from(index) < below {
                orders.push(order);
            }
            // Ordering: Relaxed, published by the `newest` that led here.
            link = (slot.seat_and_link.load(Ordering::Relaxed) >> 32) as u32;
        }
        (orders, self.first_number + below)
    }

    /// The order with this number, if this process accepted it.
    #[must_use]
    pub fn read(&self, number: u64) -> Option<Order> {
        let index = usize::try_from(number.checked_sub(self.first_number)?).ok()?;
        read_slot(self.slots.get(index)?, number).map(|(order, _)| order)
    }

    /// Moves an order forward in its life. Returns the order as it was before to the one call that
    /// moved it; `None` if the order had come as far already.
    pub fn advance(&self, number: u64, status: Status, at: Millis) -> Option<Order> {
        let slot = self.slots.get(usize::try_from(number.checked_sub(self.first_number)?).ok()?)?;
        loop {
            let (before, from) = read_slot(slot, number)?;
            if before.status.steps() >= status.steps() {
                return None;
            }
            let confirmed_at = match (before.status, status) {
                (Status::Confirmed, _) => before.settled_at,
                // An order with nothing to pay is paid when it is confirmed.
                (Status::Reserved, Status::Paid) => Some(at),
                _ => None,
            };
            let mut kept = from & (TIER_MASK | WAS_CONFIRMED | IS_MIXED);
            if let Some(confirmed_at) = confirmed_at {
                kept |= WAS_CONFIRMED;
                // Ordering: Relaxed, published by the exchange below. Another thread that moves the
                // order on from here writes the same value.
                slot.key_or_confirmed_at.store(confirmed_at.0, Ordering::Relaxed);
            }
            let to = state(status, at, kept);
            // Ordering: Release, paired with the Acquire in `read_slot`: a thread that reads a
            // status also sees all that led to it. On failure the status is read again, with
            // Acquire.
            let moved = slot.state.compare_exchange(from, to, Ordering::Release, Ordering::Relaxed);
            if moved.is_ok() {
                return Some(before);
            }
        }
    }
}

/// The order in a slot, and its state's word; `None` while the slot is unwritten.
fn read_slot(slot: &Slot, number: u64) -> Option<(Order, u64)> {
    // Ordering: Acquire, paired with the Release in `write` and `advance`.
    let state = slot.state.load(Ordering::Acquire);
    if state == 0 {
        return None;
    }
    let status = Status::of_code(state >> STATUS_AT).expect("only statuses are written");
    // Ordering: Relaxed, written before the `state` that was acquired above.
    let seat_and_link = slot.seat_and_link.load(Ordering::Relaxed);
    let arrival = slot.arrival.load(Ordering::Relaxed);
    let changed_at = (status != Status::Reserved).then_some(Millis(state & AT_MASK));
    let settled_at = match status.steps() > 1 {
        false => changed_at,
        // Ordering: Relaxed, as above.
        true if state & WAS_CONFIRMED != 0 => {
            Some(Millis(slot.key_or_confirmed_at.load(Ordering::Relaxed)))
        }
        true => None,
    };
    let order = Order {
        number,
        seat: Seat::new((seat_and_link & 0xffff_ffff) as u32),
        tier: Tier::ALL[((state & TIER_MASK) >> TIER_AT) as usize],
        units: Units((arrival >> 48) as u32),
        status,
        reserved_at: Millis(arrival & AT_MASK),
        settled_at,
        changed_at,
    };
    Some((order, state))
}

/// A state's word, with the tier and the flags that are kept.
fn state(status: Status, at: Millis, kept: u64) -> u64 {
    (status as u64) << STATUS_AT | kept | (at.0 & AT_MASK)
}
