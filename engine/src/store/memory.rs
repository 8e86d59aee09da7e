//! The store that forgets everything when the process ends: for trying out and for tests.

mod leasing;

use super::book::LiveBook;
use super::row_store::{Keeper, Reader, RowStore};
use super::rows::{SaleRows, Stored, damaged};
use super::{
    Archiving, Audit, BookStore, Bucket, BucketChange, Found, Leases, Made, NoticeEntry, Opened,
    OutboxEnd, OutboxEntry, Ownership, PlanVersion, Seen, StoreError, Wanted, audit, index_of,
    section,
};
use crate::rules::terms::{SaleId, Terms};
use crate::rules::time::Millis;
use async_trait::async_trait;
use membership::MemberId;
use membership::account::Membership;
use membership::event::MemberNumber;
use membership::posting::Posting;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;
use std::time::Duration;

/// Sales in memory, one transaction at a time.
pub type MemoryStore = RowStore<Memory>;

/// Sales behind one lock.
#[derive(Debug, Default)]
pub struct Memory {
    kept: Mutex<Kept>,
    book: LiveBook,
    /// Changes of the book are made one at a time.
    posting: Mutex<()>,
}

#[derive(Debug, Default)]
struct Kept {
    sales: BTreeMap<SaleId, Sale>,
    /// Sales that are over, and when each had its newest change.
    archived: BTreeMap<SaleId, (Sale, Millis)>,
    deleted: BTreeSet<SaleId>,
    /// How many sales were made.
    made: u32,
    blocked: BTreeSet<MemberId>,
    erasing: BTreeMap<MemberId, MemberId>,
    leases: Leases,
    latches: Leases,
    /// The owners of sales that nodes have taken over. A sale that was opened in a later epoch has no owner.
    owners: BTreeMap<SaleId, Ownership>,
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

impl Kept {
    fn owner(&mut self, sale: &SaleId) -> Option<Ownership> {
        let epoch = self.any(sale)?.rows.counters.epoch;
        let taken = self.owners.get(sale).filter(|of| of.seen.epoch == epoch).cloned();
        let seen = Seen { epoch, kept: 0 };
        Some(taken.unwrap_or(Ownership { seen, ..Ownership::default() }))
    }

    /// A sale, archived or not.
    fn any(&mut self, id: &SaleId) -> Option<&mut Sale> {
        let archived = self.archived.get_mut(id).map(|(sale, _)| sale);
        self.sales.get_mut(id).or(archived)
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
        kept.any(sale).map(|sale| view(sale.well()?)).transpose()
    }

    async fn outbox_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Stored<Vec<OutboxEntry>> {
        let mut kept = self.kept.lock();
        let Some(sale) = kept.any(sale) else { return Ok(Vec::new()) };
        let from = sale.outbox.partition_point(|entry| entry.seq <= after);
        Ok(sale.outbox[from..].iter().take(most).cloned().collect())
    }

    async fn outbox_end(&self, sale: &SaleId) -> Stored<OutboxEnd> {
        let mut kept = self.kept.lock();
        let end = |sale: &mut Sale| OutboxEnd {
            seq: sale.rows.counters.seq,
            newest_at: sale.outbox.last().map(|entry| entry.at),
            has_gaps: !sale.rows.gaps.is_empty(),
        };
        Ok(kept.any(sale).map(end).unwrap_or_default())
    }

    async fn audit(&self) -> Stored<Audit> {
        let kept = self.kept.lock();
        let archived = kept.archived.values().map(|(sale, _)| sale);
        let sales = kept.sales.values().chain(archived).map(|sale| {
            let outbox = sale.outbox.iter().cloned().map(Ok);
            audit::audit(&sale.rows, outbox)
        });
        Ok(Audit { sales: sales.collect() })
    }

    fn blocked(&self) -> Stored<Vec<MemberId>> {
        Ok(self.kept.lock().blocked.iter().cloned().collect())
    }

    fn erasing(&self) -> Stored<Vec<(MemberId, MemberId)>> {
        Ok(self.kept.lock().erasing.clone().into_iter().collect())
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
        if kept.archived.contains_key(&terms.id) || kept.deleted.contains(&terms.id) {
            return Err(StoreError::SaleExists);
        }
        kept.made += 1;
        let rows = SaleRows::new(kept.made, terms.clone());
        kept.sales.insert(terms.id.clone(), Sale { rows, outbox: Vec::new(), damage: None });
        Ok(())
    }

    async fn unarchive(&self, sale: &SaleId) -> Stored<()> {
        let mut kept = self.kept.lock();
        if let Some((of, _)) = kept.archived.remove(sale) {
            self.book.take_in(of.rows.number, of.rows.counters.seq);
            kept.sales.insert(sale.clone(), of);
        }
        Ok(())
    }

    async fn still_sells(&self, sale: &SaleId, epoch: u64) -> Stored<()> {
        let mut kept = self.kept.lock();
        let sale = kept.sales.get_mut(sale).ok_or(StoreError::UnknownSale)?;
        sale.well()?.counters.sold_by(epoch)
    }

    async fn set_erasing(&self, member: &MemberId, pseudonym: Option<&MemberId>) -> Stored<()> {
        let erasing = &mut self.kept.lock().erasing;
        match pseudonym {
            Some(pseudonym) => erasing.insert(member.clone(), pseudonym.clone()),
            None => erasing.remove(member),
        };
        Ok(())
    }

    async fn rename_beside(&self, _: &SaleId, _: &MemberId, _: &MemberId) -> Stored<()> {
        std::future::ready(Ok(())).await
    }

