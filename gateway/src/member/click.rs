//! Click: every click is judged by [`Clicks::judge`], whichever way it came. This file knows no
//! HTTP.

use crate::ask::rates::{Rates, TooOften};
use crate::ask::session::Session;
use engine::fault::crash_point;
use engine::open::blocked::Look;
use engine::rules::key::IdempotencyKey;
use engine::rules::refusal::Refusal;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::{Accepted, Click};
use engine::{Engine, NoSale, OpenSale};
use membership::Tier;
use std::sync::Arc;

/// Judges clicks by the engine's rules and by how often a member may ask.
#[derive(Debug)]
pub(crate) struct Clicks {
    engine: Arc<Engine>,
    rates: Arc<Rates>,
}

/// What a click asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) units: Units,
    /// With a key it is safe to send the same click again.
    pub(crate) key: Option<IdempotencyKey>,
}

/// Why a click did not become an order. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAccepted {
    /// The member has clicked too often.
    TooOften(TooOften),
    /// The member may not buy.
    Blocked,
    /// There is no open sale with this id.
    NoSale(NoSale),
    /// The sale refused it.
    Refused {
        refusal: Refusal,
        /// The member's.
        tier: Tier,
        /// When it was judged.
        now: Millis,
        /// Whether units may still come back.
        may_return: bool,
    },
}

impl Clicks {
    pub(crate) fn new(engine: Arc<Engine>, rates: Arc<Rates>) -> Self {
        Self { engine, rates }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the sale if this member may ask for units of it now: the member has not asked too
    /// often and is not blocked, as long as the look is held.
    pub(crate) fn enter(
        &self,
        session: &Session,
        sale: &str,
    ) -> Result<(Arc<OpenSale>, Look), NotAccepted> {
        self.rates.call(session.seat).map_err(NotAccepted::TooOften)?;
        let blocked = self.engine.look_at_blocked();
        if blocked.contains(session.seat) {
            return Err(NotAccepted::Blocked);
        }
        let open = self.engine.sale(sale).map_err(NotAccepted::NoSale)?;
        Ok((open, blocked))
    }

    /// Judges a click at once and for good, and wakes the confirmer if the click became a new
    /// order.
    ///
    /// A refused click gets the first refusal in the order of checks, and it has changed nothing.
    pub(crate) fn judge(
        &self,
        session: &Session,
        sale: &str,
        wish: Wish,
    ) -> Result<(Arc<OpenSale>, Accepted), NotAccepted> {
        // The member cannot be blocked before the click is judged.
        let (open, _look) = self.enter(session, sale)?;
        let Session { seat, tier, .. } = *session;
        let Wish { units, key } = wish;
        let now = self.engine.now();
        let accepted = open.sale.buy(now, Click { seat, tier, units, key }).map_err(|refusal| {
            open.sale.meter().refuse(&refusal);
            // Orders that are not paid may still give their units back.
            let may_return = matches!(refusal, Refusal::SoldOut { .. }) && open.may_return();
            NotAccepted::Refused { refusal, tier, now, may_return }
        })?;
        crash_point("judged");
        if accepted.is_new {
            open.wake();
        }
        Ok((open, accepted))
    }
}
