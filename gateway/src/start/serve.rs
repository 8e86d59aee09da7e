//! `flashlane serve`: puts the parts together, runs them, and stops them one after another.

use super::accept::Listener;
use super::options::ServeOptions;
use super::sales_file;
use super::secrets::{Guards, Secrets};
use super::sockets::{Sockets, connections_max};
use super::store::store;
use crate::app::App;
use crate::ask::rates::Rates;
use crate::member::health::Leaving;
use anyhow::{Context, bail};
use axum::extract::FromRef;
use engine::clock::Clock;
use engine::rules::terms::Terms;
use engine::{Engine, Settings};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How long reserved orders may take to be confirmed once clicks have stopped.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(30);
/// Members and addresses that have not asked for a while are forgotten this often.
const TIDY_EVERY: Duration = Duration::from_secs(10);
/// Sales that could not be opened are tried again this often.
const OPEN_AGAIN_EVERY: Duration = Duration::from_secs(2);
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
    let connections_max = connections_max(options.connections_max, options.listen.len() + 2)?;
    let sockets = Sockets::bind(&options)?;
    // This comes before the addresses are announced: from then on another process may end this one.
    let guards = secrets.guards.clone();
    let told_to_stop = told_to_stop(guards.clone())?;
    // Who connects from now on is answered as soon as it is known which sales there are.
    sockets.announce(&secrets.files)?;
    let store = store(data, &options.redis, options.outbox_keep).await?;
    let (confirm_within, orders_per_member) = (options.confirm_within, options.orders_per_member);
    let settings = Settings { confirm_within, orders_per_member };
    let engine = Engine::begin(store, Clock::Wall, settings).await?;

    let stop = watch::Sender::new(false);
    let Secrets { verifier, payment_keys, .. } = secrets;
    let stopping = stop.subscribe();
    let anonymous = options.anonymous_streams_max;
    let app = App::new(engine, verifier, payment_keys, Arc::clone(&rates), stopping, anonymous);
    let listeners = sockets.listeners(&app, &options, &guards, connections_max);
    let serve = |listener: Listener| tokio::spawn(listener.serve(stop.subscribe()));
    let serving: Vec<_> = listeners.into_iter().map(serve).collect();
    let engine = Arc::<Engine>::from_ref(&app);
    let made = data.join("sales.made");
    let failure = tokio::select! {
        () = until(told_to_stop, &rates) => None,
        failure = keep_open(&engine, &sales, &made) => Some(failure),
    };

    Arc::<Leaving>::from_ref(&app).note();
    if options.drain_delay > Duration::ZERO && failure.is_none() {
        tracing::info!(
            "going to stop: balancers have time to look away; a second signal ends that"
        );
        tokio::select! {
            () = tokio::time::sleep(options.drain_delay) => {}
            () = until(self::told_to_stop(guards)?, &rates) => {}
        }
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
/// goes away sends, too, does not end the process: the key files are read again.
fn told_to_stop(guards: Guards) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => {
                    tracing::info!("SIGHUP: the key files are read again; SIGTERM ends this process");
                    guards.read_again();
                }
            }
        }
    })
}
