//! What members, operators and the payment provider ask for after a click: steps in an order's life,
//! the waitlist, members who may not buy.

use super::{Engine, NoSale};
use crate::members::NotTaken;
use crate::open::blocked::Look;
use crate::open::found::Found;
use crate::open::sale::OpenSale;
use crate::roster::PSEUDONYM;
use crate::rules::money::Refund;
use crate::rules::order::{OrderId, Status, Step};
use crate::rules::payment_ref::read_payment_ref;
use crate::rules::refusal::Refusal;
use crate::rules::seat::Seat;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::rules::waitlist::Waiter;
use crate::sale::Click;
use crate::store::{BadRefund, Change, Changed, StoreError, Waiting};
use membership::MemberId;
use membership::event::Outcome;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// How long a caller that asks for a change waits for the store. After that the caller does not
/// know the outcome; the change is still made, and asking again is harmless.
const PATIENCE: Duration = Duration::from_secs(8);

/// Why a member was not put on the waitlist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotWaiting {
    /// The sale's rules are against it.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The store did not take it.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// Why a refund was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRefunded {
    /// It cannot be.
    #[error("{0}")]
    Bad(#[from] BadRefund),
    /// The store did not take it.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// The order as it is after a change.
fn found(open: &OpenSale, id: &OrderId, changed: Changed) -> Option<Found> {
    let Changed::Order(record) = changed else { return None };
    Some(match open.sale.board().read(id.number) {
        Some(order) if id.epoch == open.sale.epoch() => Found::Here(order),
        _ => Found::Before(record),
    })
}

impl Engine {
    /// Gives a member a reward for points, once per `id`; of all processes one at a time, so that the last one is had
    /// once.
    ///
    /// # Errors
    /// [`StoreError`]; ask again with the same id. Inside, [`NotTaken`].
    pub async fn redeem(
        &self,
        member: &MemberId,
        id: &str,
        reward: &str,
    ) -> Result<Result<Outcome, NotTaken>, StoreError> {
        let Some(sharing) = self.sharing.as_ref().filter(|_| self.has_others()) else {
            return self.book.redeem(member, id, reward).await;
        };
        // Whoever cannot have it anyway keeps nobody waiting.
        if !self.book.may_be_the_last(member, reward).await? {
            return self.book.redeem(member, id, reward).await;
        }
        let redeem = async {
            self.book.count_anew().await?;
            self.book.redeem(member, id, reward).await
        };
        sharing.rewards().alone(redeem).await
    }

    /// Takes a step in an order's life. A payment is in time if this is called before it was due,
    /// however long it then waits for the store. Returns the order as it is afterwards, whether or not the
    /// step changed it; `None` if no such order is or was reserved.
    ///
    /// # Errors
    /// [`StoreError`]; if it is transient, the step may have been taken: ask again.
    pub async fn step(
        &self,
        open: &OpenSale,
        id: &OrderId,
        step: Step,
    ) -> Result<Option<Found>, StoreError> {
        if open.is_archived() {
            let found = self.order(open, id).await?;
            let status = found.as_ref().map(Found::status);
            let is_late_payment =
                step == Step::Pay && matches!(status, Some(Status::Cancelled | Status::Expired));
            if !is_late_payment {
                return Ok(found);
            }
        }
        let (epoch, number) = (id.epoch, id.number);
        let changed = self.change_order(open, id, Change::Order { step, epoch, number }).await?;
        Ok(changed.and_then(|changed| found(open, id, changed)))
    }

    /// The sale and the id of an order that is named by its id or by its payment ref. Whether there is such
    /// an order is for the caller to find out.
    ///
    /// # Errors
    /// [`NoSale`]
    pub async fn order_named(&self, name: &str) -> Result<(Arc<OpenSale>, OrderId), NoSale> {
        if let Some((sale, epoch, number)) = read_payment_ref(name) {
            let open = self.any_sale_numbered(sale).await?;
            let sale = open.sale.terms().id.clone();
            return Ok((open, OrderId { sale, epoch, number }));
        }
        let id: OrderId = name.parse().map_err(|_| NoSale::Unknown)?;
        Ok((self.any_sale(id.sale.as_str()).await?, id))
    }

    /// The waiting members in the order of service, from place `from` on, and how many wait.
    #[must_use]
    pub fn waiting(&self, open: &OpenSale, from: usize, most: usize) -> (Vec<Waiting>, usize) {
        let waitlist = open.waitlist();
        let page: Vec<Waiter> = waitlist.iter().skip(from).take(most).copied().collect();
        let all = waitlist.len();
        drop(waitlist);
        let waiting = |Waiter { seat, tier, units, place }: Waiter| {
            let member = self.roster.member(seat);
            Waiting { member, tier, units, place }
        };
        (page.into_iter().map(waiting).collect(), all)
    }

    /// Takes in that money of an order went back: all of it, or a part. Returns the order as it is
    /// afterwards; `None` if no such order is or was reserved. An order that was not paid stays as it
    /// is.
    ///
    /// # Errors
    /// [`NotRefunded`]; if it is a transient [`StoreError`], the refund may be known: ask again.
    pub async fn refund(
        &self,
        open: &OpenSale,
        id: &OrderId,
        refund: Refund,
    ) -> Result<Option<Found>, NotRefunded> {
        let change = Change::Refund { epoch: id.epoch, number: id.number, refund };
        match self.change_order(open, id, change).await? {
            Some(Changed::BadRefund(bad)) => Err(bad.into()),
            changed => Ok(changed.and_then(|changed| found(open, id, changed))),
        }
    }

    /// Makes a change to an order once the store has decided the order itself.
    async fn change_order(
        &self,
        open: &OpenSale,
        id: &OrderId,
        change: Change,
    ) -> Result<Option<Changed>, StoreError> {
        if open.is_archived() {
            let open = self.unarchive(&id.sale).await?;
            return Box::pin(self.change_order(&open, id, change)).await;
        }
        let received_at = self.now();
        if id.epoch == open.sale.epoch() {
            // An order that is still on its way to the store has no state there yet, so it cannot
            // take a step.
            let Some(order) = open.settled(id.number, PATIENCE).await else { return Ok(None) };
            if order.status == Status::Reserved {
                return Err(StoreError::Refused("the order waits for the store; ask again".into()));
            }
        } else {
            let Some(Found::Before(record)) = self.order(open, id).await? else { return Ok(None) };
            if self.roster.find(record.member.as_str()).is_none() {
                let why = "the member is being erased; ask again";
                return Err(StoreError::Refused(why.into()));
            }
            open.know(record);
        }
        self.ask(open, change, received_at).await.map(Some)
    }

    async fn ask(
        &self,
        open: &OpenSale,
        change: Change,
        received_at: Millis,
    ) -> Result<Changed, StoreError> {
        if *self.stop.borrow() {
            return Err(StoreError::Refused("this process is stopping".into()));
        }
        let told = open.ask(change, received_at)?;
        let told_or_ended = async {
            tokio::select! {
                biased;
                told = told => told.ok(),
                () = open.ended() => None,
            }
        };
        match tokio::time::timeout(PATIENCE, told_or_ended).await {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(StoreError::Unknown("the sale's confirmer has ended".into())),
            Err(_) => Err(StoreError::Unknown("it takes too long; ask again".into())),
        }
    }

    /// Puts a member on the waitlist; a member who waits already keeps their place and wish.
    /// Returns the units and the position: from 1, or 0 when the member has been served.
    ///
    /// # Errors
    /// [`NotWaiting`]; nothing has changed if the sale's rules are against it.
    pub async fn join(&self, open: &OpenSale, wish: Click) -> Result<(Units, usize), NotWaiting> {
        if let Some(waits) = open.position(wish.seat) {
            return Ok(waits);
        }
        if open.is_offered(wish.seat) {
            return Ok((wish.units, 0));
        }
        open.sale.may_wait(self.now(), wish)?;
        let (Click { tier, units, .. }, member) = (wish, self.roster.member(wish.seat));
        let place = open.next_place().ok_or(Refusal::WaitlistFull)?;
        let join = Change::Join(Waiting { member, tier, units, place });
        self.ask(open, join, self.now()).await?;
        match open.position(wish.seat) {
            Some(waits) => Ok(waits),
            // The member is served already: they were the first, and units had come back meanwhile.
            None if open.sale.held(wish.seat).0 > 0 => Ok((units, 0)),
            // The sale was closed, or the member blocked, in between.
            None => Err(Refusal::Closed.into()),
        }
    }

    /// Takes a member off the waitlist; harmless for a member who does not wait.
    ///
    /// # Errors
    /// [`StoreError`]; if it is transient, ask again.
    pub async fn leave_waitlist(&self, open: &OpenSale, seat: Seat) -> Result<(), StoreError> {
        if open.is_archived() {
            return Ok(());
        }
        // The store is asked also for a member who is not on the waitlist: they may be asking to
        // join it at this moment.
        let leave = Change::Leave(self.roster.member(seat));
        self.ask(open, leave, self.now()).await.map(drop)
    }

    /// The members who may not buy. Hold the look while a click is judged: [`Engine::block`] answers
    /// when it is dropped.
    #[inline]
    pub fn look_at_blocked(&self) -> Look {
        self.blocked.look()
    }

    /// Whether the member may not buy.
    #[must_use]
    pub fn is_blocked(&self, member: &MemberId) -> bool {
        let seat = self.roster.find(member.as_str());
        seat.is_some_and(|seat| self.blocked.contains(seat))
    }

    /// Members who may not buy, by id.
    #[must_use]
    pub fn blocked(&self) -> Vec<MemberId> {
        let seats = self.blocked.seats();
        let members = seats.iter().map(|seat| self.roster.member(*seat));
        // The seats of erased members stay blocked, and are nobody's.
        let mut members: Vec<_> =
            members.filter(|member| !member.as_str().starts_with(PSEUDONYM)).collect();
        members.sort();
        members
    }

    /// Keeps a member from buying and from being served in every sale: first on disk, then in
    /// memory. The member keeps the orders that they have; their waits are passed over. Once this
    /// returns, no click of theirs is accepted any more.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed in memory.
    pub async fn block(&self, member: &MemberId) -> Result<(), StoreError> {
        let _one_at_a_time = self.blocking.lock().await;
        let seat = self.seat(member)?;
        self.store.members.set_blocked(member, true).await?;
        self.blocked.insert(seat).await;
        Ok(())
    }

    /// Lets a member buy again: first on disk, then in memory.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed in memory. [`StoreError::Refused`] for a member who is being
    /// erased.
    pub async fn unblock(&self, member: &MemberId) -> Result<(), StoreError> {
        let _one_at_a_time = self.blocking.lock().await;
        if self.erasing().await?.iter().any(|(begun, _)| begun == member) {
            return Err(StoreError::Refused("this member is being erased".into()));
        }
        let seat = self.seat(member)?;
        self.store.members.set_blocked(member, false).await?;
        self.blocked.remove(seat).await;
        Ok(())
    }

    /// Makes the store's list of blocked members the same as the one of this process, after a lost
    /// history.
    pub(super) async fn put_back_blocked(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.blocking.lock().await;
        let (stored, ours) = (self.store.members.blocked().await?, self.blocked());
        for member in stored.iter().filter(|member| !ours.contains(member)) {
            self.store.members.set_blocked(member, false).await?;
        }
        for member in &ours {
            self.store.members.set_blocked(member, true).await?;
        }
        Ok(())
    }

    pub(super) async fn read_blocked(&self) -> Result<(), StoreError> {
        let members = self.store.members.blocked().await?;
        let seats = members.iter().map(|member| self.seat(member));
        let mut seats = seats.collect::<Result<HashSet<Seat>, _>>()?;
        // The seats of erased members stay blocked, whatever the store says of their names: sessions may have them.
        let is_erased = |seat: &Seat| {
            let member = self.roster.member(*seat);
            self.roster.has_alias(*seat) || member.as_str().starts_with(PSEUDONYM)
        };
        seats.extend(self.blocked.seats().iter().filter(|seat| is_erased(seat)));
        self.blocked.replace(seats).await;
        Ok(())
    }

    pub(super) fn seat(&self, member: &MemberId) -> Result<Seat, StoreError> {
        let full = || StoreError::Refused("more members than this process has seats".into());
        self.roster.seat(member.as_str()).ok_or_else(full)
    }
}
