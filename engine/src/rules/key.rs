//! Key: what makes a repeated click safe.

use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

/// A digest of the key that a member's client chose. It is only ever compared with other keys of
/// the same member and sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdempotencyKey(pub NonZeroU64);
