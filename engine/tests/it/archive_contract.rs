//! What every store must keep of sales that are over.

use crate::contract::opened;
use crate::support::Move::{Pay, Refund};
use crate::support::{batch, changes, id, member, reserved, terms};
use engine::rules::order::Status::{Paid, Returned};
use engine::rules::terms::{SaleId, Terms};
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::store::{Changed, Opened, Store, StoreError, Switch};
use membership::Tier::Gold;

contract!(
    an_archived_sale_is_not_opened_and_is_read_as_before,
    an_archived_sale_is_opened_again_as_it_was_left,
    the_id_of_an_archived_or_deleted_sale_stays_taken,
    only_who_sells_a_sale_archives_it,
    archived_sales_are_found_by_id_number_member_and_change,
);

const CHANGED: Millis = Millis(6_000);

/// A closed sale with paid orders of ann and bob; returns its epoch.
async fn over(store: &Store) -> u64 {
    let epoch = opened(store, 10).await;
    let orders = [(1, "ann"), (2, "bob")].map(|(number, name)| reserved(number, name, Gold, 1));
    store.selling.commit(&batch(epoch, orders.into())).await.unwrap();
    let paid = [1, 2].map(|number| Pay.of(epoch, number, Units(1)));
    store.selling.change(&changes(epoch, CHANGED.0, paid.into())).await.unwrap();
    store.operating.switch(&id(), epoch, Switch::Close).await.unwrap();
    epoch
}

async fn archived(store: &Store) -> u64 {
    let epoch = over(store).await;
    store.archiving.archive(&id(), epoch, CHANGED).await.unwrap();
    epoch
}

async fn an_archived_sale_is_not_opened_and_is_read_as_before(store: &Store) {
    let epoch = over(store).await;
    let before = (
        store.reading.orders_after(&id(), 0, 9).await.unwrap(),
        store.reading.outbox_after(&id(), 0, 9).await.unwrap(),
        store.reading.outbox_end(&id()).await.unwrap(),
        store.reading.audit().await.unwrap(),
    );
    assert_eq!((before.0.len(), before.1.len(), before.3.is_clean()), (2, 4, true));
    store.archiving.archive(&id(), epoch, CHANGED).await.unwrap();
    assert_eq!(store.reading.sales().await.unwrap(), []);
    let after = (
        store.reading.orders_after(&id(), 0, 9).await.unwrap(),
        store.reading.outbox_after(&id(), 0, 9).await.unwrap(),
        store.reading.outbox_end(&id()).await.unwrap(),
        store.reading.audit().await.unwrap(),
    );
    assert_eq!(before, after);
    let bobs = store.reading.orders_of(&id(), &member("bob"), None, 9).await.unwrap();
    assert_eq!(bobs.iter().map(|order| order.number).collect::<Vec<_>>(), [2]);
    assert_eq!(store.reading.order(&id(), 1).await.unwrap().unwrap().status, Paid);
    let looked_at = store.archiving.look(&id()).await.unwrap().unwrap();
    assert_eq!((looked_at.epoch, looked_at.left, looked_at.holdings.len()), (epoch, Units(8), 0));
    assert!(store.archiving.is_taken(&id()).await.unwrap());
}

async fn an_archived_sale_is_opened_again_as_it_was_left(store: &Store) {
    let epoch = archived(store).await;
    let left = store.archiving.look(&id()).await.unwrap().unwrap();
    let again = store.opening.open(&id()).await.unwrap();
    assert!(again.epoch > epoch && again.is_closed);
    let without_members = Opened { epoch, holdings: Vec::new(), ..again.clone() };
    assert_eq!((without_members, again.holdings.len()), (left, 2));
    assert_eq!(store.reading.sales().await.unwrap(), [id()]);
    assert_eq!(store.archiving.look(&id()).await.unwrap(), None);
    assert_eq!(store.archiving.archived_after("", 9).await.unwrap(), []);
    // The book has all of it that there was.
    let taken_in = store.book.taken_in().await.unwrap();
    assert_eq!(taken_in.get(&again.sale_number), Some(&4));
    let refund = changes(again.epoch, 7_000, vec![Refund.of(epoch, 1, Units(1))]);
    let made = store.selling.change(&refund).await.unwrap();
    let [Changed::Order(record)] = &made[..] else { panic!("{made:?}") };
    assert_eq!(record.status, Returned);
    store.archiving.archive(&id(), again.epoch, Millis(7_000)).await.unwrap();
    assert_eq!(store.reading.outbox_after(&id(), 4, 9).await.unwrap().len(), 1);
    assert!(!store.book.taken_in().await.unwrap().contains_key(&again.sale_number));
    assert!(store.reading.audit().await.unwrap().is_clean());
    assert_eq!(store.archiving.archived_since(Millis(6_500)).await.unwrap().len(), 1);
}

