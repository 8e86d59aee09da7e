//! The name of an order for payment channels, which take fewer characters than an order id has.

/// Digits of the numbers in it. The letters after `v` separate them.
const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// Names an order by its sale's number, its epoch and its number: at most 32 of `0-9 a-z`, and no
/// other order ever has the same, whatever a channel makes of capital letters.
#[must_use]
pub fn payment_ref(sale: u32, epoch: u64, number: u64) -> String {
    let mut text = String::with_capacity(32);
    for (before, value) in [("", u64::from(sale)), ("x", epoch), ("x", number)] {
        text.push_str(before);
        let digits = (64 - value.leading_zeros()).div_ceil(5).max(1);
        let digit = |at: u32| char::from(DIGITS[(value >> (5 * at) & 31) as usize]);
        text.extend((0..digits).rev().map(digit));
    }
    text
}

/// The sale's number, the epoch and the order's number that a payment ref names; `None` for another
/// text.
#[must_use]
pub fn read_payment_ref(text: &str) -> Option<(u32, u64, u64)> {
    let mut parts = text.split('x').map(|part| {
        let is_short = !part.is_empty() && part.len() <= 13;
        let digits = part.bytes().map(|byte| DIGITS.iter().position(|digit| *digit == byte));
        let value = digits
            .into_iter()
            .try_fold(0_u64, |value, digit| value.checked_mul(32)?.checked_add(digit? as u64));
        value.filter(|_| is_short)
    });
    let (sale, epoch, number) = (parts.next()??, parts.next()??, parts.next()??);
    let named = (u32::try_from(sale).ok()?, epoch, number);
    // An order has one name: no leading zeros, nothing behind it.
    (payment_ref(named.0, epoch, number) == text).then_some(named)
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;
    use crate::rules::time::Millis;

    #[test]
    fn a_payment_ref_is_short_and_names_one_order() {
        let orders = [
            (1, 1_795_000_000_000, 1),
            (7, 1_795_000_000_000, 1_000_000),
            (u32::MAX, Millis::MAX.0, u64::from(u32::MAX)),
        ];
        for (sale, epoch, number) in orders {
            let name = payment_ref(sale, epoch, number);
            assert!(name.len() <= 32 && name.bytes().all(|b| b.is_ascii_alphanumeric()), "{name}");
            assert_eq!(read_payment_ref(&name), Some((sale, epoch, number)));
        }
        assert!(payment_ref(u32::MAX, Millis::MAX.0, u64::MAX).len() <= 32);
        assert_eq!(payment_ref(1, 32, 0), "1x10x0");
    }

    #[test]
    fn another_text_names_no_order() {
        for bad in ["", "1", "1x2", "1x2x3x4", "1x02x3", "1x2xw", "1X2X3", "xx", "1x2x3 "] {
            assert_eq!(read_payment_ref(bad), None, "{bad}");
        }
        assert_eq!(read_payment_ref(&format!("{}x1x1", "v".repeat(14))), None);
    }
}
