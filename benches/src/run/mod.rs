//! What a run starts and speaks to: the server, Redis, and connections to both listeners.

pub mod caller;
pub mod client;
pub mod operator;
pub mod platform;
pub mod postgres;
pub mod redis;
pub mod server;
pub mod usage;
