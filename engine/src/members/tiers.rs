//! Tiers: which tier the book gives the members who are here, by seat, and what they may spend. A click reads
//! it without a lock; whatever is posted changes it before anything else is posted in that bucket.

use crate::roster::Roster;
use crate::rules::seat::Seat;
use crate::rules::time::Millis;
use crate::sale::purse::{Purses, Told, Usable};
use crate::sale::table::Table;
use crate::store::BucketChange;
use crate::sync::{AtomicU64, Ordering};
use membership::account::{Coupon, Membership, Standing};
use membership::event::{MemberNumber, Tender};
use membership::plan::Plan;
use membership::{MemberId, Tier};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Bits 0..8: nothing is known, the member is not enrolled, or their tier. Bits 8..56: until when that holds.
type Row = AtomicU64;

/// With other nodes, what is known of a member is read again after so long: one may not hear what another posts.
const KNOWN_FOR: Duration = Duration::from_secs(60);
/// As above, in a process that no other one tells.
const UNTOLD_FOR: Duration = Duration::from_millis(500);

const UNKNOWN: u64 = 0;
const NOBODY: u64 = 1;
const LOWEST: u64 = 2;

/// A member of whom something was posted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Changed {
    /// By the number of their account.
    Account(MemberNumber),
    /// By their name: they came to have an account, or another name.
    Name(MemberId),
}

/// What is known of the tiers of those who are here.
#[derive(Debug)]
pub(super) struct Tiers {
    roster: Arc<Roster>,
    rows: Table<Row>,
    purses: Purses,
    /// The seats of those who have an account.
    seats: Mutex<HashMap<MemberNumber, Seat>>,
    /// `None` while no other process posts.
    others: Mutex<Option<Others>>,
}

/// How a process hears of what others post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// They tell it, and it tells them: it is a node that they reach.
    Told,
    /// It finds out by itself, and tells them: it is a front.
    ByItself,
    /// Nobody tells anybody: processes without a node key, of which one sells and the others wait.
    Nothing,
}

/// What there is to know of other processes that post.
#[derive(Debug)]
struct Others {
    hears: Hears,
    /// Whether one has told of a name: the book is not empty, whatever was read of it before.
    have_members: bool,
    /// Whom they are to be told of.
    changed: BTreeSet<Changed>,
}

impl Tiers {
    pub(super) fn new(roster: Arc<Roster>) -> Self {
        let (rows, purses) = (Table::new(), Purses::default());
        Self { roster, rows, purses, seats: Mutex::default(), others: Mutex::default() }
    }

    pub(super) const fn purses(&self) -> &Purses {
        &self.purses
    }

    fn read(&self, seat: Seat) -> u64 {
        // Ordering: Relaxed, the word publishes nothing but itself.
        self.rows.get(seat.index()).map_or(UNKNOWN, |row| row.load(Ordering::Relaxed))
    }

    fn write(&self, seat: Seat, word: u64) {
        // Ordering: Relaxed, as in `read`; those who write one seat hold the lock of its bucket.
        self.rows.get_or_grow(seat.index()).store(word, Ordering::Relaxed);
    }

    /// The tier that the book gives a seat; `None` for one who is not enrolled, or was not looked for.
    pub(super) fn tier(&self, seat: Seat) -> Option<Tier> {
        let place = (self.read(seat) & 0xff).checked_sub(LOWEST)?;
        Tier::ALL.get(usize::try_from(place).ok()?).copied()
    }

    /// Whether the book was asked for a seat, and what it said still holds.
    pub(super) fn is_known(&self, seat: Seat, now: Millis) -> bool {
        let word = self.read(seat);
        word != UNKNOWN && Millis(word >> 8) > now
    }

    /// Whether the book was ever asked for a seat.
    pub(super) fn was_known(&self, seat: Seat) -> bool {
        self.read(seat) != UNKNOWN
    }

    /// What the book said last counts until an instant.
    pub(super) fn trust(&self, seat: Seat, until: Millis) {
        self.write(seat, until.0.min(Millis::MAX.0) << 8 | self.read(seat) & 0xff);
    }

    /// The book is to be asked again.
    fn doubt(&self, seat: Seat) {
        self.write(seat, self.read(seat) & 0xff);
        self.purses.forget(seat);
    }

    /// Until when what is read now holds.
    fn known_until(&self, now: Millis) -> Millis {
        match &*self.others.lock() {
            None => Millis::MAX,
            Some(Others { hears: Hears::Told | Hears::Nothing, .. }) => now + KNOWN_FOR,
            Some(Others { hears: Hears::ByItself, .. }) => now + UNTOLD_FOR,
        }
    }

    /// Notes that a seat's member is not enrolled.
    pub(super) fn note_nobody(&self, seat: Seat, now: Millis) {
        self.purses.tell(seat, Told::default(), 0);
        self.write(seat, self.known_until(now).0 << 8 | NOBODY);
    }

    /// Notes what the book has of a seat's member.
    pub(super) fn note(
        &self,
        seat: Seat,
        number: MemberNumber,
        account: &Membership,
        plan: &Plan,
        now: Millis,
    ) {
        self.note_settled(seat, number, account, 0, plan, now);
    }

