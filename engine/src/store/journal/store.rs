//! The journal as a store: what callers ask for, and what they read.

use super::archive::ArchiveFile;
use super::ask::{Ask, Asked, ended};
use super::beside::Beside;
use super::block;
use super::disk::{Disk, Folder};
use super::entries::Entries;
use super::failure::failed;
use super::files;
use super::live::{Live, Sale};
use super::lock::lock;
use super::log::Log;
use super::options::JournalOptions;
use super::read_lately::ReadLately;
use super::recover::recover;
use super::snapshotter::Snapshotter;
use super::take_over::{is_to_be_taken_over, take_over};
use super::writer::{Shared, Writer};
use crate::rules::terms::{SaleId, Terms};
use crate::store::row_store::{Keeper, Reader, RowStore};
use crate::store::rows::{SaleRows, Stored, damaged};
use crate::store::{Audit, OutboxEnd, OutboxEntry, Store, StoreError, audit};
use membership::MemberId;
use std::fmt;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Sales in a journal, which no other process may have open.
pub type JournalStore = RowStore<Journal>;

/// The files of a journal, and all that they come to.
pub struct Journal {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    writer: Option<JoinHandle<()>>,
    pub(super) archive: Option<Arc<ArchiveFile>>,
    /// The folder, if it is in one.
    pub(super) folder: Option<PathBuf>,
    /// Held while a sale is archived or deleted, and while a backup is made.
    pub(super) archiving: tokio::sync::Mutex<()>,
    /// Archived sales that were read lately.
    pub(super) read_lately: tokio::sync::Mutex<ReadLately>,
    /// Held while this process has the folder.
    _lock: Option<File>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it holds is too much to print.
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

impl RowStore<Journal> {
    /// Opens the journal in this folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`StoreError`] when the folder cannot be used, when another process has it open, or when what is
    /// in it is damaged.
    pub fn open(folder: &Path, options: JournalOptions) -> Result<Self, StoreError> {
        let shown = folder.display();
        fs::create_dir_all(folder).map_err(|error| {
            StoreError::Unusable(format!("the folder {shown} cannot be made ({error})"))
        })?;
        let lock = lock(folder)?;
        let disk = Arc::new(Folder::new(folder));
        take_over(folder, &*disk)?;
        let opened = Beside::open(folder).and_then(|beside| Self::with(disk, beside, options));
        let mut store = opened.map_err(|error| explained(error, folder))?;
        store.keeper._lock = Some(lock);
        store.keeper.folder = Some(folder.to_owned());
        Ok(store)
    }

    /// Opens the journal on this disk.
    ///
    /// # Errors
    /// As for [`JournalStore::open`].
    pub fn on(disk: Arc<dyn Disk>, options: JournalOptions) -> Result<Self, StoreError> {
        Self::with(disk, Beside::default(), options)
    }

    fn with(
        disk: Arc<dyn Disk>,
        beside: Beside,
        options: JournalOptions,
    ) -> Result<Self, StoreError> {
        let recovered = recover(&*disk, &beside)?;
        let archive = beside.archive.clone();
        let log = Log::begin(&*disk, &recovered, options.segment_bytes).map_err(failed)?;
        let next_sale = recovered.next_sale;
        let mut snapshotter = Snapshotter::new(recovered.snapshot_bytes, &options);
        snapshotter.wanted = recovered.is_to_forget.then(|| recovered.next_block - 1);
        let shared = Arc::new(Shared::new(Arc::new(recovered.live)));
        let writer = Writer::new(
            Arc::clone(&shared),
            Arc::clone(&disk),
            (log, next_sale),
            snapshotter,
            beside,
        );
        let thread = std::thread::Builder::new().name("journal".into());
        let writer = thread.spawn(move || writer.run()).map_err(failed)?;
        let (read_lately, archiving) = Default::default();
        let (writer, folder, _lock) = (Some(writer), None, None);
        let keeper =
            Journal { shared, disk, writer, archive, folder, archiving, read_lately, _lock };
        Ok(Self { keeper })
    }

