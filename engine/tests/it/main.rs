//! The engine as a whole: sales, the stores' contract, failing stores, and the sources themselves.
#![cfg(not(flash_loom))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod confirm;
mod disk;
#[macro_use]
mod contract;
mod blocking;
mod change_contract;
mod changes;
mod circles;
mod edges;
mod failing_disk;
mod feed;
mod held_up;
mod lost_history;
mod many_sales;
mod model;
mod older;
mod opening;
mod power;
mod redis;
#[path = "../../../benches/src/run/redis.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared with the fault suite")]
mod redis_server;
mod resume;
mod sale;
mod simulation;
mod stranded;
mod stress;
mod support;
mod tidy;
