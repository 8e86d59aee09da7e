//! Sharing: this process as one of several nodes that share a store. It keeps the node's lease, and knows who
//! lives and where sales are that this node does not have.

use super::counts::NodeCounts;
use super::duty::{Duty, Situation, duty};
use super::latch::Latch;
use super::numbers::Numbers;
use super::own_lease::{OwnLease, Term};
use super::wanted::wanted;
use crate::clock::Clock;
use crate::rules::node::{Node, NodeId, Role};
use crate::rules::terms::SaleId;
use crate::rules::time::Millis;
use crate::store::{Leasing, Opened, Ownership, Seen, StoreError};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// What is known of where a sale is counts no longer than this without a look at the store.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// Most sales of others that are remembered; there are no more open ones.
const ELSEWHERE_MAX: usize = 10_000;
/// A sale that was on its way is looked for again after so long.
const MOVING_FOR: Duration = Duration::from_millis(20);
/// Sales that are looked for at once.
const LOOKS_AT_ONCE: usize = 64;

/// One process among the nodes.
#[derive(Debug)]
pub struct Sharing {
    leasing: Arc<dyn Leasing>,
    role: Role,
    lasts: Duration,
    clock: Clock,
    state: Mutex<State>,
    /// Where sales were seen, and when; `None` where one was on its way.
    elsewhere: Mutex<BTreeMap<SaleId, (Option<NodeId>, Millis)>>,
    numbers: Numbers,
    /// A sale is looked for by one caller at a time; the others find what that one has found.
    looking: [tokio::sync::Mutex<()>; LOOKS_AT_ONCE],
    counts: NodeCounts,
    rewards: Latch,
}

#[derive(Debug, Default)]
struct State {
    lease: OwnLease,
    living: Arc<[Node]>,
    /// This node hands over what it has, and takes nothing.
    is_leaving: bool,
    /// The lease was given up for good.
    is_over: bool,
    /// When this term of the lease began, and when the store last told who lives.
    term_since: Millis,
    heard_at: Millis,
}

/// Where a sale is that this node does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elsewhere {
    /// Another node has it, or is to take it when it is asked.
    At(Node),
    /// It is on its way from one node to another.
    Moving,
}

/// What a look at a sale came to.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) ownership: Ownership,
    pub(crate) living: Arc<[Node]>,
    pub(crate) duty: Duty,
}

fn ids(nodes: &[Node]) -> Vec<NodeId> {
    nodes.iter().map(|node| node.id.clone()).collect()
}

impl Sharing {
    /// A process that has not heard of the others yet: [`Sharing::renew`] asks the store.
    #[must_use]
    pub fn new(leasing: Arc<dyn Leasing>, role: Role, lasts: Duration, clock: Clock) -> Self {
        let (state, elsewhere) = (Mutex::default(), Mutex::default());
        let looking = std::array::from_fn(|_| tokio::sync::Mutex::default());
        let (counts, numbers) = (NodeCounts::default(), Numbers::default());
        let rewards = Latch::new(Arc::clone(&leasing), "rewards");
        Self { leasing, role, lasts, clock, state, elsewhere, numbers, looking, counts, rewards }
    }

    /// How long a lease lasts.
    #[must_use]
    pub const fn lasts(&self) -> Duration {
        self.lasts
    }

    /// This node's name; a front has none.
    #[must_use]
    pub fn me(&self) -> Option<&NodeId> {
        self.node().map(|node| &node.id)
    }

    /// This node, as others know it.
    #[must_use]
    pub const fn node(&self) -> Option<&Node> {
        match &self.role {
            Role::Owner(node) => Some(node),
            Role::Front => None,
        }
    }

    /// Whether other processes may pass on to this one, or this one to others.
    pub(crate) fn is_reached(&self) -> bool {
        !matches!(&self.role, Role::Owner(me) if me.address.is_empty())
    }

    /// The nodes that lived when the store was last asked, by name.
    #[must_use]
    pub fn living(&self) -> Arc<[Node]> {
        Arc::clone(&self.state.lock().living)
    }

    /// This node's lease, as it counts it itself.
    pub(crate) fn lease(&self) -> OwnLease {
        self.state.lock().lease
    }

