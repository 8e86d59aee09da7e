//! `flashlane serve`: puts the parts together, runs them, and takes them down in order.

use crate::answer::error::FieldError;
use crate::app::{self, App};
use crate::ask::limits::{LimitArgs, Limits};
use crate::ask::session::Verifier;
use crate::operator::sales::{Guard, NewSale};
use crate::provider::payments::PaymentKeys;
use crate::start::accept;
use crate::start::options::{RedisArgs, duration};
use crate::start::secrets::{self, Algorithm};
use anyhow::{Context, bail};
use engine::rules::terms::Terms;
use engine::store::{RedbStore, RedisStore, Store};
use serde::Deserialize;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};

/// How long reserved orders may take to be confirmed once clicks have stopped.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(30);
/// Members and addresses that have not asked for a while are forgotten this often.
const TIDY_EVERY: Duration = Duration::from_secs(10);
/// What the system keeps for a client that does not read; left alone, it would keep megabytes.
const UNREAD_BYTES_MAX: u32 = 64 << 10;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 4_096;
/// File descriptors kept for everything that is not a connection.
const FILES_RESERVED: u64 = 64;

/// What `serve` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeOptions {
    /// Where members connect; port 0 takes a free one
    #[arg(long, env = "FLASHLANE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where operators connect; port 0 takes a free one
    #[arg(long, env = "FLASHLANE_OPERATOR_LISTEN", default_value = "127.0.0.1:8081")]
    pub operator_listen: SocketAddr,
    /// Folder of the embedded store and of keys that are made here
    #[arg(long, env = "FLASHLANE_DATA", default_value = "./flashlane-data")]
    pub data: PathBuf,
    /// Redis in the place of the embedded store.
    #[command(flatten)]
    pub redis: RedisArgs,
    /// When an order has waited longer than this for the store, new clicks are told `busy`
    #[arg(long, env = "FLASHLANE_CONFIRM_WITHIN", default_value = "5s", value_parser = duration)]
    pub confirm_within: Duration,
    /// Key that verifies members' tokens; made under the data folder if not given (HS256 only)
    #[arg(long, env = "FLASHLANE_TOKEN_KEY", value_name = "FILE")]
    pub token_key: Option<PathBuf>,
    /// The one algorithm of members' tokens
    #[arg(long, env = "FLASHLANE_TOKEN_ALG", value_enum, default_value = "HS256")]
    pub token_alg: Algorithm,
    /// Issuer that tokens must name
    #[arg(long, env = "FLASHLANE_TOKEN_ISSUER")]
    pub token_issuer: Option<String>,
    /// Operators' bearer key; made under the data folder if not given
    #[arg(long, env = "FLASHLANE_OPERATOR_KEY", value_name = "FILE")]
    pub operator_key: Option<PathBuf>,
    /// Keys by which the payment provider signs, one a line; made under the data folder if not given
    #[arg(long, env = "FLASHLANE_PAYMENT_KEY", value_name = "FILE")]
    pub payment_key: Option<PathBuf>,
    /// Sales to make at the start, unless they are there already
    #[arg(long, env = "FLASHLANE_SALES", value_name = "FILE.toml")]
    pub sales: Option<PathBuf>,
    /// Whose word a member's tier is
    #[arg(long, env = "FLASHLANE_TIERS_FROM", value_enum, default_value = "token")]
    pub tiers_from: TiersFrom,
    /// Most connections at once; as many as open files allow if not given
    #[arg(long, env = "FLASHLANE_CONNECTIONS_MAX")]
    pub connections_max: Option<usize>,
    /// How often members and addresses may ask.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// Whose word a member's tier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TiersFrom {
    /// The platform's, in the token.
    Token,
}

