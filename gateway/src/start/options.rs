//! Options: what the commands read from arguments and the environment.

use crate::ask::jwks::JwksPlace;
use crate::ask::origin::Origin;
use crate::ask::rates::RateArgs;
use crate::ask::tiers::TiersFrom;
use crate::ask::token::Algorithm;
use crate::start::address::address;
use crate::start::node_options::NodeArgs;
use anyhow::Context;
use engine::sale::ORDERS_PER_MEMBER;
use engine::store::{Durability, RedisOptions};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The options of `serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeOptions {
    /// A file that says what other flags do not: a flag's name = its value; read again at SIGHUP
    #[arg(long, env = "FLASHLANE_CONFIG", value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// Where members connect, once or several times; port 0 takes a free one
    #[arg(long, env = "FLASHLANE_LISTEN", default_value = "127.0.0.1:8080", value_parser = address)]
    #[arg(value_delimiter = ',')]
    pub listen: Vec<SocketAddr>,
    /// Where operators connect; port 0 takes a free one
    #[arg(long, env = "FLASHLANE_OPERATOR_LISTEN", default_value = "127.0.0.1:8081", value_parser = address)]
    pub operator_listen: SocketAddr,
    /// Where the platform's own servers connect; nowhere if not given
    #[arg(long, env = "FLASHLANE_PLATFORM_LISTEN", value_name = "ADDRESS", value_parser = address)]
    pub platform_listen: Option<SocketAddr>,
    /// Where metrics can be scraped without a key; nowhere if not given: then the operator listener has
    /// them for a viewer's key
    #[arg(long, env = "FLASHLANE_METRICS_LISTEN", value_name = "ADDRESS", value_parser = address)]
    pub metrics_listen: Option<SocketAddr>,
    /// Folder of the embedded store and of keys that are made here
    #[arg(long, env = "FLASHLANE_DATA", default_value = "./flashlane-data")]
    pub data: PathBuf,
    /// Redis in the place of the embedded store.
    #[command(flatten)]
    pub redis: RedisArgs,
    /// The other nodes that share the Redis.
    #[command(flatten)]
    pub nodes: NodeArgs,
    /// How long `/readyz` says that this process stops before it does, so that balancers look away
    #[arg(long, env = "FLASHLANE_DRAIN_DELAY", default_value = "0s", value_parser = delay)]
    pub drain_delay: Duration,
    /// How log lines are written to standard error
    #[arg(long, env = "FLASHLANE_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Which part of the requests has a log line, from 0 to 1
    #[arg(long, env = "FLASHLANE_ACCESS_LOG", default_value = "0", value_name = "PART", value_parser = part)]
    pub access_log: f32,
    /// Whose pages may use the public listener.
    #[command(flatten)]
    pub origins: Origins,
    /// How long outbox entries are kept
    #[arg(long, env = "FLASHLANE_OUTBOX_KEEP", default_value = "7d", value_parser = duration)]
    pub outbox_keep: Duration,
    /// When an order has waited longer than this for the store, new clicks are told `busy`
    #[arg(long, env = "FLASHLANE_CONFIRM_WITHIN", default_value = "5s", value_parser = duration)]
    pub confirm_within: Duration,
    /// Most orders that one member may make in one sale, cancelled and expired ones included
    #[arg(long, env = "FLASHLANE_ORDERS_PER_MEMBER", default_value_t = ORDERS_PER_MEMBER)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub orders_per_member: u16,
    /// Key that verifies members' tokens, or a folder of keys, each named by its `kid`; made under the
    /// data folder if not given (HS256 only)
    #[arg(long, env = "FLASHLANE_TOKEN_KEY", value_name = "FILE|FOLDER")]
    pub token_key: Option<PathBuf>,
    /// Keys that an identity provider publishes, in the place of `--token-key`: an https URL or a file
    #[arg(long, env = "FLASHLANE_TOKEN_JWKS", value_name = "FILE|URL")]
    pub token_jwks: Option<JwksPlace>,
    /// The one algorithm of members' tokens; with `--token-jwks` each key has its own
    #[arg(long, env = "FLASHLANE_TOKEN_ALG", value_enum, default_value = "HS256")]
    pub token_alg: Algorithm,
    /// Issuer that tokens must name
    #[arg(long, env = "FLASHLANE_TOKEN_ISSUER")]
    pub token_issuer: Option<String>,
    /// Which claim of a token names the member
    #[arg(long, env = "FLASHLANE_TOKEN_MEMBER_CLAIM", value_name = "CLAIM", default_value = "sub")]
    pub token_member_claim: String,
    /// Whose word a member's tier is: the book's for those who are enrolled and else the token's, the
    /// token's alone, or the book's alone
    #[arg(long, env = "FLASHLANE_TIERS_FROM", value_enum, default_value = "either")]
    pub tiers_from: TiersFrom,
    /// A sale is archived when it is over and everything about it is settled for this long: it leaves
    /// memory, and what is asked of it is read from the store
    #[arg(long, env = "FLASHLANE_ARCHIVE_AFTER", default_value = "1h", value_parser = duration)]
    pub archive_after: Duration,
    /// Keys of the platform's servers, one a line: NAME EXPIRES KEY; one is made under the data folder
    /// if not given
    #[arg(long, env = "FLASHLANE_PLATFORM_KEY", value_name = "FILE")]
    pub platform_key: Option<PathBuf>,
    /// Keys of operators, one a line: NAME ROLE EXPIRES KEY (viewer, agent, operator or admin), or one
    /// bare key of an admin, which is made under the data folder if not given
    #[arg(long, env = "FLASHLANE_OPERATOR_KEY", value_name = "FILE")]
    pub operator_key: Option<PathBuf>,
    /// Keys by which the payment provider signs, one a line; made under the data folder if not given
    #[arg(long, env = "FLASHLANE_PAYMENT_KEY", value_name = "FILE")]
    pub payment_key: Option<PathBuf>,
    /// Sales to make at the start, unless they are there already
    #[arg(long, env = "FLASHLANE_SALES", value_name = "FILE.toml")]
    pub sales: Option<PathBuf>,
    /// The membership plan: what members earn, what it is worth and what it buys. Without it the newest
    /// one holds, or the one inside
    #[arg(long, env = "FLASHLANE_PLAN", value_name = "FILE.toml")]
    pub plan: Option<PathBuf>,
    /// Most connections at once; as many as open files allow if not given
    #[arg(long, env = "FLASHLANE_CONNECTIONS_MAX")]
    pub connections_max: Option<usize>,
    /// Most members' tokens that are remembered once they were verified; with more, the least used ones are
    /// verified again
    #[arg(long, env = "FLASHLANE_SESSIONS_MAX", default_value_t = 1_000_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    pub sessions_max: u32,
    /// Most event streams without a token at once
    #[arg(long, env = "FLASHLANE_ANONYMOUS_STREAMS_MAX", default_value_t = 5_000)]
    pub anonymous_streams_max: u64,
    /// How often members and addresses may ask.
    #[command(flatten)]
    pub rates: RateArgs,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object a line, for machines.
    Json,
}

/// Whose pages may use the public listener.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Origins {
    /// Origins whose pages may call the public listener: `https://shop.example,http://localhost:3000`
    #[arg(long = "allow-origins", env = "FLASHLANE_ALLOW_ORIGINS", value_name = "ORIGINS")]
    #[arg(value_delimiter = ',')]
    pub(crate) allow: Vec<Origin>,
    /// Origins whose pages may show this server's pages in a frame
    #[arg(long, env = "FLASHLANE_FRAME_ANCESTORS", value_name = "ORIGINS", value_delimiter = ',')]
    pub(crate) frame_ancestors: Vec<Origin>,
    /// Origins that pictures of things may lie on, beside this server: `https://cdn.example`
    #[arg(long = "media-origins", env = "FLASHLANE_MEDIA_ORIGINS", value_name = "ORIGINS")]
    #[arg(value_delimiter = ',')]
    pub(crate) media: Vec<Origin>,
}

