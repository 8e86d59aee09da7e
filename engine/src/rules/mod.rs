//! Values and the pure rules about them: no clock, no threads, no store.

pub mod door;
pub mod key;
pub mod money;
pub mod order;
pub mod payment_ref;
pub mod refusal;
pub mod seat;
pub mod tally;
pub mod terms;
pub mod time;
pub mod units;
pub mod waitlist;
pub mod window;
