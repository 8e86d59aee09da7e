//! Seated: the book's word on the tiers of members who are here.

use super::book::Book;
use super::tiers::{Changed, Hears};
use crate::rules::seat::Seat;
use crate::rules::time::Millis;
use crate::store::{Bucket, StoreError, Wanted, Who};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use membership::{MemberId, Tier};
use std::collections::BTreeMap;
use std::time::Duration;

/// Buckets that are read at once.
const AT_ONCE: usize = 64;
/// How long a click waits for a book whose last word is known.
const LOOK_WITHIN: Duration = Duration::from_millis(50);
/// So long the last word counts where the book cannot be read.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

impl Book {
    /// The tier that the book gives a seat; `None` for a member who is not enrolled. It costs one read of
    /// a word; the seat is to be looked up before.
    #[must_use]
    pub fn tier(&self, seat: Seat) -> Option<Tier> {
        self.tiers.tier(seat)
    }

    /// Whether a seat was looked up, and what was found still holds now.
    #[must_use]
    pub fn is_seated(&self, seat: Seat, now: Millis) -> bool {
        self.tiers.is_known(seat, now)
    }

    /// Other processes post, too. From now on [`Book::take_changed`] tells whom this one posts something of, if it is to
    /// tell them.
    pub fn share(&self, hears: Hears) {
        self.tiers.share(hears);
    }

    /// Whom this process has posted something of since the last call.
    #[must_use]
    pub fn take_changed(&self) -> Vec<Changed> {
        self.tiers.take_changed()
    }

    /// Another process has posted something of these members: what is known of them here counts no more.
    pub async fn doubt(&self, changed: &[Changed]) {
        for changed in changed {
            let bucket = match changed {
                Changed::Account(number) => Bucket::of_number(*number),
                Changed::Name(member) => Some(Bucket::of(member.as_str())),
            };
            let Some(bucket) = bucket else { continue };
            // A look that began before it was posted has been noted by then.
            let _one_at_a_time = self.buckets[usize::from(bucket.place())].lock().await;
            self.tiers.doubt_changed(changed);
        }
    }

    /// As [`Book::look_up`], of members who are about to click: while the book cannot be read, what was found
    /// last counts for one second more, so that a sale does not stop for it. Where tiers are not the book's
    /// (`needs_tiers` is false), it goes on for those of whom nothing was found yet, too.
    ///
    /// # Errors
    /// [`StoreError`] if tiers are the book's and one of them was never looked up.
    pub async fn look_up_or_trust(
        &self,
        members: Vec<(Seat, MemberId)>,
        needs_tiers: bool,
    ) -> Result<(), StoreError> {
        let seats: Vec<Seat> = members.iter().map(|(seat, _)| *seat).collect();
        if needs_tiers && !seats.iter().all(|seat| self.tiers.was_known(*seat)) {
            return self.look_up(members).await;
        }
        let looked_up = tokio::time::timeout(LOOK_WITHIN, self.look_up(members)).await;
        if !matches!(looked_up, Ok(Ok(()))) {
            let until = self.clock.now() + TRUSTED_FOR;
            seats.into_iter().for_each(|seat| self.tiers.trust(seat, until));
        }
        Ok(())
    }

    /// Looks up the tiers of members; from then on whatever is posted changes them at once.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn look_up(&self, members: Vec<(Seat, MemberId)>) -> Result<(), StoreError> {
        let mut by_bucket: BTreeMap<Bucket, Vec<(Seat, MemberId)>> = BTreeMap::new();
        for (seat, member) in members {
            by_bucket.entry(Bucket::of(member.as_str())).or_default().push((seat, member));
        }
        let looks = by_bucket.into_iter().map(|(bucket, members)| self.look_in(bucket, members));
        stream::iter(looks).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn look_in(
        &self,
        bucket: Bucket,
        members: Vec<(Seat, MemberId)>,
    ) -> Result<(), StoreError> {
        // Nothing is posted between the look and its note.
        let _one_at_a_time = self.buckets[usize::from(bucket.place())].lock().await;
        let is_empty = !self.tiers.may_lack_members() && self.totals.members().await? == 0;
        let wanted = |(_, member): &(Seat, MemberId)| Wanted {
            who: Who::Named(member.clone()),
            keys: Vec::new(),
        };
        let found = match is_empty {
            true => Vec::new(),
            false => {
                let wanted: Vec<_> = members.iter().map(wanted).collect();
                self.store.read_members(bucket, &wanted).await?.members
            }
        };
        let (current, now) = (self.plans.current(), self.clock.now());
        let mut found = found.into_iter();
        for (seat, _) in members {
            match found.next().flatten() {
                None => self.tiers.note_nobody(seat, now),
                Some(found) => {
                    let number = bucket.number(found.index);
                    self.tiers.note(seat, number, &found.account, &current.plan, now);
                }
            }
        }
        Ok(())
    }
}
