//! `flashlane serve`: puts the parts together, runs them, and stops them one after another.

use super::accept::{Listener, TURNED_AWAY_MAX};
use super::options::ServeOptions;
use super::sales_file;
use super::secrets::Secrets;
use super::store::store;
use crate::app::App;
use crate::ask::rates::Rates;
use crate::routes;
use anyhow::{Context, bail};
use axum::extract::FromRef;
use engine::clock::Clock;
use engine::rules::terms::Terms;
use engine::{Engine, Settings};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How long reserved orders may take to be confirmed once clicks have stopped.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(30);
/// Members and addresses that have not asked for a while are forgotten this often.
const TIDY_EVERY: Duration = Duration::from_secs(10);
/// Sales that could not be opened are tried again this often.
const OPEN_AGAIN_EVERY: Duration = Duration::from_secs(2);
/// Most bytes that the system keeps for a client that does not read. By default it would keep
/// megabytes.
const UNREAD_BYTES_MAX: u32 = 64 << 10;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 4_096;
/// Most connections on the operator listener: operators are few.
const OPERATOR_CONNECTIONS_MAX: usize = 64;
/// File descriptors kept for what is no member's connection: operators, who is turned away at either
/// listener, and 64 for files, Redis and the runtime.
const FILES_RESERVED: usize = OPERATOR_CONNECTIONS_MAX + 2 * TURNED_AWAY_MAX + 64;

/// Serves until SIGTERM or SIGINT, then answers what is in flight and confirms what is reserved.
///
/// # Errors
/// When it cannot start, or when reserved orders were left unconfirmed at the end.
pub async fn serve(options: ServeOptions) -> anyhow::Result<()> {
    let data = &options.data;
    std::fs::create_dir_all(data)
        .with_context(|| format!("cannot make the data folder {}", data.display()))?;
    let secrets = Secrets::read(&options)?;
    let rates = Arc::new(Rates::new(&options.rates));
    // Opening a sale takes it from the process that sells it now, so everything that may fail comes
    // before.
    let sales = options.sales.as_deref().map(sales_file::read).transpose()?.unwrap_or_default();
    let connections_max = connections_max(options.connections_max)?;
    let (public, operator) = (bind(options.listen)?, bind(options.operator_listen)?);
    // This comes before the addresses are announced: from then on another process may end this one.
    let told_to_stop = told_to_stop()?;
    // Who connects from now on is answered as soon as it is known which sales there are.
    announce(&public, &operator, &secrets.files)?;
    let store = store(data, &options.redis, options.outbox_keep).await?;
    let (confirm_within, orders_per_member) = (options.confirm_within, options.orders_per_member);
    let settings = Settings { confirm_within, orders_per_member };
    let engine = Engine::begin(store, Clock::Wall, settings).await?;

    let stop = watch::Sender::new(false);
    let Secrets { verifier, guard, payment_keys, .. } = secrets;
    let stopping = stop.subscribe();
    let anonymous = options.anonymous_streams_max;
    let app = App::new(engine, verifier, payment_keys, Arc::clone(&rates), stopping, anonymous);
    let members = Listener {
        socket: public,
        router: routes::public(app.clone()),
        connections_max,
        gates: FromRef::from_ref(&app),
        rates: Arc::clone(&rates),
    };
    let operators = Listener {
        socket: operator,
        router: routes::operator(app.clone(), guard),
        connections_max: OPERATOR_CONNECTIONS_MAX,
        gates: FromRef::from_ref(&app),
        rates: Arc::default(),
    };
    let serving = [members, operators].map(|l| tokio::spawn(l.serve(stop.subscribe())));
    let engine = Arc::<Engine>::from_ref(&app);
    let made = data.join("sales.made");
    let failure = tokio::select! {
        () = until(told_to_stop, &rates) => None,
        failure = keep_open(&engine, &sales, &made) => Some(failure),
    };

    tracing::info!("stopping: answering what is in flight, confirming what is reserved");
    stop.send_replace(true);
    for listener in serving {
        listener.await?;
    }
    engine::fault::crash_point("draining");
    let drained = drain(&engine).await;
    failure.map_or(drained, Err)
}

/// Waits for the signal. Meanwhile forgets members and addresses that do not ask any more.
async fn until(told_to_stop: impl Future<Output = ()>, rates: &Rates) {
    let mut tidying = tokio::time::interval(TIDY_EVERY);
    tokio::pin!(told_to_stop);
    loop {
        tokio::select! {
            () = &mut told_to_stop => return,
            _ = tidying.tick() => rates.forget_the_calm(),
        }
    }
}

/// Opens the sales, makes those of the file, and tries those again that could not be opened. Returns
/// only why a sale of the file must not be made.
async fn keep_open(engine: &Engine, sales: &[Terms], made: &Path) -> anyhow::Error {
    engine.open_again().await;
    if let Err(why) = sales_file::make(engine, sales, made).await {
        return why;
    }
    engine.note_started();
    let mut again = tokio::time::interval(OPEN_AGAIN_EVERY);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        again.tick().await;
        engine.open_again().await;
    }
}

/// Confirms the orders that are reserved. The error says what could not be confirmed.
async fn drain(engine: &Engine) -> anyhow::Result<()> {
    let unconfirmed = engine.drain(CONFIRM_DEADLINE).await;
    if let Some(open) = engine.sales().iter().find(|open| open.has_lost_history()) {
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

/// Listens for SIGTERM and SIGINT from now on; resolves at the first. A SIGHUP, which a terminal that
/// goes away sends, too, does not end the process.
fn told_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => {
                    tracing::info!("SIGHUP does not end this process; send SIGTERM for that");
                }
            }
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

fn announce(
    public: &TcpListener,
    operator: &TcpListener,
    keys: &[PathBuf; 3],
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "public http://{}", public.local_addr()?)?;
    writeln!(out, "operator http://{}", operator.local_addr()?)?;
    for (name, path) in ["token", "operator", "payment"].into_iter().zip(keys) {
        writeln!(out, "{name} key {}", path.display())?;
    }
    out.flush()?;
    Ok(())
}

/// Returns the most connections at once: `wanted`, or, if it is not given, as many as open files
/// allow, up to 100,000. Raises the soft `RLIMIT_NOFILE` to the hard one first.
fn connections_max(wanted: Option<usize>) -> anyhow::Result<usize> {
    let files = rlimit::increase_nofile_limit(u64::MAX).context("cannot read the file limit")?;
    let room = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(FILES_RESERVED);
    match wanted {
        Some(wanted) if wanted > room => bail!(
            "--connections-max {wanted} is over what open files allow ({room}); raise ulimit -n"
        ),
        Some(wanted) => Ok(wanted),
        None => Ok(room.min(100_000)),
    }
}
