//! Purse: what members may spend beside money, as the book told it last, by seat, and the token that takes
//! some of it for a click.
//!
//! The book decides in the end: an order keeps what it took here until the book has a hold for it. So points
//! are taken from two places at no time, and a click is seldom promised what the book does not have.

use crate::rules::money::{ForeignId, Money};
use crate::rules::refusal::Refusal;
use crate::rules::seat::Seat;
use crate::rules::time::Millis;
use crate::sale::table::Table;
use crate::sync::{AtomicU64, Ordering, SharedMap};
use std::sync::Arc;

/// Bit 63: the balance is known. Bits 32..63: the balance, at most 2,147,483,647 points; who has more spends
/// them bit by bit. Bits 0..32: points that orders have taken of it and for which the book has no hold yet.
type Row = AtomicU64;

const KNOWN: u64 = 1 << 63;
const BALANCE_AT: u32 = 32;
const BALANCE_MAX: u64 = (1 << 31) - 1;
const TAKEN: u64 = u32::MAX as u64;

/// One reading of a row.
#[derive(Debug, Clone, Copy)]
struct Points(u64);

impl Points {
    const fn is_known(self) -> bool {
        self.0 & KNOWN != 0
    }

    const fn taken(self) -> u64 {
        self.0 & TAKEN
    }

    /// Whether a click may take so many. Where the balance is not known it may: the book has the last word.
    fn admits(self, points: u64) -> Result<(), Refusal> {
        if points > BALANCE_MAX || self.is_known() && points > self.free() {
            let points = if self.is_known() { self.free() } else { 0 };
            return Err(Refusal::NotEnoughPoints { points });
        }
        match self.taken() + points <= TAKEN {
            true => Ok(()),
            false => Err(Refusal::Busy),
        }
    }

    /// What a click may take.
    const fn free(self) -> u64 {
        (self.0 >> BALANCE_AT & BALANCE_MAX).saturating_sub(self.taken())
    }
}

/// A coupon that a member can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usable {
    /// Its own id.
    pub id: ForeignId,
    /// Its kind in the plan.
    pub kind: String,
    /// Until then it is good.
    pub until: Millis,
}

/// What the book says of a member.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Points that count now; less than 0 for what is owed.
    pub balance: i64,
    /// Coupons that can be used.
    pub coupons: Vec<Usable>,
}

/// What members may spend.
#[derive(Debug, Default)]
pub struct Purses {
    rows: Table<Row>,
    /// The coupons of those who have some.
    coupons: SharedMap<Seat, Arc<[Usable]>>,
    /// Coupons that orders have taken, and for which the book has no hold yet.
    taken: SharedMap<(Seat, ForeignId), ()>,
}

impl Purses {
    fn points(&self, seat: Seat) -> Points {
        // Ordering: Acquire, paired with the Release in `take_points`: who sees that points are gone also sees the
        // idempotency key of the click that took them.
        Points(self.rows.get(seat.index()).map_or(0, |row| row.load(Ordering::Acquire)))
    }

    /// Points that a member can spend now; `None` if the book was not asked, or its answer did not come.
    #[must_use]
    pub fn free(&self, seat: Seat) -> Option<u64> {
        let points = self.points(seat);
        points.is_known().then(|| points.free())
    }

    /// A coupon that the member can use at an instant.
    #[must_use]
    pub fn usable(&self, seat: Seat, id: &ForeignId, now: Millis) -> Option<Usable> {
        let coupons = self.coupons.pin();
        let coupons = coupons.get(&seat)?;
        coupons.iter().find(|coupon| coupon.id == *id && coupon.until > now).cloned()
    }

