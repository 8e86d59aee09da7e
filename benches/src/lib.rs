//! How fast Flashlane is, and whether it told the truth while it was: the load generator's parts.

pub mod audit;
pub mod child;
pub mod client;
pub mod drive;
pub mod faults;
pub mod life;
pub mod members;
pub mod operator;
pub mod plot;
pub mod redis_server;
pub mod report;
pub mod slow;
pub mod streams;
pub mod tally;
pub mod world;
