//! Models of the parts: stock, holdings, queue and board, idempotency keys.

use engine::rules::key::IdempotencyKey;
use engine::rules::order::{Order, Status};
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::time::Millis;
use engine::rules::units::{Units, Wanted};
use engine::rules::window::Windows;
use engine::sale::admitted::Admitted;
use engine::sale::board::Board;
use engine::sale::holdings::Holdings;
use engine::sale::keys::{Body, Keys};
use engine::sale::queue::OrderQueue;
use engine::sale::stock::Stock;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use loom_tests::world::{Lamps, Model, NOW, click, every_way, sale, spawn};
use membership::event::Tender;
use membership::{PerTier, Tier};
use std::num::NonZeroU64;

/// What the stock models need of a stock.
trait Shelf: Send + Sync + 'static {
    /// Takes one unit, for good.
    fn take(&self) -> bool;
    /// Takes one unit and lets it go again.
    fn touch(&self) -> bool;
    fn left(&self) -> u32;
}

impl Shelf for Stock {
    fn take(&self) -> bool {
        self.reserve(Units(1)).map(engine::sale::stock::Reservation::keep).is_ok()
    }

    fn touch(&self) -> bool {
        self.reserve(Units(1)).is_ok()
    }

    fn left(&self) -> u32 {
        self.level().left().0
    }
}

/// A stock with a bug: it looks and then takes, in two steps where there must be one.
struct TwoStepShelf(AtomicU32);

impl Shelf for TwoStepShelf {
    fn take(&self) -> bool {
        // Ordering: Acquire and Release, so that only the missing atomicity is the bug.
        let left = self.0.load(Ordering::Acquire);
        if left > 0 {
            self.0.store(left - 1, Ordering::Release);
        }
        left > 0
    }

    fn touch(&self) -> bool {
        let had = self.take();
        if had {
            // Ordering: Release, as above.
            self.0.fetch_add(1, Ordering::Release);
        }
        had
    }

    fn left(&self) -> u32 {
        // Ordering: Acquire, as above.
        self.0.load(Ordering::Acquire)
    }
}

fn two_buyers_and_one_unit(shelf: impl Fn() -> Box<dyn Shelf> + Send + Sync + 'static) {
    every_way(move || {
        let shelf: Arc<Box<dyn Shelf>> = Arc::new(shelf());
        let other = Arc::clone(&shelf);
        let other = spawn(move || other.take());
        let mine = shelf.take();
        let theirs = other.join().expect("a buyer");
        assert!(mine ^ theirs, "one unit, sold to {}", u32::from(mine) + u32::from(theirs));
        assert_eq!(shelf.left(), 0);
    });
}

#[test]
fn one_unit_goes_to_exactly_one_of_two_buyers() {
    two_buyers_and_one_unit(|| Box::new(Stock::new(Units(1))));
}

#[test]
#[should_panic(expected = "one unit, sold to 2")]
fn twin_a_stock_that_looks_before_it_takes_sells_twice() {
    two_buyers_and_one_unit(|| Box::new(TwoStepShelf(AtomicU32::new(1))));
}

fn returned_units_are_not_lost(shelf: impl Fn() -> Box<dyn Shelf> + Send + Sync + 'static) {
    every_way(move || {
        let shelf: Arc<Box<dyn Shelf>> = Arc::new(shelf());
        let other = Arc::clone(&shelf);
        let other = spawn(move || other.touch());
        let sold = shelf.take();
        other.join().expect("a buyer");
        assert_eq!(shelf.left(), 2 - u32::from(sold), "a unit is lost");
    });
}

#[test]
fn a_reservation_that_is_dropped_gives_its_units_back() {
    returned_units_are_not_lost(|| Box::new(Stock::new(Units(2))));
}

#[test]
#[should_panic(expected = "a unit is lost")]
fn twin_a_stock_of_two_steps_loses_a_returned_unit() {
    returned_units_are_not_lost(|| Box::new(TwoStepShelf(AtomicU32::new(2))));
}

/// What the holdings model needs of the holdings.
trait Limited: Send + Sync + 'static {
    fn claim_two_of_three(&self) -> bool;
    fn held(&self) -> u32;
}

const SEAT: Seat = Seat::new(0);

impl Limited for Holdings {
    fn claim_two_of_three(&self) -> bool {
        self.claim(SEAT, Wanted { units: Units(2), limit: Units(3) })
            .map(engine::sale::holdings::Claim::keep)
            .is_ok()
    }

    fn held(&self) -> u32 {
        self.held(SEAT).0
    }
}

