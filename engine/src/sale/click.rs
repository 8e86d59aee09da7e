//! Click: what a sale judges, and what an accepted click became.

use crate::rules::key::IdempotencyKey;
use crate::rules::money::Money;
use crate::rules::refusal::Refusal;
use crate::rules::seat::Seat;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::sale::keys::Body;
use crate::sale::purse::{Purses, Spending};
use membership::Tier;

/// A member's wish to buy; seat and tier are vouched for by the member's session.
#[derive(Debug, Clone, Copy)]
pub struct Click {
    /// The member's seat.
    pub seat: Seat,
    /// The member's tier at this instant.
    pub tier: Tier,
    /// Units asked for.
    pub units: Units,
    /// Makes a repetition of this click safe.
    pub key: Option<IdempotencyKey>,
    /// Whether the member is a minor, whom some sales do not admit.
    pub is_minor: bool,
}

/// The answer to an accepted click: this order is the member's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The order's number.
    pub number: u64,
    /// False when the click repeats one that was accepted before.
    pub is_new: bool,
}

/// What a click pays with points or a coupon in part.
#[derive(Debug)]
pub(super) struct MixedPrice<'a> {
    /// What the order costs.
    pub(super) money: Money,
    /// Why the coupon takes nothing off, if it does not: the sale does not take it for such an order.
    pub(super) coupon_refused: Option<Refusal>,
    /// From where points and coupon are taken.
    pub(super) purses: &'a Purses,
}

impl<'a> MixedPrice<'a> {
    /// Takes what the click pays with beside money, if it does; with it what the order costs.
    ///
    /// # Errors
    /// As [`Purses::spend`], or why the coupon is refused.
    #[inline]
    pub(super) fn spend(
        price: Option<&'a Self>,
        click: Click,
        now: Millis,
    ) -> Result<Option<(Spending<'a>, &'a Money)>, Refusal> {
        let Some(Self { money, coupon_refused, purses }) = price else { return Ok(None) };
        match coupon_refused {
            Some(why) => Err(*why),
            None => Ok(Some((purses.spend(click.seat, now, money)?, money))),
        }
    }

    /// Whether the click could take at this instant what it pays with beside money. Takes nothing.
    ///
    /// # Errors
    /// As [`Self::spend`].
    #[inline]
    pub(super) fn check(price: Option<&Self>, click: Click, now: Millis) -> Result<(), Refusal> {
        match price {
            None => Ok(()),
            Some(Self { coupon_refused: Some(why), .. }) => Err(*why),
            Some(Self { money, purses, .. }) => purses.check(click.seat, now, money),
        }
    }

    /// What the click asks for, as its key stands for it.
    pub(super) fn body(price: Option<&Self>, click: Click) -> Body {
        let tender = price.map(|price| price.money.tender()).unwrap_or_default();
        Body { units: click.units, tender }
    }
}
