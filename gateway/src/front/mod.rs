//! Front: what concerns a sale of another node is passed on to that node, and answered as if it had come there.

pub(crate) mod asking;
pub(crate) mod between;
pub(crate) mod feed;
mod feeds;
mod frames;
pub(crate) mod gather;
pub(crate) mod greeting;
mod judged;
pub(crate) mod listing;
pub(crate) mod names;
pub(crate) mod node;
pub(crate) mod pass_on;
mod plain;
mod refusing;
pub(crate) mod relay;
pub(crate) mod stream;
mod telling;
mod untold;
