//! Idempotency keys: which order a repeated click stands for.
//!
//! A key is written down before its click claims anything, and forgotten when the click is refused:
//! a refusal consumes nothing, not even the key.

use crate::rules::key::IdempotencyKey;
use crate::rules::refusal::Refusal;
use crate::rules::seat::Seat;
use crate::rules::units::Units;
use crate::sync::SharedMap;
use membership::event::Tender;
#[cfg(not(flash_loom))]
use std::collections::HashMap;

/// What is known of a key: what its click asked for, and the order it became.
#[derive(Debug, Clone)]
struct Known {
    body: Body,
    /// `None` while the click is being judged.
    number: Option<u64>,
}

/// What a click asks for: a key stands for that, and for nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) units: Units,
    pub(crate) tender: Tender,
}

/// The keys of one sale.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    map: SharedMap<(Seat, IdempotencyKey), Known>,
}

impl Keys {
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
            Some(Known { number: None, .. }) => Err(Refusal::IdempotencyInFlight),
            Some(Known { number, .. }) => Ok(*number),
        }
    }

    /// Writes a key down as being judged; `None` when another click with this key was faster.
    pub(crate) fn begin(&self, seat: Seat, key: IdempotencyKey, body: Body) -> Option<Begun<'_>> {
        let known = Known { body: body.clone(), number: None };
        let inserted = self.map.pin().try_insert((seat, key), known).is_ok();
        inserted.then(|| Begun { keys: self, seat, key, body, number: None })
    }

    /// The keys that stand for an order, by its number.
    #[cfg(not(flash_loom))]
    pub(crate) fn by_number(&self) -> HashMap<u64, IdempotencyKey> {
        let map = self.map.pin();
        map.iter().filter_map(|((_, key), known)| Some((known.number?, *key))).collect()
    }

    /// Writes down a key of an order that a former process confirmed.
    pub(crate) fn restore(&self, seat: Seat, key: IdempotencyKey, body: Body, number: u64) {
        let known = Known { body, number: Some(number) };
        self.map.pin().insert((seat, key), known);
    }
}

/// A key whose click is being judged; forgotten when dropped unless its order is known.
#[must_use = "dropping it forgets the key"]
#[derive(Debug)]
pub(crate) struct Begun<'a> {
    keys: &'a Keys,
    seat: Seat,
    key: IdempotencyKey,
    body: Body,
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
        match self.number {
            Some(_) => {
                let known = Known { body: self.body.clone(), number: self.number };
                map.insert((self.seat, self.key), known);
            }
            None => {
                map.remove(&(self.seat, self.key));
            }
        }
    }
}
