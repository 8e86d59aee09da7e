//! Roster: which member has which seat. A member gets a seat once, where a session begins; from
//! then on the hot path only indexes tables with it.
//!
//! Names are packed end to end, and the hash table holds only 4-byte positions, so a member with an
//! id of ordinary length costs a few dozen bytes. The roster is sharded, so that adding one member
//! seldom makes other threads wait.

use crate::rules::seat::Seat;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use membership::MemberId;
use parking_lot::RwLock;
use std::hash::BuildHasher;
use std::ops::Range;

const SHARDS: usize = 64;
/// The most seats that one shard may give out; all shards together have 16,777,216.
const SHARD_SEATS_MAX: usize = (1 << 24) / SHARDS;

/// How the name of a member begins who was erased. Nobody else's name may begin like this.
pub const PSEUDONYM: &str = "erased:";

/// As many lookups hide each other's waits; with more, a new member would wait long for the locks.
const LOOKED_UP_AT_ONCE: usize = 512;

/// Every member that this process has seen.
#[derive(Debug)]
pub struct Roster {
    hasher: RandomState,
    shards: Box<[RwLock<Shard>]>,
    /// Seats that are getting another name, by that name.
    aliases: RwLock<Vec<(MemberId, Seat)>>,
}

/// The members whose hash selects this shard; member `i` has the seat `i * SHARDS + shard`.
#[derive(Debug, Default)]
struct Shard {
    by_name: HashTable<u32>,
    /// Member `i`'s name ends here in `names`, and begins where the name before it ends.
    ends: Vec<u32>,
    names: String,
}

impl Shard {
    /// Where in `names` member `i`'s name lies.
    fn range(&self, i: usize) -> Range<usize> {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        start..self.ends[i] as usize
    }

    fn name(&self, i: u32) -> &str {
        &self.names[self.range(i as usize)]
    }

    fn find(&self, hash: u64, name: &str) -> Option<u32> {
        self.by_name.find(hash, |i| self.name(*i) == name).copied()
    }
}

impl Default for Roster {
    fn default() -> Self {
        Self::new()
    }
}

impl Roster {
    /// A roster that has seen no member.
    #[must_use]
    pub fn new() -> Self {
        Self {
            hasher: RandomState::default(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            aliases: RwLock::default(),
        }
    }

    /// Returns the member's seat; a new member gets one now. `None`: all 16,777,216 seats are
    /// taken.
    ///
    /// `name` must have passed [`MemberId::check`].
    #[must_use]
    pub fn seat(&self, name: &str) -> Option<Seat> {
        if let Some(seat) = self.aliased(name) {
            return Some(seat);
        }
        let hash = self.hasher.hash_one(name);
        let (at, lock) = self.shard(hash);
        let known = lock.read().find(hash, name);
        let i = match known {
            Some(i) => i,
            None => self.enrol(&mut lock.write(), hash, name)?,
        };
        Some(seat_of(at, i))
    }

    /// The seat of a member who has been seen; allocates nothing.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Seat> {
        if let Some(seat) = self.aliased(name) {
            return Some(seat);
        }
        let hash = self.hasher.hash_one(name);
        let (at, lock) = self.shard(hash);
        let i = lock.read().find(hash, name)?;
        Some(seat_of(at, i))
    }

    /// As [`Roster::seat`], for each of these names. As members of a large batch come at random, this is
    /// waiting for memory: each look goes through all of them in a loop of its own, in which no wait depends
    /// on the one before it.
    #[must_use]
    pub fn seats(&self, names: &[&str]) -> Vec<Option<Seat>> {
        let mut seats = Vec::with_capacity(names.len());
        for names in names.chunks(LOOKED_UP_AT_ONCE) {
            if names.len() >= SHARDS {
                self.bring_near(names);
            }
            seats.extend(names.iter().map(|name| self.seat(name)));
        }
        seats
    }

    /// Brings what a look for these names reads near the processor.
    fn bring_near(&self, names: &[&str]) {
        let shards: Vec<_> = self.shards.iter().map(RwLock::read).collect();
        let found: Vec<(&Shard, u32)> = names
            .iter()
            .filter_map(|name| {
                let hash = self.hasher.hash_one(name);
                let shard = &*shards[shard_of(hash)];
                shard.by_name.iter_hash(hash).next().map(|i| (shard, *i))
            })
            .collect();
        let starts: Vec<(&Shard, usize)> =
            found.into_iter().map(|(shard, i)| (shard, shard.range(i as usize).start)).collect();
        let touched: usize =
            starts.into_iter().map(|(shard, start)| shard.names.as_bytes()[start] as usize).sum();
        std::hint::black_box(touched);
    }

