//! Holders: who made orders in one sale. A holder has a number in it, by which records name them; the
//! member's name stands here alone.
//!
//! Members of a large batch come at random among many, so looking them up is waiting for memory. The
//! table is laid out for that: a slot says which row it means without a look at the row, a row lies in
//! one cache line, and the lookups of a batch go through each of both in a loop of its own, in which no
//! wait depends on the one before it. A table that hides its slots cannot be asked like this.

use crate::store::counters::Holder;
use foldhash::fast::RandomState;
use membership::MemberId;
use std::hash::BuildHasher;

/// A holder's number in the sale, from 0.
pub(in crate::store) type HolderNumber = u32;

/// A holder's row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(align(64))]
pub(in crate::store) struct HolderRow {
    pub(in crate::store) member: MemberId,
    pub(in crate::store) holder: Holder,
}

/// Half of a name's hash, and in the lower half the holder's number plus one; 0 for none.
type Slot = u64;

/// The holders of one sale, by number and by name.
#[derive(Debug, Default)]
pub(in crate::store) struct Holders {
    hasher: RandomState,
    /// In the order of what the slots have of the names' hashes; an entry that finds its slot taken goes to the
    /// next one. A power of two, and more than the rows. So a table that grows is filled from the old one
    /// alone, from its beginning to its end, and a transaction waits for that and for no look at each name.
    slots: Vec<Slot>,
    /// In pieces, so that none is moved when more come.
    rows: Vec<Vec<HolderRow>>,
    count: HolderNumber,
}

/// Rows in a piece.
const PIECE: usize = 1 << 10;
const TAG: u64 = 0xffff_ffff_0000_0000;

/// The number of the holder that a slot with this name's hash means.
fn number_in(slot: Slot, hash: u64) -> Option<HolderNumber> {
    if slot & TAG == hash & TAG { number_of(slot) } else { None }
}

fn number_of(slot: Slot) -> Option<HolderNumber> {
    ((slot & !TAG) as HolderNumber).checked_sub(1)
}

impl Holders {
    pub(in crate::store) fn find(&self, member: &str) -> Option<HolderNumber> {
        self.find_hashed(self.hasher.hash_one(member), member)
    }

