//! How a sale's rows are written in its keys.

use crate::rules::key::IdempotencyKey;
use crate::rules::order::Status;
use crate::rules::tally::{Tallies, Tally};
use crate::rules::terms::{SaleId, Terms};
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::store::counters::{Counters, Holder};
use crate::store::rows::{Gap, SaleRow, TopUp};
use crate::store::{Change, Changed, OutboxEntry, Record, StoreError, Waiting};
use membership::PerTier;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::str::FromStr;

/// The part of a record that is kept for the caller, and that the functions do not look into.
pub(super) fn rest(reserved_at: Millis, key: Option<IdempotencyKey>) -> String {
    match key {
        None => format!("{} -", reserved_at.0),
        Some(IdempotencyKey(key)) => format!("{} {key:x}", reserved_at.0),
    }
}

pub(super) fn unreadable(what: &str, text: &str) -> StoreError {
    StoreError::Damaged(format!("{what} reads `{text}`"))
}

/// A word of a row; `what` names the row.
pub(super) fn word<T: FromStr>(what: &str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| unreadable(what, text))
}

pub(super) fn status(text: &str) -> Option<Status> {
    Status::STORED.into_iter().find(|status| status.as_str() == text)
}

pub(super) fn record(number: u64, text: &str) -> Result<Record, StoreError> {
    let read = || {
        let words: Vec<&str> = text.split(' ').collect();
        let [
            epoch,
            member,
            tier,
            units,
            status_word,
            settled_at,
            changed_at,
            before,
            reserved_at,
            key,
        ] = words[..]
        else {
            return None;
        };
        let key = match key {
            "-" => None,
            key => Some(IdempotencyKey(NonZeroU64::new(u64::from_str_radix(key, 16).ok()?)?)),
        };
        Some(Record {
            number,
            epoch: epoch.parse().ok()?,
            member: member.parse().ok()?,
            tier: tier.parse().ok()?,
            units: Units(units.parse().ok()?),
            status: status(status_word)?,
            settled_at: Millis(settled_at.parse().ok()?),
            changed_at: Millis(changed_at.parse().ok()?),
            before: before.parse().ok()?,
            reserved_at: Millis(reserved_at.parse().ok()?),
            key,
        })
    };
    read().ok_or_else(|| unreadable(&format!("order {number}"), text))
}

pub(super) fn holder(member: &str, text: &str) -> Result<Holder, StoreError> {
    let what = format!("the holdings of {member}");
    let words: Vec<&str> = text.split(' ').collect();
    let [units, limit, newest] = words[..] else { return Err(unreadable(&what, text)) };
    Ok(Holder {
        units: Units(word(&what, units)?),
        limit: Units(word(&what, limit)?),
        newest: word(&what, newest)?,
    })
}

pub(super) fn top_up(key: &str, text: &str) -> Result<TopUp, StoreError> {
    let what = format!("top-up {key}");
    let (add, total) = text.split_once(' ').ok_or_else(|| unreadable(&what, text))?;
    Ok(TopUp { add: Units(word(&what, add)?), total: Units(word(&what, total)?) })
}

/// Orders and units by tier, regular first.
fn tallies(what: &str, text: &str) -> Result<PerTier<Tally>, StoreError> {
    let mut counts = text.split(' ').map(|count| word(what, count));
    let mut tallies = PerTier::<Tally>::default();
    for tally in &mut tallies.0 {
        let mut next = || counts.next().unwrap_or_else(|| Err(unreadable(what, text)));
        *tally = Tally { orders: next()?, units: next()? };
    }
    Ok(tallies)
}

/// The tallies of each state; `text` finds the text for a state.
pub(super) fn by_state<'a>(
    sale: &SaleId,
    text: impl Fn(&str) -> &'a str,
) -> Result<Tallies, StoreError> {
    let mut all = Tallies::default();
    for status in Status::STORED {
        let (what, text) = (format!("{} of {sale}", status.as_str()), text(status.as_str()));
        // Sales that were made before these states were known have no tallies of them.
        let is_added = matches!(status, Status::Refunded | Status::Returned);
        if !(is_added && text.is_empty()) {
            *all.of_mut(status) = tallies(&what, text)?;
        }
    }
    Ok(all)
}

/// A member's wish on the waitlist.
pub(super) fn wish(waiting: &Waiting) -> String {
    format!("{} {} {}", waiting.tier, waiting.units, waiting.place)
}

pub(super) fn waiting(member: &str, text: &str) -> Result<Waiting, StoreError> {
    let what = format!("the wish of {member}");
    let words: Vec<&str> = text.split(' ').collect();
    let [tier, units, place] = words[..] else { return Err(unreadable(&what, text)) };
    Ok(Waiting {
        member: word(&what, member)?,
        tier: word(&what, tier)?,
        units: Units(word(&what, units)?),
        place: word(&what, place)?,
    })
}

pub(super) fn terms(sale: &SaleId, text: &str) -> Result<Terms, StoreError> {
    let terms: Option<Terms> = serde_json::from_str(text).ok();
    let terms = terms.filter(|terms| terms.id == *sale && terms.faults().is_empty());
    terms.ok_or_else(|| unreadable(&format!("the terms of {sale}"), text))
}

