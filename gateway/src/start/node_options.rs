//! Options of a node: its name, and how other nodes reach it.

use super::address::address;
use engine::rules::node::NodeId;
use std::net::SocketAddr;
use std::path::PathBuf;

/// One of several processes that share a Redis.
#[derive(Debug, Clone, clap::Args)]
pub struct NodeArgs {
    /// This node's name among those that share the Redis, 1 to 40 of a-z 0-9 -; the machine's name if not given
    #[arg(long, env = "FLASHLANE_NODE_ID", value_name = "NAME")]
    pub node_id: Option<NodeId>,
    /// Where other nodes connect; nowhere if not given: then no sale goes to this node or from it while it lives
    #[arg(long, env = "FLASHLANE_NODE_LISTEN", value_name = "ADDRESS", value_parser = address)]
    pub node_listen: Option<SocketAddr>,
    /// How other nodes reach that address, as HOST:PORT; as it is listened on if not given
    #[arg(long, env = "FLASHLANE_NODE_ADDRESS", value_name = "HOST:PORT")]
    pub node_address: Option<String>,
    /// The keys that nodes know one another by, one a line: NAME EXPIRES KEY; the first one is shown to others
    #[arg(long, env = "FLASHLANE_NODE_KEY", value_name = "FILE")]
    pub node_key: Option<PathBuf>,
    /// This node's certificates in PEM, its own first: what is said to it goes over TLS; its name is that of --node-address
    #[arg(long, env = "FLASHLANE_NODE_CERT", value_name = "FILE")]
    pub node_cert: Option<PathBuf>,
    /// The private key of --node-cert in PEM
    #[arg(long, env = "FLASHLANE_NODE_CERT_KEY", value_name = "FILE")]
    pub node_cert_key: Option<PathBuf>,
    /// The certificates in PEM that those of all nodes are signed by: nodes are spoken to over TLS, all of them
    #[arg(long, env = "FLASHLANE_NODE_ROOTS", value_name = "FILE")]
    pub node_roots: Option<PathBuf>,
    /// Which sales this node may own; with none it only passes clicks on
    #[arg(long, env = "FLASHLANE_OWNS", value_enum, default_value = "all")]
    pub owns: Owns,
}

/// Which sales a node may own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Owns {
    /// Those that are to be its own.
    All,
    /// None.
    None,
}
