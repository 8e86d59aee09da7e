//! A process that ends while it puts a sale into the archive: once started again it does so, and every order is there.

use super::patience::patience;
use super::site::{KeptIn, Site, terms};
use super::suite::{Outcome, Suite, Times};
use super::views::Allowed;
use anyhow::ensure;
use serde_json::json;
use std::time::{Duration, Instant};

/// A sale that costs nothing, so that its orders need no payment.
const FREE: &str = "free";
const ORDERS: u64 = 40;

pub(super) async fn archiving(suite: Suite) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for _ in 0..suite.times(Times { short: 1, long: 5 }) {
        for kept_in in [KeptIn::Redis, KeptIn::Journal] {
            let scene = ends_within(&suite, kept_in).await?;
            outcome.times += scene.times;
            outcome.views.merge(scene.views);
            outcome.recovery = outcome.recovery.max(scene.recovery);
        }
    }
    Ok(outcome)
}

async fn ends_within(suite: &Suite, kept_in: KeptIn) -> anyhow::Result<Outcome> {
    let crash = [("FLASHLANE_CRASH_AT", "archiving")];
    let mut site = Site::keeping(kept_in, &suite.armed, &crash).await?;
    let mut free = terms(FREE);
    (free["price_cents"], free["free"]) = (json!(0), json!(true));
    (free["points_share_max"], free["coupons"]) = (json!(0), json!([]));
    let mut operator = site.process.as_operator()?;
    operator.make_sale(&free).await?;
    let mut made = Vec::new();
    for nth in 0..ORDERS {
        made.push(site.process.as_platform()?.click(FREE, &format!("buyer-{}", nth % 9)).await?);
    }
    operator.settled(FREE, patience()).await?;
    operator.switch(FREE, "close").await?;
    let start = Instant::now();
    while !site.process.has_ended() {
        ensure!(start.elapsed() < patience(), "the sale is not archived");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    site.restart().await?;
    ensure!(site.crashes == 1, "the process did not end at this point");
    let mut operator = site.process.as_operator()?;
    while !operator.report(FREE).await.is_ok_and(|report| report.archived) {
        ensure!(start.elapsed() < 2 * patience(), "the sale is not archived after the next start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let orders = operator.orders(FREE).await?;
    let paid = orders.iter().filter(|order| order.status == "paid");
    let paid: Vec<_> = paid.map(|order| order.order_id.clone()).collect();
    ensure!(paid == made, "the archive has {paid:?}, and {made:?} were made");
    site.recovered().await?;
    let views = site.close(Allowed { reserved_gone: true, ..Allowed::default() }).await?;
    Ok(Outcome { times: 1, views, recovery: site.recovery })
}
