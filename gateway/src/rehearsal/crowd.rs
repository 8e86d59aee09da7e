//! The crowd of a rehearsal: invented members, who click when their windows open, some too early, and pay or do not.

use engine::rules::order::{OrderId, Step};
use engine::rules::refusal::Refusal;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::Click;
use engine::{Engine, OpenSale};
use futures_util::{StreamExt, stream};
use membership::Tier;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Most invented members.
pub(crate) const MEMBERS_MAX: u32 = 100_000;
/// Of a hundred members of a live room, so many are in each tier, lowest first.
const MIX: [u32; 5] = [70, 15, 9, 4, 2];
/// Members click within so long after their window has opened, most of them at its beginning.
const WITHIN: Duration = Duration::from_secs(20);
/// One in so many clicks before their window opens, and hears so.
const EAGER: u32 = 20;
const EAGER_BY_MS: u64 = 1_000;
/// Of a hundred orders so many are paid, within so long.
const PAID: u32 = 80;
const PAID_WITHIN: Duration = Duration::from_secs(15);
/// The crowd looks this often who is due.
const TICK: Duration = Duration::from_millis(10);

/// How many come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    /// 1 to [`MEMBERS_MAX`].
    pub(crate) members: u32,
}

/// After so many clicks, other tasks have their turn.
const TURN: usize = 256;
/// Payments that are on their way at once.
const PAYMENTS: usize = 16;

/// What is due at an instant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Click(u32, Tier),
    Pay(u64),
}

impl Crowd {
    /// Clicks and pays until nobody has anything left to do, or the sale is over.
    pub(super) async fn click(self, engine: &Engine, open: &OpenSale) {
        let mut due = self.clicks(open);
        let mut tick = tokio::time::interval(TICK);
        while !due.is_empty() && !open.sale.is_over(engine.now()) {
            tick.tick().await;
            let mut payments = Vec::new();
            for nth in 1_usize.. {
                let Some(act) = next_due(&mut due, engine.now()) else { break };
                match act {
                    Act::Click(member, tier) => {
                        due.extend(click(engine, open, member, tier).map(Reverse));
                    }
                    Act::Pay(number) => payments.push(pay(engine, open, number)),
                }
                if nth % TURN == 0 {
                    tokio::task::yield_now().await;
                }
            }
            stream::iter(payments).buffer_unordered(PAYMENTS).collect::<()>().await;
        }
    }

    /// When each of them clicks first.
    fn clicks(self, open: &OpenSale) -> BinaryHeap<Reverse<(Millis, Act)>> {
        let windows = &open.sale.terms().windows;
        let clicks = (0..self.members).filter_map(|member| {
            let tier = tier_of(fastrand::u32(..100));
            let opens_at = windows.opens_at(tier)?;
            let at = match fastrand::u32(..EAGER) {
                0 => Millis(opens_at.0.saturating_sub(EAGER_BY_MS)),
                _ => opens_at + WITHIN.mul_f64(fastrand::f64().powi(3)),
            };
            Some(Reverse((at, Act::Click(member, tier))))
        });
        clicks.collect()
    }
}

fn next_due(due: &mut BinaryHeap<Reverse<(Millis, Act)>>, now: Millis) -> Option<Act> {
    let Reverse((at, _)) = due.peek()?;
    let is_due = *at <= now;
    is_due.then(|| due.pop()).flatten().map(|Reverse((_, act))| act)
}

fn tier_of(mut place: u32) -> Tier {
    for (tier, share) in Tier::ALL.into_iter().zip(MIX) {
        if place < share {
            return tier;
        }
        place -= share;
    }
    Tier::Diamond
}

/// One click; returns what the member does next, if anything.
fn click(engine: &Engine, open: &OpenSale, member: u32, tier: Tier) -> Option<(Millis, Act)> {
    let now = engine.now();
    let seat = engine.roster().seat(&format!("invented-{member}"))?;
    let click = Click { seat, tier, units: Units(1), key: None, is_minor: false };
    match open.sale.buy(now, click) {
        Ok(accepted) => {
            open.wake();
            let pays = fastrand::u32(..100) < PAID;
            pays.then(|| (now + PAID_WITHIN.mul_f64(fastrand::f64()), Act::Pay(accepted.number)))
        }
        Err(refusal) => {
            open.sale.meter().refuse(tier, &refusal);
            match refusal {
                Refusal::NotOpen { opens_at } => Some((opens_at, Act::Click(member, tier))),
                _ => None,
            }
        }
    }
}

async fn pay(engine: &Engine, open: &OpenSale, number: u64) {
    let (sale, epoch) = (open.sale.terms().id.clone(), open.sale.epoch());
    let paid = engine.step(open, &OrderId { sale, epoch, number }, Step::Pay).await;
    if let Err(error) = paid {
        tracing::debug!(%error, "an invented member could not pay");
    }
}
