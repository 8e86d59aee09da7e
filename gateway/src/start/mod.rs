//! Starting and ending: options, secrets, the store, listeners.

mod accept;
mod answering;
mod deadline;
pub(crate) mod options;
mod sales_file;
mod secrets;
pub(crate) mod serve;
mod sockets;
pub(crate) mod store;