    /// Returns the member that has this seat.
    ///
    /// # Panics
    /// When this roster did not give out the seat.
    #[must_use]
    pub fn member(&self, seat: Seat) -> MemberId {
        let shard = self.shards[seat.index() % SHARDS].read();
        let i = seat.number() / u32::try_from(SHARDS).expect("few shards");
        shard.name(i).parse().expect("the roster keeps checked names only")
    }

    /// As [`Roster::member`], for each of these seats. Seats of a large batch come at random, so this is
    /// waiting for memory: each look goes through all of them in a loop of its own, in which no wait
    /// depends on the one before it.
    ///
    /// # Panics
    /// As [`Roster::member`].
    #[must_use]
    pub fn members(&self, seats: &[Seat]) -> Vec<MemberId> {
        if seats.len() < SHARDS {
            return seats.iter().map(|seat| self.member(*seat)).collect();
        }
        let mut members = Vec::with_capacity(seats.len());
        seats.chunks(LOOKED_UP_AT_ONCE).for_each(|seats| self.many(seats, &mut members));
        members
    }

    fn many(&self, seats: &[Seat], members: &mut Vec<MemberId>) {
        let shards: Vec<_> = self.shards.iter().map(RwLock::read).collect();
        let place = |seat: &Seat| (&*shards[seat.index() % SHARDS], seat.index() / SHARDS);
        let names: Vec<(&str, Range<usize>)> = seats
            .iter()
            .map(|seat| {
                let (shard, i) = place(seat);
                (shard.names.as_str(), shard.range(i))
            })
            .collect();
        // Brings the names near the processor.
        let touched: usize = names.iter().map(|(all, at)| all.as_bytes()[at.start] as usize).sum();
        std::hint::black_box(touched);
        let member = |(all, at): (&str, Range<usize>)| {
            all[at].parse().expect("the roster keeps checked names only")
        };
        members.extend(names.into_iter().map(member));
    }

    fn aliased(&self, name: &str) -> Option<Seat> {
        // Nobody is looked for by a pseudonym but by the records of a member who has one.
        if !name.starts_with(PSEUDONYM) {
            return None;
        }
        let aliases = self.aliases.read();
        aliases.iter().find(|(alias, _)| alias.as_str() == name).map(|(_, seat)| *seat)
    }

    /// Begins to give a seat another name, which begins like a pseudonym: the seat is found by both.
    /// Returns the name: if this was begun before, that of then.
    ///
    /// # Panics
    /// When the name does not begin like a pseudonym.
    pub fn alias(&self, seat: Seat, name: &MemberId) -> MemberId {
        assert!(name.as_str().starts_with(PSEUDONYM), "only a pseudonym is an alias");
        let mut aliases = self.aliases.write();
        if let Some((begun, _)) = aliases.iter().find(|(_, of)| *of == seat) {
            return begun.clone();
        }
        aliases.push((name.clone(), seat));
        name.clone()
    }

    /// Whether the seat has, or is getting, another name.
    #[must_use]
    pub fn has_alias(&self, seat: Seat) -> bool {
        self.aliases.read().iter().any(|(_, of)| *of == seat)
    }

    /// Ends what [`Roster::alias`] began: the seat has the other name alone. The old one is free: a member
    /// who comes by it gets another seat.
    ///
    /// # Panics
    /// When this roster did not give out the seat, or nothing was begun.
    pub fn rename(&self, seat: Seat) {
        let from = self.member(seat);
        let to = {
            let aliases = self.aliases.read();
            let begun = aliases.iter().find(|(_, of)| *of == seat);
            begun.expect("a rename was begun").0.clone()
        };
        let mut shard = self.shards[seat.index() % SHARDS].write();
        let i = seat.index() / SHARDS;
        let hash = self.hasher.hash_one(from.as_str());
        if let Ok(entry) = shard.by_name.find_entry(hash, |other| *other as usize == i) {
            entry.remove();
        }
        let range = shard.range(i);
        let (was, is) = (range.len(), to.as_str().len());
        shard.names.replace_range(range, to.as_str());
        for end in &mut shard.ends[i..] {
            *end = u32::try_from(*end as usize + is - was).expect("64 bytes a seat at most");
        }
    }

