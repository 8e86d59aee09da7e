//! The pages in a real browser: what a member sees and presses. `scripts/pages.sh` runs them.

#[expect(dead_code, reason = "shared with the tests over HTTP, which use all of it")]
#[path = "../it/support.rs"]
mod support;

mod browser;
mod desk;
mod framed;
mod measure;
#[path = "../../../benches/src/run/redis.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared with the fault suite")]
mod redis_server;
mod room;
mod words;
