//! Options: where Redis is, how long it may take, and when an answer of it counts.

use std::fmt;
use std::time::Duration;

/// Where Redis is, how long it may take, and when an answer of it counts.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://[user:password@]host[:port][,host[:port]]...[/db]`, or `rediss://` for TLS. Several addresses are
    /// those of nodes of one cluster, of which any one leads to the others, or those of Sentinels.
    pub url: String,
    /// As `url`, with a user that may load functions; its addresses do not count. `None` if the user of `url` may load
    /// them.
    pub loader_url: Option<String>,
    /// Certificates in PEM that TLS trusts instead of the system's.
    pub tls_roots: Option<Vec<u8>>,
    /// The name under which the Sentinels at `url` know the primary; `None` if `url` leads to Redis itself.
    pub sentinel: Option<String>,
    /// How many replicas must have a change, too, before its answer counts.
    pub replicas: u32,
    /// Whose word it is that Redis keeps what it confirms.
    pub durability: Durability,
    /// After this long without an answer a call's outcome is unknown, and the connection given up.
    pub deadline: Duration,
    /// Outbox entries are kept at least this long.
    pub outbox_keep: Duration,
}

/// Whose word it is that Redis keeps what it confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Redis, of its append-only file.
    #[default]
    Checked,
    /// The operator: a service that keeps what is written in its own way and does not show how.
    Trusted,
}

impl RedisOptions {
    /// Options with a deadline of 2 s, and outbox entries kept for 7 days.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            loader_url: None,
            tls_roots: None,
            sentinel: None,
            replicas: 0,
            durability: Durability::Checked,
            deadline: Duration::from_secs(2),
            outbox_keep: Duration::from_secs(7 * 24 * 3_600),
        }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The addresses may contain passwords.
        f.debug_struct("RedisOptions").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
