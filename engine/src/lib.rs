//! The sale itself: everything that decides.
pub mod board;
pub mod clock;
pub mod holdings;
mod keys;
pub mod meter;
pub mod order;
pub mod queue;
pub mod refusal;
pub mod roster;
pub mod sale;
pub mod stock;
pub mod sync;
mod table;
pub mod terms;
pub mod window;
pub use keys::IdempotencyKey;
