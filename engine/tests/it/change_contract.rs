//! What every store must keep of an order's life after its confirmation, and of the waitlist.

use crate::contract::{known, opened};
use crate::support::Move::{self, Cancel, Expire, Pay, Refund};
use crate::support::{batch, changes, id, member, reserved, terms, waiting};
use engine::rules::order::Status::{
    self, Cancelled, Confirmed, Expired, Paid, RefundDue, Refunded, Released, Returned,
};
use engine::rules::terms::Terms;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::rules::why::Why;
use engine::store::{Change, Changed, Changes, Record, ReservedOrder, Store, StoreError, Verdict};
use membership::Tier::{Diamond, Gold, Regular};

contract!(
    each_step_is_taken_once_and_told_once,
    the_first_of_two_steps_stands,
    a_late_payment_is_due_back_and_takes_no_unit,
    what_is_paid_back_is_told_and_a_returned_order_keeps_its_units,
    steps_and_waits_are_made_together_in_their_order,
    what_ends_unpaid_gives_units_and_limit_back_once,
    a_step_of_an_order_that_is_not_there_changes_nothing,
    a_stale_epoch_takes_no_step,
    many_steps_are_taken_together,
    unpaid_orders_are_there_after_a_restart,
    who_waits_keeps_the_place_until_they_leave,
    a_waitlist_is_dissolved_as_a_whole,
    an_offer_that_is_decided_ends_the_wait,
    an_order_that_was_lost_comes_back_where_it_was_in_its_life,
    what_is_stored_in_an_earlier_state_is_moved_on,
    who_is_blocked_stays_blocked,
);

/// A move of an order of one unit.
fn order(what: Move, epoch: u64, number: u64) -> Change {
    what.of(epoch, number, Units(1))
}

async fn take(store: &Store, epoch: u64, at: u64, step: Move, number: u64) -> Record {
    let made = store.selling.change(&changes(epoch, at, vec![order(step, epoch, number)])).await;
    match &made.as_deref() {
        Ok([Changed::Order(record)]) => record.clone(),
        other => panic!("{other:?}"),
    }
}

/// Orders 1 to 4, of one unit each, by ann, bob, cyd and dan.
async fn four_orders(store: &Store, stock: u32) -> u64 {
    let epoch = opened(store, stock).await;
    let names = ["ann", "bob", "cyd", "dan"];
    let orders = (1..).zip(names).map(|(number, name)| reserved(number, name, Gold, 1));
    store.selling.commit(&batch(epoch, orders.collect())).await.unwrap();
    epoch
}

async fn left(store: &Store) -> u32 {
    let audit = store.reading.audit().await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    audit.sales[0].left.0
}

async fn each_step_is_taken_once_and_told_once(store: &Store) {
    let epoch = four_orders(store, 4).await;
    for (number, step, status) in [(1, Pay, Paid), (2, Cancel, Cancelled), (3, Expire, Expired)] {
        for at in [950_000, 960_000] {
            let record = take(store, epoch, at, step, number).await;
            assert_eq!((record.status, record.changed_at), (status, Millis(950_000)));
            assert_eq!(record.settled_at, Millis(5_001), "when it was confirmed is not forgotten");
        }
    }
    let entries = store.reading.outbox_after(&id(), 4, 10).await.unwrap();
    let told: Vec<_> = entries.iter().map(|e| (e.seq, e.number, e.status, e.at.0)).collect();
    let at = 950_000;
    assert_eq!(told, [(5, 1, Paid, at), (6, 2, Cancelled, at), (7, 3, Expired, at)]);
    assert_eq!(left(store).await, 2);
}

async fn the_first_of_two_steps_stands(store: &Store) {
    let epoch = opened(store, 10).await;
    let cases = [
        (Pay, Cancel, Paid),
        (Pay, Expire, Paid),
        (Cancel, Expire, Cancelled),
        (Expire, Cancel, Expired),
        (Cancel, Pay, RefundDue),
        (Expire, Pay, RefundDue),
    ];
    for (number, (first, second, status)) in (1..).zip(cases) {
        let order = reserved(number, &format!("m{number}"), Gold, 1);
        store.selling.commit(&batch(epoch, vec![order])).await.unwrap();
        take(store, epoch, 950_000, first, number).await;
        let record = take(store, epoch, 950_001, second, number).await;
        assert_eq!(record.status, status, "{first:?}, then {second:?}");
    }
    assert_eq!(left(store).await, 8);
}

