//! Referral code: what a member gives to others, made of their number, so that nothing is looked up.

use crate::event::MemberNumber;
use std::fmt;
use std::str::FromStr;

/// A code of ten letters and digits; the last one is a check on the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReferralCode(MemberNumber);

/// A text that is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no referral code; it has ten letters and digits")]
pub struct BadReferralCode;

/// Without I, L, O and U: Crockford's base 32.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Numbers have a bucket of 10 bits and an index of 32.
const BITS: u32 = 42;
const MASK: u64 = (1 << BITS) - 1;
/// Odd, so that it has an inverse: neighbours get codes that do not look alike.
const STEP: u64 = 0x1_9E37_79B9;

impl ReferralCode {
    /// The code of a member.
    #[must_use]
    pub const fn of(member: MemberNumber) -> Self {
        Self(member)
    }

    /// The member whose code it is.
    #[must_use]
    pub const fn member(self) -> MemberNumber {
        self.0
    }
}

/// The number by which multiplying undoes a multiplication by [`STEP`], modulo 2^42.
fn back() -> u64 {
    // Each step of Newton's iteration doubles the bits that are right, from three on.
    (0..4).fold(STEP, |inverse, _| {
        inverse.wrapping_mul(2_u64.wrapping_sub(STEP.wrapping_mul(inverse)))
    })
}

fn digits(mixed: u64) -> [u8; 9] {
    std::array::from_fn(|nth| u8::try_from(mixed >> (5 * (8 - nth)) & 31).expect("five bits"))
}

fn check(digits: [u8; 9]) -> u8 {
    let weighted =
        digits.iter().enumerate().map(|(nth, digit)| (2 * nth + 1) * usize::from(*digit));
    u8::try_from(weighted.sum::<usize>() % 32).expect("below 32")
}

impl fmt::Display for ReferralCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = digits(self.0.0.wrapping_mul(STEP) & MASK);
        for digit in digits.into_iter().chain([check(digits)]) {
            write!(f, "{}", char::from(DIGITS[usize::from(digit)]))?;
        }
        Ok(())
    }
}

impl FromStr for ReferralCode {
    type Err = BadReferralCode;

    fn from_str(text: &str) -> Result<Self, BadReferralCode> {
        let bytes: &[u8; 10] = text.as_bytes().try_into().map_err(|_| BadReferralCode)?;
        let mut read = [0; 10];
        for (digit, byte) in read.iter_mut().zip(bytes) {
            let byte = byte.to_ascii_uppercase();
            let place = DIGITS.iter().position(|known| *known == byte).ok_or(BadReferralCode)?;
            *digit = u8::try_from(place).map_err(|_| BadReferralCode)?;
        }
        let [digits @ .., last] = read;
        let mixed = digits.iter().fold(0, |number, digit| number << 5 | u64::from(*digit));
        if mixed > MASK || check(digits) != last {
            return Err(BadReferralCode);
        }
        Ok(Self(MemberNumber(mixed.wrapping_mul(back()) & MASK)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_back_to_its_member_in_any_case() {
        for number in [0, 1, 2, 417 << 32, 417 << 32 | 8_000_000, MASK] {
            let code = ReferralCode::of(MemberNumber(number)).to_string();
            assert_eq!(code.len(), 10);
            for text in [code.clone(), code.to_lowercase()] {
                assert_eq!(text.parse::<ReferralCode>().unwrap().member(), MemberNumber(number));
            }
        }
    }

    #[test]
    fn one_wrong_character_and_texts_that_are_none_are_noticed() {
        let code = ReferralCode::of(MemberNumber(417 << 32 | 123_456)).to_string().into_bytes();
        for at in 0..10 {
            for digit in DIGITS {
                let mut wrong = code.clone();
                wrong[at] = *digit;
                let read = String::from_utf8(wrong.clone()).unwrap().parse::<ReferralCode>();
                assert_eq!(read.is_ok(), wrong == code);
            }
        }
        for bad in ["", "123", "ILOU000000", "00000000000", "０００"] {
            assert_eq!(bad.parse::<ReferralCode>(), Err(BadReferralCode));
        }
    }
}
