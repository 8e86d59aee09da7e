//! Nodes: this process as one of several that share a Redis: its name, its lease, the sales that come and go.

use super::node_options::{NodeArgs, Owns};
use crate::ask::callers::first_key;
use crate::front::asking::Front;
use anyhow::{Context, bail, ensure};
use axum::http::HeaderValue;
use engine::Engine;
use engine::clock::Clock;
use engine::nodes::sharing::Sharing;
use engine::rules::node::{Node, NodeId, Role};
use engine::store::{Leasing, StoreError};
use std::convert::Infallible;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// How long a node may sell without a word of the store.
const LEASE: Duration = Duration::from_secs(2);
/// How often it is looked for sales of nodes that are gone and for sales that are to move, when nothing has changed.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A sale that could not be opened is tried again after so long.
const OPEN_AGAIN: Duration = Duration::from_secs(2);
/// How often it is looked which sales are to be kept, or are another node's.
const KEEP_EVERY: Duration = Duration::from_millis(200);
/// How long a node that ends may hand its sales over.
const LEAVE_WITHIN: Duration = Duration::from_secs(20);
/// How often it is looked what else other nodes may have changed.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);
/// How often other nodes are told of which members something was posted.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// A name that another process has is asked for again after so long.
const NAME_AGAIN: Duration = Duration::from_millis(100);

/// What does not fit in the options of a node is said before anything is listened on.
pub(super) fn check(args: &NodeArgs, has_redis: bool) -> anyhow::Result<()> {
    let NodeArgs { node_listen, node_address, node_key, owns, node_cert, node_roots, .. } = args;
    let named = [
        ("--node-listen", node_listen.is_some()),
        ("--node-address", node_address.is_some()),
        ("--node-key", node_key.is_some()),
        ("--owns none", *owns == Owns::None),
        ("--node-cert", node_cert.is_some()),
        ("--node-roots", node_roots.is_some()),
    ];
    if let Some((flag, _)) = named.iter().find(|(_, is_given)| *is_given && !has_redis) {
        bail!("{flag} goes with --redis URL: the embedded store has one node");
    }
    ensure!(
        node_listen.is_none() || node_key.is_some(),
        "--node-listen needs --node-key FILE, the same on all nodes"
    );
    ensure!(
        *owns == Owns::All || node_key.is_some(),
        "--owns none needs --node-key FILE: a front passes everything on to other nodes"
    );
    ensure!(
        node_address.is_none() || node_listen.is_some(),
        "--node-address says how --node-listen is reached; give both"
    );
    if let Some(address) = node_address {
        let is_one = address.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        ensure!(is_one, "--node-address {address}: write it as HOST:PORT");
    }
    Ok(())
}

/// The key that this node shows to others: the first one of the file.
pub(super) fn key(args: &NodeArgs) -> anyhow::Result<Option<HeaderValue>> {
    let Some(file) = &args.node_key else { return Ok(None) };
    let shown = file.display();
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read the key file {shown}"))?;
    let key = first_key(&text).with_context(|| format!("the key file {shown} has no key"))?;
    let mut header = HeaderValue::try_from(format!("Bearer {key}"))
        .with_context(|| format!("the key in {shown} has characters that no key can have"))?;
    header.set_sensitive(true);
    Ok(Some(header))
}

/// This process, among other nodes if it shares its store. The lease has begun, and holds as long as the data folder is
/// locked.
pub(super) struct Joined {
    pub(super) sharing: Option<Arc<Sharing>>,
    pub(super) clock: Clock,
    _lock: Option<File>,
}

/// Joins the other nodes of this store, if it is one that can be shared.
pub(super) async fn join(
    leasing: Option<Arc<dyn Leasing>>,
    args: &NodeArgs,
    data: &Path,
    listens_on: Option<SocketAddr>,
) -> anyhow::Result<Joined> {
    let Some(leasing) = leasing else {
        return Ok(Joined { sharing: None, clock: Clock::Wall, _lock: None });
    };
    let clock = Clock::of_store();
    let process = fastrand::u64(..);
    let (lock, before) = lock(data, process)?;
    let role = match args.owns {
        Owns::None => Role::Front,
        Owns::All => {
            let address = args.node_address.clone().or(listens_on.map(|on| on.to_string()));
            let id = args.node_id.clone().map_or_else(machine, Ok)?;
            let address = address.unwrap_or_default();
            let address = Node::shown(&address, args.node_cert.is_some());
            let node = Node { id, process, address };
            if let Some(process) = before {
                // The process before this one has ended: its lease need not be waited for.
                let ended = leasing.end(&Node { process, ..node.clone() }).await;
                ended.context("this node cannot begin its lease")?;
            }
            Role::Owner(node)
        }
    };
    let sharing = Arc::new(Sharing::new(leasing, role, LEASE, clock.clone()));
    sharing.set_clock().await.context("the clock of Redis cannot be read")?;
    begin(&sharing).await?;
    Ok(Joined { sharing: Some(sharing), clock, _lock: Some(lock) })
}

/// Locks the data folder for this process; returns which process had it before, if one had.
fn lock(data: &Path, process: u64) -> anyhow::Result<(File, Option<u64>)> {
    let path = data.join("node.lock");
    let shown = path.display();
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.with_context(|| format!("cannot open {shown}"))?;
    if file.try_lock().is_err() {
        bail!("another process has the data folder {}; give this one its own", data.display());
    }
    let mut before = String::new();
    file.read_to_string(&mut before).with_context(|| format!("cannot read {shown}"))?;
    let written = file
        .rewind()
        .and_then(|()| file.set_len(0))
        .and_then(|()| file.write_all(process.to_string().as_bytes()));
    written.with_context(|| format!("cannot write {shown}"))?;
    Ok((file, before.trim().parse().ok()))
}

