//! The function calls of the process that sells a sale: what is sent, and what the answers mean.

use super::rows;
use super::store::RedisStore;
use crate::rules::terms::SaleId;
use crate::store::{Batch, Change, Changed, Changes, Record, ReservedOrder, StoreError, Verdict};
use redis::Cmd;

/// Orders per function call. A call that has begun to write cannot be interrupted, so it is kept
/// short.
pub(super) const CALL_ORDERS: usize = 128;
/// Calls that are on their way at once: Redis writes calls that it finds waiting together to disk
/// together.
pub(super) const CALLS_IN_FLIGHT: usize = 4;
impl RedisStore {
    /// The bytes of the calls that commit this batch, for a bench that measures how fast Redis is
    /// without this store.
    #[must_use]
    pub fn commit_bytes(&self, batch: &Batch) -> Vec<u8> {
        let calls = batch.orders.chunks(CALL_ORDERS);
        calls.flat_map(|orders| self.commit_call(batch, orders).get_packed_command()).collect()
    }

    pub(super) fn commit_call(&self, batch: &Batch, orders: &[ReservedOrder]) -> Cmd {
        let mut call = self.sellers_call("commit", &batch.sale, batch.epoch);
        call.arg(batch.at.0).arg(batch.pay_by.0);
        for order in orders {
            let rest = rows::rest(order.reserved_at, order.key, &order.money);
            call.arg(order.number).arg(order.member.as_str());
            call.arg(rows::digest(&batch.sale, &order.member)).arg(order.tier.as_str());
            call.arg(order.units.0).arg(u8::from(order.is_offer)).arg(order.money.due.0).arg(rest);
            call.arg(rows::after(&[], order.refused));
        }
        call
    }

    pub(super) async fn commit_part(
        &self,
        batch: &Batch,
        orders: &[ReservedOrder],
    ) -> Result<Vec<Verdict>, StoreError> {
        let call = self.commit_call(batch, orders);
        let words = self.call(&batch.sale, &call).await?;
        let verdicts: Vec<Verdict> =
            words.iter().map(|word| rows::verdict(word)).collect::<Result<_, _>>()?;
        match verdicts.len() == orders.len() {
            true => Ok(verdicts),
            false => Err(rows::unreadable("the number of verdicts", &verdicts.len().to_string())),
        }
    }

    fn change_call(&self, changes: &Changes, part: &[Change]) -> Cmd {
        let mut call = self.sellers_call("change", &changes.sale, changes.epoch);
        call.arg(changes.at.0);
        for change in part {
            match change {
                Change::Order { step, epoch, number } => {
                    call.arg(step.as_str()).arg(*epoch).arg(*number).arg("-")
                }
                Change::Refund { epoch, number, refund } => {
                    call.arg("refund").arg(*epoch).arg(*number).arg(rows::refund(refund))
                }
                Change::Join(wish) => {
                    call.arg("join").arg(wish.member.as_str()).arg(rows::wish(wish)).arg("-")
                }
                Change::Leave(member) => call.arg("leave").arg(member.as_str()).arg("-").arg("-"),
                Change::Dissolve => call.arg("dissolve").arg("-").arg("-").arg("-"),
            };
        }
        call
    }

    pub(super) async fn change_part(
        &self,
        changes: &Changes,
        part: &[Change],
    ) -> Result<Vec<Changed>, StoreError> {
        let answers = self.turn(&changes.sale, || self.change_call(changes, part)).await?;
        part.iter().zip(&answers).map(|(change, answer)| rows::changed(change, answer)).collect()
    }

    pub(super) fn restore_call(&self, sale: &SaleId, epoch: u64, part: &[Record]) -> Cmd {
        let mut call = self.sellers_call("restore", sale, epoch);
        for record in part {
            let rest = rows::rest(record.reserved_at, record.key, &record.money);
            call.arg(record.number).arg(record.member.as_str());
            call.arg(rows::digest(sale, &record.member)).arg(record.tier.as_str());
            call.arg(record.units.0).arg(record.money.due.0).arg(rest).arg(record.epoch);
            call.arg(record.status.as_str()).arg(record.settled_at.0).arg(record.changed_at.0);
            call.arg(record.pay_by.0).arg(rows::after(&record.refunds, record.why));
        }
        call
    }
}
