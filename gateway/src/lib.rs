//! The HTTP face of Flashlane, and nothing that decides: it reads requests, asks the engine and
//! writes answers. `app.rs` has the routes, `buy.rs` the click.

mod accept;
mod app;
mod blocked;
mod buy;
mod error;
mod events;
mod keys;
mod limits;
mod metrics;
mod openapi;
mod operator;
mod options;
mod orders;
mod pages;
mod payments;
mod request;
mod sale_report;
mod sales;
mod serve;
mod session;
mod view;
mod waitlist;

pub use keys::{Algorithm, BadKey, issue_token};
pub use limits::LimitArgs;
pub use openapi::document as openapi_document;
pub use options::{RedisArgs, duration};
pub use serve::{ServeOptions, serve, store};
pub use view::OrderView;
