//! Lots: what an account has, by when it expires. Debits take what expires first.

use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// So much of an account, until an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// From this instant on it counts no more.
    pub expires_at: Millis,
    /// From 1.
    pub amount: u64,
}

/// What an account has. Lots with one instant of expiry are one lot, so there are no more lots than
/// instants at which something expires.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lots {
    /// By expiry, each instant once, none of them empty.
    lots: Vec<Lot>,
    /// What was taken back and was not there any more. Credits settle it first, so lots that count
    /// and a deficit are not there at once.
    deficit: u64,
}

/// An account has less than is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the account has {has}")]
pub struct TooLittle {
    /// What it has.
    pub has: u64,
}

impl Lots {
    /// What counts at `now`; negative when more was taken back than there was. What has expired does not
    /// count, whether or not that is posted yet.
    #[must_use]
    pub fn balance(&self, now: Millis) -> i64 {
        signed(self.counting(now)) - signed(self.deficit)
    }

    /// The lots, by expiry.
    pub fn iter(&self) -> impl Iterator<Item = Lot> {
        self.lots.iter().copied()
    }

    /// All that was posted and not yet taken away again: the sum of the account's postings.
    #[must_use]
    pub fn posted(&self) -> i64 {
        self.lots.iter().map(|lot| signed(lot.amount)).sum::<i64>() - signed(self.deficit)
    }

    /// Adds a lot, of which a deficit takes its part first.
    pub fn credit(&mut self, lot: Lot) {
        let settled = self.deficit.min(lot.amount);
        self.deficit -= settled;
        let amount = lot.amount - settled;
        if amount == 0 {
            return;
        }
        match self.lots.binary_search_by_key(&lot.expires_at, |lot| lot.expires_at) {
            Ok(at) => self.lots[at].amount = self.lots[at].amount.saturating_add(amount),
            Err(at) => self.lots.insert(at, Lot { amount, ..lot }),
        }
    }

    /// Takes an amount from what counts, the earliest expiry first; returns what was taken.
    ///
    /// # Errors
    /// [`TooLittle`]; nothing has changed.
    pub fn debit(&mut self, amount: u64, now: Millis) -> Result<Vec<Lot>, TooLittle> {
        let has = self.counting(now).saturating_sub(self.deficit);
        if amount > has {
            return Err(TooLittle { has });
        }
        Ok(self.take(amount, now))
    }

    /// Takes back an amount; what is not there any more becomes a deficit.
    pub fn claw_back(&mut self, amount: u64, now: Millis) {
        let there = self.counting(now).min(amount);
        self.take(there, now);
        self.deficit = self.deficit.saturating_add(amount - there);
    }

    /// Takes back an amount of the lot with this expiry, or what is left of it; returns what was taken.
    pub fn claw_back_from(&mut self, expires_at: Millis, amount: u64) -> u64 {
        let Ok(at) = self.lots.binary_search_by_key(&expires_at, |lot| lot.expires_at) else {
            return 0;
        };
        let taken = self.lots[at].amount.min(amount);
        self.lots[at].amount -= taken;
        if self.lots[at].amount == 0 {
            self.lots.remove(at);
        }
        taken
    }

    /// Takes away the lots that have expired, and returns them.
    pub fn expire(&mut self, now: Millis) -> Vec<Lot> {
        let gone = self.lots.partition_point(|lot| lot.expires_at <= now);
        self.lots.drain(..gone).collect()
    }

    fn counting(&self, now: Millis) -> u64 {
        let counts = |lot: &&Lot| lot.expires_at > now;
        self.lots.iter().filter(counts).map(|lot| lot.amount).sum()
    }

    /// Takes an amount that is there.
    fn take(&mut self, amount: u64, now: Millis) -> Vec<Lot> {
        let (mut taken, mut left) = (Vec::new(), amount);
        for lot in self.lots.iter_mut().filter(|lot| lot.expires_at > now) {
            let part = lot.amount.min(left);
            if part == 0 {
                break;
            }
            lot.amount -= part;
            left -= part;
            taken.push(Lot { amount: part, ..*lot });
        }
        self.lots.retain(|lot| lot.amount > 0);
        taken
    }
}

/// Amounts are far below 2^62: [`crate::posting::AMOUNT_MAX`].
fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lots(of: &[(u64, u64)]) -> Lots {
        let mut lots = Lots::default();
        for (expires_at, amount) in of {
            lots.credit(Lot { expires_at: Millis(*expires_at), amount: *amount });
        }
        lots
    }

    fn read(lots: &Lots) -> Vec<(u64, u64)> {
        lots.iter().map(|lot| (lot.expires_at.0, lot.amount)).collect()
    }

    #[test]
    fn debits_take_what_expires_first_whenever_it_came() {
        let mut lots = lots(&[(300, 5), (100, 2), (200, 3)]);
        let taken = lots.debit(4, Millis(0)).unwrap();
        assert_eq!(
            taken.iter().map(|lot| (lot.expires_at.0, lot.amount)).collect::<Vec<_>>(),
            [(100, 2), (200, 2)]
        );
        assert_eq!(read(&lots), [(200, 1), (300, 5)]);
    }

    #[test]
    fn what_has_expired_is_never_spent() {
        let mut lots = lots(&[(100, 2), (200, 3)]);
        assert_eq!(lots.balance(Millis(100)), 3);
        assert_eq!(lots.debit(4, Millis(100)), Err(TooLittle { has: 3 }));
        lots.debit(3, Millis(100)).unwrap();
        assert_eq!(read(&lots), [(100, 2)]);
        assert_eq!(lots.expire(Millis(100)).len(), 1);
        assert_eq!(lots, Lots::default());
    }

    #[test]
    fn later_credits_settle_a_deficit_first() {
        let mut lots = lots(&[(100, 2)]);
        lots.claw_back(5, Millis(0));
        assert_eq!((lots.balance(Millis(0)), lots.posted()), (-3, -3));
        assert_eq!(lots.debit(1, Millis(0)), Err(TooLittle { has: 0 }));
        lots.credit(Lot { expires_at: Millis(200), amount: 4 });
        assert_eq!((read(&lots), lots.balance(Millis(0))), (vec![(200, 1)], 1));
    }

    #[test]
    fn a_lot_is_taken_back_by_its_own_expiry() {
        let mut lots = lots(&[(100, 2), (200, 3)]);
        assert_eq!(lots.claw_back_from(Millis(200), 2), 2);
        assert_eq!(lots.claw_back_from(Millis(200), 2), 1);
        assert_eq!((lots.claw_back_from(Millis(150), 1), read(&lots)), (0, vec![(100, 2)]));
    }
}
