//! Click: every click is judged by [`Clicks::judge`], whichever way it came. This file knows no
//! HTTP.

use crate::answer::error::ApiError;
use crate::ask::rates::Rates;
use crate::ask::session::Session;
use engine::rules::key::IdempotencyKey;
use engine::rules::refusal::Refusal;
use engine::rules::units::Units;
use engine::sale::{Accepted, Click};
use engine::{Engine, OpenSale};
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

impl Clicks {
    pub(crate) fn new(engine: Arc<Engine>, rates: Arc<Rates>) -> Self {
        Self { engine, rates }
    }

    /// Returns the sale if this member may ask for units of it now: the member has not asked too
    /// often and is not blocked.
    pub(crate) fn enter(&self, session: &Session, sale: &str) -> Result<Arc<OpenSale>, ApiError> {
        self.rates.call(session.seat)?;
        if self.engine.is_blocked(session.seat) {
            return Err(ApiError::Blocked);
        }
        self.engine.sale(sale).ok_or(ApiError::UnknownSale)
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
    ) -> Result<(Arc<OpenSale>, Accepted), ApiError> {
        let open = self.enter(session, sale)?;
        let Session { seat, tier, .. } = *session;
        let Wish { units, key } = wish;
        let now = self.engine.now();
        let accepted = open.sale.buy(now, Click { seat, tier, units, key }).map_err(|refusal| {
            open.sale.meter().refuse(&refusal);
            // Orders that are not paid may still give their units back.
            let may_return = matches!(refusal, Refusal::SoldOut { .. }) && open.may_return();
            ApiError::Refused { refusal, tier, now, may_return }
        })?;
        if accepted.is_new {
            open.wake();
        }
        Ok((open, accepted))
    }
}
