//! The rules of a change: pure functions over a sale's counters, one holder and one order. Redis has
//! them in Lua.

use super::counters::{Counters, Holder};
use super::{BadRefund, Record, StoreError};
use crate::rules::cents::Cents;
use crate::rules::money::{REFUNDS_MAX, Refund};
use crate::rules::order::Status;
use crate::rules::time::Millis;

/// What happened to a stored order, as its outbox entry tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// The order's status after it.
    pub(super) status: Status,
    pub(super) at: Millis,
    /// The money that went back.
    pub(super) refund: Option<Refund>,
}

/// Whether an order's units go back with this event: it holds them now, and after it no longer.
pub(super) fn gives_back(was: Status, event: &Event) -> bool {
    was.holds_units() && !event.status.holds_units()
}

/// Gives an order's units back, of its sale and of its holder's limit.
pub(super) fn give_back(
    counters: &mut Counters,
    holder: &mut Holder,
    record: &Record,
) -> Result<(), StoreError> {
    let Record { member, number, units, .. } = record;
    let held = holder.units.0.checked_sub(units.0);
    let too_few = || StoreError::Damaged(format!("{member} holds less than order {number}"));
    holder.units.0 = held.ok_or_else(too_few)?;
    counters.left.0 += units.0;
    Ok(())
}

/// Moves a stored order on in its life.
pub(super) fn advance(counters: &mut Counters, record: &mut Record, event: &Event) {
    if record.status != event.status {
        counters.tallies.count(record.tier, record.units, Some(record.status), event.status);
        (record.status, record.changed_at) = (event.status, event.at);
    }
    record.refunds.extend(event.refund.clone());
    counters.seq += 1;
}

/// What a refund comes to: `None` if it changes nothing, because it was told before or no money was
/// paid yet.
pub(super) fn refund(
    record: &Record,
    refund: &Refund,
    at: Millis,
) -> Result<Option<Event>, BadRefund> {
    let (due, back) = (record.money.due, record.refunded());
    if let Some(told) = record.refunds.iter().find(|told| told.id == refund.id) {
        return match told.amount == refund.amount {
            true => Ok(None),
            false => Err(BadRefund::OtherAmount(told.amount)),
        };
    }
    let may_go_back = Cents(due.0.saturating_sub(back.0));
    let was_paid = match record.status {
        Status::Paid | Status::RefundDue => true,
        // All of it went back, or a version before this one wrote down no refunds.
        Status::Refunded | Status::Returned if record.refunds.is_empty() => return Ok(None),
        Status::Refunded | Status::Returned => return Err(BadRefund::TooMuch(may_go_back)),
        Status::Reserved
        | Status::Confirmed
        | Status::Released
        | Status::Cancelled
        | Status::Expired => false,
    };
    if !was_paid {
        return Ok(None);
    }
    if refund.amount > may_go_back {
        return Err(BadRefund::TooMuch(may_go_back));
    }
    if refund.amount == Cents(0) && due > Cents(0) {
        return Err(BadRefund::Nothing);
    }
    if record.refunds.len() >= REFUNDS_MAX {
        return Err(BadRefund::TooMany);
    }
    let after = record.status.after_refund().filter(|_| refund.amount == may_go_back);
    Ok(Some(Event { status: after.unwrap_or(record.status), at, refund: Some(refund.clone()) }))
}

/// Everything that happened to an order, from the verdict on. When the events between the first and
/// the last took place is not known any more: they have the time of the last.
pub(super) fn history(record: &Record) -> Vec<Event> {
    let times = std::iter::once(record.settled_at).chain(std::iter::repeat(record.changed_at));
    let steps = record.status.path().iter().zip(times);
    let mut events: Vec<Event> =
        steps.map(|(status, at)| Event { status: *status, at, refund: None }).collect();
    let all_went_back = matches!(record.status, Status::Refunded | Status::Returned);
    let last = if all_went_back { events.pop() } else { None };
    let (parts, rest) = match (&last, &record.refunds[..]) {
        (Some(_), [parts @ .., all]) => (parts, Some(all)),
        (_, parts) => (parts, None),
    };
    let status = events.last().map_or(record.status, |event| event.status);
    let part =
        |refund: &Refund| Event { status, at: record.changed_at, refund: Some(refund.clone()) };
    events.extend(parts.iter().map(part));
    events.extend(last.map(|last| Event { refund: rest.cloned(), ..last }));
    events
}

/// What is to be done for an order that is put back after a lost history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lost {
    /// The store has it as far as the caller knows it, or further.
    Nothing,
    /// The store has not got it.
    Order,
    /// The store has it in an earlier state: these events are missing.
    Events(Vec<Event>),
}

/// Compares what is stored of an order with what the caller knows of it.
pub(super) fn compare(stored: Option<&Record>, told: &Record) -> Result<Lost, StoreError> {
    let Some(stored) = stored else { return Ok(Lost::Order) };
    let leads_to = |was: &Record, is: &Record| {
        let leads = was.status == is.status || was.status.leads_to(is.status);
        leads && is.refunds.starts_with(&was.refunds)
    };
    // The store may be ahead of the caller. It answers with what it has stored; the caller catches up
    // from that.
    if !stored.is_same_as(told) || !(leads_to(stored, told) || leads_to(told, stored)) {
        let number = stored.number;
        return Err(StoreError::Damaged(format!("order {number} is another one in the store")));
    }
    let has = usize::try_from(stored.entries()).expect("few events");
    let missing: Vec<Event> = history(told).into_iter().skip(has).collect();
    Ok(if missing.is_empty() { Lost::Nothing } else { Lost::Events(missing) })
}