    /// Changes a row as a whole.
    fn change(&self, seat: Seat, to: impl Fn(Points) -> u64) {
        let row = self.rows.get_or_grow(seat.index());
        // Ordering: Relaxed, in `points`: a read-modify-write always sees the newest value of its word.
        let changed =
            row.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| Some(to(Points(word))));
        changed.expect("every value has a next one");
    }

    /// Takes over what the book says of a member. `settled` are points that orders had taken and for which the
    /// book has a hold by now: they are not in its balance any more.
    pub fn tell(&self, seat: Seat, told: Told, settled: u64) {
        let coupons = self.coupons.pin();
        if told.coupons.is_empty() {
            coupons.remove(&seat);
        } else {
            coupons.insert(seat, told.coupons.into());
        }
        let balance = u64::try_from(told.balance).unwrap_or(0).min(BALANCE_MAX);
        self.change(seat, |points| KNOWN | balance << BALANCE_AT | less(points.taken(), settled));
    }

    /// Notes that the book has a hold for points that an order had taken, or that the order is not to be.
    pub fn settle(&self, seat: Seat, settled: u64) {
        self.change(seat, |points| points.0 & !TAKEN | less(points.taken(), settled));
    }

    /// Notes that an order does not have a coupon here any more: the book has a hold, or the order is not to be.
    pub fn settle_coupon(&self, seat: Seat, coupon: &ForeignId) {
        self.taken.pin().remove(&(seat, coupon.clone()));
    }

    /// Gives back what an order took that is released before the book has a hold for it.
    pub fn give_back(&self, seat: Seat, money: &Money) {
        if money.points > 0 {
            self.settle(seat, money.points);
        }
        if let Some(coupon) = &money.coupon {
            self.settle_coupon(seat, coupon);
        }
    }

    /// What the book has of a member is not known until it is asked again.
    pub fn forget(&self, seat: Seat) {
        self.coupons.pin().remove(&seat);
        self.change(seat, Points::taken);
    }

    /// Takes points.
    fn take_points(&self, seat: Seat, points: u64) -> Result<(), Refusal> {
        let row = self.rows.get_or_grow(seat.index());
        let mut refusal = Refusal::Busy;
        let taken = row.fetch_update(
            Ordering::Release, // Ordering: paired with the Acquire in `points`.
            Ordering::Relaxed, // Ordering: a read-modify-write sees the newest value of its word.
            |word| {
                let admitted = Points(word).admits(points);
                admitted.map(|()| word + points).map_err(|why| refusal = why).ok()
            },
        );
        taken.map(drop).map_err(|_| refusal)
    }

    /// Whether a click could be paid with this at an instant.
    ///
    /// # Errors
    /// As [`Purses::spend`].
    pub(super) fn check(&self, seat: Seat, now: Millis, money: &Money) -> Result<(), Refusal> {
        let points = self.points(seat);
        points.admits(money.points)?;
        match &money.coupon {
            Some(_) if !points.is_known() => Err(Refusal::Busy),
            Some(coupon)
                if self.usable(seat, coupon, now).is_none()
                    || self.taken.pin().get(&(seat, coupon.clone())).is_some() =>
            {
                Err(Refusal::CouponNotValid)
            }
            _ => Ok(()),
        }
    }

    /// Takes what a click is paid with beside money: all of it, or nothing.
    ///
    /// # Errors
    /// [`Refusal::NotEnoughPoints`], [`Refusal::CouponNotValid`], or [`Refusal::Busy`] where the book has to be
    /// asked first.
    pub(super) fn spend(
        &self,
        seat: Seat,
        now: Millis,
        money: &Money,
    ) -> Result<Spending<'_>, Refusal> {
        let mut spending = Spending { purses: self, seat, points: 0, coupon: None };
        if money.points > 0 {
            self.take_points(seat, money.points)?;
            spending.points = money.points;
        }
        if let Some(coupon) = &money.coupon {
            if !self.points(seat).is_known() {
                return Err(Refusal::Busy);
            }
            let taken = self.taken.pin().try_insert((seat, coupon.clone()), ()).is_ok();
            if !taken {
                return Err(Refusal::CouponNotValid);
            }
            spending.coupon = Some(coupon.clone());
            // It is looked for once it is taken: an order that had it before may have used it.
            if self.usable(seat, coupon, now).is_none() {
                return Err(Refusal::CouponNotValid);
            }
        }
        Ok(spending)
    }
}

/// What is left of what orders have taken.
fn less(taken: u64, settled: u64) -> u64 {
    assert!(taken >= settled, "{settled} points settled of {taken} taken");
    taken - settled
}

/// Points and a coupon, taken for a click; given back when dropped unless kept.
#[must_use = "dropping it gives points and coupon back"]
#[derive(Debug)]
pub struct Spending<'a> {
    purses: &'a Purses,
    seat: Seat,
    points: u64,
    coupon: Option<ForeignId>,
}

impl Spending<'_> {
    /// Points and coupon now belong to an order.
    pub(super) fn keep(mut self) {
        self.points = 0;
        self.coupon = None;
    }
}

