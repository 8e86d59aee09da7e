//! What a run starts and speaks to: the server, Redis, and connections to both listeners.

pub mod caller;
pub mod client;
pub mod disk;
pub mod operator;
pub mod platform;
pub mod postgres;
pub mod redis;
pub mod server;
pub mod usage;

/// Connections that wait to be accepted, as with Flashlane.
pub const BACKLOG: u32 = 4_096;

/// A listener on a free port, for servers that are measured beside Flashlane.
///
/// # Errors
/// When the system has no port left.
pub fn listener() -> std::io::Result<tokio::net::TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    socket.listen(BACKLOG)
}