    /// Sets the clock by the store's. It comes before the first lease, which is counted by it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn set_clock(&self) -> Result<(), StoreError> {
        let asked_at = self.clock.now();
        let living = self.leasing.living().await?;
        self.clock.follow(living.at, asked_at);
        Ok(())
    }

    /// Renews this node's lease, and sets the clock by the store's. Returns whether other nodes live than before.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::NodeIdTaken`] if another process with this name lives.
    pub async fn renew(&self) -> Result<bool, StoreError> {
        if self.state.lock().is_over {
            return Ok(false);
        }
        let asked_at = self.clock.now();
        let renewed = match &self.role {
            Role::Owner(node) => {
                // Others give no sale to a node that leaves, and still reach it.
                let is_leaving = self.state.lock().is_leaving;
                let node = if is_leaving { node.leaving() } else { node.clone() };
                self.leasing.renew(&node, self.lasts).await?
            }
            Role::Front => self.leasing.living().await?,
        };
        let (mut state, now) = (self.state.lock(), self.clock.now());
        if self.me().is_some() && !state.is_over {
            if state.lease.term_at(now).is_none() {
                state.term_since = now;
            }
            state.lease = state.lease.renewed(asked_at, self.lasts, now);
        }
        state.heard_at = now;
        let others = state.living[..] != renewed.living[..];
        state.living = renewed.living.into();
        drop(state);
        self.clock.follow(renewed.at, asked_at);
        Ok(others)
    }

    /// From now on this node takes no sale, and others give it none.
    pub(crate) fn note_leaving(&self) {
        self.state.lock().is_leaving = true;
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.state.lock().is_leaving
    }

    /// Ends the lease. Nothing may be sold any more.
    pub(crate) async fn end(&self) -> Result<(), StoreError> {
        let Role::Owner(node) = &self.role else { return Ok(()) };
        {
            let mut state = self.state.lock();
            (state.lease, state.is_over) = (state.lease.ended(), true);
        }
        self.leasing.end(node).await
    }

    /// Looks whose a sale is that is not open here, then who lives, and says what this node has to do about it. `None`
    /// if there is no such sale.
    pub(crate) async fn look(&self, sale: &SaleId) -> Result<Option<Look>, StoreError> {
        // In this order: seen the other way round, an owner may have come to life in between.
        let Some(ownership) = self.leasing.owner(sale).await? else { return Ok(None) };
        let living: Arc<[Node]> = self.leasing.living().await?.living.into();
        self.state.lock().living = Arc::clone(&living);
        let duty = self.duty(sale, &ownership, &living, false, false);
        Ok(Some(Look { ownership, living, duty }))
    }

    /// Whose a sale is, by the store.
    pub(crate) async fn owner(&self, sale: &SaleId) -> Result<Option<Ownership>, StoreError> {
        self.leasing.owner(sale).await
    }

    /// What this node has to do about a sale; `living` was read after its ownership.
    pub(crate) fn duty(
        &self,
        sale: &SaleId,
        ownership: &Ownership,
        living: &[Node],
        is_here: bool,
        stays: bool,
    ) -> Duty {
        let Role::Owner(me) = &self.role else { return Duty::None };
        let candidates = ids(&self.candidates(living));
        let living = &ids(living);
        let situation = Situation { ownership, living, candidates: &candidates, is_here, stays };
        match duty(&me.id, sale, situation) {
            Duty::Take { .. } if self.state.lock().is_leaving => Duty::None,
            // After the store was away, whoever hears first must not take what the others are about to keep.
            Duty::Take { .. } if self.is_early(&me.id, ownership) => Duty::None,
            duty => duty,
        }
    }

    /// Whether this term of the lease is so young that other nodes may not have heard from the store yet.
    fn is_early(&self, me: &NodeId, ownership: &Ownership) -> bool {
        let is_anothers = ownership.owner.iter().chain(&ownership.next).any(|node| node != me);
        is_anothers && self.clock.now().since(self.state.lock().term_since) < self.lasts
    }

    /// Whether the store has lately told who lives.
    #[must_use]
    pub fn is_in_touch(&self) -> bool {
        self.clock.now().since(self.state.lock().heard_at) < self.lasts
    }

    /// The nodes that may get sales: those that others can reach. One that has no address of its own knows no
    /// candidate but itself.
    fn candidates(&self, living: &[Node]) -> Vec<Node> {
        let is_leaving = self.state.lock().is_leaving;
        match &self.role {
            Role::Owner(me) if me.address.is_empty() => {
                let me = living.iter().filter(|node| node.id == me.id && !is_leaving);
                me.cloned().collect()
            }
            role => {
                let is_me = |node: &Node| matches!(role, Role::Owner(me) if me.id == node.id);
                let may = |node: &&Node| {
                    let is_reached = node.reached_at().is_some() && !node.is_leaving();
                    is_reached && !(is_leaving && is_me(node))
                };
                living.iter().filter(may).cloned().collect()
            }
        }
    }

    /// Takes a sale over that this node has seen. Returns the term in which it was asked for.
    pub(crate) async fn take(
        &self,
        sale: &SaleId,
        seen: Seen,
    ) -> Result<(Opened, Term), StoreError> {
        let me = self.me().ok_or(StoreError::OtherOwner)?;
        let term = self.term()?;
        let opened = self.leasing.take(sale, me, seen).await?;
        self.counts.note_taken_over();
        Ok((opened, term))
    }

    /// Keeps a sale that this node took in an earlier term. Returns the term in which it was asked for.
    pub(crate) async fn keep(&self, sale: &SaleId, epoch: u64) -> Result<Term, StoreError> {
        let me = self.me().ok_or(StoreError::OtherOwner)?;
        let term = self.term()?;
        self.leasing.keep(sale, epoch, me).await?;
        Ok(term)
    }

    /// Leaves a sale to another node.
    pub(crate) async fn hand_over(
        &self,
        sale: &SaleId,
        epoch: u64,
        to: &NodeId,
    ) -> Result<(), StoreError> {
        self.leasing.hand_over(sale, epoch, to).await?;
        self.counts.note_handed_over();
        Ok(())
    }

    /// How often this process did something as a node.
    #[must_use]
    pub const fn counts(&self) -> &NodeCounts {
        &self.counts
    }

    /// Whether this node may sell: its lease lasts, as it counts it itself.
    #[must_use]
    pub fn has_lease(&self) -> bool {
        self.lease().term_at(self.clock.now()).is_some()
    }

    fn term(&self) -> Result<Term, StoreError> {
        let over = || StoreError::Refused("this node's lease is over; it is asked for".into());
        self.lease().term_at(self.clock.now()).ok_or_else(over)
    }

    /// The node that a look at a sale leads to.
    pub(crate) fn place(&self, sale: &SaleId, look: &Look) -> Elsewhere {
        let living = |id: &NodeId| look.living.iter().find(|node| node.id == *id);
        let Ownership { owner, next, .. } = &look.ownership;
        let candidates = self.candidates(&look.living);
        let by_hash = || {
            let id = wanted(sale, candidates.iter().map(|node| &node.id))?;
            candidates.iter().find(|node| node.id == *id)
        };
        let at = owner.as_ref().and_then(living).or(next.as_ref().and_then(living));
        match at.or_else(by_hash).filter(|node| Some(&node.id) != self.me()) {
            Some(node) => Elsewhere::At(node.clone()),
            None => Elsewhere::Moving,
        }
    }

    /// A sale of another node as it stands.
    pub(crate) async fn peek(&self, sale: &SaleId) -> Result<Option<Opened>, StoreError> {
        self.leasing.peek(sale).await
    }

    /// The sale with this number, of these or of those that were looked at before.
    pub(crate) async fn numbered(
        &self,
        number: u32,
        sales: Vec<SaleId>,
    ) -> Result<Option<SaleId>, StoreError> {
        self.numbers.find(&*self.leasing, number, sales).await
    }

    /// What only one of all processes may do at a time: handing out a reward.
    pub(crate) const fn rewards(&self) -> &Latch {
        &self.rewards
    }

    /// Where a sale was seen lately, at a node that still lives.
    pub(crate) fn known(&self, sale: &SaleId) -> Option<Elsewhere> {
        let (at, seen_at) = self.elsewhere.lock().get(sale)?.clone();
        let age = self.clock.now().since(seen_at);
        let Some(id) = at else { return (age < MOVING_FOR).then_some(Elsewhere::Moving) };
        let living = self.living();
        let node = living.iter().find(|node| age < KNOWN_FOR && node.id == id);
        node.cloned().map(Elsewhere::At)
    }

    /// The right to look for a sale in the store.
    pub(crate) async fn looking(&self, sale: &SaleId) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        sale.hash(&mut hasher);
        let nth = usize::try_from(hasher.finish() % LOOKS_AT_ONCE as u64).expect("it is small");
        self.looking[nth].lock().await
    }

    /// Whether this sale was seen at another node, or on its way to one.
    pub(crate) fn is_elsewhere(&self, sale: &str) -> bool {
        self.elsewhere.lock().contains_key(sale)
    }

    pub(crate) fn note(&self, sale: &SaleId, at: &Elsewhere) {
        let at = match at {
            Elsewhere::At(node) => Some(node.id.clone()),
            Elsewhere::Moving => None,
        };
        let mut elsewhere = self.elsewhere.lock();
        if elsewhere.len() < ELSEWHERE_MAX || elsewhere.contains_key(sale) {
            elsewhere.insert(sale.clone(), (at, self.clock.now()));
        }
    }

    /// Forgets where a sale is: it is here.
    pub(crate) fn forget(&self, sale: &str) {
        self.elsewhere.lock().remove(sale);
    }

    /// Notes that a sale was not found at this node, so that it is looked for again.
    pub fn note_moved(&self, sale: &str, from: &NodeId) {
        if let Some((at, _)) = self.elsewhere.lock().get_mut(sale)
            && at.as_ref() == Some(from)
        {
            // Nobody takes it for known, and all know that it is not here.
            *at = None;
        }
    }

    /// Forgets the sales that there are no more.
    pub(crate) fn retain(&self, exists: impl Fn(&SaleId) -> bool) {
        self.elsewhere.lock().retain(|sale, _| exists(sale));
    }
}
