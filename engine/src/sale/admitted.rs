//! Admitted: an order that is certain and not yet written down. Only an `Admitted` goes on the
//! queue, so the queue enforces windows, limits and stock by its type.

use super::aside::Taken;
use super::click::Click;
use super::holdings::Claim;
use super::purse::Spending;
use super::stock::{Reservation, Stock};
use crate::rules::refusal::Refusal;
use crate::rules::units::Units;
use crate::rules::window::Entered;

/// A click with its claim on the member's limit, its units, and what it spends beside money. Dropping it gives
/// all of that back.
#[must_use = "dropping it gives back what was taken"]
#[derive(Debug)]
pub struct Admitted<'a> {
    click: Click,
    claim: Claim<'a>,
    source: Source<'a>,
    spending: Option<Spending<'a>>,
}

/// Where the units come from, and go back to.
#[derive(Debug)]
enum Source<'a> {
    Stock(Reservation<'a>),
    Aside(Taken<'a>),
}

impl<'a> Admitted<'a> {
    /// A click's order: its tier has entered, the limit is claimed, the units are reserved.
    ///
    /// # Panics
    /// When another tier has entered, or claim and reservation are not for the click's units.
    #[inline]
    pub fn click(
        click: Click,
        entered: Entered,
        claim: Claim<'a>,
        reservation: Reservation<'a>,
    ) -> Self {
        assert!(entered.into_tier() == click.tier, "another tier has entered");
        assert_same(click.units, claim.units(), reservation.units());
        Self { click, claim, source: Source::Stock(reservation), spending: None }
    }

    /// An offer's order: the limit is claimed, the units lay aside. The switches are read after the
    /// units were taken: nothing is offered once a pause or a close has returned.
    ///
    /// # Errors
    /// [`Refusal::Paused`] or [`Refusal::Closed`]; limit and units have gone back.
    ///
    /// # Panics
    /// When claim and units are not for the click's units.
    pub fn offer(
        click: Click,
        claim: Claim<'a>,
        taken: Taken<'a>,
        stock: &Stock,
    ) -> Result<Self, Refusal> {
        assert_same(click.units, claim.units(), taken.units());
        stock.level().admits(Units(0))?;
        Ok(Self { click, claim, source: Source::Aside(taken), spending: None })
    }

    /// The same order, paid in part with what was taken for it.
    pub fn paid_with(self, spending: Spending<'a>) -> Self {
        Self { spending: Some(spending), ..self }
    }

    /// The click, or the wish of a member who waited.
    #[inline]
    #[must_use]
    pub fn wish(&self) -> Click {
        self.click
    }

    /// Gives the limit, the units and what else was taken over to an order on the queue. Returns whether
    /// there was something else.
    #[inline]
    pub(super) fn keep(self) -> bool {
        self.claim.keep();
        match self.source {
            Source::Stock(reservation) => reservation.keep(),
            Source::Aside(taken) => taken.keep(),
        }
        let is_mixed = self.spending.is_some();
        if let Some(spending) = self.spending {
            spending.keep();
        }
        is_mixed
    }
}

#[inline]
fn assert_same(wanted: Units, claimed: Units, taken: Units) {
    assert!(
        claimed == wanted && taken == wanted,
        "{wanted} wanted, {claimed} claimed, {taken} taken"
    );
}
