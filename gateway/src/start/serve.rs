//! `flashlane serve`: puts the parts together, runs them, and stops them one after another.

use super::accept::Listener;
use super::archive;
use super::book;
use super::configuration::Configuration;
use super::live::Live;
use super::node_tls;
use super::nodes;
use super::options::ServeOptions;
use super::plan_file;
use super::sales_file;
use super::secrets::Secrets;
use super::sockets::{Sockets, connections_max};
use super::store::store;
use crate::app::{App, Given};
use crate::ask::media::MediaOrigins;
use crate::ask::new_sale::NewSale;
use crate::ask::rates::Rates;
use crate::ask::sample::Sample;
use crate::ask::session::Sessions;
use crate::audit::AuditLog;
use crate::front::asking::Front;
use crate::front::greeting::{greet_others, greet_own};
use crate::front::relay::Relay;
use crate::member::health::Leaving;
use crate::meters::Meters;
use crate::operator::members::go_on_erasing;
use crate::routes;
use anyhow::{Context, bail};
use axum::extract::FromRef;
use engine::{Engine, Settings};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// How long reserved orders may take to be confirmed once clicks have stopped.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(30);
/// Addresses that have not asked for a while are forgotten this often.
const TIDY_EVERY: Duration = Duration::from_secs(10);
/// Sales that could not be opened are tried again this often.
const OPEN_AGAIN_EVERY: Duration = Duration::from_secs(2);

/// Serves until SIGTERM or SIGINT, then answers what is in flight and confirms what is reserved.
///
/// # Errors
/// When it cannot start, or when reserved orders were left unconfirmed at the end.
pub async fn serve(configuration: Configuration) -> anyhow::Result<()> {
    let options = configuration.options.clone();
    let data = &options.data;
    make(data)?;
    nodes::check(&options.nodes, options.redis.is_given())?;
    let secrets = Secrets::read(&options)?;
    let (node_key, tls) = (nodes::key(&options.nodes)?, node_tls::read(&options.nodes)?);
    let rates = Arc::new(Rates::new(&options.rates));
    // Opening a sale takes it from the process that sells it now, so everything that may fail comes
    // before.
    let (sales, media) = sales_to_make(&options)?;
    let plan = options.plan.as_deref().map(plan_file::read).transpose()?;
    let connections_max = connections_max(options.connections_max, options.listen.len() + 4)?;
    let audit = Arc::new(AuditLog::open(data)?);
    let sockets = Sockets::bind(&options, tls.listens)?;
    // This comes before the addresses are announced: from then on another process may end this one.
    let live = Arc::new(Live {
        guards: secrets.guards.clone(),
        rates: Arc::clone(&rates),
        access_log: Arc::new(Sample::new(options.access_log)),
        configuration: Mutex::new(configuration),
        audit: Arc::clone(&audit),
    });
    let told_to_stop = told_to_stop(Arc::clone(&live))?;
    // A client that connects from now on is answered as soon as it is known which sales there are.
    sockets.announce(&secrets.files)?;
    let (store, leasing) = store(data, &options.redis, options.outbox_keep).await?;
    let (store, calls) = store.timed();
    let joined = nodes::join(leasing, &options.nodes, data, sockets.node_address()).await?;
    let meters = Arc::new(Meters::new(calls, routes::paths()));
    let (confirm_within, orders_per_member) = (options.confirm_within, options.orders_per_member);
    let settings = Settings { confirm_within, orders_per_member };
    let (clock, sharing) = (joined.clock.clone(), joined.sharing.clone());
    let engine = Engine::begin_shared(store, clock, settings, sharing).await?;
    plan_file::hold(&engine, plan).await?;
    let stop = watch::Sender::new(false);
    let app = App::new(Given {
        engine,
        verifier: secrets.verifier,
        tiers_from: options.tiers_from,
        payment_keys: secrets.payment_keys,
        rates: Arc::clone(&rates),
        meters,
        audit,
        media,
        stop: stop.subscribe(),
        anonymous_streams_max: options.anonymous_streams_max,
        sessions_max: options.sessions_max,
        relay: node_key.map(|key| Relay::new(key, tls.connects.as_ref())),
    });
    greet(&app).await?;
    share_book(&app);
    let serve = |listener: Listener| tokio::spawn(listener.serve(stop.subscribe()));
    let listeners = sockets.listeners(&app, &options, &live, connections_max);
    let serving: Vec<_> = listeners.into_iter().map(serve).collect();
    let own = greet_own(&Arc::<Front>::from_ref(&app)).await;
    let keep = || nodes::keep(&FromRef::from_ref(&app), &FromRef::from_ref(&app));
    let kept = own.is_ok().then(keep).flatten();
    let failure = match own {
        Ok(()) => sell(&app, &options, &sales, told_to_stop).await,
        Err(misfit) => Some(misfit.into()),
    };

    Arc::<Leaving>::from_ref(&app).note();
    if failure.is_none() {
        look_away(live, &rates).await?;
    }
    let ended = end(&app, kept, serving, &stop).await;
    failure.map_or(ended, Err)
}

