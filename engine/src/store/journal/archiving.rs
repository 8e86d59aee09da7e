//! Archiving: what callers ask of the archive, and what they read there.

use super::archive::ArchiveFile;
use super::ask::{Archive, Ask, Backup};
use super::backup;
use super::live::{Kept, Live};
use super::store::Journal;
use crate::fault::crash_point;
use crate::rules::terms::SaleId;
use crate::rules::time::Millis;
use crate::store::row_store::RowStore;
use crate::store::rows::Stored;
use crate::store::{Archiving, Opened, StoreError};
use async_trait::async_trait;
use membership::MemberId;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;

impl Journal {
    /// Reads in the archive, if there is one.
    async fn in_archive<T: Default + Send + 'static>(
        &self,
        read: impl FnOnce(&ArchiveFile, &Live) -> Stored<T> + Send + 'static,
    ) -> Stored<T> {
        let Some(archive) = self.archive.clone() else { return Ok(T::default()) };
        let live = self.live()?;
        self.wait(move || read(&archive, &live)).await
    }

    /// The number of an archived sale.
    pub(super) async fn number(&self, sale: &SaleId) -> Stored<Option<u32>> {
        let sale = sale.clone();
        let number = move |archive: &ArchiveFile, live: &Live| match live.sale(&sale) {
            Some(_) => Ok(None),
            None => archive.number(sale.as_str()),
        };
        self.in_archive(number).await
    }

    /// Reads an archived sale. `None` for one that is not, or is no more.
    pub(super) async fn load(&self, sale: &SaleId) -> Stored<Option<Kept>> {
        let Some(number) = self.number(sale).await? else { return Ok(None) };
        let load = move |archive: &ArchiveFile, live: &Live| {
            let mut kept = archive.load(number)?;
            kept.iter_mut().for_each(|kept| live.forget_what_is_gone(kept));
            Ok(kept)
        };
        self.in_archive(load).await
    }

    /// Gives a holder of a sale another name where the archive has it as it was before it was taken out.
    pub(super) async fn rename_in_archive(
        &self,
        sale: &SaleId,
        member: &MemberId,
        to: &MemberId,
    ) -> Stored<()> {
        let Some(archive) = self.archive.clone() else { return Ok(()) };
        let _no_backup = self.archiving.try_lock().map_err(|_| backing_up())?;
        let (sale, member, to) = (sale.clone(), member.clone(), to.clone());
        self.wait(move || {
            let Some(number) = archive.number(sale.as_str())? else { return Ok(()) };
            let Some(mut kept) = archive.load(number)? else { return Ok(()) };
            if kept.rows.holders.find(member.as_str()).is_none() {
                return Ok(());
            }
            let (epoch, changed_at) = (kept.rows.counters.epoch, archive.changed_at(number)?);
            kept.rows.rename(epoch, &member, to, &mut Vec::new())?;
            archive.put(&kept, changed_at).map(drop)
        })
        .await
    }

    /// As [`Journal::load`], without holders and orders.
    pub(super) async fn beginning(&self, sale: &SaleId) -> Stored<Option<Kept>> {
        let Some(number) = self.number(sale).await? else { return Ok(None) };
        self.in_archive(move |archive, _| archive.beginning(number)).await
    }

    /// As [`Journal::load`], and keeps it for a while: whoever reads one order of a sale often reads the
    /// next. One is read at a time.
    pub(super) async fn archived(&self, sale: &SaleId) -> Stored<Option<Arc<Kept>>> {
        let Some(number) = self.number(sale).await? else { return Ok(None) };
        let mut read_lately = self.read_lately.lock().await;
        if let Some(kept) = read_lately.find(number) {
            return Ok(Some(kept));
        }
        let kept = self.load(sale).await?.map(Arc::new);
        if let Some(kept) = &kept {
            read_lately.keep(Arc::clone(kept));
        }
        Ok(kept)
    }
}