async fn a_late_payment_is_due_back_and_takes_no_unit(store: &Store) {
    let epoch = opened(store, 1).await;
    store.selling.commit(&batch(epoch, vec![reserved(1, "ann", Gold, 1)])).await.unwrap();
    take(store, epoch, 950_000, Expire, 1).await;
    let verdicts =
        store.selling.commit(&batch(epoch, vec![reserved(2, "bob", Gold, 1)])).await.unwrap();
    assert_eq!(verdicts, [Verdict::Stored(Confirmed, Millis(5_001))], "the unit is sold again");
    assert_eq!(take(store, epoch, 950_001, Pay, 1).await.status, RefundDue);
    assert_eq!(take(store, epoch, 950_002, Pay, 2).await.status, Paid);
    assert_eq!(left(store).await, 0);
    let audit = store.reading.audit().await.unwrap();
    let tallies = audit.sales[0].tallies;
    assert_eq!((tallies.sum(RefundDue).units, tallies.sum(Paid).units), (1, 1));
}

async fn what_is_paid_back_is_told_and_a_returned_order_keeps_its_units(store: &Store) {
    let epoch = four_orders(store, 4).await;
    take(store, epoch, 6_000, Cancel, 1).await;
    take(store, epoch, 6_001, Pay, 1).await;
    take(store, epoch, 6_002, Pay, 2).await;
    for at in [7_000, 8_000] {
        for (number, status) in [(1, Refunded), (2, Returned), (3, Confirmed)] {
            let record = take(store, epoch, at, Refund, number).await;
            assert_eq!(record.status, status);
            assert!(record.changed_at < Millis(8_000), "only the first counts");
        }
    }
    for late in [Pay, Cancel, Expire] {
        assert_eq!(take(store, epoch, 9_000, late, 1).await.status, Refunded);
        assert_eq!(take(store, epoch, 9_000, late, 2).await.status, Returned);
    }
    let entries = store.reading.outbox_after(&id(), 4, 10).await.unwrap();
    let told: Vec<_> = entries.iter().map(|e| (e.number, e.status)).collect();
    let life = [(1, Cancelled), (1, RefundDue), (2, Paid), (1, Refunded), (2, Returned)];
    assert_eq!(told, life);
    assert_eq!(left(store).await, 1, "only the cancelled unit came back");
    let opened = store.opening.open(&id()).await.unwrap();
    let sums = [RefundDue, Refunded, Paid, Returned].map(|s| opened.tallies.sum(s).units);
    assert_eq!((sums, opened.left), ([0, 1, 0, 1], Units(1)));
    let bob = opened.holdings.iter().find(|held| held.member == member("bob")).unwrap();
    assert_eq!(bob.units, Units(1), "the limit stays used");
}

async fn steps_and_waits_are_made_together_in_their_order(store: &Store) {
    let epoch = four_orders(store, 4).await;
    let join = |name: &str, place| Change::Join(waiting(name, Gold, 1, place));
    let rounds = [
        vec![order(Pay, epoch, 1), order(Refund, epoch, 1), order(Pay, epoch, 2)],
        vec![order(Pay, epoch, 3), join("eve", 1), order(Refund, epoch, 2)],
        vec![order(Pay, epoch, 4), order(Refund, epoch, 3), order(Refund, epoch, 4)],
        vec![join("fay", 2), Change::Leave(member("eve")), order(Cancel, epoch, 4)],
    ];
    for (at, round) in (6_000..).zip(rounds) {
        let made = store.selling.change(&changes(epoch, at, round.clone())).await.unwrap();
        assert_eq!(made.len(), round.len());
        store.selling.still_sells(&id(), epoch).await.unwrap();
    }
    for number in 1..=4 {
        let record = store.reading.order(&id(), number).await.unwrap().unwrap();
        assert_eq!(record.status, Returned, "order {number}");
    }
    assert_eq!(store.reading.waiting(&id()).await.unwrap(), [waiting("fay", Gold, 1, 2)]);
    assert_eq!(left(store).await, 0);
}