/// Begins the lease. A process with this name that has just ended may still have one.
async fn begin(sharing: &Sharing) -> anyhow::Result<()> {
    let mut waited = Duration::ZERO;
    loop {
        match sharing.renew().await {
            Ok(_) => return Ok(()),
            Err(StoreError::NodeIdTaken(address)) if waited > LEASE + LEASE / 2 => {
                let name = sharing.me().map(NodeId::as_str).unwrap_or_default();
                let at = if address.is_empty() { String::new() } else { format!(" at {address}") };
                bail!(
                    "another process that shares this Redis is named {name}{at}; end it, or give \
                     this one another name with --node-id"
                );
            }
            Err(StoreError::NodeIdTaken(_)) => {
                tokio::time::sleep(NAME_AGAIN).await;
                waited += NAME_AGAIN;
            }
            Err(error) => return Err(error).context("this node cannot begin its lease"),
        }
    }
}

/// The machine's name, as far as a node's name can have it.
fn machine() -> anyhow::Result<NodeId> {
    let name = gethostname::gethostname().to_string_lossy().to_lowercase();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().map(plain).take(40).collect();
    name.parse().context("the machine has no name; give this node one with --node-id")
}

/// The tasks that keep this process among the nodes.
pub(super) struct Kept {
    /// Renews the lease, until the engine has given it up.
    renewing: JoinHandle<Infallible>,
    /// Takes sales and hands them over, until it is told to stop.
    sharing: JoinHandle<()>,
    following: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

/// Keeps the lease, takes the sales that are to be this node's, and hands over those that are to be another's. `None`
/// without other nodes.
pub(super) fn keep(engine: &Arc<Engine>, front: &Arc<Front>) -> Option<Kept> {
    engine.sharing()?;
    let (look, stop) = (Arc::new(Notify::new()), watch::Sender::new(false));
    let renewing = tokio::spawn(renew(Arc::clone(engine), Arc::clone(&look)));
    let sharing =
        tokio::spawn(share(Arc::clone(engine), Arc::clone(front), look, stop.subscribe()));
    let (engine, front, stopping) = (Arc::clone(engine), Arc::clone(front), stop.subscribe());
    let following = tokio::spawn(async move {
        let mut stopping = stopping;
        tokio::select! {
            never = follow(&engine) => match never {},
            never = keep_own(&engine) => match never {},
            never = tell_changed(&front) => match never {},
            // Err: nobody can stop it any more.
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    });
    Some(Kept { renewing, sharing, following, stop })
}

impl Kept {
    /// Hands every sale over to other nodes, if there are any, while this one still serves.
    pub(super) async fn leave(self, engine: &Engine, front: &Front) -> JoinHandle<Infallible> {
        self.stop.send_replace(true);
        // A sale that is on its way is brought there first.
        for task in [self.sharing, self.following] {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of this node has failed");
            }
        }
        match tokio::time::timeout(LEAVE_WITHIN, engine.leave()).await {
            Ok(Ok(moved)) => front.tell_moved(&moved).await,
            Ok(Err(error)) => tracing::warn!(%error, "not every sale is handed over"),
            Err(_) => tracing::warn!("handing sales over takes too long"),
        }
        self.renewing
    }
}

async fn renew(engine: Arc<Engine>, look: Arc<Notify>) -> Infallible {
    let Some(sharing) = engine.sharing() else { return std::future::pending().await };
    let (mut renewals, mut is_well) = (tokio::time::interval(sharing.lasts() / 3), true);
    renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        renewals.tick().await;
        match engine.renew_lease().await {
            Ok(others) => {
                if others {
                    let names: Vec<String> =
                        sharing.living().iter().map(|node| node.id.to_string()).collect();
                    tracing::info!(nodes = names.join(", "), "other nodes live than before");
                    look.notify_one();
                }
                is_well = true;
            }
            Err(error) => {
                if is_well {
                    tracing::warn!(%error, "this node's lease is not renewed for now");
                }
                is_well = false;
            }
        }
    }
}

/// Keeps the sales that were taken before the lease was over, and lets go of those that others have taken.
async fn keep_own(engine: &Engine) -> Infallible {
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        if let Err(error) = engine.keep_own().await {
            tracing::debug!(%error, "not every sale is kept for now");
        }
    }
}

async fn share(
    engine: Arc<Engine>,
    front: Arc<Front>,
    look: Arc<Notify>,
    mut stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        match engine.share().await {
            Ok(moved) => {
                // There may be more to move, a few at a time.
                if !moved.is_empty() {
                    look.notify_one();
                }
                front.tell_moved(&moved).await;
            }
            Err(error) => {
                tracing::debug!(%error, "which sales are to be this node's is not known for now");
            }
        }
        // What could not be opened is tried again soon.
        let again = if engine.not_opened().is_empty() { LOOK_EVERY } else { OPEN_AGAIN };
        tokio::select! {
            () = look.notified() => {}
            () = tokio::time::sleep(again) => {}
            // Err: nobody can stop it any more.
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Tells the other nodes of which members this one has posted something.
async fn tell_changed(front: &Front) -> Infallible {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        front.tell_changed().await;
    }
}

async fn follow(engine: &Engine) -> Infallible {
    loop {
        tokio::time::sleep(FOLLOW_EVERY).await;
        if let Err(error) = engine.follow_others().await {
            tracing::debug!(%error, "what other nodes have changed is not known for now");
        }
    }
}
