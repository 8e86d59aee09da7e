//! Models of the parts: stock, holdings, queue and board, idempotency keys.
#![cfg(flash_loom)]

use engine::rules::order::{Order, Status};
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::time::Millis;
use engine::rules::units::{Units, Wanted};
use engine::rules::window::Windows;
use engine::sale::admitted::Admitted;
use engine::sale::holdings::Holdings;
use engine::sale::queue::OrderQueue;
use engine::sale::stock::Stock;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use loom::thread;
use loom_tests::world::{Model, NOW, click, every_way};
use membership::{PerTier, Tier};

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
        let other = thread::spawn(move || other.take());
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
        let other = thread::spawn(move || other.touch());
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
        let other = thread::spawn(move || other.claim_two_of_three());
        let mine = limited.claim_two_of_three();
        let theirs = other.join().expect("the other click");
        assert!(mine ^ theirs, "both or neither passed the limit");
        assert_eq!(limited.held(), 2, "the limit is 3");
    });
}

#[test]
fn two_clicks_of_one_member_do_not_pass_the_limit() {
    one_member_clicks_twice(|| Box::new(Holdings::new(9)));
}

#[test]
#[should_panic(expected = "passed the limit")]
fn twin_a_limit_checked_outside_the_claim_is_passed() {
    one_member_clicks_twice(|| Box::new(CheckedBefore(AtomicU32::new(0))));
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

/// The click writes the board and pushes; the confirmer pops and reads the board.
fn the_queue_hands_over(model: Model) {
    let board_first = model.is_real();
    every_way(move || {
        let queue = Arc::new(OrderQueue::new());
        let board = Arc::new(engine::sale::board::Board::new(1));
        let (q, b) = (Arc::clone(&queue), Arc::clone(&board));
        let confirmer = thread::spawn(move || {
            let popped = q.pop();
            if let Some(queued) = popped {
                assert_eq!(b.read(queued.number), Some(order(1)), "popped, and not on the board");
            }
            popped.is_some()
        });
        if board_first {
            board.write(&order(1));
        }
        let (stock, holdings) = (Stock::new(Units(1)), Holdings::new(9));
        queue.push(admitted(&stock, &holdings), 1);
        if !board_first {
            board.write(&order(1));
        }
        let popped = confirmer.join().expect("the confirmer");
        assert_eq!(queue.pop().is_some(), !popped, "popped twice, or never");
    });
}

#[test]
fn an_order_taken_from_the_queue_is_whole() {
    the_queue_hands_over(Model::Real);
}

#[test]
#[should_panic(expected = "popped, and not on the board")]
fn twin_a_push_before_the_board_is_written_hands_over_nothing() {
    the_queue_hands_over(Model::Twin);
}

/// A member asks for an order while the click still writes it.
fn the_board_is_read_early(publish: Ordering, model: Model) {
    let real = model.is_real();
    every_way(move || {
        let board = Arc::new(engine::sale::board::Board::new(1));
        let (fact, state) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (b, f, s) = (Arc::clone(&board), Arc::clone(&fact), Arc::clone(&state));
        let member = thread::spawn(move || {
            if real {
                assert!(b.read(1).is_none_or(|read| read == order(1)));
            // Ordering: Acquire, as the board reads.
            } else if s.load(Ordering::Acquire) == 1 {
                // Ordering: Relaxed, published by the state.
                assert_eq!(f.load(Ordering::Relaxed), 7, "read in part");
            }
        });
        if real {
            board.write(&order(1));
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
        let buyer = thread::spawn(move || {
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
