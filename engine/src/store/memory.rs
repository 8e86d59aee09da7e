//! The store that forgets everything when the process ends: for trying out and for tests.

use super::row_store::{Keeper, Reader, RowStore};
use super::rows::{SaleRows, Stored, damaged};
use super::{Audit, OutboxEntry, StoreError, audit, section};
use crate::rules::terms::{SaleId, Terms};
use membership::MemberId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Sales in memory, one transaction at a time.
pub type MemoryStore = RowStore<Memory>;

/// Sales behind one lock.
#[derive(Debug, Default)]
pub struct Memory {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    sales: BTreeMap<SaleId, Sale>,
    blocked: BTreeSet<MemberId>,
}

#[derive(Debug)]
struct Sale {
    rows: SaleRows,
    outbox: Vec<OutboxEntry>,
    /// Why nothing may be sold here any more: rows that did not fit may be half changed.
    damage: Option<String>,
}

impl Sale {
    fn well(&mut self) -> Stored<&mut SaleRows> {
        match &self.damage {
            None => Ok(&mut self.rows),
            Some(why) => Err(damaged(why)),
        }
    }

    /// Takes the outbox entries in that a transaction wrote; `seq` is the newest one before it.
    fn tell(&mut self, seq: u64, block: &[u8]) -> Stored<()> {
        for section in section::sections(block) {
            self.outbox.extend(section?.entries(seq)?);
        }
        Ok(())
    }
}

impl Reader for Memory {
    fn sales(&self) -> Stored<Vec<SaleId>> {
        Ok(self.kept.lock().sales.keys().cloned().collect())
    }

    async fn view<T: Send + 'static>(
        &self,
        sale: &SaleId,
        view: impl FnOnce(&SaleRows) -> Stored<T> + Send + 'static,
    ) -> Stored<Option<T>> {
        let mut kept = self.kept.lock();
        kept.sales.get_mut(sale).map(|sale| view(sale.well()?)).transpose()
    }

    async fn outbox_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Stored<Vec<OutboxEntry>> {
        let kept = self.kept.lock();
        let Some(sale) = kept.sales.get(sale) else { return Ok(Vec::new()) };
        let from = sale.outbox.partition_point(|entry| entry.seq <= after);
        Ok(sale.outbox[from..].iter().take(most).cloned().collect())
    }

    async fn audit(&self) -> Stored<Audit> {
        let kept = self.kept.lock();
        let sales = kept.sales.values().map(|sale| {
            let outbox = sale.outbox.iter().cloned().map(Ok);
            audit::audit(&sale.rows, outbox)
        });
        Ok(Audit { sales: sales.collect() })
    }

    fn blocked(&self) -> Stored<Vec<MemberId>> {
        Ok(self.kept.lock().blocked.iter().cloned().collect())
    }
}

impl Keeper for Memory {
    const GATHER: Duration = Duration::ZERO;

    async fn write<T: Send + 'static>(
        &self,
        sale: &SaleId,
        change: impl FnOnce(&mut SaleRows, &mut Vec<u8>) -> Stored<T> + Send + 'static,
    ) -> Stored<T> {
        let mut kept = self.kept.lock();
        let sale = kept.sales.get_mut(sale).ok_or(StoreError::UnknownSale)?;
        let (mut block, seq) = (Vec::new(), sale.rows.counters.seq);
        let changed = change(sale.well()?, &mut block);
        if let Err(StoreError::Damaged(why)) = &changed
            && sale.rows.is_half_changed
        {
            sale.damage = Some(why.clone());
        }
        sale.tell(seq, &block)?;
        changed
    }

    async fn create(&self, terms: &Terms) -> Stored<()> {
        let mut kept = self.kept.lock();
        match kept.sales.get(&terms.id) {
            Some(sale) if sale.rows.is_made_by(terms) => return Ok(()),
            Some(_) => return Err(StoreError::SaleExists),
            None => {}
        }
        let number = u32::try_from(kept.sales.len() + 1).expect("few sales fit into memory");
        let rows = SaleRows::new(number, terms.clone());
        kept.sales.insert(terms.id.clone(), Sale { rows, outbox: Vec::new(), damage: None });
        Ok(())
    }

    async fn still_sells(&self, sale: &SaleId, epoch: u64) -> Stored<()> {
        let mut kept = self.kept.lock();
        let sale = kept.sales.get_mut(sale).ok_or(StoreError::UnknownSale)?;
        sale.well()?.counters.sold_by(epoch)
    }

    async fn set_blocked(&self, member: &MemberId, is_blocked: bool) -> Stored<()> {
        let blocked = &mut self.kept.lock().blocked;
        match is_blocked {
            true => blocked.insert(member.clone()),
            false => blocked.remove(member),
        };
        Ok(())
    }
}
