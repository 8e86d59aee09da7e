//! Idempotency keys: which order a repeated click stands for.
//!
//! A key is written down before its click claims anything, and forgotten when the click is refused: a refusal
//! consumes nothing, not even the key. The cell of a key that is forgotten stays its own; a click that could not
//! be accepted when it came never gets one, so those are as few as clicks that lost a race.

use crate::rules::key::IdempotencyKey;
use crate::rules::refusal::Refusal;
use crate::rules::seat::Seat;
use crate::rules::units::Units;
#[cfg(not(flash_loom))]
use crate::sale::key_cell::key;
use crate::sale::key_cell::{Cell, Look, Stood, owner};
use crate::sale::paths::Paths;
use crate::sync::{SharedMap, Spreading};
use membership::event::Tender;
use std::hash::BuildHasher;

/// What a click asks for: a key stands for that, and for nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Units asked for.
    pub units: Units,
    /// What is paid with beside money.
    pub tender: Tender,
}

/// The keys of one sale.
#[derive(Debug)]
pub struct Keys {
    /// Members choose their keys, and must not choose where they come to lie.
    spreading: Spreading,
    cells: Paths<Cell>,
    /// What orders were paid with beside money, by number, where it is not nothing.
    tenders: SharedMap<u64, Tender>,
}

/// Places are anywhere in the first table, so few keys soon make all of it: 32 MB at most.
const FIRST_ORDERS_MAX: usize = 1 << 20;

impl Keys {
    /// Most have a cell in the first table, if there are no more orders than this, and than a million.
    #[must_use]
    pub fn with_room_for(orders: usize) -> Self {
        let (spreading, tenders) = Default::default();
        Self { spreading, cells: Paths::as_they_come(orders.min(FIRST_ORDERS_MAX)), tenders }
    }

    #[inline]
    fn place(&self, owner: u64) -> u32 {
        (self.spreading.hash_one(owner) >> u32::BITS) as u32
    }

    /// The order that the key stands for, if any.
    ///
    /// # Errors
    /// [`Refusal::IdempotencyConflict`] if it stands for a click that asked for something else,
    /// [`Refusal::IdempotencyInFlight`] if its click is being judged.
    #[inline]
    pub(crate) fn look(
        &self,
        seat: Seat,
        key: IdempotencyKey,
        body: &Body,
    ) -> Result<Option<u64>, Refusal> {
        let owner = owner(seat, key);
        match self.cells.find(self.place(owner), |cell| cell.look(owner, seat)) {
            None | Some(Look::Unknown) => Ok(None),
            Some(Look::Judged) => Err(Refusal::IdempotencyInFlight),
            Some(Look::Order(stood)) if self.body(stood) != *body => {
                Err(Refusal::IdempotencyConflict)
            }
            Some(Look::Order(stood)) => Ok(Some(stood.number())),
        }
    }

    fn body(&self, stood: Stood) -> Body {
        let tender = match stood.is_tendered() {
            false => Tender::default(),
            true => self.tenders.pin().get(&stood.number()).cloned().unwrap_or_default(),
        };
        Body { units: stood.units(), tender }
    }

    /// Writes a key down as being judged; `None` when another click with this key was faster.
    #[must_use]
    pub fn begin(&self, seat: Seat, key: IdempotencyKey) -> Option<Begun<'_>> {
        let owner = owner(seat, key);
        let cell = self.cells.find_or_make(self.place(owner), |cell| cell.begin(owner, seat))?;
        Some(Begun { keys: self, cell, seat, is_kept: false })
    }

    /// Writes down a key of an order that a former process confirmed.
    pub(crate) fn restore(&self, seat: Seat, key: IdempotencyKey, body: &Body, number: u64) {
        // Two of a member's orders cannot have one key; damaged rows may say so, and the first one counts.
        if let Some(begun) = self.begin(seat, key) {
            begun.keep(body, number);
        }
    }

    /// The keys that stand for an order, by its number.
    #[cfg(not(flash_loom))]
    pub(crate) fn by_number(&self) -> ByNumber {
        ByNumber(self.cells.cells().filter_map(Cell::order).collect())
    }
}

/// Keys by the number of the order that each stands for.
#[cfg(not(flash_loom))]
pub(crate) struct ByNumber(std::collections::HashMap<u64, u64>);

