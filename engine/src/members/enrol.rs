//! Enrol: a member comes to the book, perhaps by another one's referral code.

use super::book::Book;
use super::decide::Deciding;
use super::feed::SOMEBODY;
use crate::store::{Bucket, Found, FoundMember, StoreError, Wanted, Who};
use membership::MemberId;
use membership::event::{Event, MemberNumber, Stage};
use membership::referral_code::ReferralCode;

/// A member is in the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enrolled {
    /// Their number.
    pub number: MemberNumber,
    /// They came just now.
    pub is_new: bool,
}

/// Why a member is not enrolled. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotEnrolled {
    /// They are there already, and came by another code or by none.
    #[error("the member was enrolled before, with another referral code or with none")]
    OtherCode,
    /// Nobody has this code.
    #[error("nobody has this referral code")]
    UnknownCode,
    /// The store cannot be asked.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Book {
    /// Enrols a member. A repeated call with the same code finds them enrolled.
    ///
    /// # Errors
    /// [`NotEnrolled`]
    pub async fn enrol(
        &self,
        member: &MemberId,
        code: Option<ReferralCode>,
    ) -> Result<Enrolled, NotEnrolled> {
        let referrer = code.map(ReferralCode::member);
        if let Some(referrer) = referrer
            && self.account(Who::Numbered(referrer)).await?.is_none()
        {
            return Err(NotEnrolled::UnknownCode);
        }
        if self.totals.members().await? == 0 {
            self.store.take_in(SOMEBODY, 1).await?;
        }
        let (bucket, at) = (Bucket::of(member.as_str()), self.clock.now());
        let wanted = [Wanted { who: Who::Named(member.clone()), keys: Vec::new() }];
        let enrol = |deciding: &mut Deciding<'_>, found: Found| match found
            .members
            .into_iter()
            .next()
            .flatten()
        {
            None => {
                let number = deciding.enrol(member, referrer, at);
                Ok(Enrolled { number, is_new: true })
            }
            Some(FoundMember { index, account, .. }) => {
                let came_by = account.referral.as_ref().map(|referral| referral.referrer);
                match came_by == referrer {
                    true => Ok(Enrolled { number: bucket.number(index), is_new: false }),
                    false => Err(NotEnrolled::OtherCode),
                }
            }
        };
        let enrolled = self.decide_in(bucket, &wanted, enrol).await??;
        // By then nobody else can have the number. A caller that hears nothing asks again, and so does this.
        if let Some(referrer) = referrer {
            let registered = Event::Referral { referee: enrolled.number, stage: Stage::Registered };
            self.tell_others(&[(referrer, registered, at)]).await?;
        }
        Ok(enrolled)
    }
}
