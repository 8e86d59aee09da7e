//! `flashlane serve`: puts the parts together, runs them, and stops them one after another.

use super::accept::Listener;
use super::archive;
use super::book;
use super::configuration::Configuration;
use super::live::Live;
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
use crate::member::health::Leaving;
use crate::meters::Meters;
use crate::operator::members::go_on_erasing;
use crate::routes;
use anyhow::{Context, bail};
use axum::extract::FromRef;
use engine::clock::Clock;
use engine::{Engine, Settings};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
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
    let secrets = Secrets::read(&options)?;
    let rates = Arc::new(Rates::new(&options.rates));
    // Opening a sale takes it from the process that sells it now, so everything that may fail comes
    // before.
    let (sales, media) = sales_to_make(&options)?;
    let plan = options.plan.as_deref().map(plan_file::read).transpose()?;
    let connections_max = connections_max(options.connections_max, options.listen.len() + 3)?;
    let audit = Arc::new(AuditLog::open(data)?);
    let sockets = Sockets::bind(&options)?;
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
    let (store, calls) = store(data, &options.redis, options.outbox_keep).await?.timed();
    let meters = Arc::new(Meters::new(calls, routes::paths()));
    let (confirm_within, orders_per_member) = (options.confirm_within, options.orders_per_member);
    let settings = Settings { confirm_within, orders_per_member };
    let engine = Engine::begin(store, Clock::Wall, settings).await?;
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
    });
    let listeners = sockets.listeners(&app, &options, &live, connections_max);
    let serve = |listener: Listener| tokio::spawn(listener.serve(stop.subscribe()));
    let serving: Vec<_> = listeners.into_iter().map(serve).collect();
    let engine = Arc::<Engine>::from_ref(&app);
    let made = data.join("sales.made");
    let failure = tokio::select! {
        () = until(told_to_stop, &rates) => None,
        failure = keep_open(&app, &sales, &made) => Some(failure),
        never = book::keep(&engine, options.outbox_keep) => match never {},
        never = archive::keep(&engine, options.archive_after) => match never {},
    };

    Arc::<Leaving>::from_ref(&app).note();
    if failure.is_none() {
        look_away(live, &rates).await?;
    }
    tracing::info!("stopping: answering what is in flight, confirming what is reserved");
    stop.send_replace(true);
    for listener in serving {
        listener.await?;
    }
    engine::fault::crash_point("draining");
    let drained = drain(&engine).await;
    failure.map_or(drained, Err)
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
        if let Err(error) = go_on_erasing(engine, &log, &sessions).await {
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
