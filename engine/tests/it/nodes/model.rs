//! A world of a few nodes and sales, and whatever may happen in it next. Leases, owners, terms and duties are
//! the engine's own; the rest stands for what a node does by them.

use engine::nodes::duty::{Duty, Situation, duty};
use engine::nodes::own_lease::{OwnLease, Term};
use engine::rules::node::{Node, NodeId};
use engine::rules::terms::SaleId;
use engine::rules::time::Millis;
use engine::store::{Leases, Ownership, Seen};
use std::fmt::Debug;
use std::time::Duration;

/// A step of the time; a lease lasts two of them.
const TICK: Duration = Duration::from_millis(10);
const LASTS: Duration = Duration::from_millis(20);

/// How much may happen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) nodes: usize,
    pub(super) sales: usize,
    pub(super) stock: u8,
    pub(super) ticks: u64,
    pub(super) orders: u8,
    /// How often nodes ask for their leases.
    pub(super) asks: u8,
    /// Take-overs of a sale, and how often it is kept in all: a letter that is one too many is lost.
    pub(super) epochs: u64,
    pub(super) crashes: u8,
    pub(super) doubled: u8,
    pub(super) mail: usize,
    /// The first node's clock stands still.
    pub(super) lies: bool,
}

/// A mistake in how nodes share sales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    JudgesAfterTheLease,
    TakesWhateverItSaw,
    ForgetsReserved,
    DoesNotFence,
    LooksAtLeasesFirst,
    GoesOnAfterALapse,
    CountsFromTheAnswer,
    KeepsWithoutAMark,
    KeepsInAnyTerm,
}

/// The epoch in which a click was accepted, and which click it was.
type Order = (u64, u8);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Row {
    of: Ownership,
    left: u8,
    confirmed: Vec<Order>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    Sells,
    Leaves(NodeId),
    /// Another node has taken it over: only what is reserved is brought to its end.
    Fenced,
}

/// A sale that a node has open.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Open {
    epoch: u64,
    taken_in: Term,
    left: u8,
    reserved: Vec<Order>,
    phase: Phase,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct NodeState {
    node: Node,
    is_up: bool,
    clock: Millis,
    lease: OwnLease,
    open: Vec<Option<Open>>,
    /// What the newest take-over had seen, by sale: an answer to an earlier one counts no more.
    asked: Vec<Option<Seen>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Verdict {
    Confirmed,
    Released,
    Fenced,
}

/// What is on its way to the store, or back to the process that asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Mail {
    Renew { asked_at: Millis, seen: Vec<Ownership> },
    Renewed { asked_at: Millis, seen: Vec<Ownership>, living: Vec<NodeId> },
    Take { sale: usize, seen: Seen, term: Term },
    Taken { sale: usize, seen: Seen, epoch: u64, left: u8, term: Term },
    Keep { sale: usize, epoch: u64, term: Term },
    Kept { sale: usize, epoch: u64, term: Term, is_fenced: bool },
    Commit { sale: usize, epoch: u64, orders: Vec<Order> },
    Committed { sale: usize, epoch: u64, verdicts: Vec<(Order, Verdict)> },
    HandOver { sale: usize, epoch: u64, to: NodeId },
    HandedOver { sale: usize, epoch: u64 },
}

/// The node that asked, in which of its runs, and what.
type Letter = (usize, u64, Mail);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    now: Millis,
    leases: Leases,
    rows: Vec<Row>,
    nodes: Vec<NodeState>,
    mail: Vec<Letter>,
    ticks: u64,
    orders: u8,
    asks: u8,
    crashes: u8,
    doubled: u8,
    /// Orders that members were told are confirmed, by sale.
    told: Vec<(usize, Order)>,
    /// Orders that were accepted and of which nothing was told yet, by node and sale.
    pending: Vec<(usize, usize, Order)>,
}

/// The rules under which a world goes on.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    bounds: Bounds,
    bug: Bug,
    sales: Vec<SaleId>,
}

impl Rules {
    pub(super) fn new(bounds: Bounds, bug: Bug) -> Self {
        let sales = (0..bounds.sales).map(|n| format!("sale-{n}").parse().unwrap()).collect();
        Self { bounds, bug, sales }
    }

