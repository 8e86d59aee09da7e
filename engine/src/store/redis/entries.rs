//! Entries: the stream of a sale's outbox. An entry of it has what one call changed, a line for each step.

use super::rows::{self, unreadable};
use crate::rules::time::Millis;
use crate::store::{OutboxEntry, StoreError};
use std::collections::HashMap;

/// An entry of the stream: its id and its fields.
pub(super) type StreamEntry = (String, HashMap<String, String>);

/// The changes in an entry of the stream, in their order. The entry's id is the `seq` of the last one.
pub(super) fn changes((id, fields): &StreamEntry) -> Result<Vec<OutboxEntry>, StoreError> {
    let damage = || unreadable(&format!("outbox entry {id}"), &format!("{fields:?}"));
    let last: u64 = id.strip_suffix("-0").and_then(|seq| seq.parse().ok()).ok_or_else(damage)?;
    let text = |field: &str| fields.get(field).map(String::as_str);
    let all = match text("v") {
        // Until format 2 each step had an entry of its own.
        None => change(last, [text("order"), text("status"), text("at"), text("refund")])
            .map(|change| vec![change]),
        Some("2") => lines(last, text("changes").unwrap_or_default()),
        Some(_) => None,
    };
    all.ok_or_else(damage)
}

fn lines(last: u64, text: &str) -> Option<Vec<OutboxEntry>> {
    let before = last.checked_sub(text.lines().count() as u64).filter(|_| !text.is_empty())?;
    let read = |(line, seq): (&str, u64)| {
        let mut words = line.split(' ').map(Some);
        let mut next = || words.next().flatten();
        let (order, _member, _tier, _units) = (next(), next(), next(), next());
        change(seq, [order, next(), next(), next()])
    };
    text.lines().zip(before + 1..).map(read).collect()
}

/// A change of `epoch.number`, to this status, at this instant in ms, with this refund, if any.
fn change(seq: u64, [order, status, at, refund]: [Option<&str>; 4]) -> Option<OutboxEntry> {
    Some(OutboxEntry {
        seq,
        number: order?.split_once('.')?.1.parse().ok()?,
        status: rows::status(status?)?,
        at: Millis(at?.parse().ok()?),
        refund: match refund {
            None | Some("-") => None,
            Some(text) => Some(rows::read_refund(text)?),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::order::Status;
    use proptest::prelude::*;

    fn entry(id: &str, fields: &[(&str, &str)]) -> StreamEntry {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        (id.to_owned(), fields.iter().map(owned).collect())
    }

    #[test]
    fn an_entry_has_a_change_of_its_own_seq_in_each_line() {
        let lines = "3.7 ann gold 1 confirmed 5001 -\n3.8 bob gold 2 paid 5002 -\n\
                     3.7 ann gold 1 paid 5003 r1/5";
        let read = changes(&entry("9-0", &[("v", "2"), ("changes", lines)])).unwrap();
        let seqs: Vec<_> = read.iter().map(|change| (change.seq, change.number)).collect();
        assert_eq!(seqs, [(7, 7), (8, 8), (9, 7)]);
        assert_eq!((read[1].status, read[1].at), (Status::Paid, Millis(5_002)));
        assert_eq!(read[2].refund.as_ref().unwrap().amount.0, 5);
    }

    #[test]
    fn an_entry_of_the_format_before_is_one_change() {
        let old = [("order", "3.7"), ("member", "ann"), ("tier", "gold"), ("units", "1")];
        let mut old = old.to_vec();
        old.extend([("status", "paid"), ("at", "5"), ("refund", "-")]);
        let read = changes(&entry("9-0", &old)).unwrap();
        assert_eq!((read.len(), read[0].seq, read[0].number), (1, 9, 7));
    }

    #[test]
    fn an_entry_of_a_later_version_is_damage() {
        let later = entry("9-0", &[("v", "3"), ("changes", "3.7 ann gold 1 paid 5 -")]);
        assert!(matches!(changes(&later), Err(StoreError::Damaged(_))));
    }

    proptest! {
        #[test]
        fn an_entry_that_nobody_wrote_is_damage_and_never_a_panic(id in any::<String>(), text in any::<String>()) {
            for id in [id.as_str(), "1-0", "0-0"] {
                prop_assert!(changes(&entry(id, &[("v", "2"), ("changes", &text)])).is_err());
            }
        }
    }
}