async fn what_ends_unpaid_gives_units_and_limit_back_once(store: &Store) {
    let epoch = opened(store, 10).await;
    store.selling.commit(&batch(epoch, vec![reserved(1, "ann", Gold, 3)])).await.unwrap();
    let full =
        store.selling.commit(&batch(epoch, vec![reserved(2, "ann", Gold, 1)])).await.unwrap();
    assert_eq!(full, [Verdict::Released(Why::LimitReached, Millis(5_001))]);
    for _ in 0..2 {
        take(store, epoch, 6_000, Cancel, 1).await;
        assert_eq!(left(store).await, 10);
    }
    let again =
        store.selling.commit(&batch(epoch, vec![reserved(3, "ann", Gold, 3)])).await.unwrap();
    assert_eq!(again, [Verdict::Stored(Confirmed, Millis(5_001))], "the limit is free again");
    // No step moves a released order on.
    for step in [Pay, Cancel, Expire] {
        assert_eq!(take(store, epoch, 950_000, step, 2).await.status, Released);
    }
    assert_eq!(left(store).await, 7);
}

async fn a_step_of_an_order_that_is_not_there_changes_nothing(store: &Store) {
    let epoch = four_orders(store, 4).await;
    let strange = vec![order(Pay, epoch, 9), order(Cancel, epoch + 1, 1), order(Expire, 0, 2)];
    let made = store.selling.change(&changes(epoch, 6_000, strange)).await.unwrap();
    assert_eq!(made, [Changed::NoOrder, Changed::NoOrder, Changed::NoOrder]);
    assert_eq!(store.reading.outbox_after(&id(), 4, 10).await.unwrap(), []);
    assert_eq!(store.selling.change(&changes(epoch, 6_000, Vec::new())).await, Ok(Vec::new()));
}

async fn a_stale_epoch_takes_no_step(store: &Store) {
    let stale = four_orders(store, 4).await;
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    let pay = vec![order(Pay, stale, 1), Change::Leave(member("ann"))];
    let refused = store.selling.change(&changes(stale, 6_000, pay.clone())).await;
    assert_eq!(refused, Err(StoreError::Fenced));
    assert_eq!(store.reading.order(&id(), 1).await.unwrap().unwrap().status, Confirmed);
    let made = store.selling.change(&changes(epoch, 6_000, pay)).await.unwrap();
    assert!(matches!(&made[0], Changed::Order(record) if record.status == Paid), "{made:?}");
}

async fn many_steps_are_taken_together(store: &Store) {
    let epoch = opened(store, 1_000).await;
    let orders = (1..=300).map(|n| reserved(n, &format!("m{n}"), Diamond, 1)).collect();
    store.selling.commit(&batch(epoch, orders)).await.unwrap();
    let mut steps: Vec<_> = (1..=300).map(|n| order(Expire, epoch, n)).collect();
    // The same order twice in one transaction, and one that was paid just before.
    steps.extend([order(Pay, epoch, 7), order(Cancel, epoch, 8)]);
    steps.insert(0, order(Pay, epoch, 9));
    let made = store.selling.change(&changes(epoch, 950_000, steps)).await.unwrap();
    let status = |i: usize| match &made[i] {
        Changed::Order(record) => record.status,
        other => panic!("{other:?}"),
    };
    assert_eq!((status(0), status(9), status(301), status(302)), (Paid, Paid, RefundDue, Expired));
    assert_eq!(left(store).await, 999);
}

async fn unpaid_orders_are_there_after_a_restart(store: &Store) {
    let epoch = four_orders(store, 9).await;
    take(store, epoch, 6_000, Pay, 1).await;
    take(store, epoch, 6_000, Cancel, 2).await;
    let opened = store.opening.open(&id()).await.unwrap();
    let unpaid: Vec<_> = opened.unpaid.iter().map(|record| record.number).collect();
    assert_eq!((unpaid, opened.left), (vec![3, 4], Units(6)));
    let sums = [Confirmed, Paid, Cancelled].map(|status| opened.tallies.sum(status).orders);
    assert_eq!(sums, [2, 1, 1]);
    let made: Vec<_> = opened.holdings.iter().map(|held| (held.units.0, held.orders)).collect();
    assert_eq!(made, [(1, 1), (0, 1), (1, 1), (1, 1)], "a cancelled order was made, too");
}

