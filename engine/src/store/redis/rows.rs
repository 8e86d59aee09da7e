//! How a sale's rows are written in its keys.

use crate::rules::cents::Cents;
use crate::rules::key::IdempotencyKey;
use crate::rules::money::{ForeignId, Money, PriceKind, Refund};
use crate::rules::order::Status;
use crate::rules::tally::{Tallies, Tally};
use crate::rules::terms::{SaleId, Terms};
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::rules::why::Why;
use crate::store::counters::{Counters, Holder};
use crate::store::rows::{Gap, SaleRows, TopUp};
use crate::store::{BadRefund, Change, Changed, Record, StoreError, Verdict, Waiting};
use membership::{MemberId, PerTier};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::str::FromStr;

/// The part of a record that is kept for the caller, and that the functions do not look into.
pub(super) fn rest(reserved_at: Millis, key: Option<IdempotencyKey>, money: &Money) -> String {
    let key = key.map_or_else(|| "-".to_owned(), |IdempotencyKey(key)| format!("{key:x}"));
    let coupon = money.coupon.as_ref().map_or("-", ForeignId::as_str);
    let Money { price, kind, points, .. } = money;
    format!("{} {key} {price} {} {points} {coupon}", reserved_at.0, kind.as_str())
}

/// Money that went back.
pub(super) fn refund(refund: &Refund) -> String {
    format!("{}/{}", refund.id, refund.amount)
}

/// The refunds of an order; why it was released, if it was.
pub(super) fn after(all: &[Refund], released_for: Option<Why>) -> String {
    match (all, released_for) {
        ([], None) => "-".to_owned(),
        ([], Some(why)) => why.as_str().to_owned(),
        (all, _) => all.iter().map(refund).collect::<Vec<_>>().join(","),
    }
}

pub(super) fn why(text: &str) -> Option<Why> {
    Why::ALL.into_iter().find(|why| why.as_str() == text)
}

/// A verdict: `fenced`; or the status, when, and of a released order why.
pub(super) fn verdict(text: &str) -> Result<Verdict, StoreError> {
    let read = || {
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["fenced"] => Some(Verdict::Fenced),
            ["released", at, reason] if reason != "-" => {
                Some(Verdict::Released(why(reason)?, Millis(at.parse().ok()?)))
            }
            ["released", at, _] | [_, at] => {
                Some(Verdict::Stored(status(words[0])?, Millis(at.parse().ok()?)))
            }
            _ => None,
        }
    };
    read().ok_or_else(|| unreadable("a verdict", text))
}

pub(super) fn read_refund(text: &str) -> Option<Refund> {
    let (id, amount) = text.split_once('/')?;
    Some(Refund { id: id.parse().ok()?, amount: Cents(amount.parse().ok()?) })
}

fn read_refunds(text: &str) -> Option<Vec<Refund>> {
    if text == "-" { Some(Vec::new()) } else { text.split(',').map(read_refund).collect() }
}

/// The name under which a sale finds a member's row: long enough that no two members of a sale ever
/// share one.
pub(super) fn digest(sale: &SaleId, member: &MemberId) -> String {
    let digest = Sha256::new().chain_update(sale.as_str()).chain_update("/");
    let digest = digest.chain_update(member.as_str()).finalize();
    let [first, second, ..] = digest.as_chunks::<8>().0 else { unreachable!("it has 32 bytes") };
    let (first, second) = (u64::from_be_bytes(*first), u64::from_be_bytes(*second));
    format!("{first:016x}{:08x}", second >> 32)
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

/// An order as it is stored: the number of its holder stands in it, and not their name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredOrder {
    pub(super) holder: u32,
    /// The record; the member in it is `member`.
    pub(super) record: Record,
}

/// Reads an order of `member`, or of a member who is still to be found by the holder's number.
pub(super) fn order(number: u64, text: &str, member: &MemberId) -> Result<StoredOrder, StoreError> {
    let read = || {
        let words: Vec<&str> = text.split(' ').collect();
        let [epoch, holder, tier, units, status_word, settled_at, changed_at, before, rest @ ..] =
            &words[..]
        else {
            return None;
        };
        let [pay_by, due, refunds, reserved_at, key, price, kind, points, coupon] = rest else {
            return None;
        };
        let key = match *key {
            "-" => None,
            key => Some(IdempotencyKey(NonZeroU64::new(u64::from_str_radix(key, 16).ok()?)?)),
        };
        let money = Money {
            price: Cents(price.parse().ok()?),
            kind: PriceKind::ALL.into_iter().find(|known| known.as_str() == *kind)?,
            points: points.parse().ok()?,
            coupon: if *coupon == "-" { None } else { Some(coupon.parse().ok()?) },
            due: Cents(due.parse().ok()?),
        };
        let is_released = *status_word == Status::Released.as_str();
        let released_for = why(refunds).filter(|_| is_released);
        let record = Record {
            number,
            epoch: epoch.parse().ok()?,
            member: member.clone(),
            tier: tier.parse().ok()?,
            units: Units(units.parse().ok()?),
            status: status(status_word)?,
            settled_at: Millis(settled_at.parse().ok()?),
            changed_at: Millis(changed_at.parse().ok()?),
            pay_by: Millis(pay_by.parse().ok()?),
            money,
            refunds: if released_for.is_some() { Vec::new() } else { read_refunds(refunds)? },
            before: before.parse().ok()?,
            reserved_at: Millis(reserved_at.parse().ok()?),
            key,
            why: released_for,
        };
        Some(StoredOrder { holder: holder.parse().ok()?, record })
    };
    read().ok_or_else(|| unreadable(&format!("order {number}"), text))
}

