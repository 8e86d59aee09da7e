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

#[cfg(test)]
mod tests {
    use super::*;

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