/// Has the book count with what others post: before the first member is looked up, and before a node tells of one.
fn share_book(app: &App) {
    if let Some(hears) = Arc::<Front>::from_ref(app).hears() {
        Arc::<Engine>::from_ref(app).book().share(hears);
    }
}

/// Sells until this process is told to stop, or must; returns why.
async fn sell(
    app: &App,
    options: &ServeOptions,
    sales: &[NewSale],
    told_to_stop: impl Future<Output = ()>,
) -> Option<anyhow::Error> {
    let (engine, rates) = (Arc::<Engine>::from_ref(app), Arc::<Rates>::from_ref(app));
    let made = options.data.join("sales.made");
    tokio::select! {
        () = until(told_to_stop, &rates) => None,
        failure = keep_open(app, sales, &made) => Some(failure),
        never = book::keep(&engine, options.outbox_keep) => match never {},
        never = archive::keep(&engine, options.archive_after) => match never {},
    }
}

/// Asks the nodes that live who they are, before this one serves.
async fn greet(app: &App) -> anyhow::Result<()> {
    let greeted = greet_others(&Arc::<Front>::from_ref(app)).await;
    if greeted.is_err() {
        // The lease ends, too.
        Arc::<Engine>::from_ref(app).drain(CONFIRM_DEADLINE).await;
    }
    Ok(greeted?)
}

/// Hands sales over, answers what is in flight, and confirms what is reserved.
async fn end(
    app: &App,
    kept: Option<nodes::Kept>,
    serving: Vec<JoinHandle<()>>,
    stop: &watch::Sender<bool>,
) -> anyhow::Result<()> {
    let (engine, front) = (Arc::<Engine>::from_ref(app), Arc::<Front>::from_ref(app));
    // The lease is renewed until everything is confirmed.
    let renewing = match kept {
        Some(kept) => Some(kept.leave(&engine, &front).await),
        None => None,
    };
    tracing::info!("stopping: answering what is in flight, confirming what is reserved");
    stop.send_replace(true);
    for listener in serving {
        listener.await?;
    }
    engine::fault::crash_point("draining");
    let drained = drain(&engine).await;
    renewing.inspect(JoinHandle::abort);
    drained
}

fn make(data: &Path) -> anyhow::Result<()> {
    let made = std::fs::create_dir_all(data);
    made.with_context(|| format!("cannot make the data folder {}", data.display()))
}

/// The sales of the file, and on which origins their pictures may lie.
fn sales_to_make(options: &ServeOptions) -> anyhow::Result<(Vec<NewSale>, MediaOrigins)> {
    let media = MediaOrigins(options.origins.media.clone());
    let sales = options.sales.as_deref().map(|file| sales_file::read(file, &media)).transpose()?;
    Ok((sales.unwrap_or_default(), media))
}

/// Leaves balancers time to look away. A second signal ends that.
async fn look_away(live: Arc<Live>, rates: &Rates) -> anyhow::Result<()> {
    let drain_delay = live.drain_delay();
    if drain_delay > Duration::ZERO {
        tracing::info!(
            "going to stop: balancers have time to look away; a second signal ends that"
        );
        tokio::select! {
            () = tokio::time::sleep(drain_delay) => {}
            () = until(told_to_stop(live)?, rates) => {}
        }
    }
    Ok(())
}

/// Waits for the signal. Meanwhile forgets addresses that do not ask any more.
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

/// Opens the sales, makes those of the file, and tries those again that could not be opened. Goes on with
/// erasing that was broken off. Returns only why a sale of the file must not be made.
async fn keep_open(app: &App, sales: &[NewSale], made: &Path) -> anyhow::Error {
    let engine = &*Arc::<Engine>::from_ref(app);
    let (log, sessions) = (Arc::<AuditLog>::from_ref(app), Arc::<Sessions>::from_ref(app));
    let front = Arc::<Front>::from_ref(app);
    engine.open_again().await;
    if let Err(error) = engine.share().await {
        tracing::warn!(%error, "which sales are to be this node's is not known for now");
    }
    // A front owns no sale: the nodes make those of the file.
    let is_front = engine.sharing().is_some_and(|sharing| sharing.me().is_none());
    if !is_front && let Err(why) = sales_file::make(engine, sales, made).await {
        return why;
    }
    engine.note_started();
    let mut again = tokio::time::interval(OPEN_AGAIN_EVERY);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        again.tick().await;
        engine.open_again().await;
        if let Err(error) = go_on_erasing(engine, &log, &sessions, &front).await {
            tracing::debug!(%error, "whether somebody is being erased is not known for now");
        }
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
/// goes away sends, too, does not end the process: keys and options are read again.
fn told_to_stop(live: Arc<Live>) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => {
                    tracing::info!("SIGHUP: keys and options are read again; SIGTERM ends this process");
                    let live = Arc::clone(&live);
                    // A set of keys may have to be fetched.
                    let read = tokio::task::spawn_blocking(move || live.read_again());
                    if let Err(error) = read.await {
                        tracing::error!(%error, "reading again failed");
                    }
                }
            }
        }
    })
}