pub(super) fn holder(number: u32, text: &str) -> Result<(MemberId, Holder), StoreError> {
    let what = format!("holder {number}");
    let words: Vec<&str> = text.split(' ').collect();
    let [member, units, limit, newest, orders] = words[..] else {
        return Err(unreadable(&what, text));
    };
    let holder = Holder {
        units: Units(word(&what, units)?),
        limit: Units(word(&what, limit)?),
        newest: word(&what, newest)?,
        orders: word(&what, orders)?,
    };
    Ok((word(&what, member)?, holder))
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
        *all.of_mut(status) = tallies(&what, text)?;
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

/// A sale's own row; its orders, holders and others are still to be read.
pub(super) fn sale(sale: &SaleId, row: &HashMap<String, String>) -> Result<SaleRows, StoreError> {
    let text = |field: &str| row.get(field).map_or("", String::as_str);
    let count = |field: &str| word::<u64>(&format!("{field} of {sale}"), text(field));
    let units = |field: &str| word(&format!("{field} of {sale}"), text(field)).map(Units);
    let number = word(&format!("number of {sale}"), text("number"))?;
    let mut rows = SaleRows::new(number, terms(sale, text("terms"))?);
    for gap in text("gaps").split_terminator(' ') {
        let what = format!("gaps of {sale}");
        let (after, to) = gap.split_once('-').ok_or_else(|| unreadable(&what, gap))?;
        rows.gaps.push(Gap { after: word(&what, after)?, to: word(&what, to)? });
    }
    rows.counters = Counters {
        epoch: count("epoch")?,
        stock: units("stock")?,
        left: units("left")?,
        is_paused: text("paused") == "1",
        is_closed: text("closed") == "1",
        next_number: count("next")?,
        seq: count("seq")?,
        tallies: by_state(sale, text)?,
    };
    Ok(rows)
}

/// Reads the answer to a change: `order none`, `order `, the member and the record, `bad ` and why,
/// `waits not`, `waits ` and the wish.
pub(super) fn changed(change: &Change, answer: &str) -> Result<Changed, StoreError> {
    let odd = || unreadable("the answer to a change", answer);
    let (kind, rest) = answer.split_once(' ').ok_or_else(odd)?;
    match (change, kind, rest) {
        (Change::Order { .. } | Change::Refund { .. }, "order", "none") => Ok(Changed::NoOrder),
        (Change::Order { number, .. } | Change::Refund { number, .. }, "order", text) => {
            let (member, text) = text.split_once(' ').ok_or_else(odd)?;
            let member = word("the answer to a change", member)?;
            Ok(Changed::Order(order(*number, text, &member)?.record))
        }
        (Change::Refund { .. }, "bad", text) => {
            let (why, amount) = text.split_once(' ').ok_or_else(odd)?;
            let amount = Cents(word("the answer to a refund", amount)?);
            Ok(Changed::BadRefund(match why {
                "more" => BadRefund::TooMuch(amount),
                "other" => BadRefund::OtherAmount(amount),
                "nothing" => BadRefund::Nothing,
                "many" => BadRefund::TooMany,
                _ => return Err(odd()),
            }))
        }
        (Change::Join(_) | Change::Leave(_) | Change::Dissolve, "waits", "not") => {
            Ok(Changed::DoesNotWait)
        }
        (Change::Join(Waiting { member, .. }), "waits", wish) => {
            waiting(member.as_str(), wish).map(Changed::Waits)
        }
        _ => Err(odd()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RECORD: &str = "3 0 gold 2 paid 5001 6001 0 9001 20 r1/5,r2/6 5000 ff 10 list 0 -";

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

    fn ann() -> MemberId {
        "ann".parse().unwrap()
    }

    #[test]
    fn what_is_written_reads_back() {
        let read = order(7, RECORD, &ann()).unwrap().record;
        assert_eq!(
            (read.refunded(), read.money.due, read.pay_by),
            (Cents(11), Cents(20), Millis(9_001))
        );
        assert_eq!(rest(read.reserved_at, read.key, &read.money), "5000 ff 10 list 0 -");
        assert_eq!(after(&read.refunds, None), "r1/5,r2/6");
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
            holds in any_row("ann 2 3 17 1"),
            wish in any_row("gold 2 9"),
            added in any_row("5 15"),
            answer in any_row("order ann 3 0 gold 2 paid 5001 6001 0 9001 20 r1/5,r2/6 5000 ff 10 list 0 -"),
        ) {
            let is_damage = |error: StoreError| matches!(error, StoreError::Damaged(_));
            prop_assert!(order(7, &text, &ann()).map_or_else(is_damage, |read| read.record.number == 7));
            prop_assert!(holder(7, &holds).map_or_else(is_damage, |_| true));
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
        }
    }
}
