//! Values and the pure rules about them: no clock, no threads, no store.

pub mod door;
pub mod order;
pub mod refusal;
pub mod terms;
pub mod waitlist;
pub mod window;
