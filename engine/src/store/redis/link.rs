//! Link: the connection to Redis, with a deadline for each call, and made anew after any failure.
//!
//! The caller waits between tries, and not the link: the caller knows what waits for the answer.

use super::meaning::meaning;
use super::{facts, library};
use crate::store::StoreError;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, FromRedisValue, IntoConnectionInfo,
    TlsCertificates,
};
use std::fmt;
use std::time::Duration;
use tokio::sync::Mutex;

/// Where Redis is, and how long it may take.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://[user:password@]host[:port][/db]`, or `rediss://` for TLS.
    pub url: String,
    /// As `url`, with a user that may load functions; `None` if the user of `url` may load them.
    pub loader_url: Option<String>,
    /// Certificates in PEM that TLS trusts instead of the system's.
    pub tls_roots: Option<Vec<u8>>,
    /// After this long without an answer a call's outcome is unknown, and the connection given up.
    pub deadline: Duration,
    /// Outbox entries are kept at least this long.
    pub outbox_keep: Duration,
}

impl RedisOptions {
    /// Options with a deadline of 2 s, and outbox entries kept for 7 days.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        let deadline = Duration::from_secs(2);
        let outbox_keep = Duration::from_secs(7 * 24 * 3_600);
        Self { url: url.into(), loader_url: None, tls_roots: None, deadline, outbox_keep }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The addresses may contain passwords.
        f.debug_struct("RedisOptions").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// The kernel gives the connection up after this long without an acknowledgement.
const USER_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_secs(10);

pub(super) struct Link {
    client: Client,
    loader: Option<Client>,
    deadline: Duration,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(options: &RedisOptions) -> Result<Self, StoreError> {
        let roots = options.tls_roots.as_deref();
        let loader = options.loader_url.as_deref().map(|url| client("--redis-loader", url, roots));
        Ok(Self {
            client: client("--redis", &options.url, roots)?,
            loader: loader.transpose()?,
            deadline: options.deadline,
            connection: Mutex::new(None),
        })
    }

    /// Sends one command and returns its answer. When the function library is missing, it is loaded
    /// and the command is sent again.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        match self.ask_once(command).await {
            Err(StoreError::Refused(why)) if library::is_missing(&why) => {
                self.load().await?;
                self.ask_once(command).await
            }
            answer => answer,
        }
    }

    async fn ask_once<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let mut is_sent = false;
        let asked = tokio::time::timeout(self.deadline, async {
            let mut connection = self.connected().await?;
            is_sent = true;
            crate::fault::crash_point("sending");
            command.query_async(&mut connection).await.map_err(|error| meaning(&error))
        });
        let asked = asked.await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(_) if is_sent => {
                Err(StoreError::Unknown(format!("no answer within {:?}", self.deadline)))
            }
            Err(_) => Err(StoreError::Refused(format!("no connection within {:?}", self.deadline))),
        };
        if answer.is_err() {
            // The connection is given up also when Redis refused the call: behind the same address
            // there may be another Redis by now.
            *self.connection.lock().await = None;
        }
        answer
    }

    async fn connected(&self) -> Result<MultiplexedConnection, StoreError> {
        let mut open = self.connection.lock().await;
        if let Some(connection) = &*open {
            return Ok(connection.clone());
        }
        let mut connection = self.connect(&self.client).await?;
        // Behind the same address there may be another Redis than before.
        facts::keeps_orders(&mut connection).await?;
        *open = Some(connection.clone());
        Ok(connection)
    }

    /// A connection of its own, to a Redis of which nothing is known yet.
    pub(super) async fn unchecked(&self) -> Result<MultiplexedConnection, StoreError> {
        self.connect(&self.client).await
    }

    async fn connect(&self, client: &Client) -> Result<MultiplexedConnection, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.deadline))
            // The link's deadline is the only one: it also gives the connection up.
            .set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        // Nothing was sent yet, so nothing can have happened.
        connection.map_err(|error| match meaning(&error) {
            StoreError::Unknown(why) => StoreError::Refused(format!("no connection: {why}")),
            refused => refused,
        })
    }

    /// Loads the function library; one that is there already is left as it is.
    pub(super) async fn load(&self) -> Result<(), StoreError> {
        let mut connection = match &self.loader {
            Some(loader) => self.connect(loader).await?,
            None => self.connected().await?,
        };
        let mut load = redis::cmd("FUNCTION");
        load.arg("LOAD").arg(library::SOURCE.as_str());
        let loaded = load.query_async::<()>(&mut connection);
        match tokio::time::timeout(self.deadline, loaded).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.to_string().contains("already exists") => Ok(()),
            Ok(Err(error)) => Err(meaning(&error)),
            Err(_) => Err(StoreError::Refused("the function library could not be loaded".into())),
        }
    }
}

fn client(flag: &str, url: &str, tls_roots: Option<&[u8]>) -> Result<Client, StoreError> {
    // The address may contain a password: no message repeats it.
    let wrong = |why: &dyn fmt::Display| {
        StoreError::Unusable(format!(
            "{flag} takes redis://[user:password@]host[:port][/db], or rediss:// for TLS: {why}"
        ))
    };
    let info: ConnectionInfo = match url.split_once("://") {
        Some(("redis" | "rediss", _)) => url.into_connection_info().map_err(|e| wrong(&e))?,
        _ => return Err(wrong(&"it does not begin like this")),
    };
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
        .set_user_timeout(USER_TIMEOUT);
    // Telling Redis the client library's name would need one more right, and a newer Redis.
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    let info = info.set_tcp_settings(tcp).set_redis_settings(settings);
    if url.starts_with("rediss") {
        // This fails only if a provider was installed before.
        rustls::crypto::ring::default_provider().install_default().ok();
        let root_cert = tls_roots.map(<[u8]>::to_vec);
        let certificates = TlsCertificates { client_tls: None, root_cert };
        return Client::build_with_tls(info, certificates).map_err(|error| wrong(&error));
    }
    Client::open(info).map_err(|error| wrong(&error))
}