/// Holdings with a bug: the limit is checked outside the step that takes some of it.
struct CheckedBefore(AtomicU32);

impl Limited for CheckedBefore {
    fn claim_two_of_three(&self) -> bool {
        // Ordering: AcqRel and Acquire, so that only the missing atomicity is the bug.
        let fits = self.0.load(Ordering::Acquire) + 2 <= 3;
        if fits {
            self.0.fetch_add(2, Ordering::AcqRel);
        }
        fits
    }

    fn held(&self) -> u32 {
        // Ordering: Acquire, as above.
        self.0.load(Ordering::Acquire)
    }
}

fn one_member_clicks_twice(limited: impl Fn() -> Box<dyn Limited> + Send + Sync + 'static) {
    every_way(move || {
        let limited: Arc<Box<dyn Limited>> = Arc::new(limited());
        let other = Arc::clone(&limited);
        let other = spawn(move || other.claim_two_of_three());
        let mine = limited.claim_two_of_three();
        let theirs = other.join().expect("the other click");
        assert!(mine ^ theirs, "both or neither passed the limit");
        assert_eq!(limited.held(), 2, "the limit is 3");
    });
}

#[test]
fn two_clicks_of_one_member_do_not_pass_the_limit() {
    one_member_clicks_twice(|| Box::new(Holdings::new(Units(3), 9)));
}

#[test]
#[should_panic(expected = "passed the limit")]
fn twin_a_limit_checked_outside_the_claim_is_passed() {
    one_member_clicks_twice(|| Box::new(CheckedBefore(AtomicU32::new(0))));
}

/// Seats 0 and 2 come to the same cell first.
const SAME_CELL: [Seat; 2] = [Seat::new(0), Seat::new(2)];

/// What the model of two strangers needs: a claim of one unit, and how many a seat holds.
trait Shared: Send + Sync + 'static {
    fn claim_one(&self, seat: Seat);
    fn held(&self, seat: Seat) -> u32;
}

impl Shared for Holdings {
    fn claim_one(&self, seat: Seat) {
        let claim = self.claim(seat, Wanted { units: Units(1), limit: Units(3) });
        claim.expect("within the limit").keep();
    }

    fn held(&self, seat: Seat) -> u32 {
        self.held(seat).0
    }
}

/// A table with a bug: an empty cell is looked for and then taken, in two steps.
struct TakesLate([AtomicU64; 2]);

impl Shared for TakesLate {
    fn claim_one(&self, seat: Seat) {
        let owner = u64::from(seat.number()) + 1;
        // Ordering: AcqRel and Acquire, so that only the two steps are the bug.
        let is_mine =
            |cell: &&AtomicU64| [0, owner].contains(&(cell.load(Ordering::Acquire) >> 32));
        let cell = self.0.iter().find(is_mine).expect("a cell for each");
        // Ordering: as above.
        let units = cell.load(Ordering::Acquire) & 0xffff_ffff;
        cell.store(owner << 32 | (units + 1), Ordering::Release);
    }

    fn held(&self, seat: Seat) -> u32 {
        // Ordering: Acquire, as above.
        let words = self.0.iter().map(|cell| cell.load(Ordering::Acquire));
        let own = words.filter(|word| word >> 32 == u64::from(seat.number()) + 1);
        own.map(|word| (word & 0xffff_ffff) as u32).sum()
    }
}

fn strangers_meet_at_a_cell(shared: impl Fn() -> Box<dyn Shared> + Send + Sync + 'static) {
    every_way(move || {
        let [here, there] = SAME_CELL;
        let shared: Arc<Box<dyn Shared>> = Arc::new(shared());
        let other = Arc::clone(&shared);
        let other = spawn(move || {
            other.claim_one(there);
            other.claim_one(here);
        });
        shared.claim_one(here);
        other.join().expect("the other thread");
        assert_eq!([shared.held(here), shared.held(there)], [2, 1], "each has what it claimed");
    });
}

#[test]
fn members_whose_cells_are_neighbours_each_hold_what_they_claimed() {
    strangers_meet_at_a_cell(|| Box::new(Holdings::new(Units(1), 9)));
}

#[test]
#[should_panic(expected = "each has what it claimed")]
fn twin_a_cell_that_is_looked_at_before_it_is_taken() {
    strangers_meet_at_a_cell(|| Box::new(TakesLate([AtomicU64::new(0), AtomicU64::new(0)])));
}

