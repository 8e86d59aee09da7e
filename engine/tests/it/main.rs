//! The engine as a whole: sales, the stores' contract, failing stores, and the sources themselves.
#![cfg(not(flash_loom))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod confirm;
mod contract;
mod edges;
mod failing_disk;
mod redis;
mod redis_server;
mod sale;
mod simulation;
mod stress;
mod support;
mod tidy;
