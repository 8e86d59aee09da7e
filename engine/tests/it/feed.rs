//! The feed: a member who watches hears each step once and in order, whoever waits besides.

use crate::support::{OPEN, click, engine};
use engine::rules::order::{OrderId, Status, Step};
use engine::sale::Click;
use membership::Tier::Gold;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn confirmed_is_not_told_after_paid_however_many_callers_wait_for_the_order() {
    const PATIENCE: Duration = Duration::from_secs(10);
    const ROUNDS: u32 = 2_000;
    let (engine, open) = engine(ROUNDS).await;
    for round in 0..ROUNDS {
        let seat = engine.roster().seat(&format!("m{round}")).unwrap();
        let mut told = open.watch(seat);
        let number = open.sale.buy(OPEN, Click { seat, ..click(0, Gold, 1) }).unwrap().number;
        open.wake();
        let callers: Vec<_> = std::iter::repeat_with(|| Arc::clone(&open))
            .map(|open| tokio::spawn(async move { open.settled(number, PATIENCE).await }))
            .take(4)
            .collect();
        open.settled(number, PATIENCE).await.unwrap();
        let id = OrderId { sale: open.sale.terms().id.clone(), epoch: open.sale.epoch(), number };
        engine.step(&open, &id, Step::Pay).await.unwrap().unwrap();
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        let steps: Vec<_> =
            std::iter::from_fn(|| told.try_recv().ok()).map(|found| found.status()).collect();
        assert_eq!(steps, [Status::Confirmed, Status::Paid], "round {round}");
    }
}
