//! Rehearsal: a copy of a sale at which invented members click. It has an engine and a store of its own, in memory, so that
//! nothing of it reaches the store, the outbox, the book, or what is counted of this process; what ends it forgets it.

mod crowd;

pub(crate) use crowd::{Crowd, MEMBERS_MAX};

use engine::clock::Clock;
use engine::rules::terms::{SaleId, Terms};
use engine::rules::time::Millis;
use engine::rules::window::Windows;
use engine::store::{MemoryStore, Store, StoreError};
use engine::{Engine, OpenSale, Settings};
use membership::PerTier;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// How the copy's id begins.
const MARK: &str = "rehearsal-";
/// Most characters of a sale's id.
const ID_MAX: usize = 40;
/// The first window opens so long after the rehearsal began.
const LEAD: Duration = Duration::from_secs(5);
/// All windows open within so long; those of the sale are moved together if they lie further apart.
const WINDOWS_WITHIN: Duration = Duration::from_secs(20);
/// The copy closes so long after its last window has opened.
const OPEN_FOR: Duration = Duration::from_secs(60);
/// Most seconds to pay, so that one sees units come back.
const PAY_WITHIN_S_MAX: u32 = 20;
/// A rehearsal is kept so long after its close, for those who look.
const KEPT: Duration = Duration::from_secs(60);

/// The rehearsal that goes on, if one does.
#[derive(Debug, Default)]
pub(crate) struct Rehearsals(Mutex<Option<Running>>);

#[derive(Debug)]
struct Running {
    of: SaleId,
    engine: Arc<Engine>,
    open: Arc<OpenSale>,
    crowd: AbortHandle,
}

impl Rehearsals {
    /// Begins a rehearsal of a sale with these terms. One that goes on ends.
    ///
    /// # Errors
    /// When the copy cannot be made.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        terms: &Terms,
        crowd: Crowd,
    ) -> Result<(Arc<Engine>, Arc<OpenSale>), StoreError> {
        let settings =
            Settings { confirm_within: Duration::from_secs(10), orders_per_member: 1_000 };
        let store: Store = MemoryStore::default().into();
        let engine = Arc::new(Engine::start(store, Clock::Wall, settings).await?);
        let copy = copy(terms, engine.now());
        let ends_at = copy.windows.closes_at() + KEPT;
        let open = engine.create(&copy).await?;
        let (clicking, clicked) = (Arc::clone(&engine), Arc::clone(&open));
        let rehearsals = Arc::downgrade(self);
        let crowd = tokio::spawn(async move {
            crowd.click(&clicking, &clicked).await;
            tokio::time::sleep(between(clicking.now(), ends_at)).await;
            if let Some(rehearsals) = rehearsals.upgrade() {
                rehearsals.forget(&clicking).await;
            }
        });
        let running = Running {
            of: terms.id.clone(),
            engine: Arc::clone(&engine),
            open: Arc::clone(&open),
            crowd: crowd.abort_handle(),
        };
        let before = self.0.lock().replace(running);
        end(before).await;
        Ok((engine, open))
    }

    /// The rehearsal of this sale, if it goes on.
    pub(crate) fn of(&self, sale: &str) -> Option<(Arc<Engine>, Arc<OpenSale>)> {
        let running = self.0.lock();
        let running = running.as_ref().filter(|running| running.of.as_str() == sale)?;
        Some((Arc::clone(&running.engine), Arc::clone(&running.open)))
    }

    /// Ends the rehearsal of this sale. Returns whether there was one.
    pub(crate) async fn end(&self, sale: &str) -> bool {
        let ended = self.0.lock().take_if(|running| running.of.as_str() == sale);
        let was = ended.is_some();
        end(ended).await;
        was
    }

    /// Forgets a rehearsal whose time is over, unless another one has begun meanwhile.
    async fn forget(&self, engine: &Arc<Engine>) {
        let over = self.0.lock().take_if(|running| Arc::ptr_eq(&running.engine, engine));
        if let Some(over) = over {
            stop(&over.engine).await;
        }
    }
}

async fn end(running: Option<Running>) {
    if let Some(running) = running {
        running.crowd.abort();
        stop(&running.engine).await;
    }
}

/// Ends the copy's confirmer. Its store is memory, so there is nothing to wait for.
async fn stop(engine: &Engine) {
    let unconfirmed = engine.drain(Duration::from_secs(1)).await;
    tracing::debug!(unconfirmed, "a rehearsal has ended");
}

