//! A member's id, checked once where it enters and trusted from there on.

use compact_str::CompactString;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// The platform's name for a member: 1 to 64 of
/// `A-Z a-z 0-9 . _ : - @ | + = ~`, which is what platforms put into `sub`.
///
/// The charset is strict because ids become parts of keys in the store, where a brace or a control
/// character would change their meaning. An id of at most 24 characters is kept in place, without a
/// block of memory of its own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(CompactString);

/// Why a text is not a member id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a member id is 1 to 64 characters of A-Z a-z 0-9 . _ : - @ | + = ~")]
pub struct BadMemberId;

impl MemberId {
    /// Longest id, in bytes (each allowed character is one byte).
    pub const BYTES_MAX: usize = 64;

    /// Checks `text` without keeping it: the hot path looks members up by the token's own bytes.
    ///
    /// # Errors
    /// [`BadMemberId`] when the length or a character is not allowed.
    pub fn check(text: &str) -> Result<(), BadMemberId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:-@|+=~".contains(&b);
        if (1..=Self::BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(())
        } else {
            Err(BadMemberId)
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MemberId {
    type Err = BadMemberId;

    fn from_str(text: &str) -> Result<Self, BadMemberId> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }
}

impl Serialize for MemberId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

// By hand, so that reading a short id takes no block of memory, not even for a moment.
impl<'de> Deserialize<'de> for MemberId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = MemberId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<MemberId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl Borrow<str> for MemberId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_change_a_keys_meaning_are_refused() {
        for bad in ["", "a{b}", "a b", "a\nb", "a\0", "naïve", "a/b", "会员"] {
            assert_eq!(bad.parse::<MemberId>(), Err(BadMemberId), "{bad:?}");
        }
        assert_eq!("x".repeat(65).parse::<MemberId>(), Err(BadMemberId));
    }

    #[test]
    fn the_longest_and_the_oddest_allowed_ids_are_taken_as_they_are() {
        for good in ["x", "A.b_c:d-9", "a@b.com", "auth0|5f7c", "a+b=c~d", &"x".repeat(64)] {
            assert_eq!(good.parse::<MemberId>().unwrap().as_str(), good);
        }
    }
}