async fn who_waits_keeps_the_place_until_they_leave(store: &Store) {
    let epoch = opened(store, 1).await;
    let (ann, bob) = (waiting("ann", Gold, 2, 1), waiting("bob", Regular, 1, 2));
    let join = vec![Change::Join(ann.clone()), Change::Join(bob.clone())];
    let made = store.selling.change(&changes(epoch, 6_000, join.clone())).await.unwrap();
    assert_eq!(made, [Changed::Waits(ann.clone()), Changed::Waits(bob.clone())]);
    let again = vec![Change::Join(waiting("ann", Diamond, 1, 7)), Change::Leave(member("cyd"))];
    let made = store.selling.change(&changes(epoch, 6_001, again)).await.unwrap();
    assert_eq!(made, [Changed::Waits(ann.clone()), Changed::DoesNotWait]);
    let mut waits = store.opening.open(&id()).await.unwrap().waiting;
    waits.sort_by_key(|waiting| waiting.place);
    assert_eq!(waits, [ann, bob.clone()]);
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    let leave = vec![Change::Leave(member("ann")), Change::Leave(member("ann"))];
    store.selling.change(&changes(epoch, 6_002, leave)).await.unwrap();
    assert_eq!(store.reading.waiting(&id()).await.unwrap(), [bob]);
    let rejoin = waiting("ann", Gold, 1, 3);
    let turn =
        vec![Change::Join(rejoin.clone()), Change::Leave(member("ann")), Change::Join(rejoin)];
    store.selling.change(&changes(epoch, 6_003, turn)).await.unwrap();
    assert_eq!(store.reading.audit().await.unwrap().sales[0].waiting, 2);
    assert_eq!(left(store).await, 1);
}

async fn a_waitlist_is_dissolved_as_a_whole(store: &Store) {
    let epoch = opened(store, 1).await;
    let other = terms(1);
    let other = Terms { id: "drop-2".parse().unwrap(), ..other };
    store.opening.create(&other).await.unwrap();
    let elsewhere = store.opening.open(&other.id).await.unwrap().epoch;
    let there = Change::Join(waiting("zoe", Gold, 1, 1));
    let there = Changes { sale: other.id.clone(), ..changes(elsewhere, 6_000, vec![there]) };
    store.selling.change(&there).await.unwrap();
    let joins = (1..400).map(|n| Change::Join(waiting(&format!("m{n}"), Gold, 1, n)));
    store.selling.change(&changes(epoch, 6_000, joins.collect())).await.unwrap();
    let (ann, bob) = (waiting("ann", Gold, 1, 500), waiting("bob", Gold, 1, 501));
    let turn = vec![Change::Join(ann.clone()), Change::Dissolve, Change::Join(bob.clone())];
    let made = store.selling.change(&changes(epoch, 6_001, turn)).await.unwrap();
    assert_eq!(made, [Changed::Waits(ann), Changed::DoesNotWait, Changed::Waits(bob.clone())]);
    assert_eq!(store.reading.waiting(&id()).await.unwrap(), [bob]);
    for _ in 0..2 {
        store.selling.change(&changes(epoch, 6_002, vec![Change::Dissolve])).await.unwrap();
        assert_eq!(store.reading.waiting(&id()).await.unwrap(), []);
    }
    assert_eq!(store.reading.waiting(&other.id).await.unwrap().len(), 1, "of another sale");
    let audit = store.reading.audit().await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
}