/// How long from one instant to a later one.
const fn between(from: Millis, to: Millis) -> Duration {
    Duration::from_millis(to.0.saturating_sub(from.0))
}

/// The terms of the copy: another id, windows that open soon and within half a minute, and little time to pay.
fn copy(terms: &Terms, now: Millis) -> Terms {
    let id: String = format!("{MARK}{}", terms.id).chars().take(ID_MAX).collect();
    let first = terms.windows.first_opens_at();
    let tiers = membership::Tier::ALL.map(|tier| terms.windows.opens_at(tier));
    let span = tiers.iter().flatten().map(|at| between(first, *at)).max();
    let span = span.unwrap_or_default().max(Duration::from_millis(1));
    let squeezed = |after: Duration| match span > WINDOWS_WITHIN {
        true => after.mul_f64(WINDOWS_WITHIN.as_secs_f64() / span.as_secs_f64()),
        false => after,
    };
    let begins = now + LEAD;
    let opens = tiers.map(|at| at.map(|at| begins + squeezed(between(first, at))));
    let last = opens.iter().flatten().max().copied().unwrap_or(begins);
    Terms {
        id: id.parse().expect("a shorter part of an id behind a plain word"),
        windows: Windows::new(PerTier(opens), last + OPEN_FOR).expect("in the order of the sale's"),
        pay_within_s: terms.pay_within_s.min(PAY_WITHIN_S_MAX),
        ..terms.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::rules::cents::Cents;
    use engine::rules::member_terms::MemberTerms;
    use engine::rules::units::Units;
    use membership::Tier;

    fn terms(opens: [Option<u64>; 5]) -> Terms {
        Terms {
            id: "a-sale-whose-id-has-as-many-as-it-may-40".parse().unwrap(),
            title: "A lamp".into(),
            price: Cents(100),
            currency: "CNY".into(),
            stock: Units(5),
            windows: Windows::new(PerTier(opens.map(|at| at.map(Millis))), Millis::MAX).unwrap(),
            limits: PerTier([Units(1); 5]),
            pay_within_s: 900,
            adults_only: false,
            image_url: None,
            members: MemberTerms::default(),
        }
    }

    #[test]
    fn a_copy_opens_soon_keeps_the_order_of_the_windows_and_closes() {
        let hour = 3_600_000;
        let sale = terms([None, None, Some(3 * hour), Some(2 * hour), Some(hour)]);
        let now = Millis(9 * hour);
        let copy = copy(&sale, now);
        assert!(copy.id.as_str().starts_with("rehearsal-a-sale"), "{}", copy.id);
        let opens = |tier| copy.windows.opens_at(tier);
        assert_eq!(opens(Tier::Diamond), Some(now + LEAD));
        assert_eq!(opens(Tier::Platinum), Some(now + LEAD + WINDOWS_WITHIN / 2));
        assert_eq!(opens(Tier::Gold), Some(now + LEAD + WINDOWS_WITHIN));
        assert_eq!(opens(Tier::Regular), None, "who may not buy may not rehearse");
        assert_eq!(copy.windows.closes_at(), now + LEAD + WINDOWS_WITHIN + OPEN_FOR);
        assert_eq!(copy.pay_within_s, PAY_WITHIN_S_MAX);
        // Windows that lie closer together stay as they are.
        let close = terms([Some(10_000), Some(10_000), Some(9_000), Some(9_000), Some(9_000)]);
        let copy = super::copy(&close, now);
        assert_eq!(copy.windows.opens_at(Tier::Silver), Some(now + LEAD + Duration::from_secs(1)));
    }

    #[tokio::test]
    async fn of_rehearsals_begun_at_once_one_goes_on_and_its_time_ends_it() {
        let rehearsals = Arc::new(Rehearsals::default());
        let sale = terms([Some(1); 5]);
        let begin = || rehearsals.begin(&sale, Crowd { members: 1 });
        let (first, second) = tokio::join!(begin(), begin());
        let begun = [first.unwrap().0, second.unwrap().0];
        let (left, _) = rehearsals.of(sale.id.as_str()).unwrap();
        assert!(begun.iter().any(|engine| Arc::ptr_eq(engine, &left)));
        let ended = begun.iter().find(|engine| !Arc::ptr_eq(engine, &left)).unwrap();
        // One that was ended before its time ends nothing when that comes.
        rehearsals.forget(ended).await;
        assert!(rehearsals.of(sale.id.as_str()).is_some());
        rehearsals.forget(&left).await;
        assert!(rehearsals.of(sale.id.as_str()).is_none());
    }
}