    /// As `note`, when the book has a hold for so many points that orders had taken of the purse.
    fn note_settled(
        &self,
        seat: Seat,
        number: MemberNumber,
        account: &Membership,
        settled: u64,
        plan: &Plan,
        now: Millis,
    ) {
        self.seats.lock().insert(number, seat);
        let usable = |coupon: &Coupon| {
            let (kind, until) = (coupon.kind.clone(), coupon.until);
            // An order names its coupon, so one with a name that no order can have is not used.
            Some(Usable { id: coupon.id.0.parse().ok()?, kind, until })
        };
        let coupons = account.good_coupons(now).filter_map(usable).collect();
        self.purses.tell(seat, Told { balance: account.points.balance(now), coupons }, settled);
        let Standing { tier, kept_until, .. } = account.standing_at(plan, now);
        // Points that expire count no more: the book is asked again then.
        let expires_at = account.expiring(now).next().map(|lot| lot.expires_at);
        let known_until = Some(self.known_until(now));
        let until = [kept_until, expires_at, known_until].into_iter().flatten().min();
        let until = until.unwrap_or(Millis::MAX);
        self.write(seat, until.0 << 8 | (LOWEST + tier as u64));
    }

    /// Other processes post, too. From now on it is noted whom this one posts something of.
    pub(super) fn share(&self, hears: Hears) {
        let others = Others { hears, have_members: false, changed: BTreeSet::new() };
        *self.others.lock() = Some(others);
    }

    /// Whether another process may have enrolled somebody of whom a count of all members knows nothing yet.
    pub(super) fn may_lack_members(&self) -> bool {
        let others = self.others.lock();
        others.as_ref().is_some_and(|of| of.have_members || of.hears == Hears::ByItself)
    }

    /// Whom the book has posted something of since the last call.
    pub(super) fn take_changed(&self) -> Vec<Changed> {
        let mut others = self.others.lock();
        let changed = others.as_mut().map(|others| std::mem::take(&mut others.changed));
        changed.unwrap_or_default().into_iter().collect()
    }

    fn note_changed(&self, change: &BucketChange) {
        if let Some(Others { hears: Hears::Told | Hears::ByItself, changed, .. }) =
            &mut *self.others.lock()
        {
            let numbers = change.accounts.iter().map(|(index, _)| change.bucket.number(*index));
            changed.extend(numbers.map(Changed::Account));
            changed.extend(change.names.iter().map(|name| Changed::Name(name.member.clone())));
        }
    }

    /// Another node has posted something of this member: they are to be looked up again.
    pub(super) fn doubt_changed(&self, changed: &Changed) {
        let seat = match changed {
            Changed::Account(number) => self.seats.lock().get(number).copied(),
            Changed::Name(member) => {
                if let Some(others) = &mut *self.others.lock() {
                    others.have_members = true;
                }
                self.roster.find(member.as_str())
            }
        };
        if let Some(seat) = seat {
            self.doubt(seat);
        }
    }

    /// What was to be posted may be or not: those whom it concerns are to be looked up again.
    pub(super) fn forget(&self, change: &BucketChange) {
        self.note_changed(change);
        for (index, _) in &change.accounts {
            let seat = self.seats.lock().get(&change.bucket.number(*index)).copied();
            if let Some(seat) = seat {
                self.doubt(seat);
            }
        }
        for name in &change.names {
            if let Some(seat) = self.roster.find(name.member.as_str()) {
                self.doubt(seat);
            }
        }
    }

    /// Notes that the book has had holds for what orders had taken of purses.
    pub(super) fn settle(&self, settled: &[(Seat, Tender)]) {
        for (seat, tender) in settled {
            self.purses.settle(*seat, tender.points);
            // The hold was made by an earlier try: what was read since may be of before it.
            self.doubt(*seat);
        }
        self.settle_coupons(settled);
    }

    fn settle_coupons(&self, settled: &[(Seat, Tender)]) {
        for (seat, tender) in settled {
            let coupon = tender.coupon.as_ref().and_then(|id| id.0.parse().ok());
            if let Some(coupon) = coupon {
                self.purses.settle_coupon(*seat, &coupon);
            }
        }
    }

    /// Follows what was posted in a bucket, for those who are here. `settled` is what orders had taken of
    /// purses and is kept in the book now: it ends in one step with the new balance.
    pub(super) fn follow(
        &self,
        change: &BucketChange,
        settled: &[(Seat, Tender)],
        plan: &Plan,
        now: Millis,
    ) {
        self.note_changed(change);
        let mut points: HashMap<Seat, u64> = HashMap::new();
        for (seat, tender) in settled {
            *points.entry(*seat).or_default() += tender.points;
        }
        for name in &change.names {
            let Some(seat) = self.roster.find(name.member.as_str()) else { continue };
            let number = change.bucket.number(name.index);
            if name.is_had {
                self.seats.lock().insert(number, seat);
            } else {
                self.seats.lock().remove(&number);
                self.note_nobody(seat, now);
            }
        }
        for (index, account) in &change.accounts {
            let number = change.bucket.number(*index);
            let seat = self.seats.lock().get(&number).copied();
            if let Some(seat) = seat {
                let settled = points.remove(&seat).unwrap_or(0);
                self.note_settled(seat, number, account, settled, plan, now);
            }
        }
        // Those of members whom the book was not asked about yet.
        points.into_iter().for_each(|(seat, points)| self.purses.settle(seat, points));
        self.settle_coupons(settled);
    }
}
