//! Book: the members' book in the journal. Postings go to the journal first; what has changed is folded
//! into the book's file.

use super::ask::Ask;
use super::store::Journal;
use crate::store::row_store::RowStore;
use crate::store::rows::Stored;
use crate::store::{
    BookStore, Bucket, BucketChange, Found, Made, NoticeEntry, PlanVersion, Wanted, index_of,
};
use async_trait::async_trait;
use membership::MemberId;
use membership::account::Membership;
use membership::event::MemberNumber;
use membership::posting::Posting;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

#[async_trait]
impl BookStore for RowStore<Journal> {
    async fn read_members(&self, bucket: Bucket, wanted: &[Wanted]) -> Stored<Found> {
        let (live, wanted) = (self.keeper.live()?, wanted.to_vec());
        self.keeper.wait(move || live.book.read(|layers| layers.read(bucket, &wanted))).await
    }

    async fn post(&self, change: &BucketChange) -> Stored<Made> {
        let (tell, told) = oneshot::channel();
        self.keeper.ask(Ask::Post(Box::new(change.clone()), tell));
        self.keeper.told(told).await
    }

    async fn postings(&self, who: MemberNumber, before: u64, most: usize) -> Stored<Vec<Posting>> {
        let Some(bucket) = Bucket::of_number(who) else { return Ok(Vec::new()) };
        let live = self.keeper.live()?;
        let read =
            move || live.book.read(|layers| layers.postings(bucket, index_of(who), before, most));
        self.keeper.wait(read).await
    }

    async fn accounts(
        &self,
        bucket: Bucket,
        from: u32,
        most: usize,
    ) -> Stored<Vec<(u32, Membership)>> {
        let live = self.keeper.live()?;
        self.keeper.wait(move || live.book.read(|layers| layers.accounts(bucket, from, most))).await
    }

    async fn notices(&self, bucket: Bucket, after: u64, most: usize) -> Stored<Vec<NoticeEntry>> {
        let live = self.keeper.live()?;
        self.keeper.wait(move || live.book.read(|layers| layers.notices(bucket, after, most))).await
    }

    async fn name(&self, who: MemberNumber) -> Stored<Option<MemberId>> {
        let Some(bucket) = Bucket::of_number(who) else { return Ok(None) };
        let live = self.keeper.live()?;
        self.keeper.wait(move || live.book.read(|layers| layers.name(bucket, index_of(who)))).await
    }

    async fn plans(&self) -> Stored<Vec<PlanVersion>> {
        Ok(self.keeper.live()?.book.plans())
    }

    async fn add_plan(&self, plan: &PlanVersion) -> Stored<()> {
        let (tell, told) = oneshot::channel();
        self.keeper.ask(Ask::Plan(plan.clone(), tell));
        self.keeper.told(told).await
    }

    async fn taken_in(&self) -> Stored<BTreeMap<u32, u64>> {
        Ok(self.keeper.live()?.book.taken_in())
    }

    async fn take_in(&self, sale: u32, seq: u64) -> Stored<()> {
        let (tell, told) = oneshot::channel();
        self.keeper.ask(Ask::TakeIn(sale, seq, tell));
        self.keeper.told(told).await
    }
}