impl Drop for Spending<'_> {
    fn drop(&mut self) {
        if self.points > 0 {
            self.purses.settle(self.seat, self.points);
        }
        if let Some(coupon) = self.coupon.take() {
            self.purses.settle_coupon(self.seat, &coupon);
        }
    }
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;
    use crate::rules::cents::Cents;
    use crate::rules::units::Units;

    const ANN: Seat = Seat::new(7);

    fn money(points: u64, coupon: Option<&str>) -> Money {
        let coupon = coupon.map(|id| id.parse().expect("a coupon"));
        Money { points, coupon, ..Money::list(Cents(1_000), Units(1)) }
    }

    fn told(balance: i64, coupons: &[&str]) -> Told {
        let coupons = coupons.iter().map(|id| Usable {
            id: id.parse().expect("a coupon"),
            kind: "welcome".into(),
            until: Millis(100),
        });
        Told { balance, coupons: coupons.collect() }
    }

    fn spend<'a>(
        purses: &'a Purses,
        points: u64,
        coupon: Option<&str>,
    ) -> Result<Spending<'a>, Refusal> {
        purses.spend(ANN, Millis(99), &money(points, coupon))
    }

    #[test]
    fn points_that_a_click_took_are_taken_by_no_other_until_they_come_back() {
        let purses = Purses::default();
        purses.tell(ANN, told(100, &[]), 0);
        let first = spend(&purses, 60, None).unwrap();
        let few = spend(&purses, 41, None).unwrap_err();
        assert_eq!(few, Refusal::NotEnoughPoints { points: 40 });
        drop(first);
        spend(&purses, 100, None).unwrap().keep();
        assert_eq!(purses.free(ANN), Some(0));
    }

    #[test]
    fn a_hold_in_the_book_ends_what_was_taken_in_one_step_with_the_new_balance() {
        let purses = Purses::default();
        purses.tell(ANN, told(100, &[]), 0);
        spend(&purses, 60, None).unwrap().keep();
        // Something else was posted: what was taken stays taken.
        purses.tell(ANN, told(110, &[]), 0);
        assert_eq!(purses.free(ANN), Some(50));
        purses.tell(ANN, told(50, &[]), 60);
        assert_eq!(purses.free(ANN), Some(50));
        purses.tell(ANN, told(-5, &[]), 0);
        assert_eq!(purses.free(ANN), Some(0));
    }

    #[test]
    fn where_the_balance_is_not_known_points_are_taken_and_a_coupon_is_not() {
        let purses = Purses::default();
        spend(&purses, 60, None).unwrap().keep();
        assert_eq!(purses.free(ANN), None);
        assert_eq!(spend(&purses, 1, Some("c")).unwrap_err(), Refusal::Busy);
        purses.tell(ANN, told(100, &[]), 0);
        assert_eq!(purses.free(ANN), Some(40));
        purses.forget(ANN);
        purses.settle(ANN, 60);
        purses.tell(ANN, told(100, &[]), 0);
        assert_eq!(purses.free(ANN), Some(100));
    }

    #[test]
    fn a_coupon_is_taken_once_and_only_while_it_is_good() {
        let purses = Purses::default();
        purses.tell(ANN, told(0, &["c"]), 0);
        let first = spend(&purses, 0, Some("c")).unwrap();
        assert_eq!(spend(&purses, 0, Some("c")).unwrap_err(), Refusal::CouponNotValid);
        assert_eq!(spend(&purses, 0, Some("d")).unwrap_err(), Refusal::CouponNotValid);
        drop(first);
        assert!(purses.spend(ANN, Millis(100), &money(0, Some("c"))).is_err(), "it has expired");
        spend(&purses, 0, Some("c")).unwrap().keep();
        // The book has a hold by now: the coupon is on its list no more.
        purses.tell(ANN, told(0, &[]), 0);
        purses.settle_coupon(ANN, &"c".parse().unwrap());
        assert_eq!(spend(&purses, 0, Some("c")).unwrap_err(), Refusal::CouponNotValid);
    }

    #[test]
    fn a_click_that_lacks_its_coupon_gives_its_points_back() {
        let purses = Purses::default();
        purses.tell(ANN, told(100, &[]), 0);
        assert!(spend(&purses, 100, Some("c")).is_err());
        assert_eq!(purses.free(ANN), Some(100));
    }

    #[test]
    fn who_has_more_than_a_row_holds_spends_it_bit_by_bit() {
        let purses = Purses::default();
        purses.tell(ANN, told(i64::MAX, &[]), 0);
        assert_eq!(purses.free(ANN), Some(BALANCE_MAX));
        assert!(spend(&purses, BALANCE_MAX + 1, None).is_err());
        spend(&purses, BALANCE_MAX, None).unwrap().keep();
        assert_eq!(spend(&purses, 1, None).unwrap_err(), Refusal::NotEnoughPoints { points: 0 });
    }
}