/// What the model of a key needs of a sale's keys.
trait KeyPad: Send + Sync + 'static {
    /// Begins to judge a click with the key, unless one is being judged or was accepted. The click is accepted
    /// then, or refused.
    fn click(&self, is_accepted: bool) -> bool;
}

impl KeyPad for Keys {
    fn click(&self, is_accepted: bool) -> bool {
        let begun = self.begin(Seat::new(0), IdempotencyKey(NonZeroU64::MIN));
        let is_judged = begun.is_some();
        if let Some(begun) = begun.filter(|_| is_accepted) {
            begun.keep(&Body { units: Units(1), tender: Tender::default() }, 1);
        }
        is_judged
    }
}

/// A key with a bug: a click looks whether it is free, and then takes it.
struct TwoStepKey(AtomicU32);

impl KeyPad for TwoStepKey {
    fn click(&self, is_accepted: bool) -> bool {
        // Ordering: Acquire and Release, so that only the missing atomicity is the bug.
        let is_free = self.0.load(Ordering::Acquire) == 0;
        if is_free {
            self.0.store(is_accepted.into(), Ordering::Release);
        }
        is_free
    }
}

fn a_refused_key_is_clicked_twice(keys: impl Fn() -> Box<dyn KeyPad> + Send + Sync + 'static) {
    every_way(move || {
        let keys = Arc::new(keys());
        assert!(keys.click(false), "nobody had the key");
        let other = Arc::clone(&keys);
        let other = spawn(move || other.click(true));
        let judged = [keys.click(true), other.join().expect("a click")];
        assert_eq!(judged.iter().filter(|judged| **judged).count(), 1, "judged once");
    });
}

#[test]
fn of_two_clicks_with_a_key_that_was_refused_before_one_is_judged() {
    a_refused_key_is_clicked_twice(|| Box::new(Keys::with_room_for(1)));
}

#[test]
#[should_panic(expected = "judged once")]
fn twin_a_key_that_is_looked_at_before_it_is_taken() {
    a_refused_key_is_clicked_twice(|| Box::new(TwoStepKey(AtomicU32::new(0))));
}

fn order(number: u64) -> Order {
    let (seat, tier, units) = (SEAT, Tier::Gold, Units(1));
    let status = Status::Reserved;
    Order {
        number,
        seat,
        tier,
        units,
        status,
        reserved_at: NOW,
        settled_at: None,
        changed_at: None,
    }
}

/// An admitted order of one unit for a gold member, which is on no queue and no board yet.
fn admitted<'a>(stock: &'a Stock, holdings: &'a Holdings) -> Admitted<'a> {
    let windows = Windows::new(PerTier([Some(Millis(1)); 5]), Millis(100)).expect("windows");
    let entered = windows.enter(Tier::Gold, NOW).expect("an open window");
    let claim = holdings.claim(SEAT, Wanted { units: Units(1), limit: Units(1) });
    let reservation = stock.reserve(Units(1)).expect("a unit");
    Admitted::click(click(0, Units(1)), entered, claim.expect("no unit yet"), reservation)
}

/// The click takes a number and writes its slot; the confirmer reads on to it.
fn the_queue_hands_over(model: Model) {
    every_way(move || {
        let parts = Arc::new((OrderQueue::new(1), Board::new(1, Units(1))));
        let other = Arc::clone(&parts);
        let confirmer = spawn(move || {
            let (queue, board) = &*other;
            let mut intake = queue.intake(board);
            // The bug: a number that was taken is believed to be written.
            let is_believed = !model.is_real() && queue.len() > 0;
            let popped = queue.pop(board, &mut intake);
            if popped.is_some() || is_believed {
                let read = popped.map(|(_, order)| order);
                assert_eq!(read, Some(order(1)), "taken, and not on the board");
            }
            (intake, popped.is_some())
        });
        let (stock, holdings) = (Stock::new(Units(1)), Holdings::new(Units(1), 9));
        let (queue, board) = &*parts;
        let number = queue.take_number();
        queue.push(board, admitted(&stock, &holdings), number, NOW);
        let (mut intake, popped) = confirmer.join().expect("the confirmer");
        assert_eq!(queue.pop(board, &mut intake).is_some(), !popped, "popped twice, or never");
        assert_eq!((queue.pop(board, &mut intake), queue.len()), (None, 0));
    });
}

#[test]
fn an_order_taken_from_the_queue_is_whole() {
    the_queue_hands_over(Model::Real);
}

#[test]
#[should_panic(expected = "taken, and not on the board")]
fn twin_a_queue_that_believes_its_tail_hands_over_nothing() {
    the_queue_hands_over(Model::Twin);
}

