//! No unit is left behind: whatever falls together while members who wait are served.

use crate::support::{OPEN, click, engine, member};
use engine::rules::order::{OrderId, Step};
use engine::rules::units::Units;
use engine::sale::Click;
use engine::store::Switch;
use engine::{Engine, OpenSale};
use membership::Tier::Gold;
use std::time::{Duration, Instant};

fn by(engine: &Engine, name: &str) -> Click {
    let seat = engine.roster().seat(name).unwrap();
    Click { seat, ..click(0, Gold, 1) }
}

/// The unit is on sale again, or another order holds it; it does not lie aside for nobody.
fn is_settled(open: &OpenSale) -> bool {
    let held = open.sale.meter().stored().held_units();
    let left = open.sale.stock().level().left().0;
    open.sale.aside().units() == Units(0) && u64::from(left) + held == 1
}

/// One unit comes back while its only waiter is blocked and an operator pauses and resumes.
async fn round() {
    let (engine, open) = engine(1).await;
    let number = open.sale.buy(OPEN, by(&engine, "ann")).unwrap().number;
    open.wake();
    open.settled(number, Duration::from_secs(10)).await.unwrap();
    engine.join(&open, by(&engine, "bob")).await.unwrap();
    let id = OrderId { sale: open.sale.terms().id.clone(), epoch: open.sale.epoch(), number };
    let pausing = async {
        for switch in [Switch::Pause, Switch::Resume, Switch::Pause, Switch::Resume] {
            engine.switch(&open, switch).await.unwrap();
        }
    };
    let bob = member("bob");
    let (step, blocked, ()) =
        tokio::join!(engine.step(&open, &id, Step::Cancel), engine.block(&bob), pausing);
    step.unwrap().unwrap();
    blocked.unwrap();
    let start = Instant::now();
    while !is_settled(&open) {
        assert!(start.elapsed() < Duration::from_secs(5), "{:?} aside", open.sale.aside().units());
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pause_or_a_dismissal_while_members_are_served_strands_no_unit() {
    for _ in 0..3_000 {
        round().await;
    }
}
