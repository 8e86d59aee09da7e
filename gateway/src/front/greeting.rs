//! Greeting: before a process serves, it asks every node that lives who that is, and before it shares sales, who is at
//! its own address. What does not fit is a mistake of configuration, and is said before anything is done.

use super::asking::Front;
use super::between::HELLO;
use super::relay::{NoAnswer, Relay};
use axum::http::StatusCode;
use engine::nodes::sharing::Sharing;
use engine::rules::node::{Node, NodeId};
use futures_util::future::join_all;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The formats in which this version speaks to other nodes, the oldest and the newest. A version speaks that of the
/// one before it, so that nodes are upgraded one after the other.
const SPEAKS: (u32, u32) = (1, 1);

/// A node that does not answer for so long cannot be reached: a lease is longer.
const GREET_MAX: Duration = Duration::from_secs(1);

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    node: String,
    process: u64,
    version: String,
    speaks: (u32, u32),
}

/// Why this process must not be one of these nodes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misfit {
    /// Another key.
    #[error(
        "node {0} at {1} does not accept this node's key; give all nodes the same --node-key FILE"
    )]
    Key(NodeId, String),
    /// The address of a node leads to something else.
    #[error("the address {1} of node {0} leads to {2}; correct the --node-address of {0}")]
    Address(NodeId, String, String),
    /// One speaks TLS, and the other does not.
    #[error(
        "of node {0} at {1} and this node one speaks TLS; give --node-cert, --node-cert-key and --node-roots to all nodes or to none"
    )]
    Tls(NodeId, String),
    /// No format that both speak.
    #[error(
        "node {0} at {1} runs version {2}, which this version {own} cannot speak with; upgrade \
         through the versions in between, one after the other", own = env!("CARGO_PKG_VERSION")
    )]
    Version(NodeId, String, String),
}

impl Hello {
    /// What this process says of itself.
    pub(super) fn of(me: &Node) -> Self {
        Self {
            node: me.id.to_string(),
            process: me.process,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            speaks: SPEAKS,
        }
    }

    /// Whether this is the node, and one that this process can speak with.
    fn check(self, node: &Node, address: &str) -> Result<(), Misfit> {
        let (id, at) = (node.id.clone(), address.to_owned());
        if self.node != node.id.as_str() {
            return Err(Misfit::Address(id, at, format!("node {}", self.node)));
        }
        if self.process != node.process {
            // One that has just ended, or is about to begin; or it belongs to another Redis.
            tracing::warn!(node = %node.id, address, "another process of this name answers");
        }
        let ((oldest, newest), (own_oldest, own_newest)) = (self.speaks, SPEAKS);
        if oldest > own_newest || newest < own_oldest {
            return Err(Misfit::Version(id, at, self.version));
        }
        Ok(())
    }
}

/// Asks the other nodes that live who they are. One that cannot be reached may be about to end, and is gone on
/// without.
///
/// # Errors
/// [`Misfit`]
pub(crate) async fn greet_others(front: &Front) -> Result<(), Misfit> {
    let (Some(relay), Some(sharing)) = (front.relay(), front.engine().sharing()) else {
        return Ok(());
    };
    let Err(misfit) = greet_each(relay, &front.others()).await else { return Ok(()) };
    // The address of a node that has just ended may be another's by now: its lease is over soon.
    tokio::time::sleep(sharing.lasts()).await;
    if let Err(error) = sharing.renew().await {
        tracing::debug!(%error, "who lives is not known for now");
    }
    tracing::debug!(%misfit, "the others are asked again");
    greet_each(relay, &front.others()).await
}

async fn greet_each(relay: &Relay, nodes: &[Node]) -> Result<(), Misfit> {
    let greeted = nodes.iter().map(|node| greet(relay, node));
    join_all(greeted).await.into_iter().collect()
}

/// Asks whoever is at this node's own address who that is.
///
/// # Errors
/// [`Misfit`]
pub(crate) async fn greet_own(front: &Front) -> Result<(), Misfit> {
    let me = front.engine().sharing().and_then(Sharing::node);
    match front.relay().zip(me) {
        Some((relay, me)) => greet(relay, me).await,
        None => Ok(()),
    }
}

async fn greet(relay: &Relay, node: &Node) -> Result<(), Misfit> {
    let Some(address) = node.reached_at() else { return Ok(()) };
    let (id, at) = (node.id.clone(), address.to_owned());
    let said = tokio::time::timeout(GREET_MAX, relay.tell(node, HELLO, Bytes::new())).await;
    match said.unwrap_or(Err(NoAnswer::TooLate)) {
        Ok((status, said)) if status.is_success() => match postcard::from_bytes::<Hello>(&said) {
            Ok(hello) => hello.check(node, address),
            Err(_) => Err(Misfit::Address(id, at, "something that is no node".into())),
        },
        // It knows of no such call.
        Ok((StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST, _)) => {
            Err(Misfit::Version(id, at, "(unknown)".into()))
        }
        Err(NoAnswer::Refused) => Err(Misfit::Key(id, at)),
        Err(NoAnswer::OtherTls) => Err(Misfit::Tls(id, at)),
        Ok((status, _)) => {
            tracing::warn!(node = %id, address, %status, "a node does not say who it is for now");
            Ok(())
        }
        Err(error) => {
            tracing::warn!(node = %id, address, %error, "a node cannot be reached for now");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_speak_with_one_another_if_they_share_a_format() {
        let id = "a".parse().unwrap();
        let node = Node { id, process: 7, address: "a:1".into() };
        let hello = Hello::of(&node);
        let speaking = |speaks| Hello { speaks, version: "9.0.0".into(), ..hello.clone() };
        let (_, newest) = SPEAKS;
        assert_eq!(hello.clone().check(&node, "a:1"), Ok(()));
        assert_eq!(speaking((newest, newest + 5)).check(&node, "a:1"), Ok(()));
        let far = speaking((newest + 1, newest + 5)).check(&node, "a:1").unwrap_err();
        assert!(far.to_string().starts_with("node a at a:1 runs version 9.0.0"), "{far}");
        assert!(speaking((0, 0)).check(&node, "a:1").is_err());
        let other = Hello { node: "b".into(), ..hello }.check(&node, "a:1").unwrap_err();
        let said = "the address a:1 of node a leads to node b; correct the --node-address of a";
        assert_eq!(other.to_string(), said);
    }
}
