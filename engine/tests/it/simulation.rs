//! Random sales against a plain model. A seed decides everything: members, clicks, the clock (which also
//! goes back), the operator, the store's failures, crashes, and what falls together with them. After
//! every step the invariants are checked, and what memory and the store say is what the model predicts.
//!
//! A failure prints its seed; `FLASHLANE_SEED=n cargo test -p engine --test it simulation` replays
//! it. `FLASHLANE_SEEDS=n` runs that many.

use crate::model::{Asked, Model, NAMES, member};
use crate::support::{Fault, FaultyStore, Move, Seen, World, click, id, terms, waiting};
use engine::clock::Clock;
use engine::confirm::Progress;
use engine::rules::key::IdempotencyKey;
use engine::rules::order::{OrderId, Status};
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::terms::Terms;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::Click;
use engine::store::{Change, Switch};
use membership::{MemberId, Tier};
use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const STEPS: usize = 120;
/// So few that some members make as many.
const ORDERS_PER_MEMBER: u16 = 9;

/// What fell into the middle of a step.
#[derive(Debug, Default, Clone, Copy)]
struct Happened {
    turned: Option<Switch>,
    /// When a member asked whether they may wait.
    looked_at: Option<Millis>,
}

struct Simulation {
    rng: fastrand::Rng,
    clock: Clock,
    store: Arc<FaultyStore>,
    world: World,
    model: Model,
}

