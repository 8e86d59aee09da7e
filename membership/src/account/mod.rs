//! Account: all that the book keeps of one member, and what each event does to it.
//!
//! An account takes an event and says what is to be posted. It knows no clock and no store: the instant,
//! the plan and earlier postings come with the event.

mod acts;
mod benefits;
mod holds;
mod membership;
mod opening;
mod orders;
mod parts;
mod read;
mod referrals;
mod shop;
mod standing;
mod sweep;

pub use membership::Membership;
pub(crate) use parts::Noticed;
pub use parts::{
    ActDay, Coupon, CouponState, Entitlement, Hold, Opening, Redemption, Referees, Referral,
    Standing, Told,
};
pub use read::{Referee, StageState};