/// Redis in the place of the embedded store. URLs may contain passwords: set them in the
/// environment, which other users of the machine cannot see, rather than as arguments.
#[derive(Clone, clap::Args)]
pub struct RedisArgs {
    /// Confirm to this Redis: `redis://[user:password@]host[:port][/db]`, or `rediss://` for TLS; of a cluster one
    /// node or several, divided by commas: `redis://a:7000,b:7000`
    #[arg(long, env = "FLASHLANE_REDIS", hide_env_values = true, value_name = "URL")]
    redis: Option<String>,
    /// The same Redis with a user who may load functions, if the user of `--redis` may not
    #[arg(long, env = "FLASHLANE_REDIS_LOADER", hide_env_values = true, value_name = "URL")]
    redis_loader: Option<String>,
    /// Certificates in PEM that `rediss://` trusts, in place of the system's
    #[arg(long, env = "FLASHLANE_REDIS_ROOTS", value_name = "FILE")]
    redis_roots: Option<PathBuf>,
    /// The addresses of `--redis` are those of Sentinels, and this is what they call the primary
    #[arg(long, env = "FLASHLANE_REDIS_SENTINEL", value_name = "NAME")]
    redis_sentinel: Option<String>,
    /// An order is confirmed when so many replicas of Redis have it, too
    #[arg(long, env = "FLASHLANE_REDIS_REPLICAS", default_value_t = 0, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=16))]
    redis_replicas: u32,
    /// Whose word it is that Redis keeps what it confirms: `checked` asks Redis for its append-only file, `trusted` is for
    /// services that keep it in their own way and do not show how
    #[arg(long, env = "FLASHLANE_REDIS_DURABILITY", value_enum, default_value = "checked")]
    redis_durability: RedisDurability,
}