async fn the_id_of_an_archived_or_deleted_sale_stays_taken(store: &Store) {
    let epoch = over(store).await;
    let not_archived = store.archiving.delete(&id()).await;
    assert!(matches!(not_archived, Err(StoreError::Refused(_))), "{not_archived:?}");
    store.archiving.archive(&id(), epoch, CHANGED).await.unwrap();
    assert_eq!(store.opening.create(&terms(10)).await, Err(StoreError::SaleExists));
    for _ in 0..2 {
        store.archiving.delete(&id()).await.unwrap();
        assert_eq!(store.opening.create(&terms(10)).await, Err(StoreError::SaleExists));
        assert_eq!(store.archiving.look(&id()).await.unwrap(), None);
    }
    assert_eq!(store.reading.orders_after(&id(), 0, 9).await.unwrap(), []);
    assert_eq!(store.opening.open(&id()).await, Err(StoreError::UnknownSale));
    assert!(store.reading.audit().await.unwrap().sales.is_empty());
    assert_eq!(store.archiving.archived_of(&member("ann")).await.unwrap(), []);
}

async fn only_who_sells_a_sale_archives_it(store: &Store) {
    let epoch = over(store).await;
    let now = store.opening.open(&id()).await.unwrap().epoch;
    assert_eq!(store.archiving.archive(&id(), epoch, CHANGED).await, Err(StoreError::Fenced));
    assert_eq!(store.reading.sales().await.unwrap(), [id()]);
    store.archiving.archive(&id(), now, CHANGED).await.unwrap();
    let unknown = store.archiving.archive(&id(), now, CHANGED).await;
    assert!(unknown.is_ok() || unknown == Err(StoreError::UnknownSale), "{unknown:?}");
}

async fn archived_sales_are_found_by_id_number_member_and_change(store: &Store) {
    archived(store).await;
    for (nth, name) in (1_u64..).zip(["b-sale", "a-sale", "c-sale"]) {
        let sale: SaleId = name.parse().unwrap();
        store.opening.create(&Terms { id: sale.clone(), ..terms(5) }).await.unwrap();
        let epoch = store.opening.open(&sale).await.unwrap().epoch;
        if name == "c-sale" {
            let orders = vec![reserved(1, "ann", Gold, 1)];
            let of = engine::store::Batch { sale: sale.clone(), ..batch(epoch, orders) };
            store.selling.commit(&of).await.unwrap();
        }
        store.archiving.archive(&sale, epoch, Millis(CHANGED.0 + nth)).await.unwrap();
    }
    let page = async |after: &str, most| {
        let page = store.archiving.archived_after(after, most).await.unwrap();
        let told = |sale: &Opened| (sale.terms.id.to_string(), sale.holdings.len());
        page.iter().map(told).collect::<Vec<_>>()
    };
    let named = |names: [&str; 2]| names.map(|name| (name.to_owned(), 0));
    assert_eq!(page("", 2).await, named(["a-sale", "b-sale"]));
    assert_eq!(page("b-sale", 9).await, named(["c-sale", "drop"]));
    let since = store.archiving.archived_since(Millis(CHANGED.0 + 2)).await.unwrap();
    let names: Vec<_> = since.iter().map(|(_, sale)| sale.as_str()).collect();
    assert_eq!(names, ["a-sale", "c-sale"]);
    for (number, sale) in since {
        assert_eq!(store.archiving.archived_numbered(number).await.unwrap(), Some(sale));
    }
    assert_eq!(store.archiving.archived_numbered(77).await.unwrap(), None);
    let mut anns = store.archiving.archived_of(&member("ann")).await.unwrap();
    anns.sort();
    assert_eq!(anns.iter().map(SaleId::as_str).collect::<Vec<_>>(), ["c-sale", "drop"]);
    assert_eq!(store.archiving.archived_of(&member("zoe")).await.unwrap(), []);
    store.archiving.trim(Millis(CHANGED.0 + 1)).await.unwrap();
    assert_eq!(store.reading.outbox_after(&id(), 0, 9).await.unwrap().len(), 4, "young enough");
}
