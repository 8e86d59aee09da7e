//! Ask: what callers ask the writer for, and where the answers go.

use super::archive::ArchiveFile;
use super::live::Kept;
use crate::rules::terms::{SaleId, Terms};
use crate::store::rows::{SaleRows, Stored};
use crate::store::{BucketChange, Made, PlanVersion, StoreError};
use membership::MemberId;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What a caller asks the writer for, and where the answer goes.
pub(super) enum Ask {
    Sale(SaleId, Box<dyn Transaction>),
    Create(Box<Terms>, Tell),
    Blocked(MemberId, bool, Tell),
    Erasing(MemberId, Option<MemberId>, Tell),
    /// What is written until now is to go as soon as it may.
    Forget(Tell),
    Post(Box<BucketChange>, oneshot::Sender<Stored<Made>>),
    Plan(PlanVersion, Tell),
    TakeIn(u32, u64, Tell),
    /// A sale is archived, if it is still as the archive has it.
    Archive(Archive, Tell),
    /// A sale is out of the archive again, as it stands there.
    Unarchive(Box<Kept>, Tell),
    /// The files of this folder are copied to that one.
    Backup(Backup, Tell),
}

/// What is written in the archive of a sale that this epoch sells.
pub(super) struct Archive {
    pub(super) sale: SaleId,
    pub(super) epoch: u64,
    /// The newest block that is in it.
    pub(super) block: u64,
    /// The archive's version with it.
    pub(super) version: u64,
}

/// From where to where.
#[derive(Debug)]
pub(super) struct Backup {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
    /// A part of it, which stays as it is meanwhile.
    pub(super) archive: Option<Arc<ArchiveFile>>,
}

pub(super) type Tell = oneshot::Sender<Stored<()>>;

/// A transaction on one sale.
pub(super) trait Transaction: Send {
    /// Changes the rows, and writes to the block what was decided.
    fn run(&mut self, rows: &mut SaleRows, block: &mut Vec<u8>) -> Stored<()>;

    /// Tells the caller what came of it; `failed` says why it did not get that far.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

/// A transaction as the store asks for it.
pub(super) struct Asked<T, F> {
    pub(super) change: Option<F>,
    pub(super) made: Option<Stored<T>>,
    pub(super) tell: oneshot::Sender<Stored<T>>,
}

impl<T, F> Transaction for Asked<T, F>
where
    T: Send,
    F: FnOnce(&mut SaleRows, &mut Vec<u8>) -> Stored<T> + Send,
{
    fn run(&mut self, rows: &mut SaleRows, block: &mut Vec<u8>) -> Stored<()> {
        let change = self.change.take().expect("a transaction runs once");
        let made = change(rows, block);
        let outcome = made.as_ref().map(drop).map_err(Clone::clone);
        self.made = Some(made);
        outcome
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let made = failed.map_or(self.made, |failed| Some(Err(failed)));
        // Err: the caller has given up; asking again finds it done.
        self.tell.send(made.expect("a transaction that did not fail has run")).ok();
    }
}

/// Why nothing is written any more.
pub(super) fn ended() -> StoreError {
    StoreError::Damaged("the journal's writer has ended; restart this process".into())
}

/// Tells a caller why the writer did not get to what was asked.
pub(super) fn refuse(ask: Ask, why: &StoreError) {
    match ask {
        Ask::Sale(_, transaction) => transaction.answer(Some(why.clone())),
        Ask::Create(_, tell)
        | Ask::Blocked(_, _, tell)
        | Ask::Forget(tell)
        | Ask::Erasing(_, _, tell)
        | Ask::Plan(_, tell)
        | Ask::TakeIn(_, _, tell)
        | Ask::Archive(_, tell)
        | Ask::Unarchive(_, tell)
        | Ask::Backup(_, tell) => drop(tell.send(Err(why.clone()))),
        Ask::Post(_, tell) => drop(tell.send(Err(why.clone()))),
    }
}