    /// The number of members that have been seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().ends.len()).sum()
    }

    /// Whether no member has been seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, hash: u64) -> (usize, &RwLock<Shard>) {
        let at = shard_of(hash);
        (at, &self.shards[at])
    }

    fn enrol(&self, shard: &mut Shard, hash: u64, name: &str) -> Option<u32> {
        // Another thread may have enrolled the member between the read lock and the write lock.
        if let Some(i) = shard.find(hash, name) {
            return Some(i);
        }
        if shard.ends.len() >= SHARD_SEATS_MAX {
            return None;
        }
        let i = u32::try_from(shard.ends.len()).expect("SHARD_SEATS_MAX is small");
        grow_by_a_quarter(&mut shard.ends);
        shard.names.push_str(name);
        shard.ends.push(u32::try_from(shard.names.len()).expect("64 bytes a seat at most"));
        let Shard { by_name, ends, names } = shard;
        let name_of = |i: usize| {
            let start = if i == 0 { 0 } else { ends[i - 1] as usize };
            &names[start..ends[i] as usize]
        };
        by_name.insert_unique(hash, i, |i| self.hasher.hash_one(name_of(*i as usize)));
        Some(i)
    }
}

fn grow_by_a_quarter(ends: &mut Vec<u32>) {
    if ends.len() == ends.capacity() {
        ends.reserve_exact(ends.len() / 4 + 16);
    }
}

/// The shard of a name with this hash; the hash table inside it uses the other bits.
const fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

fn seat_of(shard: usize, i: u32) -> Seat {
    let index = i as usize * SHARDS + shard;
    Seat::new(u32::try_from(index).expect("16,777,216 seats fit"))
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_member_keeps_one_seat_and_a_seat_one_member() {
        let roster = Roster::new();
        let mut seats = HashSet::new();
        for i in 0..10_000 {
            let name = format!("viewer-{i}");
            let seat = roster.seat(&name).unwrap();
            assert!(seats.insert(seat));
            assert_eq!(roster.seat(&name), Some(seat));
            assert_eq!(roster.member(seat).as_str(), name);
        }
        let seats: Vec<Seat> = seats.into_iter().collect();
        let one_by_one: Vec<MemberId> = seats.iter().map(|seat| roster.member(*seat)).collect();
        assert_eq!(roster.members(&seats), one_by_one);
        let names: Vec<&str> = one_by_one.iter().map(MemberId::as_str).collect();
        let again: Vec<Seat> = roster.seats(&names).into_iter().flatten().collect();
        assert_eq!(again, seats);
        let new: Vec<String> = (0..1_000).map(|i| format!("later-{i}")).collect();
        let new: Vec<&str> = new.iter().map(String::as_str).collect();
        assert_eq!(roster.seats(&new), roster.seats(&new));
        assert_eq!(roster.len(), 11_000);
        assert_eq!(roster.find("stranger"), None);
    }

    #[test]
    fn a_seat_goes_on_under_another_name_and_the_old_one_is_free() {
        let roster = Roster::new();
        let seats: Vec<_> = (0..5_000).map(|i| roster.seat(&format!("m{i}")).unwrap()).collect();
        let pseudonym: MemberId = "erased:0123456789abcdef".parse().unwrap();
        assert_eq!(roster.alias(seats[7], &pseudonym), pseudonym);
        assert_eq!(roster.alias(seats[7], &"erased:2".parse().unwrap()), pseudonym);
        assert_eq!(roster.find("m7"), roster.seat(pseudonym.as_str()));
        roster.rename(seats[7]);
        assert_eq!(roster.member(seats[7]), pseudonym);
        assert_eq!((roster.find("m7"), roster.find(pseudonym.as_str())), (None, Some(seats[7])));
        for (i, seat) in seats.iter().enumerate().filter(|(i, _)| *i != 7) {
            let name = format!("m{i}");
            assert_eq!((roster.member(*seat).as_str(), roster.find(&name)), (&*name, Some(*seat)));
        }
        let again = roster.seat("m7").unwrap();
        assert!(!seats.contains(&again) && roster.member(again).as_str() == "m7");
        let all: Vec<_> = roster.members(&seats).iter().map(MemberId::to_string).collect();
        assert_eq!((all[7].as_str(), all[8].as_str()), (pseudonym.as_str(), "m8"));
    }

    #[test]
    fn members_who_arrive_on_many_threads_at_once_get_one_seat_each() {
        let roster = Roster::new();
        let arrive = || (0..2_000).map(|i| roster.seat(&format!("m{i}")).unwrap()).collect();
        let (a, b): (Vec<Seat>, Vec<Seat>) = std::thread::scope(|scope| {
            let other = scope.spawn(arrive);
            (arrive(), other.join().unwrap())
        });
        assert_eq!(a, b);
        assert_eq!(roster.len(), 2_000);
    }
}
