//! The engine as a whole: sales, the stores' contract, failing stores, and the sources themselves.
#![cfg(not(flash_loom))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod confirm;
mod disk;
#[macro_use]
mod contract;
mod archive;
mod archive_contract;
mod archive_files;
mod blocking;
mod book_contract;
mod book_faults;
mod change_contract;
mod changes;
mod circles;
mod edges;
mod erasing;
mod failing_disk;
mod feed;
mod held_up;
mod lost_history;
mod many_sales;
mod members;
mod members_later;
mod model;
mod nodes;
mod older;
mod opening;
mod outbox;
mod power;
mod redis;
mod redis_cluster;
#[path = "../../../benches/src/run/redis.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared with the fault suite")]
mod redis_server;
mod resume;
mod sale;
mod simulation;
mod spending;
mod spending_simulation;
mod stranded;
mod stress;
mod support;
mod tidy;
