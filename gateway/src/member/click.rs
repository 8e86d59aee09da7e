//! Click: every click is judged by [`Clicks::judge`], whichever way it came. This file knows no
//! HTTP.

use crate::answer::refusals::{BLOCKED, TOO_OFTEN};
use crate::ask::audience::{any_sale_for, sale_for, sees};
use crate::ask::rates::{Rates, TooOften};
use crate::ask::session::Session;
use crate::ask::tiers::{Said, TiersFrom};
use crate::meters::Meters;
use engine::clock::Stopwatch;
use engine::fault::crash_point;
use engine::open::blocked::Look;
use engine::rules::key::IdempotencyKey;
use engine::rules::money::ForeignId;
use engine::rules::price::BadPoints;
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::refused::{Kind, Refused};
use engine::sale::{Accepted, Click};
use engine::{Engine, NoSale, OpenSale};
use membership::Tier;
use std::cell::Cell;
use std::sync::Arc;

/// Judges clicks by the engine's rules and by how often a member may ask.
#[derive(Debug)]
pub(crate) struct Clicks {
    engine: Arc<Engine>,
    rates: Arc<Rates>,
    meters: Arc<Meters>,
    tiers_from: TiersFrom,
}

/// What a click asks for.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) units: Units,
    /// With a key it is safe to send the same click again.
    pub(crate) key: Option<IdempotencyKey>,
    /// Points to pay a part with.
    pub(crate) points: u64,
    /// A coupon of the member's.
    pub(crate) coupon: Option<ForeignId>,
}

