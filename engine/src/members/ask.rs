//! Ask: what the book is asked to take.

use crate::rules::time::Millis;
use crate::store::Who;
use membership::event::{Event, Refused};

/// An event of a member.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Whose.
    pub who: Who,
    /// What happened.
    pub event: Event,
    /// When.
    pub at: Millis,
}

/// Why an event was not taken. Nothing has changed for it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotTaken {
    /// The book has no such member.
    #[error("this member is not enrolled")]
    NotEnrolled,
    /// The rules refuse it.
    #[error("{0}")]
    Refused(#[from] Refused),
}
