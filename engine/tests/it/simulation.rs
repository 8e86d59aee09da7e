//! Random sales against a plain model. A seed decides everything: members, clicks, the clock, the
//! operator, the store's failures and crashes. After every step the invariants are checked.
//!
//! A failure prints its seed; `FLASHLANE_SEED=n cargo test -p engine --test it simulation` replays
//! it. `FLASHLANE_SEEDS=n` runs that many.

use crate::support::{Fault, FaultyStore, World, click, id, terms, waiting};
use engine::clock::Clock;
use engine::confirm::Progress;
use engine::rules::key::IdempotencyKey;
use engine::rules::order::{Status, Step};
use engine::rules::refusal::Refusal;
use engine::rules::terms::Terms;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::{Accepted, Click};
use engine::store::{Change, Switch};
use membership::Tier;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

const MEMBERS: usize = 6;
const STEPS: usize = 120;

/// An order, as the plain model knows it.
#[derive(Debug, Clone)]
struct Plain {
    member: usize,
    tier: Tier,
    units: u32,
    status: Status,
    at: Millis,
    /// When the order was confirmed.
    confirmed_at: Millis,
}

/// The rules, written a second time, as plainly as possible.
#[derive(Debug)]
struct Model {
    terms: Terms,
    total: u32,
    orders: BTreeMap<u64, Plain>,
    keys: BTreeMap<(usize, u64), (u32, u64)>,
    next_number: u64,
    is_paused: bool,
    is_closed: bool,
    is_halted: bool,
    top_ups: BTreeMap<u64, u32>,
    /// Units that came back and are offered to the waitlist before any click can take them.
    aside: u32,
}

impl Model {
    fn holds(order: &Plain) -> bool {
        matches!(
            order.status,
            Status::Reserved | Status::Confirmed | Status::Paid | Status::Returned
        )
    }

    fn held(&self, member: usize) -> u32 {
        let of_member = |order: &&Plain| order.member == member && Self::holds(order);
        self.orders.values().filter(of_member).map(|order| order.units).sum()
    }

    fn left(&self) -> u32 {
        let taken: u32 = self.orders.values().filter(|o| Self::holds(o)).map(|o| o.units).sum();
        self.total - taken - self.aside
    }

    fn click(
        &mut self,
        now: Millis,
        member: usize,
        tier: Tier,
        units: u32,
        key: Option<u64>,
    ) -> Result<Accepted, Refusal> {
        let limit = self.terms.limits[tier];
        if !(1..=limit.0).contains(&units) {
            return Err(Refusal::BadUnits { limit });
        }
        if let Some((asked, number)) = key.and_then(|key| self.keys.get(&(member, key)).copied()) {
            let same = Accepted { number, is_new: false };
            return if asked == units { Ok(same) } else { Err(Refusal::IdempotencyConflict) };
        }
        if self.is_closed || now >= self.terms.windows.closes_at() {
            return Err(Refusal::Closed);
        }
        let opens_at = self.terms.windows.opens_at(tier).ok_or(Refusal::TierNotAdmitted)?;
        let (left, held) = (Units(self.left()), Units(self.held(member)));
        let refusal = if now < opens_at {
            Some(Refusal::NotOpen { opens_at })
        } else if self.is_paused {
            Some(Refusal::Paused)
        } else if left.0 < units {
            Some(Refusal::SoldOut { left })
        } else if held.0 + units > limit.0 {
            Some(Refusal::LimitReached { limit, held })
        } else {
            self.is_halted.then_some(Refusal::Busy)
        };
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let number = self.next_number;
        self.next_number += 1;
        let order =
            Plain { member, tier, units, status: Status::Reserved, at: now, confirmed_at: now };
        self.orders.insert(number, order);
        if let Some(key) = key {
            self.keys.insert((member, key), (units, number));
        }
        Ok(Accepted { number, is_new: true })
    }
}

struct Simulation {
    rng: fastrand::Rng,
    clock: Clock,
    store: Arc<FaultyStore>,
    world: World,
    model: Model,
}

fn name(member: usize) -> String {
    format!("m{member}")
}

