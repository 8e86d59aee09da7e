//! Address: where a Redis listens, and how a client for it is made.

use crate::store::StoreError;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
    TlsCertificates,
};
use std::fmt;
use std::time::Duration;

/// The kernel gives the connection up after this long without an acknowledgement.
const USER_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Where a Redis listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// Reads `host:port` as Redis writes it. A host that is empty or unknown is that of the Redis that was asked.
    pub(super) fn told(text: &str, by: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = if matches!(host, "" | "?") { &by.host } else { host };
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// How a client is made for an address: user, password, database, and whether with TLS.
#[derive(Clone)]
pub(super) struct Way {
    flag: &'static str,
    info: ConnectionInfo,
    tls: Option<TlsRoots>,
}

/// Certificates in PEM that TLS trusts; the system's if there are none.
type TlsRoots = Option<Vec<u8>>;

impl Way {
    /// Reads a URL with one address or several, divided by commas.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] that names the flag; the address may contain a password, so no message repeats it.
    pub(super) fn read(
        flag: &'static str,
        url: &str,
        roots: Option<&[u8]>,
    ) -> Result<(Self, Vec<Address>), StoreError> {
        let mut addresses = Vec::new();
        let mut way = None;
        for url in each(url).ok_or_else(|| wrong(flag, &"it does not read like this"))? {
            let info = url.as_str().into_connection_info().map_err(|error| wrong(flag, &error))?;
            let (ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }) =
                info.addr()
            else {
                return Err(wrong(flag, &"it names no host"));
            };
            addresses.push(Address { host: host.clone(), port: *port });
            way.get_or_insert(info);
        }
        let info = way.ok_or_else(|| wrong(flag, &"it names no host"))?;
        let tls = url.starts_with("rediss").then(|| roots.map(<[u8]>::to_vec));
        Ok((Self { flag, info, tls }, addresses))
    }

    /// The same way as another user.
    pub(super) fn as_user(&self, user: &RedisConnectionInfo) -> Self {
        Self { info: self.info.clone().set_redis_settings(user.clone()), ..self.clone() }
    }

    /// As whom one goes this way, and into which database.
    pub(super) fn user(&self) -> &RedisConnectionInfo {
        self.info.redis_settings()
    }

    /// Whether one goes this way with TLS.
    pub(super) const fn is_secret(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn to(&self, address: &Address) -> Result<Client, StoreError> {
        let Address { host, port } = address.clone();
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(keepalive)
            .set_user_timeout(USER_TIMEOUT);
        // Telling Redis the client library's name would need one more right, and a newer Redis.
        let settings = self.user().clone().set_skip_set_lib_name();
        let info = self.info.clone().set_tcp_settings(tcp).set_redis_settings(settings);
        let client = match &self.tls {
            None => Client::open(info.set_addr(ConnectionAddr::Tcp(host, port))),
            Some(roots) => {
                // This fails only if a provider was installed before.
                rustls::crypto::ring::default_provider().install_default().ok();
                let to = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
                let certificates = TlsCertificates { client_tls: None, root_cert: roots.clone() };
                Client::build_with_tls(info.set_addr(to), certificates)
            }
        };
        client.map_err(|error| wrong(self.flag, &error))
    }
}

/// A URL for each of the addresses that one names; `None` if it is none of Redis.
fn each(url: &str) -> Option<Vec<String>> {
    let (scheme @ ("redis" | "rediss"), rest) = url.split_once("://")? else { return None };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    // A user stands once, before the first address; a password has no @ that is not written as %40.
    if user.matches('@').count() > 1 || path.contains('#') {
        return None;
    }
    Some(hosts.split(',').map(|host| format!("{scheme}://{user}{host}{path}")).collect())
}

fn wrong(flag: &str, why: &dyn fmt::Display) -> StoreError {
    StoreError::Unusable(format!(
        "{flag} takes redis://[user:password@]host[:port][,host[:port]]...[/db], or rediss:// for TLS: {why}"
    ))
}
