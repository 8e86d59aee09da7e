//! What a run starts and speaks to: the server, Redis, and connections to both listeners.

pub mod client;
pub mod operator;
pub mod redis;
pub mod server;
