//! The one task that speaks to the store of a sale.

mod back_off;
mod changes;
mod closing;
mod confirmer;
mod deadlines;
mod gather;
mod holds;
pub mod lanes;
mod offers;
mod put_back;
mod verdicts;
mod work;

pub use confirmer::Confirmer;
pub use work::Progress;
