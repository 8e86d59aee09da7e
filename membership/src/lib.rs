//! The members of a live-commerce platform: their ids and their tiers.
//!
//! Pure rules: no threads, no store, no clock. The rest of Flashlane speaks of members in these
//! words.
//!
//! ```
//! use membership::{MemberId, Tier};
//!
//! let member: MemberId = "viewer-42".parse()?;
//! let tier: Tier = "gold".parse()?;
//! assert!(tier > Tier::Silver);
//! assert_eq!(member.as_str(), "viewer-42");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod account;
pub mod birthday;
pub mod event;
pub mod lots;
mod member;
pub mod older;
pub mod plan;
pub mod posting;
pub mod referral_code;
pub mod replay;
mod tier;
pub mod time;

pub use member::{BadMemberId, MemberId};
pub use tier::{PerTier, Tier, UnknownTier};
