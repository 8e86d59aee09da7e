//! An address to listen on, as it is written in options.

use std::net::{SocketAddr, ToSocketAddrs};

/// Reads an address to listen on: an IP address or a host's name, and a port.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    if port.parse::<u16>().is_ok() {
        return Err(format!(
            "write 127.0.0.1:{port} to serve this machine alone, or 0.0.0.0:{port} to serve all"
        ));
    }
    let found = text.to_socket_addrs().map_err(|error| {
        format!("`{text}` is no address ({error}); write one as 127.0.0.1:8080 or localhost:8080")
    })?;
    let found: Vec<SocketAddr> = found.collect();
    let address = found.iter().find(|address| address.is_ipv4()).or(found.first());
    address.copied().ok_or_else(|| format!("`{text}` has no address"))
}