    /// Reads the journal in this folder, which must be there; no file is changed but the book's, which may
    /// have to be repaired. Nothing can be written.
    ///
    /// # Errors
    /// As for [`JournalStore::open`], and when nothing is stored there.
    pub fn read(folder: &Path) -> Result<Store, StoreError> {
        let nothing = || StoreError::Unusable(format!("there is no store in {}", folder.display()));
        if !folder.is_dir() {
            return Err(nothing());
        }
        let disk: Arc<dyn Disk> = Arc::new(Folder::new(folder));
        if files::Files::list(&*disk).map_err(failed)?.is_empty() {
            return Err(match is_to_be_taken_over(folder) {
                true => StoreError::Unusable(format!(
                    "{} has the store of an earlier version; `serve` takes it over at its next start, \
                     and then it can be read",
                    folder.display()
                )),
                false => nothing(),
            });
        }
        let lock = lock(folder)?;
        let beside = Beside::find(folder)?;
        let recovered = recover(&*disk, &beside).map_err(|error| explained(error, folder))?;
        let (archive, (read_lately, archiving)) = (beside.archive, Default::default());
        let shared = Arc::new(Shared::new(Arc::new(recovered.live)));
        shared.end();
        let (writer, folder, _lock) = (None, Some(folder.to_owned()), Some(lock));
        let keeper =
            Journal { shared, disk, writer, archive, folder, archiving, read_lately, _lock };
        Ok(Self { keeper }.into())
    }
}

/// Says what to do about a journal that cannot be read.
fn explained(error: StoreError, folder: &Path) -> StoreError {
    match error {
        StoreError::Damaged(why) => {
            let shown = folder.display();
            damaged(format!("{why}; restore {shown} from a backup"))
        }
        error => error,
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.end();
        if let Some(writer) = self.writer.take() {
            // Err: the writer has panicked, which it told every caller.
            writer.join().ok();
        }
    }
}

impl Journal {
    fn sale(&self, id: &SaleId) -> Stored<Option<Arc<Sale>>> {
        Ok(self.shared.live()?.sale(id))
    }

    pub(super) fn live(&self) -> Stored<Arc<Live>> {
        self.shared.live()
    }

    pub(super) fn ask(&self, ask: Ask) {
        self.shared.ask(ask);
    }

    /// Reads on a thread that may wait for the writer.
    pub(super) async fn wait<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Stored<T> + Send + 'static,
    ) -> Stored<T> {
        let done = tokio::task::spawn_blocking(read).await;
        done.unwrap_or_else(|panic| Err(damaged(format!("reading the journal failed: {panic}"))))
    }

    pub(super) async fn told<T>(&self, told: oneshot::Receiver<Stored<T>>) -> Stored<T> {
        told.await.unwrap_or_else(|_| Err(ended()))
    }
}

impl Reader for Journal {
    fn sales(&self) -> Stored<Vec<SaleId>> {
        Ok(self.shared.live()?.sales.read().keys().cloned().collect())
    }

    async fn view<T: Send + 'static>(
        &self,
        sale: &SaleId,
        view: impl FnOnce(&SaleRows) -> Stored<T> + Send + 'static,
    ) -> Stored<Option<T>> {
        let Some(sale) = self.sale(sale)? else {
            let archived = self.archived(sale).await?;
            return archived.map(|kept| view(&kept.rows)).transpose();
        };
        let read = move || {
            let kept = sale.kept.read();
            kept.check()?;
            view(&kept.rows).map(Some)
        };
        self.wait(read).await
    }

    async fn outbox_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Stored<Vec<OutboxEntry>> {
        let live = self.shared.live()?;
        let disk = Arc::clone(&self.disk);
        let Some(sale) = live.sale(sale) else {
            let Some(kept) = self.beginning(sale).await? else { return Ok(Vec::new()) };
            let read = move || Entries::new(&*disk, &live, &kept, after).take(most).collect();
            return self.wait(read).await;
        };
        self.wait(move || {
            let entries = {
                let kept = sale.kept.read();
                kept.check()?;
                Entries::new(&*disk, &live, &kept, after)
            };
            // The writer does not wait while blocks are read. If a segment goes meanwhile, the caller asks
            // again.
            entries.take(most).collect()
        })
        .await
    }

    async fn outbox_end(&self, sale: &SaleId) -> Stored<OutboxEnd> {
        let live = self.shared.live()?;
        let disk = Arc::clone(&self.disk);
        let live_sale = self.sale(sale)?;
        let archived = match live_sale {
            Some(_) => None,
            None => self.beginning(sale).await?,
        };
        self.wait(move || {
            let ((seq, entries), has_gaps) = match (&live_sale, &archived) {
                (Some(sale), _) => {
                    let kept = sale.kept.read();
                    kept.check()?;
                    (Entries::newest(&*disk, &live, &kept), !kept.rows.gaps.is_empty())
                }
                (None, Some(kept)) => {
                    (Entries::newest(&*disk, &live, kept), !kept.rows.gaps.is_empty())
                }
                (None, None) => return Ok(OutboxEnd::default()),
            };
            let newest_at = entries.last().transpose()?.map(|entry| entry.at);
            Ok(OutboxEnd { seq, newest_at, has_gaps })
        })
        .await
    }

    async fn audit(&self) -> Stored<Audit> {
        let (live, disk) = (self.shared.live()?, Arc::clone(&self.disk));
        let archive = self.archive.clone();
        self.wait(move || {
            check_segments(&*disk, &live)?;
            let sales: Vec<_> = live.sales.read().values().cloned().collect();
            let audit = |sale: Arc<Sale>| {
                let kept = sale.kept.read();
                kept.check()?;
                Ok(audit::audit(&kept.rows, Entries::new(&*disk, &live, &kept, 0)))
            };
            let mut sales = sales.into_iter().map(audit).collect::<Stored<Vec<_>>>()?;
            if let Some(archive) = archive {
                let is_archived = |id: &SaleId| !live.sales.read().contains_key(id);
                archive.each(is_archived, |mut kept| {
                    live.forget_what_is_gone(&mut kept);
                    sales.push(audit::audit(&kept.rows, Entries::new(&*disk, &live, &kept, 0)));
                })?;
            }
            Ok(Audit { sales })
        })
        .await
    }

    fn blocked(&self) -> Stored<Vec<MemberId>> {
        Ok(self.shared.live()?.blocked.read().iter().cloned().collect())
    }

    fn erasing(&self) -> Stored<Vec<(MemberId, MemberId)>> {
        Ok(self.shared.live()?.erasing.read().clone().into_iter().collect())
    }
}

