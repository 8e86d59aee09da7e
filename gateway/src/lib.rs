//! The HTTP face of Flashlane, and nothing that decides: it reads requests, asks the engine and
//! writes answers. `app.rs` has the routes, `buy.rs` the click.

mod accept;
mod app;
mod buy;
mod error;
mod keys;
mod metrics;
mod openapi;
mod operator;
mod options;
mod orders;
mod request;
mod sales;
mod serve;
mod session;
mod view;

pub use keys::{Algorithm, BadKey, issue_token};
pub use openapi::document as openapi_document;
pub use options::{RedisArgs, duration};
pub use serve::{ServeOptions, serve, store};
pub use view::OrderView;
