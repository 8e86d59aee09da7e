//! A disk in memory that fails, lies and loses its power.

use engine::store::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, MutexGuard};

const SECTOR: usize = 512;

/// What the disk does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Every write and sync is refused.
    Full,
    /// The next sync fails. What it was to write is dropped, and later syncs do not write it: reading
    /// shows it all the same, until the power is cut.
    DropsOnce,
}

#[derive(Debug, Default, Clone)]
struct Inode {
    /// What a reader sees.
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Where the next bytes are appended; room may lie behind.
    end: usize,
    /// What lies before this is not written by a sync any more.
    dirty_from: usize,
}

impl Inode {
    fn whole(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), end: bytes.len(), dirty_from: bytes.len(), cached: bytes }
    }

    fn append(&mut self, bytes: &[u8]) {
        let to = self.end + bytes.len();
        self.cached.resize(self.cached.len().max(to), 0);
        self.cached[self.end..to].copy_from_slice(bytes);
        self.end = to;
    }
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    /// What the names were at each change since the last sync of the names; the first is durable.
    names_before: Vec<BTreeMap<String, usize>>,
    wrong: Option<Wrong>,
    /// Changes until the power is cut; nothing works from then on.
    power_for: Option<u64>,
    changes: u64,
}

/// A disk whose files are in memory. Its clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct Open {
    disk: MemoryDisk,
    inode: usize,
}

impl State {
    /// Counts a change, and refuses it when the power is off or the disk is full.
    fn change(&mut self) -> Result<()> {
        self.changes += 1;
        if let Some(left) = &mut self.power_for {
            *left = left.checked_sub(1).ok_or_else(|| Error::other("the power is off"))?;
        }
        match self.wrong {
            Some(Wrong::Full) => Err(Error::from(ErrorKind::StorageFull)),
            Some(Wrong::DropsOnce) | None => Ok(()),
        }
    }

    fn find(&self, name: &str) -> Result<usize> {
        self.names.get(name).copied().ok_or_else(|| Error::from(ErrorKind::NotFound))
    }

    fn rename(&mut self, change: impl FnOnce(&mut BTreeMap<String, usize>)) {
        self.names_before.push(self.names.clone());
        change(&mut self.names);
    }
}

impl MemoryDisk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn set(&self, wrong: Option<Wrong>) {
        self.lock().wrong = wrong;
    }

    /// Changes that were made so far.
    pub(crate) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Cuts the power after so many more changes.
    pub(crate) fn cut_power_after(&self, changes: u64) {
        self.lock().power_for = Some(changes);
    }

    /// What is left when the power has been off: what was synced, and any part of the rest.
    pub(crate) fn after_power_loss(&self, rng: &mut fastrand::Rng) -> Self {
        let state = self.lock();
        let mut all = state.names_before.clone();
        all.push(state.names.clone());
        let names = all[rng.usize(..all.len())].clone();
        let inodes = state.inodes.iter().map(|inode| {
            let mut left = inode.durable.clone();
            // The length of a file may be on disk before what is in it.
            let any_length = rng.usize(inode.durable.len()..=inode.cached.len());
            left.resize(if rng.bool() { inode.cached.len() } else { any_length }, 0);
            let first = inode.dirty_from.min(inode.durable.len()) / SECTOR;
            for sector in first..left.len().div_ceil(SECTOR) {
                let from = (sector * SECTOR).max(inode.dirty_from);
                let to = left.len().min((sector + 1) * SECTOR);
                if from < to && rng.u8(..4) > 0 {
                    left[from..to].copy_from_slice(&inode.cached[from..to]);
                }
            }
            Inode::whole(left)
        });
        let inodes = inodes.collect();
        Self(Arc::new(Mutex::new(State { inodes, names, ..State::default() })))
    }

    /// The bytes of every file.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.lock();
        let bytes = |inode: &usize| state.inodes[*inode].cached.clone();
        state.names.iter().map(|(name, inode)| (name.clone(), bytes(inode))).collect()
    }

    /// A disk with these files.
    pub(crate) fn with(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let mut state = State::default();
        for (name, bytes) in files {
            state.names.insert(name.clone(), state.inodes.len());
            state.inodes.push(Inode::whole(bytes.clone()));
        }
        Self(Arc::new(Mutex::new(state)))
    }
}

impl Disk for MemoryDisk {
    fn names(&self) -> Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let state = self.lock();
        Ok(state.inodes[state.find(name)?].cached.clone())
    }

    fn read_at(&self, name: &str, offset: u64, bytes: usize) -> Result<Vec<u8>> {
        let all = self.read(name)?;
        let from = usize::try_from(offset).unwrap().min(all.len());
        Ok(all[from..all.len().min(from + bytes)].to_vec())
    }

    fn create(&self, name: &str) -> Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        state.change()?;
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.rename(|names| {
            names.insert(name.into(), inode);
        });
        Ok(Box::new(Open { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut state = self.lock();
        state.change()?;
        let inode = state.find(from)?;
        state.rename(|names| {
            names.remove(from);
            names.insert(to.into(), inode);
        });
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        let mut state = self.lock();
        state.change()?;
        state.find(name)?;
        state.rename(|names| {
            names.remove(name);
        });
        Ok(())
    }

    fn cut(&self, name: &str, bytes: u64) -> Result<()> {
        let mut state = self.lock();
        state.change()?;
        let inode = state.find(name)?;
        let inode = &mut state.inodes[inode];
        inode.cached.truncate(usize::try_from(bytes).unwrap());
        *inode = Inode::whole(std::mem::take(&mut inode.cached));
        Ok(())
    }

    fn sync_names(&self) -> Result<()> {
        let mut state = self.lock();
        state.change()?;
        state.names_before.clear();
        Ok(())
    }
}

impl DiskFile for Open {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let mut state = self.disk.lock();
        if let Err(error) = state.change() {
            // A part of a write may get through.
            state.inodes[self.inode].append(&bytes[..bytes.len() / 2]);
            return Err(error);
        }
        state.inodes[self.inode].append(bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let mut state = self.disk.lock();
        state.change()?;
        let drops = state.wrong == Some(Wrong::DropsOnce);
        let inode = &mut state.inodes[self.inode];
        let (from, to) = (inode.dirty_from, inode.end);
        inode.dirty_from = to;
        if drops {
            state.wrong = None;
            return Err(Error::other("an input or output error"));
        }
        inode.durable.resize(inode.durable.len().max(to), 0);
        inode.durable[from..to].copy_from_slice(&inode.cached[from..to]);
        Ok(())
    }

    fn make_room(&mut self, from: u64, to: u64) -> Result<()> {
        let mut state = self.disk.lock();
        let inode = &state.inodes[self.inode];
        let (from, to) = (usize::try_from(from).unwrap(), usize::try_from(to).unwrap());
        assert!(from >= inode.end && from <= inode.cached.len(), "room is made behind the end");
        let is_made = state.change();
        let inode = &mut state.inodes[self.inode];
        inode.cached.resize(if is_made.is_ok() { to } else { from.midpoint(to) }, 0);
        is_made?;
        inode.durable.resize(to, 0);
        Ok(())
    }
}