/// Of two clicks that write at the same time, the later number may be there first.
fn a_slot_is_passed_over(model: Model) {
    every_way(move || {
        let drop = Arc::new(sale(Lamps { stock: 2, limit: 1 }));
        let other = Arc::clone(&drop);
        let other = spawn(move || other.buy(NOW, click(1, Units(1))).is_ok());
        assert!(drop.buy(NOW, click(0, Units(1))).is_ok());
        let mut intake = drop.intake();
        let mut next = 1;
        let mut take_in = || match model {
            Model::Real => drop.take_in(&mut intake).map(|(_, order)| order.number),
            // The bug: what was passed over is forgotten.
            Model::Twin => {
                next += 1;
                drop.board().read(next - 1).map(|order| order.number)
            }
        };
        let mut taken = Vec::from_iter(take_in());
        assert!(other.join().expect("the other click"));
        taken.extend([take_in(), take_in()].into_iter().flatten());
        taken.sort_unstable();
        assert_eq!(taken, [1, 2], "each order is taken in once");
    });
}

#[test]
fn an_order_that_is_written_late_is_taken_in_later() {
    a_slot_is_passed_over(Model::Real);
}

#[test]
#[should_panic(expected = "each order is taken in once")]
fn twin_an_intake_that_forgets_what_it_passed_over() {
    a_slot_is_passed_over(Model::Twin);
}

/// A member asks for an order while the click still writes it.
fn the_board_is_read_early(publish: Ordering, model: Model) {
    let real = model.is_real();
    every_way(move || {
        let board = Arc::new(Board::new(1, Units(1)));
        let (fact, state) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (b, f, s) = (Arc::clone(&board), Arc::clone(&fact), Arc::clone(&state));
        let member = spawn(move || {
            if real {
                assert!(b.read(1).is_none_or(|read| read == order(1)));
            // Ordering: Acquire, as the board reads.
            } else if s.load(Ordering::Acquire) == 1 {
                // Ordering: Relaxed, published by the state.
                assert_eq!(f.load(Ordering::Relaxed), 7, "read in part");
            }
        });
        if real {
            board.write(&order(1), None, false);
        } else {
            // Ordering: Relaxed, published by the state.
            fact.store(7, Ordering::Relaxed);
            // Ordering: the twin's bug, if it is Relaxed.
            state.store(1, publish);
        }
        member.join().expect("the member");
    });
}

#[test]
fn an_order_on_the_board_is_read_whole_or_not_at_all() {
    the_board_is_read_early(Ordering::Release, Model::Real);
}

#[test]
#[should_panic(expected = "read in part")]
fn twin_a_board_published_with_a_relaxed_write_is_read_in_part() {
    // Ordering: Relaxed is the bug.
    the_board_is_read_early(Ordering::Relaxed, Model::Twin);
}

/// The sale closes while a click reserves a unit.
fn a_closed_sale_takes_nothing(model: Model) {
    let in_one_word = model.is_real();
    every_way(move || {
        let stock = Arc::new(Stock::new(Units(1)));
        let (flag, left) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(1)));
        let (s, f, l) = (Arc::clone(&stock), Arc::clone(&flag), Arc::clone(&left));
        let buyer = spawn(move || {
            if in_one_word {
                let taken = s.reserve(Units(1)).map(engine::sale::stock::Reservation::keep);
                assert!(matches!(taken, Ok(()) | Err(Refusal::Closed)));
            // Ordering: AcqRel and Acquire, so that only the second word is the bug.
            } else if f.load(Ordering::Acquire) == 0 {
                l.fetch_sub(1, Ordering::AcqRel);
            }
        });
        stock.close();
        // Ordering: AcqRel, as above.
        flag.fetch_or(1, Ordering::AcqRel);
        // Ordering: Acquire, as above.
        let at_close = (stock.level().left(), left.load(Ordering::Acquire));
        buyer.join().expect("the buyer");
        // Ordering: Acquire, as above.
        let after = (stock.level().left(), left.load(Ordering::Acquire));
        if in_one_word {
            assert_eq!(at_close.0, after.0, "sold after the close");
        } else {
            assert_eq!(at_close.1, after.1, "sold after the close");
        }
    });
}

#[test]
fn nothing_is_reserved_after_close_has_returned() {
    a_closed_sale_takes_nothing(Model::Real);
}

#[test]
#[should_panic(expected = "sold after the close")]
fn twin_a_close_in_a_word_of_its_own_lets_a_click_through() {
    a_closed_sale_takes_nothing(Model::Twin);
}