/// Serves until SIGTERM or SIGINT, then answers what is in flight and confirms what is reserved.
///
/// # Errors
/// When it cannot start, or when reserved orders were left unconfirmed at the end.
pub async fn serve(options: ServeOptions) -> anyhow::Result<()> {
    let data = &options.data;
    std::fs::create_dir_all(data)
        .with_context(|| format!("cannot make the data folder {}", data.display()))?;
    let token_key = token_key(&options)?;
    let operator_key_path =
        options.operator_key.clone().unwrap_or_else(|| data.join("operator.key"));
    let operator_key = match options.operator_key {
        Some(_) => secrets::read(&operator_key_path)?,
        None => secrets::read_or_make(&operator_key_path, "")?,
    };
    if operator_key.trim_ascii().len() < 16 {
        let path = operator_key_path.display();
        bail!("the operator key in {path} has fewer than 16 bytes; use a longer one");
    }
    let verifier = Verifier::new(
        options.token_alg,
        &secrets::read(&token_key)?,
        options.token_issuer.as_deref(),
    )
    .with_context(|| format!("the token key {} cannot be used", token_key.display()))?;

    let payment_key_path = options.payment_key.clone().unwrap_or_else(|| data.join("payment.key"));
    let payment_key = match options.payment_key {
        Some(_) => secrets::read(&payment_key_path)?,
        None => secrets::read_or_make(&payment_key_path, "whsec_")?,
    };
    let payment_keys = PaymentKeys::new(&payment_key).with_context(|| {
        let path = payment_key_path.display();
        format!("the payment keys in {path} cannot be used; one key a line, `whsec_` and base64")
    })?;
    let limits = Arc::new(Limits::new(&options.limits));

    // Opening a sale takes it from whoever sells it: all that may fail comes before.
    let sales = options.sales.as_deref().map(read_sales).transpose()?.unwrap_or_default();
    let connections_max = connections_max(options.connections_max)?;
    let public = bind(options.listen)?;
    let operator = bind(options.operator_listen)?;
    let store = store(data, &options.redis).await?;
    let app =
        app::start(store, verifier, payment_keys, Arc::clone(&limits), options.confirm_within)
            .await?;
    make_sales(&app, &sales, &data.join("sales.made")).await?;

    // Before anyone can know that this runs, and end it.
    let told_to_stop = told_to_stop()?;
    announce(&public, &operator, [&token_key, &operator_key_path, &payment_key_path])?;
    let members_routes = app::public(Arc::clone(&app));
    let operators_routes = app::operator(Arc::clone(&app), Guard::new(&operator_key));
    let members = accept::serve(
        public,
        members_routes,
        connections_max,
        Arc::clone(&app),
        Arc::clone(&limits),
        app.stop.subscribe(),
    );
    let operators = accept::serve(
        operator,
        operators_routes,
        64,
        Arc::clone(&app),
        Arc::default(),
        app.stop.subscribe(),
    );
    let (members, operators) = (tokio::spawn(members), tokio::spawn(operators));
    let mut tidying = tokio::time::interval(TIDY_EVERY);
    tokio::pin!(told_to_stop);
    loop {
        tokio::select! {
            () = &mut told_to_stop => break,
            _ = tidying.tick() => limits.forget_the_calm(),
        }
    }
    tracing::info!("stopping: answering what is in flight, confirming what is reserved");
    app.stop.send_replace(true);
    members.await?;
    operators.await?;
    engine::fault::crash_point("draining");
    let unconfirmed = app.engine.drain(CONFIRM_DEADLINE).await;
    if let Some(open) = app.engine.sales().iter().find(|open| open.has_lost_history()) {
        let sale = &open.sale.terms().id;
        bail!("the store has lost part of the history of {sale}; only this process knew of it");
    }
    match unconfirmed {
        0 => Ok(()),
        orders => bail!(
            "{orders} reserved orders could not be confirmed; their units are on sale again after \
             the next start"
        ),
    }
}

