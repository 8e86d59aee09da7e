//! Starting and ending: options, secrets, the store, listeners.

mod accept;
pub(crate) mod address;
mod answering;
mod archive;
pub(crate) mod backup;
mod book;
pub(crate) mod configuration;
mod deadline;
mod http2;
mod live;
pub(crate) mod node_options;
mod node_tls;
mod nodes;
pub(crate) mod options;
mod plan_file;
mod sales_file;
mod secrets;
pub(crate) mod serve;
mod sockets;
pub(crate) mod store;
