//! Values and the pure rules about them: no clock, no threads, no store.

pub mod cents;
pub mod door;
pub mod key;
pub mod member_terms;
pub mod money;
pub mod node;
pub mod order;
pub mod payment_ref;
pub mod price;
pub mod refusal;
pub mod seat;
pub mod tally;
pub mod terms;
pub mod units;
pub mod waitlist;
pub mod why;
pub mod window;

pub use membership::time;
