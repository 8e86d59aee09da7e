//! Options that several commands share, and how they are read.

use anyhow::Context;
use engine::store::RedisOptions;
use std::path::PathBuf;
use std::time::Duration;

/// Redis in the place of the embedded store. Addresses may hold passwords: rather give them in the
/// environment, which other users of the machine cannot see.
#[derive(Clone, clap::Args)]
pub struct RedisArgs {
    /// Confirm to this Redis: `redis://[user:password@]host[:port][/db]`, or `rediss://` for TLS
    #[arg(long, env = "FLASHLANE_REDIS", hide_env_values = true, value_name = "URL")]
    redis: Option<String>,
    /// The same Redis with a user who may load functions, if the user of `--redis` may not
    #[arg(long, env = "FLASHLANE_REDIS_LOADER", hide_env_values = true, value_name = "URL")]
    redis_loader: Option<String>,
    /// Certificates in PEM that `rediss://` trusts, in place of the system's
    #[arg(long, env = "FLASHLANE_REDIS_ROOTS", value_name = "FILE")]
    redis_roots: Option<PathBuf>,
}

impl std::fmt::Debug for RedisArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisArgs").field("redis", &self.redis.is_some()).finish_non_exhaustive()
    }
}

impl RedisArgs {
    /// Whether a Redis is named.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.redis.is_some()
    }

    /// What they say; `None` for the embedded store.
    pub(crate) fn options(&self) -> anyhow::Result<Option<RedisOptions>> {
        let Some(url) = &self.redis else {
            let alone = self.redis_loader.is_some() || self.redis_roots.is_some();
            anyhow::ensure!(!alone, "--redis-loader and --redis-roots go with --redis URL");
            return Ok(None);
        };
        let read = |path: &PathBuf| {
            let text = std::fs::read(path);
            text.with_context(|| format!("cannot read the certificates in {}", path.display()))
        };
        Ok(Some(RedisOptions {
            loader_url: self.redis_loader.clone(),
            tls_roots: self.redis_roots.as_ref().map(read).transpose()?,
            ..RedisOptions::new(url)
        }))
    }
}

/// A number and one of s, m, h, d.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration: a number from 1 and one of s, m, h, d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let total = count.checked_mul(seconds).filter(|total| (1..=3_153_600_000).contains(total));
    total.map(Duration::from_secs).ok_or_else(wrong)
}
