//! The members' book in a run: members are enrolled, do what earns, and have points and a coupon to spend.
//! In the end what the book has of each of them is compared with their orders.

use crate::load::members::Clicker;
use crate::run::operator::{ListedOrder, Operator};
use crate::run::platform::Platform;
use anyhow::ensure;
use jiff::Timestamp;
use membership::Tier;
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;

/// Points that a click pays with, worth so many of the currency's minor unit by the plan inside.
pub const SPENT: u64 = 500;
/// The id of each member's coupon.
pub const COUPON: &str = "run";
/// Points that each member is given, for a few orders.
const GIVEN: u64 = 3_000;
/// Acts in one call.
const ACTS: usize = 1_000;
/// How long the book may take to follow the last order.
const PATIENCE: Duration = Duration::from_secs(60);

/// The points of members before the clicks.
#[derive(Debug, Default)]
pub struct Before(HashMap<String, i64>);

/// Enrols members and gives them what their tier, their acts and the run need.
///
/// # Errors
/// When the server refuses a call.
pub async fn enrol(
    platform: &mut Platform,
    operator: &mut Operator,
    clickers: &[Clicker],
) -> anyhow::Result<Before> {
    let thresholds = operator.plan().await?.thresholds();
    let enrolled = || clickers.iter().filter(|clicker| clicker.is_enrolled);
    for Clicker { member, tier, .. } in enrolled() {
        platform.enrol(member, None).await?;
        operator.adjust(member, "points", "points", GIVEN).await?;
        operator.issue(member, COUPON, "welcome").await?;
        // The book decides the tier of those who are enrolled.
        if *tier > Tier::Regular {
            operator.adjust(member, "growth", "growth", thresholds[*tier]).await?;
        }
    }
    let at = Timestamp::now().to_string();
    let acts = enrolled().flat_map(|Clicker { member, .. }| {
        let share = json!({"id": format!("s-{member}"), "member": member, "kind": "share", "at": at});
        let watch = json!({
            "id": format!("w-{member}"), "member": member, "kind": "watch", "at": at, "seconds": 600,
        });
        [share, watch]
    });
    for acts in acts.collect::<Vec<_>>().chunks(ACTS) {
        platform.tell(acts).await?;
    }
    let mut before = Before::default();
    for Clicker { member, .. } in enrolled() {
        let points = platform.account(member).await?.points;
        ensure!(points.pending == 0, "{member} has orders already");
        before.0.insert(member.clone(), points.balance);
    }
    Ok(before)
}

/// Returns how many members were compared, and a sentence for each difference, once the book has followed
/// all orders.
///
/// # Errors
/// When the server refuses a call, or the book does not follow.
pub async fn compare(
    platform: &mut Platform,
    operator: &mut Operator,
    before: &Before,
    listed: &[ListedOrder],
) -> anyhow::Result<(usize, Vec<String>)> {
    let mut differences = operator.book(PATIENCE).await?.differences;
    for (member, had) in &before.0 {
        let theirs = listed.iter().filter(|order| order.member == *member);
        let (mut expected, mut pending) = (*had, 0);
        for order in theirs {
            let earned = order.due_cents / 100;
            match order.status.as_str() {
                "paid" => expected += earned.cast_signed() - order.points.cast_signed(),
                "confirmed" => {
                    expected -= order.points.cast_signed();
                    pending += earned;
                }
                _ => {}
            }
        }
        let has = platform.account(member).await?.points;
        if (has.balance, has.pending) != (expected, pending) {
            let should = format!("{expected} points and {pending} pending");
            differences
                .push(format!("{member} has {has:?} by the book, and by their orders {should}"));
        }
    }
    Ok((before.0.len(), differences))
}