/// Why a click did not become an order. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotAccepted {
    /// The member has clicked too often.
    TooOften(TooOften),
    /// The member may not buy.
    Blocked,
    /// There is no open sale with this id for this member.
    NoSale(NoSale),
    /// The click cannot be read.
    Bad(&'static str),
    /// The order cannot be paid with so many points.
    BadPoints(BadPoints),
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
    pub(crate) fn new(
        engine: Arc<Engine>,
        rates: Arc<Rates>,
        meters: Arc<Meters>,
        tiers_from: TiersFrom,
    ) -> Self {
        Self { engine, rates, meters, tiers_from }
    }

    /// What a trusted caller's word on a member's tier counts.
    pub(crate) const fn said(&self, tier: Tier) -> Said {
        Said { from: self.tiers_from, tier: Some(tier) }
    }

    /// Whether a click cannot be judged before the book was asked about the member.
    pub(crate) const fn needs_book(&self) -> bool {
        self.tiers_from.needs_book()
    }

    pub(crate) const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Returns the sale if this member may ask for units of it now: the member has not asked too
    /// often and is not blocked, as long as the look is held.
    pub(crate) fn enter(
        &self,
        session: &Session,
        sale: &str,
    ) -> Result<(Arc<OpenSale>, Look), NotAccepted> {
        let blocked = self.engine.look_at_blocked();
        self.admit(session.seat, &blocked)?;
        let open = sale_for(&self.engine, sale, Some(session)).map_err(NotAccepted::NoSale)?;
        Ok((open, blocked))
    }

    /// Whether a member may click at all now, of a click that is judged in another way. Who is blocked is looked for
    /// first: such a click is judged all the same, and counts there.
    pub(crate) fn may_click(&self, seat: Seat) -> Result<(), NotAccepted> {
        match self.engine.look_at_blocked().contains(seat) {
            true => Err(NotAccepted::Blocked),
            false => self.rates.call(seat).map_err(NotAccepted::TooOften),
        }
    }

    /// Whether a member may ask at all now.
    fn admit(&self, seat: Seat, blocked: &Look) -> Result<(), NotAccepted> {
        self.rates.call(seat).map_err(NotAccepted::TooOften)?;
        if blocked.contains(seat) { Err(NotAccepted::Blocked) } else { Ok(()) }
    }

    /// Judges many members' clicks of one sale, in their order, each as [`Clicks::judge`] would, and adds what
    /// became of them to `judged`. They share one look at the time and at who is blocked, so they should be
    /// few: nobody can be blocked meanwhile.
    pub(crate) fn judge_some(
        &self,
        open: &OpenSale,
        clicks: impl Iterator<Item = Result<(Session, Wish), NotAccepted>>,
        judged: &mut Vec<Result<Accepted, NotAccepted>>,
    ) {
        let (watch, now, blocked) =
            (Stopwatch::start(), self.engine.now(), self.engine.look_at_blocked());
        let begun = judged.len();
        let (mut many, counted) = (0, Cell::new(None));
        // Counted once until an order is made: that reads the counts of all tiers.
        let may_return = || {
            let may = counted.get().unwrap_or_else(|| open.may_return());
            counted.set(Some(may));
            may
        };
        for click in clicks {
            many += u32::from(click.is_ok());
            judged.push(click.and_then(|(session, wish)| {
                let admitted = self.admit(session.seat, &blocked).inspect_err(|why| {
                    why.kind().into_iter().for_each(|kind| note(open, session.seat, kind, now));
                });
                admitted?;
                match sees(&self.engine, open, Some(&session)) {
                    true => {
                        let made = self.decide_in(&session, open, &wish, now, may_return);
                        made.inspect(|_| counted.set(None))
                    }
                    false => Err(NotAccepted::NoSale(NoSale::Unknown)),
                }
            }));
        }
        let judged = &judged[begun..];
        let accepted = judged.iter().filter(|judged| judged.is_ok()).count() as u64;
        let took = watch.elapsed() / many.max(1);
        self.meters.accepted.record_many(accepted, took);
        self.meters.refused.record_many(u64::from(many) - accepted, took);
        if judged.iter().flatten().any(|accepted| accepted.is_new) {
            open.wake();
        }
    }

    /// Judges a click at once and for good, and wakes the confirmer if the click became a new
    /// order.
    ///
    /// A refused click gets the first refusal in the order of checks, and it has changed nothing.
    pub(crate) async fn judge(
        &self,
        session: &Session,
        sale: &str,
        wish: &Wish,
    ) -> Result<(Arc<OpenSale>, Accepted), NotAccepted> {
        let watch = Stopwatch::start();
        let mut judged = self.decide(session, sale, wish);
        if let Err(NotAccepted::NoSale(NoSale::Unknown)) = judged {
            // It may be archived: then a key may still stand for an order.
            judged = match any_sale_for(&self.engine, sale, Some(session)).await {
                Ok(open) => {
                    let may_return = || open.may_return();
                    let judged =
                        self.decide_in(session, &open, wish, self.engine.now(), may_return);
                    judged.map(|made| (open, made))
                }
                Err(none) => Err(NotAccepted::NoSale(none)),
            };
        }
        let timing = if judged.is_ok() { &self.meters.accepted } else { &self.meters.refused };
        match &judged {
            Ok((open, accepted)) if accepted.is_new => open.wake(),
            Ok(_) => {}
            Err(why) => {
                if let Some(kind) = why.kind()
                    && let Ok(open) = self.engine.sale(sale)
                {
                    note(&open, session.seat, kind, self.engine.now());
                }
            }
        }
        timing.record(watch.elapsed());
        judged
    }

    fn decide(
        &self,
        session: &Session,
        sale: &str,
        wish: &Wish,
    ) -> Result<(Arc<OpenSale>, Accepted), NotAccepted> {
        // The member cannot be blocked before the click is judged.
        let (open, _look) = self.enter(session, sale)?;
        let may_return = || open.may_return();
        let made = self.decide_in(session, &open, wish, self.engine.now(), may_return)?;
        Ok((open, made))
    }

    fn decide_in(
        &self,
        session: &Session,
        open: &OpenSale,
        wish: &Wish,
        now: Millis,
        may_return: impl FnOnce() -> bool,
    ) -> Result<Accepted, NotAccepted> {
        let Session { seat, said, is_minor, .. } = *session;
        let tier = said.tier(&self.engine, seat);
        let Wish { units, key, .. } = *wish;
        let click = Click { seat, tier, units, key, is_minor };
        let judged = match (wish.points, &wish.coupon) {
            (0, None) => open.sale.buy(now, click),
            (points, coupon) => {
                let (purses, coupon) = (self.engine.book().purses(), coupon.clone());
                let judged = open.sale.buy_with(now, click, purses, points, coupon);
                judged.map_err(NotAccepted::BadPoints)?
            }
        };
        let accepted = judged.map_err(|refusal| {
            open.sale.meter().refuse(tier, &refusal);
            note(open, seat, refusal.kind(), now);
            // Orders that are not paid may still give their units back.
            let may_return = matches!(refusal, Refusal::SoldOut { .. }) && may_return();
            NotAccepted::Refused { refusal, tier, now, may_return }
        })?;
        crash_point("judged");
        Ok(accepted)
    }
}

impl NotAccepted {
    /// As the record of refusals keeps what the sale did not hear of. What it refused itself is noted when it
    /// does.
    const fn kind(&self) -> Option<Kind> {
        match self {
            Self::TooOften(_) => Some(TOO_OFTEN),
            Self::Blocked => Some(BLOCKED),
            Self::NoSale(_) | Self::BadPoints(_) | Self::Bad(_) | Self::Refused { .. } => None,
        }
    }
}

/// Keeps a refusal for those who ask why.
fn note(open: &OpenSale, seat: Seat, why: Kind, at: Millis) {
    let left = open.sale.stock().level().left();
    open.refused.note(Refused { seat, kind: why, at, left });
}
