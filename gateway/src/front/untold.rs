//! Untold: of which members other nodes are still to be told.

use engine::clock::Stopwatch;
use engine::members::Changed;
use engine::rules::node::{Node, NodeId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A node that did not hear is told again after so long at the earliest.
const AGAIN: Duration = Duration::from_secs(1);

/// What each other node is still to be told.
#[derive(Debug, Default)]
pub(super) struct Untold(Mutex<BTreeMap<NodeId, Arc<ToTell>>>);

/// What one node is still to be told.
#[derive(Debug, Default)]
pub(super) struct ToTell {
    members: Mutex<BTreeSet<Changed>>,
    /// Held while the node is told; since when it did not hear.
    pub(super) telling: tokio::sync::Mutex<Option<Stopwatch>>,
}

impl Untold {
    /// Adds these members for every node, and returns what each is to be told. Nodes that are gone are forgotten.
    pub(super) fn add(&self, nodes: &[Node], changed: &[Changed]) -> Vec<Arc<ToTell>> {
        let mut untold = self.0.lock();
        untold.retain(|id, _| nodes.iter().any(|node| node.id == *id));
        let each = nodes.iter().map(|node| {
            let to_tell = untold.entry(node.id.clone()).or_default();
            to_tell.members.lock().extend(changed.iter().cloned());
            Arc::clone(to_tell)
        });
        each.collect()
    }
}

impl ToTell {
    /// Takes at most so many members.
    pub(super) fn take(&self, most: usize) -> Vec<Changed> {
        let mut members = self.members.lock();
        let taken: Vec<Changed> = members.iter().take(most).cloned().collect();
        taken.iter().for_each(|taken| drop(members.take(taken)));
        taken
    }

    /// The node did not hear of these.
    pub(super) fn put_back(&self, members: Vec<Changed>) {
        self.members.lock().extend(members);
    }

    /// Whether the node may be told now: one that did not hear is left alone for a moment.
    pub(super) fn is_due(failed: Option<&Stopwatch>) -> bool {
        failed.is_none_or(|failed| failed.elapsed() >= AGAIN)
    }
}