impl Simulation {
    async fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let stock = rng.u32(1..30);
        let clock = Clock::by_hand(Millis(rng.u64(900..1_500)));
        // Orders must be paid so soon that some expire while the sale is open.
        let terms = Terms { pay_within_s: 1, ..terms(stock) };
        let store = FaultyStore::selling(&terms, &clock).await;
        let world = World::open(&store, &clock).await;
        let model = Model {
            terms,
            total: stock,
            orders: BTreeMap::new(),
            keys: BTreeMap::new(),
            next_number: 1,
            is_paused: false,
            is_closed: false,
            is_halted: false,
            top_ups: BTreeMap::new(),
            aside: 0,
        };
        Self { rng, clock, store, world, model }
    }

    async fn step(&mut self) {
        match self.rng.u32(..100) {
            0..35 => self.click(),
            35..60 => self.confirm().await,
            60..76 => self.ask().await,
            76..80 => self.wait_until_due(),
            80..88 => {
                let by = if self.rng.u8(..12) == 0 {
                    self.rng.u64(..4_000)
                } else {
                    self.rng.u64(..120)
                };
                self.clock.set(Millis(self.clock.now().0 + by));
            }
            88..93 => self.switch().await,
            93..96 => self.top_up().await,
            96..98 => self.crash().await,
            // Another process takes the sale over, and ends without having sold anything.
            _ => {
                self.store.inner.opening.open(&id()).await.unwrap();
            }
        }
    }

    fn click(&mut self) {
        let (member, tier) = (self.rng.usize(..MEMBERS), Tier::ALL[self.rng.usize(..5)]);
        let units = self.rng.u32(..7);
        let key = (self.rng.u8(..3) == 0).then(|| self.rng.u64(1..6));
        let now = self.clock.now();
        let seat = self.world.roster.seat(&name(member)).unwrap();
        let made = key.and_then(NonZeroU64::new).map(IdempotencyKey);
        let asked = Click { seat, key: made, ..click(0, tier, units) };
        let expected = self.model.click(now, member, tier, units, key);
        assert_eq!(self.world.open.sale.buy(now, asked), expected, "{now:?} {asked:?}");
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
        self.world.confirmer.make_progress().await;
        self.learn();
    }

    /// Takes over the status that the engine has for each order. An order may only have moved on,
    /// in a step that its life allows; nothing else may have changed.
    fn learn(&mut self) {
        let open = &self.world.open;
        for number in self.model.next_number..open.sale.next_number() {
            // No click made this order: it is an offer to a member who waited.
            let order = open.sale.board().read(number).expect("a number has an order");
            let member = self.world.roster.member(order.seat).to_string();
            let member = member[1..].parse().expect("m and a number");
            let (tier, units, at) = (order.tier, order.units.0, order.reserved_at);
            let status = Status::Reserved;
            let plain = Plain { member, tier, units, status, at, confirmed_at: at };
            self.model.orders.insert(number, plain);
        }
        self.model.next_number = open.sale.next_number();
        for (number, order) in &mut self.model.orders {
            let Some((_, status)) = open.status(*number) else { continue };
            let here = open.sale.board().read(*number);
            let at = here.map_or(self.clock.now(), |order| order.changed_at.unwrap_or_default());
            let ways: &[Status] = match order.status {
                Status::Reserved => &Status::STORED,
                Status::Confirmed => &[
                    Status::Paid,
                    Status::Cancelled,
                    Status::Expired,
                    Status::RefundDue,
                    Status::Refunded,
                    Status::Returned,
                ],
                Status::Cancelled | Status::Expired => &[Status::RefundDue, Status::Refunded],
                Status::RefundDue => &[Status::Refunded],
                Status::Paid => &[Status::Returned],
                Status::Released | Status::Refunded | Status::Returned => &[],
            };
            assert!(status == order.status || ways.contains(&status), "I9: {number}: {order:?}");
            if status == Status::Confirmed && order.status == Status::Reserved {
                order.confirmed_at = at;
            }
            let due = self.model.terms.pay_by(order.confirmed_at);
            assert!(status != Status::Expired || order.status == status || at >= due, "{number}");
            order.status = status;
        }
        self.model.is_halted = open.sale.stock().level().is_halted();
        self.model.aside = open.sale.aside().units().0;
        assert!(self.model.aside == 0 || open.waiting() > 0, "I7: laid aside for nobody");
    }

    /// A member or the payment provider asks for a step of an order, or a member joins or leaves
    /// the waitlist.
    async fn ask(&mut self) {
        let member = self.rng.usize(..MEMBERS);
        let seat = self.world.roster.seat(&name(member)).unwrap();
        let (open, asks) = (Arc::clone(&self.world.open), self.rng.u8(..8));
        let change = match asks {
            0..5 => {
                let Some(number) = self.rng.choice(self.model.orders.keys()).copied() else {
                    return;
                };
                let step = [Step::Pay, Step::Pay, Step::Cancel, Step::Refund][self.rng.usize(..4)];
                let stored = self.store.inner.reading.order(&id(), number).await.unwrap();
                let Some(record) = stored else { return };
                open.know(record.clone());
                Change::Order { step, epoch: record.epoch, number }
            }
            5..7 => {
                let (tier, units) = (Tier::ALL[self.rng.usize(..5)], self.rng.u32(1..4));
                let wish = Click { seat, ..click(0, tier, units) };
                if open.sale.may_wait(self.clock.now(), wish).is_err() {
                    return;
                }
                let place = open.next_place().unwrap();
                Change::Join(waiting(&name(member), tier, units, place))
            }
            _ => Change::Leave(name(member).parse().unwrap()),
        };
        // The caller does not wait for the answer, as if it were lost.
        drop(open.ask(change, self.clock.now()).unwrap());
        // If the confirmer does not run now, it makes several changes together later.
        if self.rng.bool() {
            self.confirm().await;
        }
    }

    /// Moves the clock to the instant when the next payment is due, and sometimes just before it.
    fn wait_until_due(&mut self) {
        let unpaid = self.model.orders.values().filter(|o| o.status == Status::Confirmed);
        let due = unpaid.map(|order| self.model.terms.pay_by(order.confirmed_at)).min();
        if let Some(due) = due.filter(|due| *due > self.clock.now()) {
            self.clock.set(Millis(due.0 - u64::from(self.rng.bool())));
        }
    }

    async fn switch(&mut self) {
        let switch = match self.rng.u8(..12) {
            0 => Switch::Close,
            1..6 => Switch::Pause,
            _ => Switch::Resume,
        };
        let sale = &self.world.open.sale;
        if self.store.inner.operating.switch(&id(), sale.epoch(), switch).await.is_err() {
            return;
        }
        match switch {
            Switch::Pause => sale.stock().set_paused(true),
            Switch::Resume => sale.stock().set_paused(false),
            Switch::Close => sale.stock().close(),
        }
        match switch {
            Switch::Pause => self.model.is_paused = true,
            Switch::Resume => self.model.is_paused = false,
            Switch::Close => self.model.is_closed = true,
        }
    }

    async fn top_up(&mut self) {
        let (key, add) = (self.rng.u64(..4), self.rng.u32(1..6));
        let sale = &self.world.open.sale;
        let done = self
            .store
            .inner
            .operating
            .top_up(&id(), sale.epoch(), &key.to_string(), Units(add))
            .await;
        let Ok(total) = done else { return };
        sale.top_up(total);
        self.model.aside = sale.aside().units().0;
        if *self.model.top_ups.entry(key).or_insert(add) == add {
            self.model.total = self.model.terms.stock.0 + self.model.top_ups.values().sum::<u32>();
        }
    }

    /// The process dies and another one starts. From then on, only what the store has counts.
    async fn crash(&mut self) {
        self.world = World::open(&self.store, &self.clock).await;
        let stored = self.store.inner.reading.orders_after(&id(), 0, usize::MAX).await.unwrap();
        let stored: BTreeMap<_, _> = stored.iter().map(|r| (r.number, r.status)).collect();
        for (number, order) in &self.model.orders {
            // An order whose verdict was told is in the store, perhaps a step further on.
            let told = order.status != Status::Reserved;
            let is_there = || stored[number].steps() >= order.status.steps();
            assert!(
                !told || order.status == Status::Released || is_there(),
                "I4: {number} is lost"
            );
        }
        self.model.orders.retain(|number, order| match stored.get(number) {
            Some(status) => {
                order.status = *status;
                true
            }
            None => false,
        });
        self.model.keys.retain(|_, (_, number)| stored.contains_key(number));
        self.model.next_number = stored.keys().max().map_or(1, |number| number + 1);
        self.model.is_halted = false;
        self.model.aside = self.world.open.sale.aside().units().0;
    }

    async fn check(&self) {
        let (sale, model) = (&self.world.open.sale, &self.model);
        let level = sale.stock().level();
        assert_eq!((level.left().0, level.total().0), (model.left(), model.total), "I1");
        let units = |status: Status| -> u32 {
            model.orders.values().filter(|o| o.status == status).map(|o| o.units).sum()
        };
        let sold = units(Status::Confirmed) + units(Status::Paid) + units(Status::Returned);
        assert!(sold <= model.total, "I2");
        let left = level.left().0 + model.aside;
        assert_eq!(left + units(Status::Reserved) + sold, model.total, "I1");
        let meter = sale.meter().stored();
        for status in Status::STORED {
            assert_eq!(meter.sum(status).units, u64::from(units(status)), "{status:?} are counted");
        }
        for member in 0..MEMBERS {
            let seat = self.world.roster.seat(&name(member)).unwrap();
            let held = sale.held(seat).0;
            assert_eq!(held, model.held(member), "I10: member {member}");
            assert!(held <= 5, "I3: member {member} holds {held}");
        }
        for (number, order) in &model.orders {
            let windows = &model.terms.windows;
            let in_time = windows.enter(order.tier, order.at).is_ok() && !windows.is_over(order.at);
            assert!(in_time, "I8: order {number}");
            if order.status.steps() > 0 && order.status != Status::Released {
                let stored = self.store.inner.reading.order(&id(), *number).await.unwrap();
                let stored = stored.map(|record| record.status);
                let is_there = stored.is_some_and(|stored| stored.steps() >= order.status.steps());
                assert!(is_there, "I4: order {number} is {order:?} and stored as {stored:?}");
            }
        }
        let audit = self.store.inner.reading.audit().await.unwrap();
        assert!(audit.is_clean(), "I5: {audit:?}");
    }

    /// The store is well again, so every reserved order gets its verdict.
    async fn settle(&mut self) {
        let mut steps = 0;
        while self.world.confirmer.make_progress().await != Progress::Idle {
            steps += 1;
            assert!(steps < 10_000, "I9: the confirmer does not come to rest");
        }
        self.learn();
        let reserved = |order: &&Plain| order.status == Status::Reserved;
        assert_eq!(self.model.orders.values().filter(reserved).count(), 0, "I9");
        self.check().await;
        let sold: u32 =
            self.model.orders.values().filter(|o| Model::holds(o)).map(|o| o.units).sum();
        let left = self.world.open.sale.stock().level().left().0 + self.model.aside;
        assert_eq!(sold + left, self.model.total, "I7");
        let level = self.world.open.sale.stock().level();
        let serves = !level.is_paused() && !level.is_halted();
        assert!(!serves || self.model.aside == 0, "I7: what the waitlist leaves is on sale");
        let mut waits: Vec<_> = self
            .store
            .inner
            .reading
            .waiting(&id())
            .await
            .unwrap()
            .into_iter()
            .map(|w| w.member)
            .collect();
        waits.sort();
        let in_memory = |member: &usize| {
            let seat = self.world.roster.seat(&name(*member)).unwrap();
            self.world.open.position(seat).is_some()
        };
        let members = (0..MEMBERS).filter(in_memory).map(|m| name(m).parse().unwrap());
        let same = members.collect::<Vec<membership::MemberId>>() == waits;
        assert!(same || self.model.is_halted, "memory and store disagree on who waits");
        for (number, order) in &self.model.orders {
            let stored = self.store.inner.reading.order(&id(), *number).await.unwrap();
            // A process that was replaced may not have heard of the last steps.
            let is_same = stored.is_none_or(|record| record.status == order.status);
            assert!(is_same || self.model.is_halted, "{number}: memory and store disagree");
        }
    }

    /// No member pays any more: unpaid orders expire, and their units are offered or on sale.
    async fn expire(&mut self) {
        let last = self.clock.now() + Duration::from_secs(3_600);
        self.clock.set(last);
        self.settle().await;
        let unpaid = |order: &&Plain| order.status == Status::Confirmed;
        let halted = self.model.is_halted;
        assert!(halted || self.model.orders.values().filter(unpaid).count() == 0, "I7: unpaid");
        assert_eq!(self.model.aside, 0, "I7: after the close nothing lies aside");
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
struct Named(u64);

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
