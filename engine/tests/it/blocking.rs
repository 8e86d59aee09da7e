//! Blocking a member: one durable write, and no click of theirs once it is answered.

use crate::support::{CALM, OPEN, click, engine, member, terms};
use engine::Engine;
use engine::clock::Clock;
use engine::rules::terms::Terms;
use engine::sale::Click;
use engine::store::{MemoryStore, Store};
use membership::Tier::Gold;
use std::sync::Arc;

#[tokio::test]
async fn a_block_is_not_answered_while_a_click_is_judged_by_the_old_list() {
    let (engine, _) = engine(1).await;
    let engine = Arc::new(engine);
    let look = engine.look_at_blocked();
    let seat = engine.roster().seat("ann").unwrap();
    assert!(!look.contains(seat));
    let blocking = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move {
            // A change in between does not hide the click that is judged by a still older list.
            engine.unblock(&member("zoe")).await?;
            engine.block(&member("ann")).await
        }
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(!blocking.is_finished(), "a click is still judged by the old list");
    }
    drop(look);
    blocking.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_block_writes_nothing_in_any_sale() {
    const SALES: usize = 100;
    let store: Store = MemoryStore::default().into();
    for n in 0..SALES {
        let id = format!("sale-{n}").parse().unwrap();
        store.opening.create(&Terms { id, ..terms(1) }).await.unwrap();
    }
    let engine = Engine::start(store.clone(), Clock::by_hand(OPEN), CALM).await.unwrap();
    let seat = |name: &str| engine.roster().seat(name).unwrap();
    for open in engine.sales() {
        open.sale.buy(OPEN, Click { seat: seat("ann"), ..click(0, Gold, 1) }).unwrap();
        engine.join(&open, Click { seat: seat("bob"), ..click(0, Gold, 1) }).await.unwrap();
    }
    engine.block(&member("bob")).await.unwrap();
    for open in engine.sales() {
        let stored = store.reading.waiting(&open.sale.terms().id).await.unwrap();
        assert_eq!(stored.len(), 1, "the wait is passed over, not written");
        assert_eq!(open.position(seat("bob")), None);
    }
    assert_eq!(store.members.blocked().await.unwrap(), [member("bob")]);
}
