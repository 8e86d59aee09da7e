//! Wanted: which node a sale should belong to. Every node comes to the same answer, also one of another
//! version, so the hash may never change.

use crate::rules::node::NodeId;
use crate::rules::terms::SaleId;
use sha2::{Digest, Sha256};

/// The node that is wanted as the sale's owner, of these: that with the highest hash together with the sale
/// (rendezvous hashing), so that a node that comes or goes moves only the sales that must move.
#[must_use]
pub fn wanted<'a>(
    sale: &SaleId,
    nodes: impl IntoIterator<Item = &'a NodeId>,
) -> Option<&'a NodeId> {
    nodes.into_iter().max_by_key(|node| weight(sale, node))
}

fn weight(sale: &SaleId, node: &NodeId) -> [u8; 32] {
    // Neither name can have a line break.
    Sha256::digest(format!("{sale}\n{node}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &[&str]) -> Vec<NodeId> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn owners(names: &[&str]) -> Vec<String> {
        let nodes = nodes(names);
        let of = |n| wanted(&format!("sale-{n}").parse().unwrap(), &nodes).unwrap().to_string();
        (0..3_000).map(of).collect()
    }

    #[test]
    fn sales_are_spread_and_only_those_of_a_node_that_goes_move() {
        let three = owners(&["a", "b", "c"]);
        for node in ["a", "b", "c"] {
            let many = three.iter().filter(|owner| *owner == node).count();
            assert!((850..1_150).contains(&many), "{node} has {many} of 3,000");
        }
        let two = owners(&["c", "a"]);
        let moved = three.iter().zip(&two).filter(|(was, is)| was != is);
        assert!(moved.clone().count() > 0 && moved.into_iter().all(|(was, _)| was == "b"));
        assert_eq!(wanted(&"sale".parse().unwrap(), &[]), None);
    }

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        assert_eq!(owners(&["a", "b", "c"])[..8], ["b", "a", "c", "b", "b", "c", "c", "a"]);
    }
}
