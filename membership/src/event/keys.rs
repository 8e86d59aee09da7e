//! Keys: the earlier postings that an event asks for.

use super::{Event, Tender};
use crate::posting::{Account, Key, Kind, Source};

impl Event {
    /// The keys of earlier postings that it has to know of.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        use Account::{Growth, Points};
        let of = |source: &Source, keys: &[(Account, Kind)]| {
            let key = |(account, kind): &(Account, Kind)| Key {
                account: *account,
                kind: *kind,
                source: source.clone(),
            };
            keys.iter().map(key).collect::<Vec<_>>()
        };
        match self {
            Self::Confirmed(order) | Self::Paid(order) => {
                with_holds(of(&order.id, &ORDER_KEYS), &order.id, &order.with)
            }
            Self::Ended { order, with } => with_holds(of(order, &ORDER_KEYS), order, with),
            Self::Refunded(refund) => {
                let own = of(&refund.source(), &[(Growth, Kind::Refund), (Points, Kind::Refund)]);
                let keys = of(&refund.order, &ORDER_KEYS).into_iter().chain(own).collect();
                with_holds(keys, &refund.order, &refund.with)
            }
            Self::Act { id, act } => of(id, &[(Growth, act.kind())]),
            Self::Referral { referee, .. } => of(&referee.source(), &REFERRAL_KEYS),
            Self::Hold { order, with, .. } => with_holds(Vec::new(), order, with),
            Self::Redeem { id, .. } => of(id, &[(Points, Kind::Redemption)]),
            Self::UseBenefit { id, .. } => of(id, &[(Growth, Kind::Benefit)]),
            Self::Adjust { id, account, .. } => of(id, &[(*account, Kind::Adjustment)]),
            Self::Enrolled { .. }
            | Self::Issue { .. }
            | Self::SetBirthday(_)
            | Self::ClaimGift
            | Self::SetTargeting(_)
            | Self::SeeBenefits
            | Self::Sweep => Vec::new(),
        }
    }
}

/// The keys of what was kept are asked for only where something was.
fn with_holds(mut keys: Vec<Key>, order: &Source, with: &Tender) -> Vec<Key> {
    let key = |kind, source: &Source| Key { account: Account::Held, kind, source: source.clone() };
    if !with.is_nothing() {
        keys.extend([Kind::Hold, Kind::Spent, Kind::GivenBack].map(|kind| key(kind, order)));
        keys.push(key(Kind::GivenBack, &order.returned()));
    }
    keys
}

const ORDER_KEYS: [(Account, Kind); 4] = [
    (Account::Pending, Kind::Order),
    (Account::Pending, Kind::OrderEnded),
    (Account::Growth, Kind::Order),
    (Account::Points, Kind::Order),
];
const REFERRAL_KEYS: [(Account, Kind); 5] = [
    (Account::Points, Kind::ReferralRegistration),
    (Account::Points, Kind::ReferralNotCounted),
    (Account::Points, Kind::ReferralFirstOrder),
    (Account::Points, Kind::ReferralSilver),
    (Account::Points, Kind::ReferralTakenBack),
];
