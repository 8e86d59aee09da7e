//! A sale's row as the file has it: what every version wrote, then what later versions have added.

use super::failure::damaged;
use crate::rules::tally::{Tallies, Tally};
use crate::rules::terms::Terms;
use crate::rules::units::Units;
use crate::store::counters::Counters;
use crate::store::rows::{SaleRow, Stored};
use membership::PerTier;
use serde::{Deserialize, Serialize};

/// Orders by state, in the order of `Status::STORED`.
type ByState<const N: usize> = [PerTier<Tally>; N];

/// What every version wrote: the tallies of `confirmed` to `refund_due`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct First {
    terms: Terms,
    epoch: u64,
    stock: Units,
    left: Units,
    is_paused: bool,
    is_closed: bool,
    next_number: u64,
    seq: u64,
    tallies: ByState<6>,
}

/// What comes behind it; absent in older rows: the tallies of `refunded` and `returned`.
type Added = ByState<2>;

pub(super) fn encode(row: &SaleRow) -> Stored<Vec<u8>> {
    let Counters { epoch, stock, left, is_paused, is_closed, next_number, seq, tallies } =
        row.counters;
    let [a, b, c, d, e, f, refunded, returned] = tallies.0;
    let first = First {
        terms: row.terms.clone(),
        epoch,
        stock,
        left,
        is_paused,
        is_closed,
        next_number,
        seq,
        tallies: [a, b, c, d, e, f],
    };
    let added: Added = [refunded, returned];
    let bytes = postcard::to_extend(&first, Vec::with_capacity(256)).map_err(damaged)?;
    postcard::to_extend(&added, bytes).map_err(damaged)
}

pub(super) fn decode(bytes: &[u8]) -> Stored<SaleRow> {
    let (first, rest) = postcard::take_from_bytes::<First>(bytes).map_err(damaged)?;
    let added: Added = match rest {
        [] => Added::default(),
        rest => postcard::from_bytes(rest).map_err(damaged)?,
    };
    let First { terms, epoch, stock, left, is_paused, is_closed, next_number, seq, tallies } =
        first;
    let ([a, b, c, d, e, f], [refunded, returned]) = (tallies, added);
    let tallies = Tallies([a, b, c, d, e, f, refunded, returned]);
    let counters = Counters { epoch, stock, left, is_paused, is_closed, next_number, seq, tallies };
    Ok(SaleRow { terms, counters, gaps: Vec::new(), trimmed_to: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::order::Status;
    use crate::rules::terms::Cents;
    use crate::rules::time::Millis;
    use crate::rules::window::Windows;
    use membership::Tier;

    fn row() -> SaleRow {
        let terms = Terms {
            id: "drop".parse().expect("a sale id"),
            title: "A lamp".into(),
            price: Cents(19_900),
            currency: "CNY".into(),
            stock: Units(300),
            windows: Windows::new(PerTier([Some(Millis(1)); 5]), Millis(9)).expect("windows"),
            limits: PerTier([1, 2, 3, 4, 5].map(Units)),
            pay_within_s: 900,
        };
        let mut tallies = Tallies::default();
        tallies.count(Tier::Gold, Units(2), None, Status::Confirmed);
        tallies.count(Tier::Gold, Units(3), None, Status::RefundDue);
        let counters = Counters {
            epoch: 1_795_000_000_000,
            stock: Units(301),
            left: Units(299),
            is_paused: true,
            is_closed: false,
            next_number: 77,
            seq: 1_000,
            tallies,
        };
        SaleRow { terms, counters, gaps: Vec::new(), trimmed_to: 0 }
    }

    #[test]
    fn a_row_that_was_written_before_refunds_were_known_has_none() {
        let bytes = encode(&row()).expect("plain data");
        let (first, _) = postcard::take_from_bytes::<First>(&bytes).expect("the first part");
        let older = postcard::to_extend(&first, Vec::new()).expect("plain data");
        assert_eq!(decode(&older), Ok(row()));
    }

    #[test]
    fn a_row_reads_back_with_all_its_states() {
        let mut row = row();
        row.counters.tallies.count(Tier::Gold, Units(4), None, Status::Refunded);
        row.counters.tallies.count(Tier::Regular, Units(1), None, Status::Returned);
        assert_eq!(decode(&encode(&row).expect("plain data")), Ok(row));
    }

    #[test]
    fn a_row_that_is_cut_off_is_damage() {
        let bytes = encode(&row()).expect("plain data");
        let (_, rest) = postcard::take_from_bytes::<First>(&bytes).expect("the first part");
        let whole = bytes.len() - rest.len();
        for end in (0..bytes.len()).filter(|end| *end != whole) {
            assert!(decode(&bytes[..end]).is_err(), "cut off after {end} bytes");
        }
    }
}