    pub(super) fn begin(&self) -> World {
        let Bounds { nodes, sales, stock, ticks, orders, asks, crashes, doubled, .. } = self.bounds;
        let node = |n: usize| NodeState {
            node: Node {
                id: ["a", "b", "c"][n].parse().unwrap(),
                process: 1,
                address: format!("{n}").into(),
            },
            is_up: true,
            clock: Millis(1_000),
            lease: OwnLease::default(),
            open: vec![None; sales],
            asked: vec![None; sales],
        };
        let row = Row { of: Ownership::default(), left: stock, confirmed: Vec::new() };
        World {
            now: Millis(1_000),
            leases: Leases::default(),
            rows: vec![row; sales],
            nodes: (0..nodes).map(node).collect(),
            mail: Vec::new(),
            ticks,
            orders,
            asks,
            crashes,
            doubled,
            told: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Every world that may come next. What happens is told if it is asked for: to say so takes longer than
    /// everything else.
    pub(super) fn next(&self, world: &World, mut told: Option<&mut Vec<String>>) -> Vec<World> {
        let mut next = Vec::new();
        let mut add = |what: &str, about: &dyn Debug, change: &dyn Fn(&mut World) -> bool| {
            let mut after = world.clone();
            if change(&mut after) {
                after.mail.sort_unstable();
                next.push(after);
                if let Some(told) = &mut told {
                    told.push(format!("{what} {about:?}"));
                }
            }
        };
        add("tick", &world.now, &|world| self.tick(world));
        for n in 0..self.bounds.nodes {
            add("asks for its lease", &n, &|world| self.ask_to_renew(world, n));
            add("crashes", &n, &|world| Self::crash(world, n));
            add("starts", &n, &|world| Self::start(world, n));
            for sale in 0..self.bounds.sales {
                add("click", &(n, sale), &|world| self.click(world, n, sale));
                add("commits", &(n, sale), &|world| self.commit(world, n, sale));
                add("hands over", &(n, sale), &|world| self.hand_over(world, n, sale));
                add("lets go of", &(n, sale), &|world| Self::let_go(world, n, sale));
            }
        }
        for (at, letter) in world.mail.iter().enumerate() {
            add("comes", letter, &|world| {
                let letter = world.mail.remove(at);
                self.deliver(world, letter);
                true
            });
            // A letter that is lost is one that stays on its way, until another one needs its place.
            let is_full = world.mail.len() == self.bounds.mail;
            add("is lost", letter, &|world| {
                world.mail.remove(at);
                is_full
            });
            add("comes, and once more later", letter, &|world| {
                let may = world.doubled > 0;
                if may {
                    world.doubled -= 1;
                    self.deliver(world, world.mail[at].clone());
                }
                may
            });
        }
        next
    }

    /// What must hold at every instant.
    pub(super) fn check(&self, world: &World) -> Result<(), String> {
        for (sale, row) in world.rows.iter().enumerate() {
            if row.confirmed.len() > usize::from(self.bounds.stock) {
                return Err(format!(
                    "{} units of {} are sold",
                    row.confirmed.len(),
                    self.bounds.stock
                ));
            }
            let judges = |node: &&NodeState| self.judges(node, sale);
            let judging: Vec<_> = world.nodes.iter().filter(judges).collect();
            if judging.len() > 1 && !self.bounds.lies {
                return Err("two nodes sell one sale".into());
            }
            let of = |node: &NodeState| node.open[sale].as_ref().map(|open| open.epoch);
            if !self.bounds.lies && judging.iter().any(|node| of(node) != Some(row.of.seen.epoch)) {
                return Err("a node sells what another one has taken over".into());
            }
        }
        for (sale, order) in &world.told {
            if !world.rows[*sale].confirmed.contains(order) {
                return Err("a confirmed order is gone".into());
            }
        }
        for (n, sale, order) in &world.pending {
            let open = world.nodes[*n].open[*sale].as_ref();
            if !open.is_some_and(|open| open.reserved.contains(order)) {
                return Err("a reserved order is forgotten".into());
            }
        }
        Ok(())
    }

    fn judges(&self, node: &NodeState, sale: usize) -> bool {
        let Some(open) = &node.open[sale] else { return false };
        let may = match self.bug {
            Bug::JudgesAfterTheLease => true,
            Bug::GoesOnAfterALapse => node.lease.term_at(node.clock).is_some(),
            _ => node.lease.sells(open.taken_in, node.clock),
        };
        node.is_up && open.phase == Phase::Sells && may
    }

    fn tick(&self, world: &mut World) -> bool {
        if world.ticks == 0 {
            return false;
        }
        world.ticks -= 1;
        world.now = world.now + TICK;
        for (n, node) in world.nodes.iter_mut().enumerate() {
            if n > 0 || !self.bounds.lies {
                node.clock = node.clock + TICK;
            }
        }
        true
    }

    fn post(&self, world: &mut World, n: usize, mail: Mail) -> bool {
        let letter = (n, world.nodes[n].node.process, mail);
        let fits = world.mail.len() < self.bounds.mail && !world.mail.contains(&letter);
        if fits {
            world.mail.push(letter);
        }
        fits
    }

    /// A node looks who owns the sales, and then asks for its lease to be renewed.
    fn ask_to_renew(&self, world: &mut World, n: usize) -> bool {
        let mine = |(of, _, mail): &Letter| {
            *of == n && matches!(mail, Mail::Renew { .. } | Mail::Renewed { .. })
        };
        if world.asks == 0 || !world.nodes[n].is_up || world.mail.iter().any(mine) {
            return false;
        }
        world.asks -= 1;
        let seen = world.rows.iter().map(|row| row.of.clone()).collect();
        let asked_at = world.nodes[n].clock;
        self.post(world, n, Mail::Renew { asked_at, seen })
    }

    fn crash(world: &mut World, n: usize) -> bool {
        if world.crashes == 0 || !world.nodes[n].is_up {
            return false;
        }
        world.crashes -= 1;
        let node = &mut world.nodes[n];
        (node.is_up, node.lease) = (false, OwnLease::default());
        node.open.iter_mut().for_each(|open| *open = None);
        node.asked.iter_mut().for_each(|asked| *asked = None);
        world.pending.retain(|(of, ..)| *of != n);
        true
    }

    fn start(world: &mut World, n: usize) -> bool {
        let node = &mut world.nodes[n];
        let was_down = !node.is_up;
        if was_down {
            node.is_up = true;
            node.node.process += 1;
        }
        was_down
    }

    fn click(&self, world: &mut World, n: usize, sale: usize) -> bool {
        if world.orders == 0 || !self.judges(&world.nodes[n], sale) {
            return false;
        }
        let number = world.orders;
        let open = world.nodes[n].open[sale].as_mut().unwrap();
        if open.left == 0 {
            return false;
        }
        let order = (open.epoch, number);
        open.left -= 1;
        open.reserved.push(order);
        world.orders -= 1;
        world.pending.push((n, sale, order));
        true
    }

    fn commit(&self, world: &mut World, n: usize, sale: usize) -> bool {
        match &world.nodes[n].open[sale] {
            Some(open) if !open.reserved.is_empty() => {
                let mail = Mail::Commit { sale, epoch: open.epoch, orders: open.reserved.clone() };
                self.post(world, n, mail)
            }
            _ => false,
        }
    }

    /// A node that is to leave a sale has stopped judging; once nothing is reserved, it names the next.
    fn hand_over(&self, world: &mut World, n: usize, sale: usize) -> bool {
        let Some(open) = &world.nodes[n].open[sale] else { return false };
        let Phase::Leaves(to) = &open.phase else { return false };
        if !open.reserved.is_empty() && self.bug != Bug::ForgetsReserved {
            return false;
        }
        let mail = Mail::HandOver { sale, epoch: open.epoch, to: to.clone() };
        self.post(world, n, mail)
    }

    /// A node that was fenced lets go of a sale once nothing of it is reserved.
    fn let_go(world: &mut World, n: usize, sale: usize) -> bool {
        let open = &mut world.nodes[n].open[sale];
        let is_over = |open: &mut Open| open.phase == Phase::Fenced && open.reserved.is_empty();
        open.take_if(is_over).is_some()
    }

    fn deliver(&self, world: &mut World, (n, process, mail): Letter) {
        let answer = match mail {
            Mail::Renew { asked_at, seen } => {
                let node = Node { process, ..world.nodes[n].node.clone() };
                if world.leases.renew(&node, LASTS, world.now).is_err() {
                    return;
                }
                let living = world.leases.living(world.now).map(|node| node.id.clone()).collect();
                Mail::Renewed { asked_at, seen, living }
            }
            Mail::Take { sale, seen, term } => {
                let (by, row) = (&world.nodes[n].node.id, &mut world.rows[sale]);
                let of = row.of.seen;
                if of.epoch >= self.bounds.epochs {
                    return;
                }
                let saw = if self.bug == Bug::TakesWhateverItSaw { of } else { seen };
                let is_bug = self.bug == Bug::DoesNotFence;
                let fresh = if is_bug { of.epoch.max(1) } else { of.epoch + 1 };
                if row.of.take(by, saw, fresh).is_err() {
                    return;
                }
                Mail::Taken { sale, seen, epoch: fresh, left: row.left, term }
            }
            Mail::Keep { sale, epoch, term } => {
                let (by, of) = (&world.nodes[n].node.id, &mut world.rows[sale].of);
                let before = of.clone();
                if before.seen.kept >= self.bounds.epochs {
                    return;
                }
                let is_fenced = of.keep(by, epoch).is_err();
                if self.bug == Bug::KeepsWithoutAMark {
                    *of = before;
                }
                Mail::Kept { sale, epoch, term, is_fenced }
            }
            Mail::Commit { sale, epoch, orders } => {
                let row = &mut world.rows[sale];
                let verdicts = orders.into_iter().map(|order| (order, row.decide(epoch, order)));
                Mail::Committed { sale, epoch, verdicts: verdicts.collect() }
            }
            Mail::HandOver { sale, epoch, to } => {
                // Err: it is another node's already.
                world.rows[sale].of.hand_over(epoch, &to).ok();
                Mail::HandedOver { sale, epoch }
            }
            answer => {
                if world.nodes[n].is_up && world.nodes[n].node.process == process {
                    self.hear(world, n, answer);
                }
                return;
            }
        };
        // An answer always finds room: it takes its question's.
        world.mail.push((n, process, answer));
    }

    fn hear(&self, world: &mut World, n: usize, answer: Mail) {
        let node = &mut world.nodes[n];
        match answer {
            Mail::Renewed { asked_at, seen, living } => {
                let from = if self.bug == Bug::CountsFromTheAnswer { node.clock } else { asked_at };
                node.lease = node.lease.renewed(from, LASTS, node.clock);
                for (sale, ownership) in seen.into_iter().enumerate() {
                    self.follow(world, n, sale, ownership, &living);
                }
            }
            Mail::Taken { sale, seen, epoch, left, term } => {
                if node.asked[sale] != Some(seen) {
                    return;
                }
                node.asked[sale] = None;
                let (reserved, phase) = (Vec::new(), Phase::Sells);
                let opened = Open { epoch, taken_in: term, left, reserved, phase };
                node.open[sale].get_or_insert(opened);
            }
            Mail::Committed { sale, epoch, verdicts } => {
                let open = node.open[sale].as_mut().filter(|open| open.epoch == epoch);
                let Some(open) = open else { return };
                for (order, verdict) in verdicts {
                    let Some(at) = open.reserved.iter().position(|of| *of == order) else {
                        continue;
                    };
                    open.reserved.remove(at);
                    world.pending.retain(|(_, of, pending)| (*of, *pending) != (sale, order));
                    match verdict {
                        Verdict::Confirmed => world.told.push((sale, order)),
                        Verdict::Released => open.left += 1,
                        Verdict::Fenced => open.phase = Phase::Fenced,
                    }
                }
                world.told.sort_unstable();
            }
            Mail::Kept { sale, epoch, term, is_fenced } => {
                let open = node.open[sale].as_mut().filter(|open| open.epoch == epoch);
                let Some(open) = open else { return };
                if is_fenced {
                    open.phase = Phase::Fenced;
                } else if self.bug == Bug::KeepsInAnyTerm {
                    open.taken_in = node.lease.term_at(node.clock).unwrap_or(term);
                } else {
                    open.taken_in = open.taken_in.max(term);
                }
            }
            Mail::HandedOver { sale, epoch } => {
                let leaves = |open: &Open| {
                    open.epoch == epoch && matches!(open.phase, Phase::Leaves(_) | Phase::Fenced)
                };
                if node.open[sale].as_ref().is_some_and(leaves) {
                    node.open[sale] = None;
                }
            }
            Mail::Renew { .. }
            | Mail::Take { .. }
            | Mail::Keep { .. }
            | Mail::Commit { .. }
            | Mail::HandOver { .. } => {
                unreachable!("these are for the store")
            }
        }
    }

    fn follow(&self, world: &mut World, n: usize, sale: usize, seen: Ownership, living: &[NodeId]) {
        let ownership = match self.bug {
            Bug::LooksAtLeasesFirst => world.rows[sale].of.clone(),
            _ => seen,
        };
        let node = &mut world.nodes[n];
        let Some(term) = node.lease.term_at(node.clock) else { return };
        let open = node.open[sale].as_ref().map(|open| (open.epoch, open.taken_in));
        if let Some((epoch, taken_in)) = open
            && !node.lease.sells(taken_in, node.clock)
        {
            self.post(world, n, Mail::Keep { sale, epoch, term });
        }
        let node = &mut world.nodes[n];
        let is_here = open.is_some();
        let situation =
            Situation { ownership: &ownership, living, candidates: living, is_here, stays: false };
        match duty(&node.node.id, &self.sales[sale], situation) {
            Duty::None => {}
            Duty::Take { seen } => {
                node.asked[sale] = Some(seen);
                // A letter that does not fit is as good as one that is lost.
                self.post(world, n, Mail::Take { sale, seen, term });
            }
            Duty::HandOver { to } => {
                let open = node.open[sale].as_mut().unwrap();
                if open.phase == Phase::Sells {
                    open.phase = Phase::Leaves(to);
                }
            }
        }
    }
}

impl Row {
    /// As the store decides an order.
    fn decide(&mut self, epoch: u64, order: Order) -> Verdict {
        if self.confirmed.contains(&order) {
            return Verdict::Confirmed;
        }
        if self.of.seen.epoch != epoch {
            return Verdict::Fenced;
        }
        match self.left {
            0 => Verdict::Released,
            _ => {
                self.left -= 1;
                self.confirmed.push(order);
                Verdict::Confirmed
            }
        }
    }
}
