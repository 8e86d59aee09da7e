//! What the load generator sends: clicks, and what follows them.

pub mod afterwards;
mod batches;
pub mod book;
pub mod drive;
pub mod members;
pub mod plan;
pub mod rounds;
pub mod slow;
pub mod streams;