    async fn forget(&self) -> Stored<()> {
        std::future::ready(Ok(())).await
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

pub(super) fn without_members(rows: &SaleRows) -> Stored<Opened> {
    Ok(Opened { holdings: Vec::new(), keyed: Vec::new(), ..rows.opened()? })
}

#[async_trait]
impl Archiving for RowStore<Memory> {
    async fn archive(&self, sale: &SaleId, epoch: u64, changed_at: Millis) -> Stored<()> {
        let mut kept = self.keeper.kept.lock();
        let of = kept.sales.get_mut(sale).ok_or(StoreError::UnknownSale)?;
        of.well()?.counters.sold_by(epoch)?;
        let of = kept.sales.remove(sale).expect("it was there");
        self.keeper.book.forget_taken_in(of.rows.number);
        kept.archived.insert(sale.clone(), (of, changed_at));
        Ok(())
    }

    async fn look(&self, sale: &SaleId) -> Stored<Option<Opened>> {
        let kept = self.keeper.kept.lock();
        kept.archived.get(sale).map(|(sale, _)| without_members(&sale.rows)).transpose()
    }

    async fn is_taken(&self, sale: &SaleId) -> Stored<bool> {
        let kept = self.keeper.kept.lock();
        Ok(kept.archived.contains_key(sale) || kept.deleted.contains(sale))
    }

    async fn archived_after(&self, after: &str, most: usize) -> Stored<Vec<Opened>> {
        let kept = self.keeper.kept.lock();
        let later = kept.archived.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        later.take(most).map(|(_, (sale, _))| without_members(&sale.rows)).collect()
    }

    async fn archived_since(&self, since: Millis) -> Stored<Vec<(u32, SaleId)>> {
        let kept = self.keeper.kept.lock();
        let since = kept.archived.iter().filter(|(_, (_, changed_at))| *changed_at >= since);
        let mut found: Vec<_> = since.map(|(id, (of, _))| (of.rows.number, id.clone())).collect();
        found.sort_unstable();
        Ok(found)
    }

    async fn archived_numbered(&self, number: u32) -> Stored<Option<SaleId>> {
        let kept = self.keeper.kept.lock();
        let found = kept.archived.iter().find(|(_, (sale, _))| sale.rows.number == number);
        Ok(found.map(|(id, _)| id.clone()))
    }

    async fn archived_of(&self, member: &MemberId) -> Stored<Vec<SaleId>> {
        let kept = self.keeper.kept.lock();
        let has = |sale: &Sale| sale.rows.holders.find(member.as_str()).is_some();
        Ok(kept
            .archived
            .iter()
            .filter(|(_, (sale, _))| has(sale))
            .map(|(id, _)| id.clone())
            .collect())
    }

    async fn back_up(&self, _: &Path) -> Stored<()> {
        std::future::ready(Err(StoreError::NotEmbedded)).await
    }

    async fn trim(&self, _: Millis) -> Stored<()> {
        // Every entry is kept.
        std::future::ready(Ok(())).await
    }

    async fn delete(&self, sale: &SaleId) -> Stored<()> {
        let mut kept = self.keeper.kept.lock();
        if kept.sales.contains_key(sale) {
            return Err(StoreError::Refused("this sale is not archived".into()));
        }
        if kept.archived.remove(sale).is_some() {
            kept.owners.remove(sale);
            kept.deleted.insert(sale.clone());
        }
        if kept.deleted.contains(sale) { Ok(()) } else { Err(StoreError::UnknownSale) }
    }
}

#[async_trait]
impl BookStore for RowStore<Memory> {
    async fn read_members(&self, bucket: Bucket, wanted: &[Wanted]) -> Stored<Found> {
        self.keeper.book.read(|layers| layers.read(bucket, wanted))
    }

    async fn post(&self, change: &BucketChange) -> Stored<Made> {
        let _one_at_a_time = self.keeper.posting.lock();
        let book = &self.keeper.book;
        if let Some(made) = book.stands(change, book.version(change.bucket))? {
            return Ok(made);
        }
        book.apply(vec![change.clone()], 0);
        Ok(Made::Posted)
    }

    async fn postings(&self, who: MemberNumber, before: u64, most: usize) -> Stored<Vec<Posting>> {
        let Some(bucket) = Bucket::of_number(who) else { return Ok(Vec::new()) };
        self.keeper.book.read(|layers| layers.postings(bucket, index_of(who), before, most))
    }

    async fn accounts(
        &self,
        bucket: Bucket,
        from: u32,
        most: usize,
    ) -> Stored<Vec<(u32, Membership)>> {
        self.keeper.book.read(|layers| layers.accounts(bucket, from, most))
    }

    async fn notices(&self, bucket: Bucket, after: u64, most: usize) -> Stored<Vec<NoticeEntry>> {
        self.keeper.book.read(|layers| layers.notices(bucket, after, most))
    }

    async fn name(&self, who: MemberNumber) -> Stored<Option<MemberId>> {
        let Some(bucket) = Bucket::of_number(who) else { return Ok(None) };
        self.keeper.book.read(|layers| layers.name(bucket, index_of(who)))
    }

    async fn plans(&self) -> Stored<Vec<PlanVersion>> {
        Ok(self.keeper.book.plans())
    }

    async fn add_plan(&self, plan: &PlanVersion) -> Stored<()> {
        self.keeper.book.add_plan(plan.clone());
        Ok(())
    }

    async fn taken_in(&self) -> Stored<BTreeMap<u32, u64>> {
        Ok(self.keeper.book.taken_in())
    }

    async fn take_in(&self, sale: u32, seq: u64) -> Stored<()> {
        self.keeper.book.take_in(sale, seq);
        Ok(())
    }
}
