//! Idempotency keys: which order a repeated click stands for.
//!
//! A key is written down before its click claims anything, and forgotten when the click is refused:
//! a refusal consumes nothing, not even the key.

use crate::rules::key::IdempotencyKey;
use crate::rules::refusal::Refusal;
use crate::rules::seat::Seat;
use crate::rules::units::Units;
use crate::sync::{AtomicU64, Ordering, SharedMap, map_with_room_for};
use membership::event::Tender;
#[cfg(not(flash_loom))]
use std::collections::HashMap;

/// What is known of a key: what its click asked for, and the order it became.
#[derive(Debug)]
struct Known {
    body: Body,
    /// [`JUDGED`] while the click is being judged.
    number: AtomicU64,
}

/// No order has this number.
const JUDGED: u64 = 0;

impl Known {
    fn new(body: Body, number: u64) -> Self {
        Self { body, number: AtomicU64::new(number) }
    }

    fn number(&self) -> Option<u64> {
        // Ordering: Acquire, paired with the Release in `Begun::drop`: the order is on the board.
        let number = self.number.load(Ordering::Acquire);
        (number != JUDGED).then_some(number)
    }
}

/// What a click asks for: a key stands for that, and for nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) units: Units,
    pub(crate) tender: Tender,
}

/// The keys of one sale.
#[derive(Debug)]
pub(crate) struct Keys {
    map: SharedMap<(Seat, IdempotencyKey), Known>,
}

/// Room for more keys than this is made as they come.
const ROOM_MAX: usize = 1 << 20;

impl Keys {
    /// A map that grows moves all of its keys, and clicks pay for that: so it has room from the beginning.
    pub(crate) fn with_room_for(orders: usize) -> Self {
        Self { map: map_with_room_for(orders.min(ROOM_MAX)) }
    }

    /// The order that the key stands for, if any.
    ///
    /// # Errors
    /// [`Refusal::IdempotencyConflict`] if it stands for a click that asked for something else,
    /// [`Refusal::IdempotencyInFlight`] if its click is being judged.
    pub(crate) fn look(
        &self,
        seat: Seat,
        key: IdempotencyKey,
        body: &Body,
    ) -> Result<Option<u64>, Refusal> {
        match self.map.pin().get(&(seat, key)) {
            None => Ok(None),
            Some(known) if known.body != *body => Err(Refusal::IdempotencyConflict),
            Some(known) => known.number().ok_or(Refusal::IdempotencyInFlight).map(Some),
        }
    }

    /// Writes a key down as being judged; `None` when another click with this key was faster.
    pub(crate) fn begin(&self, seat: Seat, key: IdempotencyKey, body: Body) -> Option<Begun<'_>> {
        let known = Known::new(body, JUDGED);
        let inserted = self.map.pin().try_insert((seat, key), known).is_ok();
        inserted.then(|| Begun { keys: self, seat, key, number: None })
    }

    /// The keys that stand for an order, by its number.
    #[cfg(not(flash_loom))]
    pub(crate) fn by_number(&self) -> HashMap<u64, IdempotencyKey> {
        let map = self.map.pin();
        map.iter().filter_map(|((_, key), known)| Some((known.number()?, *key))).collect()
    }

    /// Writes down a key of an order that a former process confirmed.
    pub(crate) fn restore(&self, seat: Seat, key: IdempotencyKey, body: Body, number: u64) {
        self.map.pin().insert((seat, key), Known::new(body, number));
    }
}

/// A key whose click is being judged; forgotten when dropped unless its order is known.
#[must_use = "dropping it forgets the key"]
#[derive(Debug)]
pub(crate) struct Begun<'a> {
    keys: &'a Keys,
    seat: Seat,
    key: IdempotencyKey,
    number: Option<u64>,
}

impl Begun<'_> {
    /// From now on the key stands for this order.
    pub(crate) fn keep(mut self, number: u64) {
        self.number = Some(number);
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let map = self.keys.map.pin();
        let place = (self.seat, self.key);
        match self.number {
            None => drop(map.remove(&place)),
            Some(number) => {
                let known = map.get(&place).expect("only its own click forgets a key");
                // Ordering: Release, paired with the Acquire in `Known::number`.
                known.number.store(number, Ordering::Release);
            }
        }
    }
}
