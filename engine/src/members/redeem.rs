//! Redeem: points for a reward of which there may be few.

use super::ask::{Ask, NotTaken};
use super::book::Book;
use crate::store::{StoreError, Who};
use membership::MemberId;
use membership::event::{Event, Outcome};
use membership::posting::Source;

impl Book {
    /// Gives a member a reward for points, once per `id`.
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