async fn an_offer_that_is_decided_ends_the_wait(store: &Store) {
    let epoch = opened(store, 1).await;
    let join = ["ann", "bob", "cyd"].into_iter().zip(1..);
    let join = join.map(|(name, place)| Change::Join(waiting(name, Gold, 1, place))).collect();
    store.selling.change(&changes(epoch, 6_000, join)).await.unwrap();
    let offer = |number, name| ReservedOrder { is_offer: true, ..reserved(number, name, Gold, 1) };
    let orders = vec![offer(1, "ann"), offer(2, "bob"), reserved(3, "cyd", Gold, 1)];
    let first = batch(epoch, orders);
    for _ in 0..2 {
        let verdicts = store.selling.commit(&first).await.unwrap();
        let statuses = verdicts.iter().map(|verdict| verdict.status());
        assert_eq!(statuses.collect::<Vec<_>>(), [Confirmed, Released, Released]);
    }
    let waits = store.reading.waiting(&id()).await.unwrap();
    assert_eq!(waits, [waiting("cyd", Gold, 1, 3)], "a click of one's own is no offer");
    assert_eq!(left(store).await, 0);
}

/// An order as the process that sold it knows it.
fn lived(number: u64, name: &str, status: Status, epoch: u64) -> Record {
    let first = if status == Released { Released } else { Confirmed };
    Record { status, changed_at: Millis(950_000), ..known(number, name, 1, first, epoch) }
}

async fn an_order_that_was_lost_comes_back_where_it_was_in_its_life(store: &Store) {
    let epoch = opened(store, 3).await;
    // Orders that hold no units come first. All of them together have more units than the stock.
    let orders = [
        lived(1, "ann", Cancelled, epoch),
        lived(2, "bob", Expired, epoch),
        lived(3, "cyd", RefundDue, epoch),
        lived(4, "dan", Paid, epoch),
        lived(5, "eve", Confirmed, epoch),
        lived(6, "fay", Refunded, epoch),
        lived(7, "gus", Returned, epoch),
    ];
    let orders = orders.map(|record| match record.status {
        Confirmed => Record { changed_at: record.settled_at, ..record },
        _ => record,
    });
    for _ in 0..2 {
        let head = store.opening.restore(&id(), epoch, &orders).await.unwrap();
        assert_eq!((head.left, head.tallies.held_units()), (Units(0), 3));
    }
    let told = store.reading.outbox_after(&id(), 0, 99).await.unwrap().len();
    assert_eq!(told, 2 + 2 + 3 + 2 + 1 + 4 + 3);
    for record in &orders {
        let stored = store.reading.order(&id(), record.number).await.unwrap().unwrap();
        assert_eq!(Record { before: 0, ..stored }, *record);
    }
    assert_eq!(left(store).await, 0);
}

async fn what_is_stored_in_an_earlier_state_is_moved_on(store: &Store) {
    let epoch = four_orders(store, 4).await;
    take(store, epoch, 940_000, Expire, 3).await;
    take(store, epoch, 940_000, Pay, 4).await;
    let stored = |n| async move { store.reading.order(&id(), n).await.unwrap().unwrap() };
    let moved = |record: Record, status| Record { status, changed_at: Millis(950_000), ..record };
    let orders = [
        moved(stored(1).await, Cancelled),
        moved(stored(2).await, Returned),
        // The store is ahead of the caller here, so its record stays as it is.
        Record { status: Confirmed, changed_at: Millis(5_001), ..stored(4).await },
    ];
    for _ in 0..2 {
        let head = store.opening.restore(&id(), epoch, &orders).await.unwrap();
        assert_eq!((head.left, head.tallies.sum(Returned).orders), (Units(2), 1));
    }
    // Orders 3 and 4 have expired and were paid: they cannot have come to these.
    for (number, status) in
        [(3, Paid), (3, Returned), (4, Cancelled), (4, RefundDue), (4, Refunded)]
    {
        let other = [moved(stored(number).await, status)];
        let refused = store.opening.restore(&id(), epoch, &other).await;
        assert!(matches!(refused, Err(StoreError::Damaged(_))), "{number} {status:?}: {refused:?}");
    }
    assert_eq!(left(store).await, 2);
}

async fn who_is_blocked_stays_blocked(store: &Store) {
    store.opening.create(&terms(1)).await.unwrap();
    assert_eq!(store.members.blocked().await, Ok(Vec::new()));
    for name in ["ann", "bob", "ann"] {
        store.members.set_blocked(&member(name), true).await.unwrap();
    }
    store.members.set_blocked(&member("bob"), false).await.unwrap();
    store.members.set_blocked(&member("cyd"), false).await.unwrap();
    assert_eq!(store.members.blocked().await, Ok(vec![member("ann")]));
}
