//! The function calls of a sale's holder: what is sent, and what each part of the answer means.

use super::{RedisStore, rows};
use crate::rules::terms::SaleId;
use crate::rules::time::Millis;
use crate::store::{Batch, Change, Changed, Changes, Placed, Record, StoreError, Verdict};
use redis::Cmd;

impl RedisStore {
    pub(super) fn commit_call(&self, batch: &Batch, orders: &[Placed]) -> Cmd {
        let mut call = self.held("commit", &batch.sale, batch.epoch);
        call.arg(batch.at.0);
        for placed in orders {
            let rest = rows::rest(placed.reserved_at, placed.key);
            call.arg(placed.number).arg(placed.member.as_str()).arg(placed.tier.as_str());
            call.arg(placed.units.0).arg(u8::from(placed.is_offer)).arg(rest);
        }
        call
    }

    pub(super) async fn commit_part(
        &self,
        batch: &Batch,
        orders: &[Placed],
    ) -> Result<Vec<Verdict>, StoreError> {
        let call = self.commit_call(batch, orders);
        let verdict = |word: &String| {
            if word == "fenced" {
                return Ok(Verdict::Fenced);
            }
            let stored = word.split_once(' ').and_then(|(status, at)| {
                Some(Verdict::Stored(rows::status(status)?, Millis(at.parse().ok()?)))
            });
            stored.ok_or_else(|| rows::unreadable("a verdict", word))
        };
        self.call(&batch.sale, &call).await?.iter().map(verdict).collect()
    }

    pub(super) async fn change_part(
        &self,
        changes: &Changes,
        part: &[Change],
    ) -> Result<Vec<Changed>, StoreError> {
        let mut call = self.held("change", &changes.sale, changes.epoch);
        call.arg(changes.at.0);
        for change in part {
            match change {
                Change::Order { step, epoch, number } => {
                    call.arg(step.as_str()).arg(*epoch).arg(*number).arg("-")
                }
                Change::Join(wish) => {
                    call.arg("join").arg(wish.member.as_str()).arg(rows::wish(wish)).arg("-")
                }
                Change::Leave(member) => call.arg("leave").arg(member.as_str()).arg("-").arg("-"),
            };
        }
        let answers = self.call(&changes.sale, &call).await?;
        part.iter().zip(&answers).map(|(change, answer)| rows::changed(change, answer)).collect()
    }

    pub(super) fn restore_call(&self, sale: &SaleId, epoch: u64, part: &[Record]) -> Cmd {
        let mut call = self.held("restore", sale, epoch);
        for record in part {
            let rest = rows::rest(record.reserved_at, record.key);
            call.arg(record.number).arg(record.member.as_str()).arg(record.tier.as_str());
            call.arg(record.units.0).arg(rest).arg(record.epoch);
            call.arg(record.status.as_str()).arg(record.settled_at.0).arg(record.changed_at.0);
        }
        call
    }
}
