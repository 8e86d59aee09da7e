//! Refusals as the record of a sale keeps them, and their words.

use engine::rules::refusal::Refusal;
use engine::sale::refused::Kind;

/// Why the gateway refuses a click before the sale judges it, behind the sale's own reasons.
const BEFORE: [&str; 2] = ["blocked", "too_many_requests"];

const _: () = assert!(Refusal::KINDS + BEFORE.len() <= 32, "a record has room for 32 kinds");

/// As the record keeps that the member may not buy.
pub(crate) const BLOCKED: Kind = Refusal::KINDS;
/// As the record keeps that the member clicked too often.
pub(crate) const TOO_OFTEN: Kind = BLOCKED + 1;

/// The word that the client heard.
pub(crate) fn code(kind: Kind) -> &'static str {
    let known = Refusal::CODES.get(kind).or_else(|| BEFORE.get(kind - Refusal::KINDS));
    known.copied().unwrap_or("busy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_word_that_was_heard() {
        assert_eq!(code(Refusal::Paused.kind()), "paused");
        assert_eq!(code(Refusal::Busy.kind()), "busy");
        assert_eq!([code(BLOCKED), code(TOO_OFTEN)], BEFORE);
    }
}
