//! Erasing a person: their orders stay, under a pseudonym; nothing else of them does.

use super::Engine;
use crate::fault::crash_point;
use crate::open::sale::OpenSale;
use crate::roster::PSEUDONYM;
use crate::rules::order::Status;
use crate::rules::seat::Seat;
use crate::store::{StoreError, Who};
use membership::MemberId;
use std::sync::Arc;
use std::time::Duration;

/// How long orders of the member may take to be confirmed or released first, in looks.
const LOOKS: u32 = 500;
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Engine {
    /// Takes a member's name out of every sale: their orders go on under `pseudonym`, which nobody may
    /// have. They leave every waitlist, and are no longer on the list of blocked members. A member who
    /// comes by the name later is another person here.
    ///
    /// It is written down first, so it goes on after a crash. From the beginning on the member may not buy,
    /// until [`Engine::erased`] ends it; repeated calls go on with the pseudonym of the first.
    ///
    /// # Errors
    /// [`StoreError`]; what could be done is done, and the rest is to be asked for again.
    pub async fn erase(&self, member: &MemberId, pseudonym: &MemberId) -> Result<(), StoreError> {
        if member.as_str().starts_with(PSEUDONYM) {
            return Err(StoreError::Refused("who has this name is erased".into()));
        }
        let _one_at_a_time = self.blocking.lock().await;
        let begun = self.erasing().await?.into_iter().find(|(begun, _)| begun == member);
        let other = pseudonym;
        let pseudonym = begun.map_or_else(|| pseudonym.clone(), |(_, pseudonym)| pseudonym);
        let mut seat = self.roster.find(member.as_str());
        let in_book = self.book.account(Who::Named(member.clone())).await?;
        if seat.is_none() && in_book.is_some() {
            seat = Some(self.seat(member)?);
        }
        if seat.is_none() && !self.archived_of(member).await?.is_empty() {
            seat = Some(self.seat(member)?);
        }
        if seat.is_none() && self.sharing.is_some() && self.is_named(member).await? {
            // A sale of another node knows them.
            seat = Some(self.seat(member)?);
        }
        let Some(seat) = seat else {
            // Sales that are not open may know them.
            self.all_open()?;
            return self.store.members.set_blocked(member, false).await;
        };
        // From here on the seat is found by both names: the store changes one sale after another.
        let pseudonym = self.roster.alias(seat, &pseudonym);
        self.store.members.set_erasing(member, Some(&pseudonym)).await?;
        crash_point("erasing");
        // Once this returns, no click of theirs is judged any more, so no new order comes.
        self.blocked.insert(seat).await;
        // One after the other: they may be many.
        for sale in self.archived_of(member).await? {
            let open = self.unarchive(&sale).await?;
            self.take_out(&open, seat, member, &pseudonym).await?;
            self.archive(&open).await?;
        }
        // Behind the archived ones: money may have taken one out meanwhile.
        self.take_out_of_all(seat, member, &pseudonym).await?;
        self.book.erase(member, &pseudonym, other).await?;
        if !self.archived_of(member).await?.is_empty() {
            // One was archived meanwhile.
            return Err(StoreError::Refused("not every sale is written anew; ask again".into()));
        }
        self.store.members.set_blocked(member, false).await
    }

    /// Takes the name of a member out of this node's sales, if another node has begun to erase them.
    ///
    /// # Errors
    /// As [`Engine::erase`].
    pub async fn erase_here(&self, member: &MemberId) -> Result<(), StoreError> {
        let _one_at_a_time = self.blocking.lock().await;
        let begun = self.erasing().await?.into_iter().find(|(begun, _)| begun == member);
        let Some((_, pseudonym)) = begun else { return Ok(()) };
        let seat = self.seat(member)?;
        let pseudonym = self.roster.alias(seat, &pseudonym);
        self.blocked.insert(seat).await;
        self.take_out_of_all(seat, member, &pseudonym).await
    }

    /// Whether a sale of the store has the member's name, whichever node sells it.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn is_named(&self, member: &MemberId) -> Result<bool, StoreError> {
        for sale in self.store.reading.sales().await? {
            let has_bought =
                !self.store.reading.orders_of(&sale, member, None, 1).await?.is_empty();
            let waiting = self.store.reading.waiting(&sale).await?;
            if has_bought || waiting.iter().any(|waiting| waiting.member == *member) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends the erasing of a member whose name is nowhere else any more.
    ///
    /// # Errors
    /// [`StoreError`]; ask again.
    pub async fn erased(&self, member: &MemberId) -> Result<(), StoreError> {
        let one_at_a_time = self.blocking.lock().await;
        if self.erasing().await?.iter().any(|(begun, _)| begun == member) {
            self.store.members.set_erasing(member, None).await?;
        }
        self.store.members.forget().await?;
        drop(one_at_a_time);
        self.forget_name(member);
        Ok(())
    }

    /// Forgets the name of a member who is erased. The seat stays among those that may not buy: sessions may still
    /// have it, and nobody gets it again.
    pub fn forget_name(&self, member: &MemberId) {
        if let Some(seat) = self.roster.find(member.as_str())
            && self.roster.has_alias(seat)
        {
            self.roster.rename(seat);
        }
    }

    /// Members who are being erased, and the pseudonym of each.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn erasing(&self) -> Result<Vec<(MemberId, MemberId)>, StoreError> {
        self.store.members.erasing().await
    }

    /// Keeps those from buying who were being erased when a former process ended.
    pub(super) async fn read_erasing(&self) -> Result<(), StoreError> {
        for (member, pseudonym) in self.erasing().await? {
            let seat = self.seat(&member)?;
            self.roster.alias(seat, &pseudonym);
            self.blocked.insert(seat).await;
        }
        Ok(())
    }

    /// Checks that every sale is open or archived, and none on its way.
    ///
    /// # Errors
    /// [`StoreError::Refused`]; ask again.
    pub fn all_open(&self) -> Result<(), StoreError> {
        match self.not_opened.lock().is_empty() {
            true => Ok(()),
            false => Err(StoreError::Refused("not every sale is opened yet".into())),
        }
    }

    async fn take_out_of_all(
        &self,
        seat: Seat,
        member: &MemberId,
        pseudonym: &MemberId,
    ) -> Result<(), StoreError> {
        let mut outcome = self.all_open();
        for open in self.sales() {
            let taken_out = self.take_out(&open, seat, member, pseudonym).await;
            crash_point("taken_out");
            outcome = outcome.and(taken_out);
        }
        outcome
    }

    async fn take_out(
        &self,
        open: &Arc<OpenSale>,
        seat: Seat,
        member: &MemberId,
        pseudonym: &MemberId,
    ) -> Result<(), StoreError> {
        let mut looks = 0;
        while has_reserved(open, seat).await {
            looks += 1;
            if looks > LOOKS {
                return Err(StoreError::Refused("orders of the member wait for the store".into()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        // A wish to wait may be on its way to the store, so it is asked in any case: what is asked for
        // first is done first.
        self.leave_waitlist(open, seat).await?;
        // Not while a lost history is put back: both sides are compared then, name by name.
        let _not_meanwhile = open.switching.lock().await;
        let (id, epoch) = (&open.sale.terms().id, open.sale.epoch());
        self.store.members.rename(id, epoch, member, pseudonym).await?;
        open.rename(member, pseudonym);
        Ok(())
    }
}

async fn has_reserved(open: &OpenSale, seat: Seat) -> bool {
    let mut search = open.sale.search(seat);
    while search.step() {
        tokio::task::yield_now().await;
    }
    search.into_orders().iter().any(|order| order.status == Status::Reserved)
}
