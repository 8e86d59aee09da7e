//! The HTTP face of Flashlane, and nothing that decides: it reads requests, asks the engine and
//! writes answers. `app.rs` has the routes, `member/buy.rs` the click.

mod answer;
mod app;
mod ask;
mod assets;
mod member;
mod openapi;
mod operator;
mod provider;
mod start;

pub use answer::view::OrderView;
pub use ask::limits::LimitArgs;
pub use openapi::document as openapi_document;
pub use start::options::{RedisArgs, duration};
pub use start::secrets::{Algorithm, BadKey, issue_token};
pub use start::serve::{ServeOptions, serve, store};
