//! Tests of the real binary, as members and operators use it and as accidents strike it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod afterwards;
mod bad_input;
mod browsers;
mod buying;
mod crash;
mod events;
mod fairness;
mod fuzz;
mod keys;
mod leaving;
mod listing;
mod logging;
mod many_sales;
mod operating;
mod platform;
mod redis;
#[path = "../../../benches/src/run/redis.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared with the fault suite")]
mod redis_server;
mod secrets;
mod serving;
mod support;
mod tokens;
mod verify;
mod waiting;