    /// As [`Holders::find`], for each of these members.
    pub(in crate::store) fn find_all<'m>(
        &self,
        members: impl Iterator<Item = &'m MemberId> + Clone,
    ) -> Vec<Option<HolderNumber>> {
        if self.slots.is_empty() {
            return members.map(|_| None).collect();
        }
        let hashes: Vec<u64> =
            members.clone().map(|member| self.hasher.hash_one(member.as_str())).collect();
        let slots: Vec<Slot> = hashes.iter().map(|hash| self.slots[self.first(*hash)]).collect();
        let numbers = slots.iter().zip(&hashes).filter_map(|(slot, hash)| number_in(*slot, *hash));
        // Brings the rows that most of these members have near the processor.
        let touched: u64 = numbers.map(|number| self.row(number).holder.newest).sum();
        std::hint::black_box(touched);
        let found = hashes.iter().zip(members);
        found.map(|(hash, member)| self.find_hashed(*hash, member.as_str())).collect()
    }

    fn find_hashed(&self, hash: u64, member: &str) -> Option<HolderNumber> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.first(hash);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let number = number_in(slot, hash);
            let is_it = |number: &HolderNumber| self.row(*number).member.as_str() == member;
            if let Some(number) = number.filter(is_it) {
                return Some(number);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Where the search for a name with this hash begins.
    fn first(&self, hash: u64) -> usize {
        // 32 bits of a hash are spread over as many slots as there are.
        (((hash >> u32::BITS) * self.slots.len() as u64) >> u32::BITS) as usize
    }

    fn row(&self, number: HolderNumber) -> &HolderRow {
        &self.rows[number as usize / PIECE][number as usize % PIECE]
    }

    /// The row with this number. `None` is damage: a record names no other number than a holder's.
    pub(in crate::store) fn get(&self, number: HolderNumber) -> Option<&HolderRow> {
        self.rows.get(number as usize / PIECE)?.get(number as usize % PIECE)
    }

    pub(in crate::store) fn get_mut(&mut self, number: HolderNumber) -> Option<&mut Holder> {
        let row = self.rows.get_mut(number as usize / PIECE)?.get_mut(number as usize % PIECE)?;
        Some(&mut row.holder)
    }

    /// A new holder, who must not be there yet; returns the number.
    pub(in crate::store) fn add(&mut self, member: MemberId, holder: Holder) -> HolderNumber {
        self.reserve(1);
        let number = self.count;
        self.count = number.checked_add(1).expect("fewer than 2^32 orders");
        let hash = self.hasher.hash_one(member.as_str());
        let piece = number as usize / PIECE;
        if piece == self.rows.len() {
            // Most sales are small.
            let room = if number == 0 { 0 } else { PIECE };
            self.rows.push(Vec::with_capacity(room));
        }
        self.rows[piece].push(HolderRow { member, holder });
        self.enter(hash, number);
        number
    }

    fn enter(&mut self, hash: u64, number: HolderNumber) {
        let mut at = self.first(hash);
        while self.slots[at] != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = (hash & TAG) | (u64::from(number) + 1);
    }

    /// Gives a holder another name, which no other holder may have.
    pub(in crate::store) fn rename(&mut self, number: HolderNumber, to: MemberId) {
        self.rows[number as usize / PIECE][number as usize % PIECE].member = to;
        // A slot that was emptied would hide those behind it, and names change seldom.
        self.slots.fill(0);
        for number in 0..self.count {
            let hash = self.hasher.hash_one(self.row(number).member.as_str());
            self.enter(hash, number);
        }
    }

    /// Every holder, by number.
    pub(in crate::store) fn rows(&self) -> impl ExactSizeIterator<Item = &HolderRow> {
        (0..self.count).map(|number| self.row(number))
    }

    /// How many there are.
    pub(in crate::store) fn len(&self) -> usize {
        self.count as usize
    }

    /// As [`Holders::reserve`], for their rows as well.
    pub(in crate::store) fn make_room(&mut self, more: usize) {
        self.reserve(more);
        while !self.rows.is_empty() && self.rows.len() * PIECE < self.len() + more {
            // Written once, so that the memory is there and not only promised.
            let member = "nobody".parse().expect("a member id");
            let mut piece = vec![HolderRow { member, holder: Holder::default() }; PIECE];
            piece.clear();
            self.rows.push(piece);
        }
    }

    /// Holders for whose rows there is room.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.rows.len() * PIECE
    }

    /// Makes room for so many more holders, so that at most two thirds of the slots are taken.
    pub(in crate::store) fn reserve(&mut self, more: usize) {
        let slots = ((self.len() + more) * 3 / 2 + 1).next_power_of_two();
        if slots <= self.slots.len() {
            return;
        }
        let old = std::mem::replace(&mut self.slots, vec![0; slots]);
        for slot in old {
            if let Some(number) = number_of(slot) {
                self.enter(slot & TAG, number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_holder_is_found_under_the_name_and_nobody_else() {
        let mut holders = Holders::default();
        let member = |n: u32| format!("member-{n:07}").parse::<MemberId>().unwrap();
        assert_eq!(holders.find("member-0000000"), None);
        for n in 0..5_000 {
            assert_eq!(holders.add(member(n), Holder::default()), n);
            if n == 1_500 {
                // Also where room is made for them long before.
                holders.make_room(3_000);
                assert_eq!((holders.rows.len(), holders.rows().len()), (5, 1_501));
            }
        }
        let all: Vec<MemberId> = (0..6_000).map(member).collect();
        let found = holders.find_all(all.iter());
        for (n, member) in (0..).zip(&all) {
            let expected = (n < 5_000).then_some(n);
            assert_eq!((holders.find(member.as_str()), found[n as usize]), (expected, expected));
        }
        assert_eq!(holders.rows().len(), 5_000);
        holders.rename(7, "someone-else".parse().unwrap());
        assert_eq!((holders.find("member-0000007"), holders.find("someone-else")), (None, Some(7)));
        assert_eq!(holders.find("member-0004999"), Some(4_999));
    }
}
