//! Redeem: points for a reward of which there may be few.

use super::ask::{Ask, NotTaken};
use super::book::Book;
use crate::store::{StoreError, Who};
use membership::MemberId;
use membership::account::Membership;
use membership::event::{Event, Outcome};
use membership::posting::Source;

impl Book {
    /// Whether this member may have a reward of which there are few.
    pub(crate) async fn may_be_the_last(
        &self,
        member: &MemberId,
        reward: &str,
    ) -> Result<bool, StoreError> {
        let plan = &self.plans.current().plan;
        let Some(reward) = plan.rewards.get(reward).filter(|reward| reward.stock.is_some()) else {
            return Ok(false);
        };
        let account = self.account(Who::Named(member.clone())).await?;
        let has = |(_, account): (_, Membership)| account.points.balance(self.clock.now());
        Ok(account.map(has).is_some_and(|has| has >= i64::from(reward.points)))
    }

    /// Counts again what all members have taken: another process may have handed something out.
    pub(crate) async fn count_anew(&self) -> Result<(), StoreError> {
        self.totals.count_anew().await
    }

    /// Gives a member a reward for points, once per `id`. Where several processes share the book, call
    /// [`Engine::redeem`].
    ///
    /// [`Engine::redeem`]: crate::Engine::redeem
    ///
    /// # Errors
    /// [`StoreError`]; ask again with the same id. Inside, [`NotTaken`].
    pub async fn redeem(
        &self,
        member: &MemberId,
        id: &str,
        reward: &str,
    ) -> Result<Result<Outcome, NotTaken>, StoreError> {
        // One at a time, so that the last one is had once.
        let _one_at_a_time = self.totals.rewards.lock().await;
        let taken = self.totals.rewards_taken(reward).await?;
        let (id, reward) = (Source(id.to_owned()), reward.to_owned());
        let event = Event::Redeem { id, reward, taken };
        self.take(Ask { who: Who::Named(member.clone()), event, at: self.clock.now() }).await
    }
}