/// The store that the options name, ready to be used.
///
/// # Errors
/// One sentence on why it cannot be, and what to do.
pub async fn store(data: &Path, redis: &RedisArgs) -> anyhow::Result<Arc<dyn Store>> {
    let Some(options) = redis.options()? else {
        let store = RedbStore::open(&data.join("store.redb"))
            .with_context(|| format!("cannot open the store under {}", data.display()))?;
        return Ok(engine::fault::planted(Arc::new(store)));
    };
    let (store, warnings) = RedisStore::connect(&options).await?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(engine::fault::planted(Arc::new(store)))
}

fn token_key(options: &ServeOptions) -> anyhow::Result<PathBuf> {
    match (&options.token_key, options.token_alg) {
        (Some(path), _) => Ok(path.clone()),
        (None, Algorithm::Hs256) => {
            let path = options.data.join("token.key");
            secrets::read_or_make(&path, "")?;
            Ok(path)
        }
        (None, other) => {
            bail!("--token-alg {other:?} needs --token-key FILE with the public key in PEM")
        }
    }
}

/// Listens for SIGTERM and SIGINT from now on; resolves at the first.
fn told_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.set_send_buffer_size(UNREAD_BYTES_MAX)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bound().with_context(|| format!("cannot listen on {address}; choose another address or port"))
}

fn announce(public: &TcpListener, operator: &TcpListener, keys: [&Path; 3]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "public http://{}", public.local_addr()?)?;
    writeln!(out, "operator http://{}", operator.local_addr()?)?;
    for (name, path) in ["token", "operator", "payment"].into_iter().zip(keys) {
        writeln!(out, "{name} key {}", path.display())?;
    }
    out.flush()?;
    Ok(())
}

/// As many connections as open files allow, the soft limit raised to the hard one.
fn connections_max(wanted: Option<usize>) -> anyhow::Result<usize> {
    let files = rlimit::increase_nofile_limit(u64::MAX).context("cannot read the file limit")?;
    let room = usize::try_from(files.saturating_sub(FILES_RESERVED)).unwrap_or(usize::MAX);
    match wanted {
        Some(wanted) if wanted > room => bail!(
            "--connections-max {wanted} is over what open files allow ({room}); raise ulimit -n"
        ),
        Some(wanted) => Ok(wanted),
        None => Ok(room.min(100_000)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SalesFile {
    #[serde(default)]
    sale: Vec<NewSale>,
}

fn read_sales(path: &Path) -> anyhow::Result<Vec<Terms>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let file: SalesFile =
        toml::from_str(&text).with_context(|| format!("{shown} does not describe sales"))?;
    let terms = |new: NewSale| {
        new.terms().map_err(|errors| {
            let say = |error: &FieldError| format!("{}: {}", error.field, error.reason);
            let errors: Vec<String> = errors.iter().map(say).collect();
            anyhow::anyhow!("a sale in {shown} cannot be made: {}", errors.join("; "))
        })
    };
    file.sale.into_iter().map(terms).collect()
}

/// Makes the sales that are not there yet; those that are go on as they are. Those that were made
/// from here before are written down in `made`: a store that has lost one must not get it anew.
async fn make_sales(app: &App, sales: &[Terms], made: &Path) -> anyhow::Result<()> {
    let before = std::fs::read_to_string(made).unwrap_or_default();
    for terms in sales {
        let id = &terms.id;
        if app.engine.sale(id.as_str()).is_some() || app.engine.damaged().contains_key(id) {
            tracing::info!(sale = %id, "sale goes on");
            continue;
        }
        if before.lines().any(|line| line == id.as_str()) {
            let made = made.display();
            bail!(
                "sale {id} was made before, and the store has lost it; restore the store, or take \
                 the name out of {made} to sell it anew"
            );
        }
        app.engine.create(terms).await.with_context(|| format!("sale {id}"))?;
        let mut file = std::fs::File::options().create(true).append(true).open(made)?;
        writeln!(file, "{id}").with_context(|| format!("cannot write {}", made.display()))?;
        tracing::info!(sale = %id, "sale made");
    }
    Ok(())
}