impl Keeper for Journal {
    /// Twenty times a sync: less costs clicks, and more makes nothing cheaper.
    const GATHER: Duration = Duration::from_millis(3);

    async fn write<T: Send + 'static>(
        &self,
        sale: &SaleId,
        change: impl FnOnce(&mut SaleRows, &mut Vec<u8>) -> Stored<T> + Send + 'static,
    ) -> Stored<T> {
        let (tell, told) = oneshot::channel();
        let transaction = Box::new(Asked { change: Some(change), made: None, tell });
        self.shared.ask(Ask::Sale(sale.clone(), transaction));
        self.told(told).await
    }

    async fn create(&self, terms: &Terms) -> Stored<()> {
        if self.number(&terms.id).await?.is_some() {
            return Err(StoreError::SaleExists);
        }
        let (tell, told) = oneshot::channel();
        self.shared.ask(Ask::Create(Box::new(terms.clone()), tell));
        self.told(told).await
    }

    async fn unarchive(&self, sale: &SaleId) -> Stored<()> {
        if self.sale(sale)?.is_some() {
            return Ok(());
        }
        let Some(kept) = self.load(sale).await? else { return Ok(()) };
        self.read_lately.lock().await.forget(sale);
        let (tell, told) = oneshot::channel();
        self.shared.ask(Ask::Unarchive(Box::new(kept), tell));
        self.told(told).await
    }

    async fn still_sells(&self, sale: &SaleId, epoch: u64) -> Stored<()> {
        let sale = self.sale(sale)?.ok_or(StoreError::UnknownSale)?;
        let sells = *sale.epoch.lock();
        if sells == epoch { Ok(()) } else { Err(StoreError::Fenced) }
    }

    async fn set_erasing(&self, member: &MemberId, pseudonym: Option<&MemberId>) -> Stored<()> {
        let (tell, told) = oneshot::channel();
        self.shared.ask(Ask::Erasing(member.clone(), pseudonym.cloned(), tell));
        self.told(told).await
    }

    async fn rename_beside(&self, sale: &SaleId, member: &MemberId, to: &MemberId) -> Stored<()> {
        self.rename_in_archive(sale, member, to).await
    }

    async fn forget(&self) -> Stored<()> {
        let (tell, told) = oneshot::channel();
        self.shared.ask(Ask::Forget(tell));
        self.told(told).await
    }

    async fn set_blocked(&self, member: &MemberId, is_blocked: bool) -> Stored<()> {
        let (tell, told) = oneshot::channel();
        self.shared.ask(Ask::Blocked(member.clone(), is_blocked, tell));
        self.told(told).await
    }
}

/// Reads every segment but the newest, which is being written.
fn check_segments(disk: &dyn Disk, live: &Live) -> Stored<()> {
    let segments = live.segments.read().clone();
    for (first, next) in segments.iter().zip(segments.iter().skip(1)) {
        let name = files::segment(*first);
        let bytes = match disk.read(&name) {
            Err(error) if error.kind() == ErrorKind::NotFound && !live.has(*first) => continue,
            read => read.map_err(failed)?,
        };
        let mut at = files::check(&name, *first, &bytes)?;
        for number in *first..*next {
            match block::read(&bytes, at) {
                Ok(Some(block)) if block.number == number => at += block.bytes.len(),
                _ => {
                    let why =
                        format!("{name}: block {number} at byte {at} is not what was written");
                    return Err(damaged(why));
                }
            }
        }
    }
    Ok(())
}