impl Simulation {
    async fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let stock = rng.u32(1..30);
        let clock = Clock::by_hand(Millis(rng.u64(900..1_500)));
        // Orders must be paid so soon that some expire while the sale is open.
        let terms = Terms { pay_within_s: 1, ..terms(stock) };
        let store = FaultyStore::selling(&terms, &clock).await;
        let world = World::open_with(&store, &clock, ORDERS_PER_MEMBER, &[]).await;
        let model = Model::new(terms, ORDERS_PER_MEMBER, world.open.sale.epoch());
        Self { rng, clock, store, world, model }
    }

    fn seat(&self, member: usize) -> Seat {
        self.world.roster.seat(NAMES[member]).unwrap()
    }

    /// Members who may not buy at this instant.
    fn blocked(&self) -> BTreeSet<usize> {
        let is_blocked = |member: &usize| self.world.blocked.contains(self.seat(*member));
        (0..NAMES.len()).filter(is_blocked).collect()
    }

    async fn step(&mut self) {
        match self.rng.u32(..100) {
            0..35 => self.click(),
            35..60 => self.confirm().await,
            60..74 => self.ask().await,
            74..78 => self.wait_until_due(),
            78..86 => self.move_clock(),
            86..88 => self.block().await,
            88..93 => self.switch().await,
            93..96 => self.top_up().await,
            96..98 => self.crash().await,
            // Another process takes the sale over, and ends without having sold anything.
            _ => {
                let opened = self.store.inner.opening.open(&id()).await.unwrap();
                self.model.store_epoch = opened.epoch;
            }
        }
    }

    fn click(&mut self) {
        let (member, tier) = (self.rng.usize(..NAMES.len()), Tier::ALL[self.rng.usize(..5)]);
        let (seat, units) = (self.seat(member), self.rng.u32(..7));
        let key = (self.rng.u8(..3) == 0).then(|| self.rng.u64(1..6));
        let now = self.clock.now();
        if self.world.blocked.contains(seat) {
            return;
        }
        let made = key.and_then(NonZeroU64::new).map(IdempotencyKey);
        let asked = Click { seat, key: made, ..click(0, tier, units) };
        let expected = self.model.click(now, Asked { member, tier, units, key });
        let sale = &self.world.open.sale;
        let is_plain = (units, key) == (1, None);
        let plain = is_plain.then(|| sale.refuses_plain(now, tier)).flatten();
        assert_eq!(sale.buy(now, asked), expected, "{now:?} {asked:?}");
        if is_plain {
            // What is said of every plain click is what each of them hears.
            assert!(plain.is_none() || plain == expected.err(), "{plain:?} {expected:?}");
            let is_of_all = match expected {
                Err(Refusal::Closed) => true,
                Err(Refusal::SoldOut { .. }) => !sale.stock().level().is_halted(),
                _ => false,
            };
            assert!(!is_of_all || plain.is_some(), "{now:?} {asked:?}: {expected:?}");
        }
    }

    fn move_clock(&mut self) {
        let by = if self.rng.u8(..12) == 0 { self.rng.u64(..4_000) } else { self.rng.u64(..120) };
        let now = self.clock.now().0;
        let is_back = self.rng.u8(..4) == 0;
        self.clock.set(Millis(if is_back { now.saturating_sub(by) } else { now + by }));
    }

    async fn confirm(&mut self) {
        let by = self.rng.u64(..300);
        let kinds = [
            Fault::None,
            Fault::None,
            Fault::Refused,
            Fault::LostBefore,
            Fault::LostAfter,
            Fault::Twice,
            Fault::Part(self.rng.usize(..3)),
            Fault::Slow(by),
        ];
        self.store.fail([kinds[self.rng.usize(..kinds.len())]]);
        let happened = self.let_something_happen();
        self.make_progress(&happened).await;
        self.store.fail_no_more();
    }

    /// Lets a pause, a resume, a close, a block, or a wish to wait fall into the middle of the next
    /// step. Returns where it is written down.
    fn let_something_happen(&mut self) -> Arc<Mutex<Happened>> {
        let happened = Arc::new(Mutex::new(Happened::default()));
        let (open, member) = (Arc::clone(&self.world.open), self.rng.usize(..NAMES.len()));
        let seat = self.seat(member);
        match self.rng.u8(..12) {
            kind @ 0..5 => {
                let switch = match kind {
                    0 => Switch::Close,
                    1 | 2 => Switch::Pause,
                    _ => Switch::Resume,
                };
                let (store, happened) = (self.store.inner.clone(), Arc::clone(&happened));
                self.store.meanwhile(Box::new(move || {
                    Box::pin(async move {
                        let epoch = open.sale.epoch();
                        if store.operating.switch(&id(), epoch, switch).await.is_ok() {
                            turn(&open.sale, switch);
                            happened.lock().unwrap().turned = Some(switch);
                        }
                    })
                }));
            }
            5 => {
                let blocked = Arc::clone(&self.world.blocked);
                self.store.meanwhile(Box::new(move || {
                    Box::pin(async move { blocked.insert(seat).await })
                }));
            }
            6 => {
                let (tier, clock) = (Tier::ALL[self.rng.usize(..5)], self.clock.clone());
                let happened = Arc::clone(&happened);
                self.store.meanwhile(Box::new(move || {
                    Box::pin(async move {
                        happened.lock().unwrap().looked_at = Some(clock.now());
                        let wish = Click { seat, ..click(0, tier, 1) };
                        if open.sale.may_wait(clock.now(), wish).is_ok() {
                            let place = open.next_place().unwrap();
                            let join = Change::Join(waiting(NAMES[member], tier, 1, place));
                            drop(open.ask(join, clock.now()).unwrap());
                        }
                    })
                }));
            }
            _ => {}
        }
        happened
    }

    /// One piece of the confirmer's work, and what the model makes of it.
    async fn make_progress(&mut self, happened: &Mutex<Happened>) -> Progress {
        self.store.take_seen();
        self.model.blocked = self.blocked();
        let (was_paused, was_over) =
            (self.model.is_paused, self.model.is_halted || self.model.is_closed);
        self.model.begin_progress(self.clock.now());
        let before = self.model.next_number;
        let progress = self.world.confirmer.make_progress().await;
        let Happened { turned, looked_at } = *happened.lock().unwrap();
        for seen in self.store.take_seen() {
            // An offer that is sent already was made before this call, the others perhaps after it.
            if let Seen::Commit { batch, .. } = &seen {
                self.offers(
                    batch.orders.iter().map(|order| order.number).max().unwrap_or_default(),
                );
            }
            self.model.saw(&seen);
        }
        self.offers(u64::MAX);
        let is_at_rest = was_over || was_paused && turned != Some(Switch::Resume);
        assert!(!is_at_rest || self.model.next_number == before, "an offer of a sale at rest");
        if let Some(switch) = turned {
            self.model.switch(switch);
        }
        if let Some(now) = looked_at {
            self.model.look(now);
        }
        self.model.aside = self.world.open.sale.aside().units().0;
        assert!(self.model.aside == 0 || self.world.open.waiting() > 0, "I7: aside for nobody");
        progress
    }

    /// Orders that no click made are offers to members who wait; here, those up to a number.
    fn offers(&mut self, last: u64) {
        let sale = &self.world.open.sale;
        let next = sale.next_number().min(last.saturating_add(1));
        for number in self.model.next_number..next {
            let order = sale.board().read(number).expect("a number has an order");
            let member = member(self.world.roster.member(order.seat).as_str());
            let asked = Asked { member, tier: order.tier, units: order.units.0, key: None };
            self.model.offered(order.reserved_at, asked);
        }
    }

    /// A member or the payment provider asks for a step of an order, or a member joins or leaves
    /// the waitlist.
    async fn ask(&mut self) {
        let member = self.rng.usize(..NAMES.len());
        let (seat, now) = (self.seat(member), self.clock.now());
        let (open, asks) = (Arc::clone(&self.world.open), self.rng.u8(..8));
        let change = match asks {
            0..5 => {
                let Some(number) = self.rng.choice(self.model.orders.keys()).copied() else {
                    return;
                };
                let what = [Move::Pay, Move::Pay, Move::Cancel, Move::Refund][self.rng.usize(..4)];
                let stored = self.store.inner.reading.order(&id(), number).await.unwrap();
                let Some(record) = stored else { return };
                open.know(record.clone());
                if what == Move::Pay && !self.model.is_halted {
                    self.model.payment(number, now);
                }
                what.of(record.epoch, number, record.units)
            }
            5..7 => {
                let (tier, units) = (Tier::ALL[self.rng.usize(..5)], self.rng.u32(1..4));
                let wish = Click { seat, ..click(0, tier, units) };
                if units <= self.model.terms.limits[tier].0 {
                    self.model.look(now);
                }
                if open.sale.may_wait(now, wish).is_err() {
                    return;
                }
                let place = open.next_place().unwrap();
                Change::Join(waiting(NAMES[member], tier, units, place))
            }
            _ => Change::Leave(NAMES[member].parse().unwrap()),
        };
        // The caller does not wait for the answer, as if it were lost.
        drop(open.ask(change, now).unwrap());
        // If the confirmer does not run now, it makes several changes together later.
        if self.rng.bool() {
            self.confirm().await;
        }
    }

    /// Moves the clock to the instant when the next payment is due, and sometimes just before it.
    fn wait_until_due(&mut self) {
        let unpaid = self.model.orders.iter().filter(|(_, o)| o.told == Status::Confirmed);
        let due = unpaid.map(|(number, _)| self.model.pay_by(*number)).min();
        if let Some(due) = due.filter(|due| *due > self.clock.now()) {
            self.clock.set(Millis(due.0 - u64::from(self.rng.bool())));
        }
    }

    async fn block(&mut self) {
        let member = self.rng.usize(..NAMES.len());
        let seat = self.seat(member);
        match self.rng.bool() {
            true => self.world.blocked.insert(seat).await,
            false => self.world.blocked.remove(seat).await,
        }
    }

    async fn switch(&mut self) {
        let switch = match self.rng.u8(..12) {
            0 => Switch::Close,
            1..6 => Switch::Pause,
            _ => Switch::Resume,
        };
        let sale = &self.world.open.sale;
        if self.store.inner.operating.switch(&id(), sale.epoch(), switch).await.is_ok() {
            turn(sale, switch);
            self.model.switch(switch);
        }
    }

    async fn top_up(&mut self) {
        let (key, add) = (self.rng.u64(..4), self.rng.u32(1..6));
        let (sale, operating) = (&self.world.open.sale, &self.store.inner.operating);
        let done = operating.top_up(&id(), sale.epoch(), &key.to_string(), Units(add)).await;
        let Ok(total) = done else { return };
        sale.top_up(total);
        self.model.aside = sale.aside().units().0;
        if *self.model.top_ups.entry(key).or_insert(add) == add {
            self.model.total = self.model.terms.stock.0 + self.model.top_ups.values().sum::<u32>();
        }
    }

    /// The process dies and another one starts. From then on, only what the store has counts.
    async fn crash(&mut self) {
        let blocked: Vec<&str> = self.blocked().iter().map(|member| NAMES[*member]).collect();
        self.world = World::open_with(&self.store, &self.clock, ORDERS_PER_MEMBER, &blocked).await;
        self.model.restart(self.world.open.sale.epoch());
        self.model.aside = self.world.open.sale.aside().units().0;
    }

    async fn check(&self) {
        let (sale, model) = (&self.world.open.sale, &self.model);
        let level = sale.stock().level();
        assert_eq!((level.left().0, level.total().0), (model.left(), model.total), "I1");
        let switches = (level.is_paused(), level.is_closed(), level.is_halted());
        assert_eq!(switches, (model.is_paused, model.is_closed, model.is_halted));
        let mut units: HashMap<Status, u64> = HashMap::new();
        for (number, order) in &model.orders {
            *units.entry(order.told).or_default() += u64::from(order.units);
            let said = if order.epoch == model.epoch {
                self.world.status(*number)
            } else {
                let id = OrderId { sale: id(), epoch: order.epoch, number: *number };
                self.world.open.known(&id).map(|record| record.status)
            };
            // What a former process left unpaid is known until this one ends.
            let is_forgotten = said.is_none()
                && order.epoch != model.epoch
                && !matches!(order.told, Status::Reserved | Status::Confirmed);
            assert!(is_forgotten || said == Some(order.told), "{number}: {order:?} {said:?}");
            let record = self.store.inner.reading.order(&id(), *number).await.unwrap();
            let record = record.filter(|record| record.epoch == order.epoch);
            assert_eq!(record.map(|record| record.status), order.stored, "{number}: {order:?}");
            let windows = &model.terms.windows;
            assert!(windows.enter(order.tier, order.reserved_at).is_ok(), "I8: order {number}");
        }
        let of = |status: Status| units.get(&status).copied().unwrap_or_default();
        let sold = of(Status::Confirmed) + of(Status::Paid) + of(Status::Returned);
        assert!(sold <= u64::from(model.total), "I2");
        let there = u64::from(level.left().0 + model.aside);
        assert_eq!(there + of(Status::Reserved) + sold, u64::from(model.total), "I1");
        let meter = sale.meter().stored();
        for status in Status::STORED {
            assert_eq!(meter.sum(status).units, of(status), "{status:?} are counted");
        }
        for (member, name) in NAMES.iter().enumerate() {
            let held = sale.held(self.seat(member)).0;
            assert_eq!(held, model.held(member), "I10: {name}");
            let theirs = model.orders.values().filter(|order| order.member == member);
            let most = theirs.map(|order| model.terms.limits[order.tier].0).max();
            assert!(held <= most.unwrap_or_default(), "I3: {name} holds {held}");
        }
        let audit = self.store.inner.reading.audit().await.unwrap();
        assert!(audit.is_clean(), "I5: {audit:?}");
    }

    /// The store is well again, so every reserved order gets its verdict.
    async fn settle(&mut self) {
        let mut steps = 0;
        while self.make_progress(&Mutex::default()).await != Progress::Idle {
            steps += 1;
            assert!(steps < 10_000, "I9: the confirmer does not come to rest");
        }
        self.check().await;
        let model = &self.model;
        let reserved = model.orders.values().filter(|order| order.told == Status::Reserved);
        assert_eq!(reserved.count(), 0, "I9");
        let serves = !model.is_paused && !model.is_halted;
        assert!(!serves || model.aside == 0, "I7: what the waitlist leaves is on sale");
        if model.is_halted {
            return;
        }
        for (number, order) in &model.orders {
            assert_eq!(order.stored, Some(order.told), "{number}: memory and store disagree");
        }
        let mut stored: Vec<MemberId> = Vec::new();
        stored.extend(model.waits.keys().map(|member| NAMES[*member].parse::<MemberId>().unwrap()));
        let waits = |member: &usize| {
            // A blocked member is passed over and told that they do not wait.
            let seat = self.seat(*member);
            self.world.open.position(seat).is_some()
                || self.world.blocked.contains(seat) && model.waits.contains_key(member)
        };
        let here: Vec<usize> = (0..NAMES.len()).filter(waits).collect();
        assert!(here.iter().eq(model.waits.keys()), "memory and model disagree on who waits");
        let mut kept = self.store.inner.reading.waiting(&id()).await.unwrap();
        kept.sort_by_key(|waiting| member(waiting.member.as_str()));
        let kept: Vec<MemberId> = kept.into_iter().map(|waiting| waiting.member).collect();
        assert_eq!(kept, stored, "store and model disagree on who waits");
    }

    /// No member pays any more: unpaid orders expire, and their units are offered or on sale.
    async fn expire(&mut self) {
        self.clock.set(self.clock.now() + Duration::from_secs(3_600));
        self.settle().await;
        let unpaid = self.model.orders.values().filter(|order| order.told == Status::Confirmed);
        assert!(self.model.is_halted || unpaid.count() == 0, "I7: unpaid");
        assert_eq!(self.model.aside, 0, "I7: after the close nothing lies aside");
    }
}

fn turn(sale: &engine::sale::Sale, switch: Switch) {
    match switch {
        Switch::Pause => sale.stock().set_paused(true),
        Switch::Resume => sale.stock().set_paused(false),
        Switch::Close => sale.stock().close(),
    }
}

async fn simulate(seed: u64) {
    let mut simulation = Simulation::new(seed).await;
    for _ in 0..STEPS {
        simulation.step().await;
        simulation.check().await;
    }
    simulation.settle().await;
    simulation.crash().await;
    simulation.check().await;
    simulation.expire().await;
}

/// Prints the seed that failed, whatever the failure was.
pub(crate) struct Named(pub(crate) u64);

impl Drop for Named {
    #[expect(clippy::print_stderr)]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with FLASHLANE_SEED={}", self.0);
        }
    }
}

#[test]
fn thousands_of_random_drops_keep_every_invariant() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let seeds = match number("FLASHLANE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FLASHLANE_SEEDS").unwrap_or(3_000),
    };
    for seed in seeds {
        let _named = Named(seed);
        runtime.block_on(simulate(seed));
    }
}
