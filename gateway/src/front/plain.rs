//! Plain: while the node that sells a sale says that every plain click is refused, those are refused where they come.

use super::feed::Ask;
use super::feeds::{Feed, Feeds};
use super::refusing::{COUNTS_FOR, Why};
use super::relay::Relay;
use crate::answer::error::ApiError;
use crate::ask::session::Session;
use crate::member::click::{Clicks, NotAccepted};
use arc_swap::ArcSwap;
use engine::clock::Stopwatch;
use engine::rules::node::{Node, NodeId};
use engine::rules::time::Millis;
use engine::sync::{AtomicU64, Ordering};
use membership::{PerTier, Tier};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// After so many refusals of a sale within a second its node is asked to say so.
const MANY: u32 = 100;
const WITHIN: Duration = Duration::from_secs(1);
/// After so long without a plain click it is asked no more.
const ASKED_FOR: Duration = Duration::from_secs(5);

/// Plain clicks that were refused elsewhere, by tier and reason.
#[derive(Debug, Default)]
struct Counts(PerTier<[AtomicU64; Why::ALL.len()]>);

impl Counts {
    fn add(&self, tier: Tier, why: Why) {
        // Ordering: Relaxed, a count publishes nothing but itself.
        self.0[tier][why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted since the last time.
    fn take(&self) -> Vec<(Tier, Why, u64)> {
        let each = self.0.iter().flat_map(|(tier, counts)| {
            // Ordering: Relaxed, as in `add`.
            let take = move |why: Why| counts[why as usize].swap(0, Ordering::Relaxed);
            Why::ALL.map(|why| (tier, why, take(why)))
        });
        each.filter(|(_, _, count)| *count > 0).collect()
    }
}

/// A sale of which this process hears.
#[derive(Debug)]
struct Heard {
    node: NodeId,
    feed: Arc<Feed>,
    /// When the last plain click came, in milliseconds.
    clicked_at: AtomicU64,
    counts: Counts,
}

/// The sales of other nodes of which this process hears whether plain clicks are refused.
#[derive(Debug)]
pub(super) struct Plain {
    clicks: Arc<Clicks>,
    feeds: Arc<Feeds>,
    heard: ArcSwap<BTreeMap<String, Arc<Heard>>>,
    /// Refusals of sales of which it does not hear, and since when they are counted.
    refusals: Mutex<Refusals>,
}

/// How often other nodes have refused clicks lately, by sale.
#[derive(Debug, Default)]
struct Refusals(BTreeMap<String, (Stopwatch, u32)>);

impl Refusals {
    /// Counts one more; returns whether there are so many by now that it is worth to be told of the next ones.
    fn are_many(&mut self, sale: &str) -> bool {
        self.0.retain(|_, (since, _)| since.elapsed() < WITHIN);
        let (_, count) = self.0.entry(sale.to_owned()).or_insert_with(|| (Stopwatch::start(), 0));
        *count += 1;
        // Once: who comes next finds more.
        *count == MANY
    }
}

impl Plain {
    pub(super) fn new(clicks: Arc<Clicks>, feeds: Arc<Feeds>) -> Self {
        Self { clicks, feeds, heard: ArcSwap::default(), refusals: Mutex::default() }
    }

    /// Another node has refused a plain click: if it refuses many, it is asked to say when it refuses all.
    pub(super) fn note_refused(self: &Arc<Self>, relay: &Arc<Relay>, node: &Node, sale: &str) {
        let heard = self.heard.load();
        let is_heard = heard.get(sale).is_some_and(|heard| heard.node == node.id);
        if !is_heard && self.refusals.lock().are_many(sale) {
            let (plain, relay) = (Arc::clone(self), Arc::clone(relay));
            tokio::spawn(hear(plain, relay, node.clone(), sale.to_owned()));
        }
    }

    /// Why a plain click is refused here, if the node that sells the sale has just said that each is.
    pub(super) fn refused(
        &self,
        relay: &Relay,
        node: &Node,
        sale: &str,
        session: &Session,
    ) -> Option<ApiError> {
        let heard = self.heard.load();
        let heard = heard.get(sale).filter(|heard| heard.node == node.id)?;
        let engine = self.clicks.engine();
        let now = engine.now();
        // Ordering: Relaxed, a time that publishes nothing but itself.
        heard.clicked_at.store(now.0, Ordering::Relaxed);
        let (refusing, tier) = (heard.feed.refusing()?, session.said.known(engine, session.seat));
        let why = refusing.why(tier, now)?;
        let why = match self.clicks.may_click(session.seat) {
            // Of who is blocked the node that sells keeps a record.
            Err(NotAccepted::Blocked) => return None,
            Err(too_often) => too_often,
            Ok(()) => {
                let tier = tier.or(session.said.tier).unwrap_or(Tier::Regular);
                heard.counts.add(tier, why);
                // Ordering: Relaxed, a count publishes nothing but itself.
                relay.passed.refused.fetch_add(1, Ordering::Relaxed);
                let (refusal, now) = (why.refusal(), refusing.at);
                NotAccepted::Refused { refusal, tier, now, may_return: refusing.may_return }
            }
        };
        Some(why.into())
    }

    /// Takes a sale among those of which this process hears; returns false if it hears of it from that node already.
    fn begin(&self, sale: &str, heard: &Arc<Heard>) -> bool {
        let mut is_new = false;
        self.heard.rcu(|all| {
            is_new = all.get(sale).is_none_or(|known| known.node != heard.node);
            let mut all = BTreeMap::clone(all);
            if is_new {
                all.insert(sale.to_owned(), Arc::clone(heard));
            }
            all
        });
        is_new
    }

    fn end(&self, sale: &str, heard: &Arc<Heard>) {
        self.heard.rcu(|all| {
            let mut all = BTreeMap::clone(all);
            all.retain(|of, other| of != sale || !Arc::ptr_eq(other, heard));
            all
        });
    }
}

impl Heard {
    /// Tells the node how many plain clicks were refused here.
    fn tell(&self) {
        let counts = self.counts.take();
        if !counts.is_empty() {
            self.feed.ask(Ask::Refused(counts));
        }
    }
}

/// Hears of a sale for as long as plain clicks come and its feed lasts.
async fn hear(plain: Arc<Plain>, relay: Arc<Relay>, node: Node, sale: String) {
    let engine = plain.clicks.engine();
    let Ok(Ok(feed)) = plain.feeds.of(engine, &relay, &node, &sale).await else { return };
    let clicked_at = AtomicU64::new(engine.now().0);
    let heard = Arc::new(Heard { node: node.id, feed, clicked_at, counts: Counts::default() });
    if !plain.begin(&sale, &heard) {
        return;
    }
    heard.feed.ask(Ask::Plain(true));
    // Ordering: Relaxed, a time that publishes nothing but itself.
    let clicked_at = || Millis(heard.clicked_at.load(Ordering::Relaxed));
    while heard.feed.lasts() && engine.now() < clicked_at() + ASKED_FOR {
        tokio::time::sleep(COUNTS_FOR).await;
        heard.tell();
    }
    plain.end(&sale, &heard);
    heard.tell();
    heard.feed.ask(Ask::Plain(false));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_asked_once_when_many_clicks_of_a_sale_were_refused() {
        let mut refusals = Refusals::default();
        assert_eq!((0..2 * MANY).filter(|_| refusals.are_many("lamp")).count(), 1);
        assert!((1..MANY).all(|_| !refusals.are_many("vase")), "too few");
    }
}
