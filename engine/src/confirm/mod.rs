//! The one task that speaks to the store of a sale.

mod changes;
mod confirmer;
mod deadlines;
mod lanes;

pub use confirmer::{Confirmer, Step};