#[async_trait]
impl Archiving for RowStore<Journal> {
    async fn archive(&self, sale: &SaleId, epoch: u64, changed_at: Millis) -> Stored<()> {
        let Some(archive) = self.keeper.archive.clone() else {
            return Err(StoreError::Refused("this journal has no archive".into()));
        };
        let _no_backup = self.keeper.archiving.try_lock().map_err(|_| backing_up())?;
        let live = self.keeper.live()?;
        let of = live.sale(sale).ok_or(StoreError::UnknownSale)?;
        let written = self.keeper.wait(move || {
            let kept = of.kept.read();
            kept.check()?;
            Ok((archive.put(&kept, changed_at)?, kept.block))
        });
        let (version, block) = written.await?;
        // From here on it is read as it is written now.
        self.keeper.read_lately.lock().await.forget(sale);
        crash_point("archiving");
        let (tell, told) = oneshot::channel();
        let archive = Archive { sale: sale.clone(), epoch, block, version };
        self.keeper.ask(Ask::Archive(archive, tell));
        self.keeper.told(told).await
    }

    async fn look(&self, sale: &SaleId) -> Stored<Option<Opened>> {
        self.keeper.beginning(sale).await?.map(|kept| kept.rows.opened()).transpose()
    }

    async fn is_taken(&self, sale: &SaleId) -> Stored<bool> {
        Ok(self.keeper.number(sale).await?.is_some())
    }

    async fn archived_after(&self, after: &str, most: usize) -> Stored<Vec<Opened>> {
        let after = after.to_owned();
        let read = move |archive: &ArchiveFile, live: &Live| {
            let is_archived = |id: &str| !live.sales.read().contains_key(id);
            let sales = archive.after(&after, most, is_archived)?;
            sales.iter().map(|kept| kept.rows.opened()).collect()
        };
        self.keeper.in_archive(read).await
    }

    async fn archived_since(&self, since: Millis) -> Stored<Vec<(u32, SaleId)>> {
        let read = move |archive: &ArchiveFile, live: &Live| {
            Ok(only_archived(archive.changed_since(since)?, live))
        };
        self.keeper.in_archive(read).await
    }

    async fn archived_numbered(&self, number: u32) -> Stored<Option<SaleId>> {
        let read = move |archive: &ArchiveFile, live: &Live| {
            Ok(archive.id(number)?.filter(|id| live.sale(id).is_none()))
        };
        self.keeper.in_archive(read).await
    }

    async fn archived_of(&self, member: &MemberId) -> Stored<Vec<SaleId>> {
        let member = member.clone();
        let read = move |archive: &ArchiveFile, live: &Live| {
            let found = only_archived(archive.of(&member)?, live);
            Ok(found.into_iter().map(|(_, id)| id).collect())
        };
        self.keeper.in_archive(read).await
    }

    async fn back_up(&self, to: &Path) -> Stored<()> {
        let Some(from) = self.keeper.folder.clone() else {
            return Err(StoreError::Refused("this journal is in no folder".into()));
        };
        backup::check(to)?;
        // The journal must not tell of what the copy of the archive does not have.
        let _nothing_moves = self.keeper.archiving.lock().await;
        let (tell, told) = oneshot::channel();
        let (to, archive) = (to.to_owned(), self.keeper.archive.clone());
        self.keeper.ask(Ask::Backup(Backup { from, to, archive }, tell));
        self.keeper.told(told).await
    }

    async fn trim(&self, _: Millis) -> Stored<()> {
        // They go with their segments.
        std::future::ready(Ok(())).await
    }

    async fn delete(&self, sale: &SaleId) -> Stored<()> {
        let _no_backup = self.keeper.archiving.try_lock().map_err(|_| backing_up())?;
        let id = sale.clone();
        let delete = move |archive: &ArchiveFile, live: &Live| {
            if live.sale(&id).is_some() {
                return Err(StoreError::Refused("this sale is not archived".into()));
            }
            let number = archive.number(id.as_str())?.ok_or(StoreError::UnknownSale)?;
            archive.delete(number)
        };
        let deleted = self.keeper.in_archive(delete).await;
        self.keeper.read_lately.lock().await.forget(sale);
        deleted
    }
}

/// Why nothing is archived while a backup is made.
fn backing_up() -> StoreError {
    StoreError::Refused("a backup is being made; ask again when it is done".into())
}

fn only_archived(mut sales: Vec<(u32, SaleId)>, live: &Live) -> Vec<(u32, SaleId)> {
    let open = live.sales.read();
    sales.retain(|(_, id)| !open.contains_key(id));
    sales
}
