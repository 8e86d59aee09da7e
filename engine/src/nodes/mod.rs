//! Nodes: several processes that share a store, each sale sold by one of them at a time.
//!
//! A node has a lease and sells only while it holds it; a sale goes to another node when its owner's lease is
//! over, or when the owner hands it over. The rules are pure, so that a model tries every order of what may
//! happen (`tests/it/nodes`).

pub mod counts;
pub mod duty;
pub(crate) mod latch;
pub(crate) mod numbers;
pub mod own_lease;
pub mod sharing;
pub mod wanted;