pub(super) fn sale(sale: &SaleId, row: &HashMap<String, String>) -> Result<SaleRow, StoreError> {
    let text = |field: &str| row.get(field).map_or("", String::as_str);
    let count = |field: &str| word::<u64>(&format!("{field} of {sale}"), text(field));
    let units = |field: &str| word(&format!("{field} of {sale}"), text(field)).map(Units);
    let mut gaps = Vec::new();
    for gap in text("gaps").split_terminator(' ') {
        let what = format!("gaps of {sale}");
        let (after, to) = gap.split_once('-').ok_or_else(|| unreadable(&what, gap))?;
        gaps.push(Gap { after: word(&what, after)?, to: word(&what, to)? });
    }
    Ok(SaleRow {
        terms: terms(sale, text("terms"))?,
        counters: Counters {
            epoch: count("epoch")?,
            stock: units("stock")?,
            left: units("left")?,
            is_paused: text("paused") == "1",
            is_closed: text("closed") == "1",
            next_number: count("next")?,
            seq: count("seq")?,
            tallies: by_state(sale, text)?,
        },
        gaps,
        trimmed_to: 0,
    })
}

/// One entry of the outbox stream: its id and its fields.
pub(super) fn entry(id: &str, fields: &HashMap<String, String>) -> Result<OutboxEntry, StoreError> {
    let read = || {
        let (_, number) = fields.get("order")?.split_once('.')?;
        Some(OutboxEntry {
            seq: id.strip_suffix("-0")?.parse().ok()?,
            number: number.parse().ok()?,
            status: status(fields.get("status")?)?,
            at: Millis(fields.get("at")?.parse().ok()?),
        })
    };
    read().ok_or_else(|| unreadable(&format!("outbox entry {id}"), &format!("{fields:?}")))
}

/// Reads the answer to a change: `order none`, `order ` and its record, `waits not`, `waits ` and
/// the wish.
pub(super) fn changed(change: &Change, answer: &str) -> Result<Changed, StoreError> {
    match (change, answer.split_once(' ')) {
        (Change::Order { .. }, Some(("order", "none"))) => Ok(Changed::NoOrder),
        (Change::Order { number, .. }, Some(("order", text))) => {
            record(*number, text).map(Changed::Order)
        }
        (Change::Join(_) | Change::Leave(_) | Change::Dissolve, Some(("waits", "not"))) => {
            Ok(Changed::DoesNotWait)
        }
        (Change::Join(Waiting { member, .. }), Some(("waits", wish))) => {
            waiting(member.as_str(), wish).map(Changed::Waits)
        }
        _ => Err(unreadable("the answer to a change", answer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RECORD: &str = "3 ann gold 2 paid 5001 6001 0 5000 ff";

    /// A good row with some of its characters changed, left out or doubled; or any text at all.
    fn any_row(good: &'static str) -> impl Strategy<Value = String> {
        let edits = prop::collection::vec((0..good.len(), 0_u8..3, any::<char>()), 0..4);
        let edited = edits.prop_map(move |edits| {
            let mut text: Vec<char> = good.chars().collect();
            for (at, kind, other) in edits {
                let at = at.min(text.len().saturating_sub(1));
                match kind {
                    0 if !text.is_empty() => text[at] = other,
                    1 if !text.is_empty() => drop(text.remove(at)),
                    _ => text.insert(at, other),
                }
            }
            text.into_iter().collect()
        });
        prop_oneof![edited, any::<String>()]
    }

    #[test]
    fn what_is_written_reads_back() {
        let read = record(7, RECORD).unwrap();
        assert_eq!((read.status, read.units, read.number), (Status::Paid, Units(2), 7));
        assert_eq!((read.settled_at, read.changed_at), (Millis(5_001), Millis(6_001)));
        let wish = waiting("ann", "gold 2 9").unwrap();
        assert_eq!((wish.units, wish.place, super::wish(&wish)), (Units(2), 9, "gold 2 9".into()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever text Redis stores or answers, it is read as it was written, or it is damage.
        #[test]
        fn a_row_that_nobody_wrote_is_damage_and_never_a_panic(
            text in any_row(RECORD),
            holds in any_row("2 3 17"),
            wish in any_row("gold 2 9"),
            added in any_row("5 15"),
            answer in any_row("order 3 ann gold 2 paid 5001 6001 0 5000 ff"),
        ) {
            let is_damage = |error: StoreError| matches!(error, StoreError::Damaged(_));
            prop_assert!(record(7, &text).map_or_else(is_damage, |read| read.number == 7));
            prop_assert!(holder("ann", &holds).map_or_else(is_damage, |_| true));
            prop_assert!(waiting("ann", &wish).map_or_else(is_damage, |_| true));
            prop_assert!(top_up("k", &added).map_or_else(is_damage, |_| true));
            let step = crate::rules::order::Step::Pay;
            for change in [
                Change::Order { step, epoch: 3, number: 7 },
                Change::Leave("ann".parse().unwrap()),
            ] {
                prop_assert!(changed(&change, &answer).map_or_else(is_damage, |_| true));
            }
        }

        #[test]
        fn a_sale_that_nobody_wrote_is_damage_and_never_a_panic(
            fields in prop::collection::hash_map(
                prop::sample::select(vec!["terms", "epoch", "stock", "left", "next", "seq", "gaps", "paid"]),
                any_row("1 0 2 0 3 0 4 0 5 0"),
                0..8,
            ),
        ) {
            let fields = fields.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
            let name: SaleId = "drop".parse().unwrap();
            prop_assert!(matches!(sale(&name, &fields), Err(StoreError::Damaged(_))));
            prop_assert!(entry("7-0", &fields).is_err());
        }
    }
}
