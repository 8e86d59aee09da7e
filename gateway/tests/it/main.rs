//! Tests of the real binary, as members and operators use it and as accidents strike it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod afterwards;
mod archive;
mod audit;
mod backup;
mod bad_input;
mod browsers;
mod buying;
mod changing;
mod configuration;
mod crash;
mod erasing;
mod events;
mod fairness;
mod fronts;
mod fuzz;
mod http2;
mod jwks;
mod keys;
mod leaving;
mod listing;
mod logging;
mod many_sales;
mod membership;
mod metrics;
mod nodes;
mod operating;
mod outbox;
mod platform;
mod redis;
#[path = "../../../benches/src/run/redis.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared with the fault suite")]
mod redis_server;
mod rehearsing;
mod secrets;
mod serving;
mod smuggling;
mod spending;
mod support;
mod tiers;
mod tokens;
mod verify;
mod waiting;
