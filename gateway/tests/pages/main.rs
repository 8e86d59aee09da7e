//! The pages in a real browser: what a member sees and presses. `scripts/pages.sh` runs them.

#[expect(dead_code, reason = "shared with the tests over HTTP, which use all of it")]
#[path = "../it/support.rs"]
mod support;

mod browser;
mod desk;
mod framed;
mod measure;
mod room;
mod words;