#[cfg(not(flash_loom))]
impl ByNumber {
    /// The key of this seat's order.
    pub(crate) fn get(&self, number: u64, seat: Seat) -> Option<IdempotencyKey> {
        key(*self.0.get(&number)?, seat)
    }
}

/// A key whose click is being judged; forgotten when dropped unless its order is known.
#[must_use = "dropping it forgets the key"]
#[derive(Debug)]
pub struct Begun<'a> {
    keys: &'a Keys,
    cell: &'a Cell,
    seat: Seat,
    is_kept: bool,
}

impl Begun<'_> {
    /// From now on the key stands for this order.
    ///
    /// # Panics
    /// When the number is 4,294,967,296 or higher: no store takes such an order.
    #[inline]
    pub fn keep(mut self, body: &Body, number: u64) {
        let is_tendered = body.tender != Tender::default();
        if is_tendered {
            self.keys.tenders.pin().insert(number, body.tender.clone());
        }
        let stood = Stood::new(self.seat, body.units, is_tendered, number);
        self.is_kept = true;
        self.cell.keep(stood);
    }
}

impl Drop for Begun<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_kept {
            self.cell.forget();
        }
    }
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;
    use crate::rules::cents::Cents;
    use crate::rules::member_terms::MemberTerms;
    use crate::rules::terms::Terms;
    use crate::rules::time::Millis;
    use crate::rules::window::Windows;
    use crate::sale::key_cell::spread;
    use crate::sale::purse::{Purses, Told};
    use crate::sale::vouch::Vouch;
    use crate::sale::{Click, Sale};
    use crate::sync::{AtomicU64, Ordering};
    use membership::{PerTier, Tier};
    use std::num::NonZeroU64;

    const ANN: Seat = Seat::new(7);

    fn key(of: u64) -> IdempotencyKey {
        IdempotencyKey(NonZeroU64::new(of).expect("a key is not 0"))
    }

    fn one() -> Body {
        Body { units: Units(1), tender: Tender::default() }
    }

    fn taken(keys: &Keys) -> usize {
        keys.cells.cells().filter(|cell| !cell.is_empty()).count()
    }

    #[test]
    fn each_members_key_stands_for_its_own_order_however_many_come() {
        let keys = Keys::with_room_for(1);
        let all = || (1..=20_000).map(|n| (Seat::new(n % 500), key(u64::from(n / 500) + 1), n));
        for (seat, key, n) in all() {
            assert_eq!(keys.look(seat, key, &one()), Ok(None));
            keys.begin(seat, key).unwrap().keep(&one(), n.into());
        }
        let by_number = keys.by_number();
        for (seat, key, n) in all() {
            assert_eq!(keys.look(seat, key, &one()), Ok(Some(n.into())));
            assert!(keys.begin(seat, key).is_none());
            assert_eq!(by_number.get(n.into(), seat), Some(key));
        }
    }

    #[test]
    fn keys_of_two_members_that_are_one_in_their_spreads_are_told_apart() {
        let (keys, bob) = (Keys::with_room_for(10), Seat::new(8));
        let (anns, bobs) = (key(5), key(5 ^ spread(ANN) ^ spread(bob)));
        assert_eq!(owner(ANN, anns), owner(bob, bobs));
        keys.begin(ANN, anns).unwrap().keep(&one(), 1);
        assert_eq!(keys.look(bob, bobs, &one()), Ok(None));
        keys.begin(bob, bobs).unwrap().keep(&one(), 2);
        assert_eq!(keys.look(ANN, anns, &one()), Ok(Some(1)));
        assert_eq!(keys.look(bob, bobs, &one()), Ok(Some(2)));
    }

    #[test]
    fn a_key_that_is_the_members_spread_is_a_key_like_others() {
        let (keys, odd) = (Keys::with_room_for(10), key(spread(ANN)));
        keys.begin(ANN, odd).unwrap().keep(&one(), 3);
        assert_eq!(keys.look(ANN, odd, &one()), Ok(Some(3)));
        assert_eq!(keys.by_number().get(3, ANN), Some(odd));
    }

    #[test]
    fn a_key_whose_click_is_refused_is_free_again_and_takes_no_second_cell() {
        let keys = Keys::with_room_for(10);
        for _ in 0..3 {
            let begun = keys.begin(ANN, key(1)).unwrap();
            let judged = keys.look(ANN, key(1), &one());
            assert_eq!(judged, Err(Refusal::IdempotencyInFlight));
            assert!(keys.begin(ANN, key(1)).is_none());
            drop(begun);
            assert_eq!(keys.look(ANN, key(1), &one()), Ok(None));
        }
        assert_eq!(taken(&keys), 1);
        keys.begin(ANN, key(1)).unwrap().keep(&one(), 1);
        assert_eq!(keys.look(ANN, key(1), &one()), Ok(Some(1)));
    }

    #[test]
    fn a_key_stands_for_what_its_click_asked_for_and_nothing_else() {
        let keys = Keys::with_room_for(10);
        let tender = Tender { points: 5, coupon: None };
        let with_points = Body { units: Units(65_535), tender };
        keys.begin(ANN, key(1)).unwrap().keep(&with_points, 1);
        keys.restore(ANN, key(2), &one(), 2);
        assert_eq!(keys.look(ANN, key(1), &with_points), Ok(Some(1)));
        assert_eq!(keys.look(ANN, key(2), &one()), Ok(Some(2)));
        let less = Body { units: Units(65_534), ..with_points.clone() };
        for (of, other) in [(1, less), (1, one()), (2, with_points)] {
            let conflict = keys.look(ANN, key(of), &other);
            assert_eq!(conflict, Err(Refusal::IdempotencyConflict), "{other:?}");
        }
    }

    /// Two lamps, one for each member, of which points may pay all.
    fn two_lamps() -> Terms {
        Terms {
            id: "lamp".parse().expect("a sale id"),
            title: "A lamp".into(),
            price: Cents(1_000),
            currency: "CNY".into(),
            stock: Units(2),
            windows: Windows::new(PerTier([Some(Millis(1)); 5]), Millis::MAX).expect("windows"),
            limits: PerTier([Units(1); 5]),
            pay_within_s: 900,
            adults_only: false,
            image_url: None,
            members: MemberTerms { points_share_max: 100, ..MemberTerms::default() },
        }
    }

    #[test]
    fn keys_of_clicks_that_cannot_be_accepted_take_no_cells() {
        let (sale, purses, now) = (Sale::new(two_lamps()), Purses::default(), Millis(5));
        purses.tell(ANN, Told { balance: 10, coupons: Vec::new() }, 0);
        let click = |seat, of| {
            let (tier, units, key) = (Tier::Gold, Units(1), Some(key(of)));
            Click { seat, tier, units, key, is_minor: false }
        };
        for of in 1..100 {
            let refused = sale.buy_with(now, click(ANN, of), &purses, 20, None).expect("points");
            assert_eq!(refused, Err(Refusal::NotEnoughPoints { points: 10 }));
        }
        sale.buy(now, click(ANN, 100)).expect("a lamp");
        for of in 101..200 {
            match of {
                101 => sale.vouch(Vouch::new(Millis(0), std::time::Duration::ZERO)),
                150 => {
                    sale.vouch(Vouch::ALWAYS);
                    sale.stock().halt();
                }
                _ => {}
            }
            let held = Units(1);
            let limit = Err(Refusal::LimitReached { limit: held, held });
            assert_eq!(sale.buy(now, click(ANN, of)), limit);
            assert_eq!(sale.buy(now, click(Seat::new(8), of)), Err(Refusal::Busy));
        }
        assert_eq!(taken(&sale.keys), 1);
    }

    #[test]
    fn threads_that_bring_the_same_keys_make_one_order_each() {
        let (keys, next) = (Keys::with_room_for(1), AtomicU64::new(1));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for of in 1..5_000 {
                        if let Some(begun) = keys.begin(ANN, key(of)) {
                            // Ordering: Relaxed, only the sum is looked at.
                            begun.keep(&one(), next.fetch_add(1, Ordering::Relaxed));
                        }
                    }
                });
            }
        });
        // Ordering: Relaxed, the threads are joined.
        assert_eq!((next.load(Ordering::Relaxed), taken(&keys)), (5_000, 4_999));
    }
}
