//! A mutex around plain state, and a thread that writes what was accepted to redb, as much at once as there is.

use crate::shop::{Click, Shop, Told};
use anyhow::Context;
use foldhash::{HashMap, HashMapExt};
use parking_lot::Mutex;
use redb::{Database, TableDefinition};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

const ORDERS: TableDefinition<'_, i64, &str> = TableDefinition::new("orders");
/// Most orders of a transaction, and most that may wait for theirs.
const BATCH: usize = 8_192;
const WAITING: usize = 1 << 20;

/// Plain state behind a mutex.
#[derive(Debug)]
pub(crate) struct Plain {
    state: Mutex<State>,
    durable: Arc<AtomicU64>,
}

#[derive(Debug)]
struct State {
    shop: Shop,
    left: i64,
    held: HashMap<String, i64>,
    next: i64,
    /// Orders are handed to the writer in the order of their numbers.
    writer: SyncSender<(i64, Click)>,
}

impl Plain {
    pub(crate) fn open(file: &Path, shop: Shop) -> anyhow::Result<Self> {
        let database = Database::create(file).context("cannot make the file")?;
        let (writer, orders) = sync_channel(WAITING);
        let durable = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&durable);
        std::thread::spawn(move || write(&database, &orders, &counted));
        let state = State { shop, left: shop.stock, held: HashMap::new(), next: 1, writer };
        Ok(Self { state: Mutex::new(state), durable })
    }

    pub(crate) fn buy(&self, click: Click) -> Told {
        let mut state = self.state.lock();
        if state.left < click.units {
            return Told::SoldOut;
        }
        let (limit, held) = (state.shop.limit, state.held.get(&click.member).copied().unwrap_or(0));
        if held + click.units > limit {
            return Told::LimitReached;
        }
        state.left -= click.units;
        state.held.insert(click.member.clone(), held + click.units);
        let number = state.next;
        state.next += 1;
        state.writer.send((number, click)).expect("the writer ends with the process");
        Told::Reserved(number)
    }

    /// Orders that are not on disk yet.
    pub(crate) fn waiting(&self) -> u64 {
        let told = u64::try_from(self.state.lock().next - 1).expect("numbers begin at 1");
        // Ordering: Relaxed, only the number counts.
        told - self.durable.load(Ordering::Relaxed)
    }
}

fn write(database: &Database, orders: &Receiver<(i64, Click)>, durable: &AtomicU64) {
    while let Ok(first) = orders.recv() {
        let batch: Vec<_> = std::iter::once(first).chain(orders.try_iter()).take(BATCH).collect();
        commit(database, &batch).expect("a disk");
        // Ordering: Relaxed, only the number counts.
        durable.fetch_add(batch.len() as u64, Ordering::Relaxed);
    }
}

fn commit(database: &Database, batch: &[(i64, Click)]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let mut table = transaction.open_table(ORDERS)?;
    for (number, Click { member, tier, units }) in batch {
        table.insert(number, format!("{member} {tier} {units}").as_str())?;
    }
    drop(table);
    Ok(transaction.commit()?)
}
