//! Node: a process that may sell, and what others know it by.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A node's name: 1 to 40 of `a-z 0-9 -`. It stays the same over restarts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(Arc<str>);

/// A text that is no [`NodeId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a node's name is 1 to 40 characters of a-z 0-9 -")]
pub struct BadNodeId;

impl NodeId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeId {
    type Err = BadNodeId;

    fn from_str(text: &str) -> Result<Self, BadNodeId> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=40).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(BadNodeId)
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A node, as it shows itself to others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    /// Its name.
    pub id: NodeId,
    /// Which run of it: random, so that two processes with one name are told apart.
    pub process: u64,
    /// Where other nodes reach it.
    pub address: Arc<str>,
}

/// What stands before the address of a node that is to end.
const LEAVING: char = '-';
/// What stands before the address of a node that speaks TLS.
const TLS: &str = "https://";

impl Node {
    /// This node, as one that is to end.
    #[must_use]
    pub fn leaving(&self) -> Self {
        Self { address: format!("{LEAVING}{}", self.address).into(), ..self.clone() }
    }

    /// Whether it hands its sales over and then ends. Others give it none, and still reach it.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.address.starts_with(LEAVING)
    }

    /// Where other nodes reach it; `None` if they do not.
    #[must_use]
    pub fn reached_at(&self) -> Option<&str> {
        let address = self.address.strip_prefix(LEAVING).unwrap_or(&self.address);
        let address = address.strip_prefix(TLS).unwrap_or(address);
        (!address.is_empty()).then_some(address)
    }

    /// Whether it is spoken to over TLS.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.address.strip_prefix(LEAVING).unwrap_or(&self.address).starts_with(TLS)
    }

    /// How a node shows this address to others.
    #[must_use]
    pub fn shown(address: &str, speaks_tls: bool) -> Arc<str> {
        if speaks_tls && !address.is_empty() {
            format!("{TLS}{address}").into()
        } else {
            address.into()
        }
    }
}

/// What a process does among the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It sells, under this name.
    Owner(Node),
    /// It only passes clicks on, and has no lease.
    Front,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_to_end_is_still_reached() {
        let (id, address) = ("a".parse().unwrap(), "10.0.0.1:80".into());
        let node = Node { id, process: 1, address };
        assert_eq!((node.is_leaving(), node.reached_at()), (false, Some("10.0.0.1:80")));
        let node = node.leaving();
        assert_eq!((node.is_leaving(), node.reached_at()), (true, Some("10.0.0.1:80")));
        let secured = Node { address: Node::shown("10.0.0.1:80", true), ..node.clone() };
        assert!(secured.speaks_tls() && secured.leaving().speaks_tls() && !node.speaks_tls());
        assert_eq!(secured.leaving().reached_at(), Some("10.0.0.1:80"));
        let nowhere = Node { address: "".into(), ..node };
        assert_eq!((nowhere.leaving().is_leaving(), nowhere.reached_at()), (true, None));
    }

    #[test]
    fn a_name_that_could_change_a_keys_meaning_is_refused() {
        for bad in ["", "A", "a b", "a{b}", "a:b", "a.b", &"x".repeat(41)] {
            assert_eq!(bad.parse::<NodeId>(), Err(BadNodeId), "{bad:?}");
        }
        for good in ["a", "node-0", &"x".repeat(40)] {
            assert_eq!(good.parse::<NodeId>().unwrap().as_str(), good);
        }
    }
}
