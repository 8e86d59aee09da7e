//! Calls to Redis that were held up on their way and come late: none undoes what was done after it.

use crate::lost_history::{Selling, call};
use crate::redis::{connect, started};
use crate::support::{CALM, batch, changes, click, id, refund, reserved, terms, waiting};
use engine::rules::order::{OrderId, Status, Step};
use engine::sale::Click;
use engine::store::{Change, ReservedOrder, Switch};
use membership::Tier::Gold;

#[tokio::test]
async fn a_switch_that_was_held_up_does_not_undo_a_later_one() {
    let (_folder, server) = started(&[]);
    let store = connect(&server).await;
    store.opening.create(&terms(9)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    store.operating.switch(&id(), epoch, Switch::Pause).await.unwrap();
    // The same call as it looked before that switch.
    let stale = call(&server, "switch", &format!("{epoch} 0 0 paused 0"));
    assert!(stale.contains("STALE"), "{stale}");
    store.operating.switch(&id(), epoch, Switch::Close).await.unwrap();
    let opened = store.opening.open(&id()).await.unwrap();
    assert!(opened.is_paused && opened.is_closed);
}

#[tokio::test]
async fn a_change_of_the_waitlist_that_was_held_up_does_not_undo_a_later_one() {
    let (_folder, server) = started(&[]);
    let store = connect(&server).await;
    store.opening.create(&terms(9)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    // A call as it looks when the caller had seen so many turns.
    let held_up =
        |turns: u32, what: &str| call(&server, "change", &format!("{epoch} 0 {turns} 6000 {what}"));
    let waits = async || store.reading.waiting(&id()).await.unwrap().len();
    let change = async |change| {
        store.selling.change(&changes(epoch, 6_000, vec![change])).await.unwrap();
    };
    let join = Change::Join(waiting("ann", Gold, 1, 1));
    let leave = Change::Leave("ann".parse().unwrap());
    change(join.clone()).await;
    change(leave.clone()).await;
    let stale = held_up(0, "join ann 'gold 1 1' -");
    assert!(stale.contains("STALE"), "{stale}");
    assert_eq!(waits().await, 0, "a member who has left stays away");
    change(join).await;
    for what in ["leave ann - -", "dissolve - - -"] {
        let stale = held_up(1, what);
        assert!(stale.contains("STALE"), "{stale}");
        assert_eq!(waits().await, 1, "a member who has joined again waits: {what}");
    }
    // The answer to this one was lost: the store is a turn ahead of what its caller has seen.
    assert!(held_up(3, "leave ann - -").contains("OK"));
    change(leave.clone()).await;
    assert_eq!(waits().await, 0);
    let before = server.must("HGET flashlane:{drop}:sale turns");
    change(leave).await;
    assert_eq!(server.must("HGET flashlane:{drop}:sale turns"), before, "nothing was written");
    assert!(store.reading.audit().await.unwrap().is_clean());
}

#[tokio::test]
async fn a_stale_turn_beside_other_steps_is_made_again_and_halts_nothing() {
    let (_folder, server) = started(&[]);
    let mut world = Selling::start(&server, 3, CALM).await;
    for _ in 0..3 {
        world.confirmed().await;
    }
    let ids =
        [1, 2, 3].map(|number| OrderId { sale: id(), epoch: world.open.sale.epoch(), number });
    let (engine, open) = (&world.engine, &world.open);
    let paid = ids.each_ref().map(|id| engine.step(open, id, Step::Pay));
    for told in futures_util::future::join_all(paid).await {
        told.unwrap().unwrap();
    }
    let due = terms(1).price.0;
    let back = ids.each_ref().map(|id| engine.refund(open, id, refund("r1", due)));
    for told in futures_util::future::join_all(back).await {
        told.unwrap().unwrap();
    }
    assert_eq!(world.statuses(), [Status::Returned; 3]);
    // The operator's turn comes between what the process has seen and its call.
    let raw = format!("{} 9 0 paused 0", open.sale.epoch());
    assert!(call(&server, "switch", &raw).contains("OK"));
    let seat = engine.roster().seat("zoe").unwrap();
    engine.join(open, Click { seat, ..click(0, Gold, 1) }).await.unwrap();
    assert!(!open.sale.stock().level().is_halted());
    let audit = connect(&server).await.reading.audit().await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
}

#[tokio::test]
async fn a_wish_that_an_offer_ended_is_not_brought_back_by_a_call_that_was_held_up() {
    let (_folder, server) = started(&[]);
    let store = connect(&server).await;
    store.opening.create(&terms(9)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    let join = vec![Change::Join(waiting("ann", Gold, 1, 1))];
    store.selling.change(&changes(epoch, 6_000, join)).await.unwrap();
    let offer = ReservedOrder { is_offer: true, ..reserved(1, "ann", Gold, 1) };
    store.selling.commit(&batch(epoch, vec![offer])).await.unwrap();
    let stale = call(&server, "change", &format!("{epoch} 0 1 6000 join ann 'gold 1 1' -"));
    assert!(stale.contains("STALE"), "{stale}");
    assert_eq!(store.reading.waiting(&id()).await.unwrap(), []);
}
