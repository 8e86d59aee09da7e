//! Sockets: the addresses that this process serves at, and what is served at each.

use super::accept::{Listener, TURNED_AWAY_MAX};
use super::live::Live;
use super::options::{Origins, ServeOptions};
use crate::app::App;
use crate::ask::origin::Origin;
use crate::ask::rates::Rates;
use crate::front::feed::Telling;
use crate::front::node::{self, Faces, Own};
use crate::meters::Face;
use crate::routes;
use anyhow::{Context, bail};
use axum::Router;
use axum::extract::FromRef;
use rustls::ServerConfig;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;

/// Most bytes that the system keeps for a client that does not read. By default it would keep
/// megabytes.
const UNREAD_BYTES_MAX: u32 = 64 << 10;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 4_096;
/// Most connections on the operator listener, and on that of metrics: operators are few.
const OPERATOR_CONNECTIONS_MAX: usize = 64;
/// Most connections on the platform listener: each carries many members' clicks.
const PLATFORM_CONNECTIONS_MAX: usize = 256;
/// Most connections on the node listener: each other node has a few.
const NODE_CONNECTIONS_MAX: usize = 256;
/// File descriptors kept for what is no member's connection: operators, the platform's servers, other nodes (as many to them as from them), and 64 for
/// files, Redis and the runtime; each listener has some more for peers that it turns away.
const FILES_RESERVED: usize =
    2 * OPERATOR_CONNECTIONS_MAX + PLATFORM_CONNECTIONS_MAX + 2 * NODE_CONNECTIONS_MAX + 64;

/// Addresses that are taken, and not served at yet.
#[derive(Debug)]
pub(super) struct Sockets {
    public: Vec<TcpListener>,
    operator: TcpListener,
    platform: Option<TcpListener>,
    metrics: Option<TcpListener>,
    node: Option<TcpListener>,
    /// What other nodes are spoken to by over TLS.
    node_tls: Option<Arc<ServerConfig>>,
}

impl Sockets {
    pub(super) fn bind(
        options: &ServeOptions,
        node_tls: Option<Arc<ServerConfig>>,
    ) -> anyhow::Result<Self> {
        let public = options.listen.iter().map(|address| bind(*address));
        Ok(Self {
            public: public.collect::<anyhow::Result<_>>()?,
            operator: bind(options.operator_listen)?,
            platform: options.platform_listen.map(bind).transpose()?,
            metrics: options.metrics_listen.map(bind).transpose()?,
            node: options.nodes.node_listen.map(bind).transpose()?,
            node_tls,
        })
    }

    /// Says on standard output where this process can be reached, and where its keys stand.
    pub(super) fn announce(&self, keys: &[(&str, PathBuf)]) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        for public in &self.public {
            writeln!(out, "public http://{}", public.local_addr()?)?;
        }
        writeln!(out, "operator http://{}", self.operator.local_addr()?)?;
        let node = if self.node_tls.is_some() { "node https" } else { "node http" };
        let others = [
            ("platform http", &self.platform),
            ("metrics http", &self.metrics),
            (node, &self.node),
        ];
        for (name, socket) in others {
            if let Some(socket) = socket {
                writeln!(out, "{name}://{}", socket.local_addr()?)?;
            }
        }
        for (name, path) in keys {
            writeln!(out, "{name} key {}", path.display())?;
        }
        Ok(out.flush()?)
    }

    /// Where other nodes connect.
    pub(super) fn node_address(&self) -> Option<SocketAddr> {
        self.node.as_ref().and_then(|socket| socket.local_addr().ok())
    }

    pub(super) fn listeners(
        self,
        app: &App,
        options: &ServeOptions,
        live: &Live,
        connections_max: usize,
    ) -> Vec<Listener> {
        let listener = |face, socket, router: Router, rates, room| {
            let (meters, logged) = (FromRef::from_ref(app), Arc::clone(&live.access_log));
            let (tls, allowed) = (None, Arc::default());
            Listener { socket, router, room, meters, face, rates, tls, logged, allowed }
        };
        let allowed: Arc<[_]> = options.origins.allow.iter().map(Origin::header).collect();
        let room = Arc::new(Semaphore::new(connections_max));
        let router = routes::public(app.clone(), &options.origins);
        let rates = Arc::<Rates>::from_ref(app);
        let public = self.public.into_iter();
        let public = public.map(|socket| {
            listener(Face::Public, socket, router.clone(), Arc::clone(&rates), Arc::clone(&room))
        });
        let public = public.map(|l| Listener { allowed: Arc::clone(&allowed), ..l });
        let private = |face, socket, router, room| {
            listener(face, socket, router, Arc::default(), Arc::new(Semaphore::new(room)))
        };
        let router = routes::operator(app.clone(), live.guards.operators.clone(), &options.origins);
        let faces = Faces {
            public: routes::public(app.clone(), &Origins::default()),
            operator: router.clone(),
            platform: match live.guards.platform.clone() {
                Some(keys) => routes::platform(app.clone(), keys),
                None => Router::new(),
            },
        };
        let operator = private(Face::Operator, self.operator, router, OPERATOR_CONNECTIONS_MAX);
        let platform = self.platform.zip(live.guards.platform.clone()).map(|(socket, _)| {
            private(Face::Platform, socket, faces.platform.clone(), PLATFORM_CONNECTIONS_MAX)
        });
        let node = self.node.zip(live.guards.nodes.clone()).map(|(socket, keys)| {
            let own = Own {
                engine: FromRef::from_ref(app),
                passes: FromRef::from_ref(app),
                telling: Telling {
                    hub: FromRef::from_ref(app),
                    rates: FromRef::from_ref(app),
                    clicks: FromRef::from_ref(app),
                },
                log: FromRef::from_ref(app),
                sessions: FromRef::from_ref(app),
                faces: Arc::new(faces.clone()),
            };
            let router = node::router(own, keys);
            let tls = self.node_tls.clone();
            Listener { tls, ..private(Face::Node, socket, router, NODE_CONNECTIONS_MAX) }
        });
        let metrics = self.metrics.map(|socket| {
            let router = routes::metrics(app.clone());
            private(Face::Metrics, socket, router, OPERATOR_CONNECTIONS_MAX)
        });
        public.chain([operator]).chain(platform).chain(metrics).chain(node).collect()
    }
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

/// Returns the most connections at once: `wanted`, or, if it is not given, as many as open files
/// allow, up to 100,000. Raises the soft `RLIMIT_NOFILE` to the hard one first.
pub(super) fn connections_max(wanted: Option<usize>, listeners: usize) -> anyhow::Result<usize> {
    let files = rlimit::increase_nofile_limit(u64::MAX).context("cannot read the file limit")?;
    let room = usize::try_from(files)
        .unwrap_or(usize::MAX)
        .saturating_sub(FILES_RESERVED + listeners * TURNED_AWAY_MAX);
    match wanted {
        Some(wanted) if wanted > room => bail!(
            "--connections-max {wanted} is over what open files allow ({room}); raise ulimit -n"
        ),
        Some(wanted) => Ok(wanted),
        None => Ok(room.min(100_000)),
    }
}
