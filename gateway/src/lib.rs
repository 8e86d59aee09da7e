//! The HTTP face of Flashlane. It decides nothing: it reads requests, asks the engine and writes
//! answers. `routes.rs` has the routes; a click comes in by `member/buy.rs` and is judged by
//! `member/click.rs`.

mod answer;
mod app;
mod ask;
mod assets;
mod audit;
mod front;
mod member;
mod meters;
mod openapi;
mod operator;
mod platform;
mod provider;
mod rehearsal;
mod routes;
mod start;

pub use answer::view::OrderView;
pub use ask::jwks::JwksPlace;
pub use ask::rates::RateArgs;
pub use ask::token::{Algorithm, BadKey, issue_token};
pub use front::between::CLICKS as PASSED_ON_CLICKS;
pub use front::gather::PassedClick;
pub use openapi::documents as openapi_documents;
pub use start::backup::{BackupOptions, RestoreOptions, backup, restore};
pub use start::configuration::Configuration;
pub use start::options::{LogFormat, RedisArgs, ServeOptions, duration};
pub use start::serve::serve;
pub use start::store::{stored, upgrade};