/// Whose word it is that Redis keeps what it confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum RedisDurability {
    /// Redis.
    Checked,
    /// The operator.
    Trusted,
}

impl std::fmt::Debug for RedisArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisArgs").field("redis", &self.redis.is_some()).finish_non_exhaustive()
    }
}

impl RedisArgs {
    /// Returns whether a Redis is named.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.redis.is_some()
    }

    /// Returns what the arguments say of Redis, or `None` for the embedded store.
    pub(crate) fn options(&self) -> anyhow::Result<Option<RedisOptions>> {
        let Some(url) = &self.redis else {
            let goes_with_redis = [
                ("--redis-loader", self.redis_loader.is_some()),
                ("--redis-roots", self.redis_roots.is_some()),
                ("--redis-sentinel", self.redis_sentinel.is_some()),
                ("--redis-replicas", self.redis_replicas > 0),
                ("--redis-durability", self.redis_durability == RedisDurability::Trusted),
            ];
            let alone = goes_with_redis.iter().find(|(_, is_given)| *is_given);
            anyhow::ensure!(
                alone.is_none(),
                "{} goes with --redis URL",
                alone.map_or("", |of| of.0)
            );
            return Ok(None);
        };
        let read = |path: &PathBuf| {
            let text = std::fs::read(path);
            text.with_context(|| format!("cannot read the certificates in {}", path.display()))
        };
        Ok(Some(RedisOptions {
            loader_url: self.redis_loader.clone(),
            tls_roots: self.redis_roots.as_ref().map(read).transpose()?,
            sentinel: self.redis_sentinel.clone(),
            replicas: self.redis_replicas,
            durability: match self.redis_durability {
                RedisDurability::Checked => Durability::Checked,
                RedisDurability::Trusted => Durability::Trusted,
            },
            ..RedisOptions::new(url)
        }))
    }
}

/// Reads a duration that may be 0.
fn delay(text: &str) -> Result<Duration, String> {
    if text == "0s" { Ok(Duration::ZERO) } else { duration(text) }
}

/// Reads a part of all.
fn part(text: &str) -> Result<f32, String> {
    let part = text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
    part.ok_or_else(|| format!("`{text}` is no part: write a number from 0 to 1, as 0.01"))
}

/// Reads a duration: a number from 1 and one of s, m, h, d.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration: a number from 1 and one of s, m, h, d");
    let suffix = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match suffix {
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
