//! Holders: who made orders in one sale. A holder has a number in it, by which records name them; the
//! member's name stands here alone.

use crate::store::counters::Holder;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use membership::MemberId;
use std::hash::BuildHasher;

/// A holder's number in the sale, from 0.
pub(in crate::store) type HolderNumber = u32;

/// A holder's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct HolderRow {
    pub(in crate::store) member: MemberId,
    pub(in crate::store) holder: Holder,
}

/// The holders of one sale, by number and by name.
#[derive(Debug, Default)]
pub(in crate::store) struct Holders {
    hasher: RandomState,
    by_name: HashTable<HolderNumber>,
    rows: Vec<HolderRow>,
}

impl Holders {
    pub(in crate::store) fn find(&self, member: &str) -> Option<HolderNumber> {
        let is_it = |number: &HolderNumber| self.rows[*number as usize].member.as_str() == member;
        self.by_name.find(self.hasher.hash_one(member), is_it).copied()
    }

    /// The row with this number. `None` is damage: a record names no other number than a holder's.
    pub(in crate::store) fn get(&self, number: HolderNumber) -> Option<&HolderRow> {
        self.rows.get(number as usize)
    }

    pub(in crate::store) fn get_mut(&mut self, number: HolderNumber) -> Option<&mut Holder> {
        self.rows.get_mut(number as usize).map(|row| &mut row.holder)
    }

    /// A new holder, who must not be there yet; returns the number.
    pub(in crate::store) fn add(&mut self, member: MemberId, holder: Holder) -> HolderNumber {
        let Self { hasher, by_name, rows } = self;
        let number = HolderNumber::try_from(rows.len()).expect("a sale has fewer than 2^32 orders");
        let hash = hasher.hash_one(member.as_str());
        rows.push(HolderRow { member, holder });
        by_name.insert_unique(hash, number, |number| {
            hasher.hash_one(rows[*number as usize].member.as_str())
        });
        number
    }

    /// Every holder, by number.
    pub(in crate::store) fn rows(&self) -> &[HolderRow] {
        &self.rows
    }

    pub(in crate::store) fn reserve(&mut self, more: usize) {
        let Self { hasher, by_name, rows } = self;
        rows.reserve(more);
        by_name.reserve(more, |number| hasher.hash_one(rows[*number as usize].member.as_str()));
    }
}
