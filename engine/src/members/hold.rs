//! Hold: points and coupons are kept for orders before these are committed.

use super::ask::Ask;
use super::book::Book;
use super::decide::Deciding;
use crate::rules::seat::Seat;
use crate::rules::time::Millis;
use crate::rules::why::Why;
use crate::sale::purse::Purses;
use crate::store::{Bucket, Found, PostingKey, StoreError, Wanted, Who};
use futures_util::stream::{self, StreamExt};
use membership::MemberId;
use membership::event::{Event, Refused, Tender};
use membership::posting::Source;
use std::collections::BTreeMap;

/// Buckets in which holds are made at once.
const AT_ONCE: usize = 512;

/// What is to be kept for an order.
#[derive(Debug, Clone)]
pub struct HoldAsk {
    /// The seat whose purse it was taken of.
    pub seat: Seat,
    /// The member.
    pub member: MemberId,
    /// The order.
    pub order: Source,
    /// What is to be kept, not nothing.
    pub tender: Tender,
    /// Then it goes back by itself.
    pub until: Millis,
}

impl Book {
    /// What members may spend, as far as they are here.
    #[must_use]
    pub fn purses(&self) -> &Purses {
        self.tiers.purses()
    }

    /// Keeps points and coupons for orders, each for its order or not at all; asked again it keeps nothing
    /// more. Returns an answer each, in the order of the asks, as far as there are answers: [`Why`] an order is
    /// to be released. With its answer, what an order took of its purse is settled: ask again only for those
    /// that have none.
    ///
    /// # Errors
    /// [`StoreError`] beside the answers that came all the same.
    pub async fn hold(
        &self,
        asks: Vec<HoldAsk>,
    ) -> (Vec<Option<Result<(), Why>>>, Result<(), StoreError>) {
        let mut answers = vec![None; asks.len()];
        let mut by_bucket = BTreeMap::<Bucket, (Vec<usize>, Vec<HoldAsk>)>::new();
        for (place, ask) in asks.into_iter().enumerate() {
            let bucket = Bucket::of(ask.member.as_str());
            let (places, asks) = by_bucket.entry(bucket).or_default();
            places.push(place);
            asks.push(ask);
        }
        let holding = by_bucket.into_iter().map(|(bucket, (places, asks))| async move {
            (places, self.hold_in(bucket, &asks).await)
        });
        let mut holding = stream::iter(holding).buffer_unordered(AT_ONCE);
        let mut outcome = Ok(());
        while let Some((places, said)) = holding.next().await {
            match said {
                Err(error) => outcome = Err(error),
                Ok(said) => {
                    for (place, answer) in places.into_iter().zip(said) {
                        answers[place] = Some(answer);
                    }
                }
            }
        }
        (answers, outcome)
    }

    async fn hold_in(
        &self,
        bucket: Bucket,
        holds: &[HoldAsk],
    ) -> Result<Vec<Result<(), Why>>, StoreError> {
        let at = self.clock.now();
        let ask = |hold: &HoldAsk| {
            let (order, with) = (hold.order.clone(), hold.tender.clone());
            let event = Event::Hold { order, with, until: hold.until };
            Ask { who: Who::Named(hold.member.clone()), event, at }
        };
        let asks: Vec<Ask> = holds.iter().map(ask).collect();
        let wanted = |ask: &Ask| Wanted {
            who: ask.who.clone(),
            keys: ask.event.keys().iter().map(PostingKey::from).collect(),
        };
        let wanted: Vec<_> = asks.iter().map(wanted).collect();
        let decide = |deciding: &mut Deciding<'_>, found: Found| {
            let taken = deciding.all(found, &asks);
            let answers = taken.into_iter().zip(holds).map(|(taken, hold)| match taken {
                Some(Ok(_)) => {
                    deciding.settled.push((hold.seat, hold.tender.clone()));
                    Ok(())
                }
                Some(Err(Refused::CouponNotValid)) => Err(Why::CouponNotValid),
                None if hold.tender.points == 0 => Err(Why::CouponNotValid),
                None | Some(Err(_)) => Err(Why::NotEnoughPoints),
            });
            answers.collect::<Vec<_>>()
        };
        self.decide_in(bucket, &wanted, decide).await
    }
}
