//! Upgrade: takes sales of an older layout over, one by one, while no process sells them.
//!
//! The new rows are written under names of their own. One function call then puts them in place of the
//! old ones, if the sale has not changed since it was read; until then the older version may go on with
//! it.

use super::format::FORMAT;
use super::keys::{self, SaleKeys};
use super::reading::PAGE;
use super::store::RedisStore;
use super::{format, library, rows};
use crate::rules::money::Money;
use crate::rules::order::Status;
use crate::rules::terms::{SaleId, Terms};
use crate::rules::units::Units;
use crate::store::StoreError;
use membership::MemberId;
use std::collections::HashMap;

/// A sale that was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    /// Which sale.
    pub sale: SaleId,
    /// Its stored orders.
    pub orders: u64,
}

/// An order as the older layout has it: "epoch member tier units status settled_at changed_at before
/// reserved_at key".
struct OldOrder<'a> {
    words: [&'a str; 10],
}

impl<'a> OldOrder<'a> {
    fn read(number: u64, text: &'a str) -> Result<Self, StoreError> {
        let words: Vec<&str> = text.split(' ').collect();
        let words = words.try_into();
        let words = words.map_err(|_| rows::unreadable(&format!("order {number}"), text))?;
        Ok(Self { words })
    }

    fn member(&self) -> &'a str {
        self.words[1]
    }

    /// The order in the newer layout.
    fn upgraded(&self, number: u64, holder: u32, terms: &Terms) -> Result<String, StoreError> {
        let [epoch, _, tier, units, status, settled_at, changed_at, before, reserved_at, key] =
            self.words;
        let what = format!("order {number}");
        let settled = crate::rules::time::Millis(rows::word(&what, settled_at)?);
        let pay_by = match rows::status(status) {
            Some(Status::Released) => settled,
            Some(_) => terms.pay_by(settled),
            None => return Err(rows::unreadable(&what, status)),
        };
        let Money { price, kind, due, .. } =
            Money::list(terms.price, Units(rows::word(&what, units)?));
        let (pay_by, kind) = (pay_by.0, kind.as_str());
        Ok(format!(
            "{epoch} {holder} {tier} {units} {status} {settled_at} {changed_at} {before} {pay_by} {due} \
             - {reserved_at} {key} {price} {kind} 0 -"
        ))
    }
}

impl RedisStore {
    /// Takes every sale of the older layout over. Returns those that it took over; a repeated call finds
    /// the others.
    ///
    /// # Errors
    /// [`StoreError`]; the sale that it concerns is as it was, or, if it does not add up afterwards, has its
    /// old rows under `:orders:before` and `:holders:before`.
    pub async fn upgrade(&self) -> Result<Vec<Upgraded>, StoreError> {
        let mut all = Vec::new();
        for sale in self.named().await? {
            let mut read = redis::cmd("HGETALL");
            let row: HashMap<String, String> =
                self.link.ask(read.arg(SaleKeys::of(&sale).sale)).await?;
            match row.get("format").map(String::as_str) {
                _ if row.is_empty() => {}
                Some(FORMAT) => {}
                Some(other) => format::check(&sale, other)?,
                None => all.push(self.upgrade_sale(&sale, &row).await?),
            }
        }
        Ok(all)
    }

    async fn upgrade_sale(
        &self,
        sale: &SaleId,
        row: &HashMap<String, String>,
    ) -> Result<Upgraded, StoreError> {
        tracing::info!(%sale, "taking over");
        let text = |field: &str| row.get(field).map_or("", String::as_str);
        let terms = rows::terms(sale, text("terms"))?;
        let next: u64 = rows::word(&format!("next of {sale}"), text("next"))?;
        let new = SaleKeys::tagged(sale.as_str()).upgrading();
        self.link.ask::<()>(redis::cmd("UNLINK").arg(&new)).await?;
        let mut holders = self.old_holders(sale).await?;
        let orders = self.upgrade_orders(sale, &terms, next, &mut holders, &new[0]).await?;
        self.upgrade_holders(sale, &holders, &new).await?;
        let number: u32 = self.link.ask(redis::cmd("INCR").arg(keys::SALE_NUMBER)).await?;
        let mut call = library::upgrade_call(&SaleKeys::of(sale), &new);
        call.arg(text("epoch")).arg(text("seq")).arg(text("turns"));
        call.arg(number).arg(orders).arg(holders.len());
        self.call(sale, &call).await?;
        match self.audit_sale(sale).await? {
            Some(audit) if audit.differences.is_empty() => {
                let keys = SaleKeys::of(sale);
                let before = [keys.orders, keys.holders].map(|key| format!("{key}:before"));
                self.link.ask::<()>(redis::cmd("UNLINK").arg(&before)).await?;
                Ok(Upgraded { sale: sale.clone(), orders })
            }
            audit => {
                let why = audit.and_then(|audit| audit.differences.into_iter().next());
                Err(StoreError::Damaged(format!("{sale}: {}", why.unwrap_or_default())))
            }
        }
    }

    /// The holders of the older layout, "units limit newest" by name, each with a number and the count
    /// of orders, which is still to be made.
    async fn old_holders(
        &self,
        sale: &SaleId,
    ) -> Result<HashMap<String, (u32, String, u64)>, StoreError> {
        let (mut holders, mut cursor) = (HashMap::new(), "0".to_owned());
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(SaleKeys::of(sale).holders).arg(&cursor).arg("COUNT").arg(PAGE);
            let (next, page): (String, Vec<(String, String)>) = self.link.ask(&scan).await?;
            for (member, text) in page {
                let number = u32::try_from(holders.len()).expect("fewer than 2^32 holders");
                // A scan may return a member twice.
                holders.entry(member).or_insert((number, text, 0));
            }
            if next == "0" {
                return Ok(holders);
            }
            cursor = next;
        }
    }

    /// Writes the orders in the newer layout to the key `to`; returns how many they are.
    async fn upgrade_orders(
        &self,
        sale: &SaleId,
        terms: &Terms,
        next: u64,
        holders: &mut HashMap<String, (u32, String, u64)>,
        to: &str,
    ) -> Result<u64, StoreError> {
        let numbers: Vec<u64> = (1..next).collect();
        let mut orders = 0;
        for page in numbers.chunks(PAGE) {
            let mut read = redis::cmd("HMGET");
            read.arg(SaleKeys::of(sale).orders).arg(page);
            let texts: Vec<Option<String>> = self.link.ask(&read).await?;
            let mut write = redis::cmd("HSET");
            write.arg(to);
            let before = orders;
            for (number, text) in page.iter().zip(&texts) {
                let Some(text) = text else { continue };
                let old = OldOrder::read(*number, text)?;
                let gone = || rows::unreadable(&format!("the holder of order {number}"), text);
                let (holder, _, made) = holders.get_mut(old.member()).ok_or_else(gone)?;
                *made += 1;
                write.arg(number).arg(old.upgraded(*number, *holder, terms)?);
                orders += 1;
            }
            if orders > before {
                self.link.ask::<()>(&write).await?;
            }
        }
        Ok(orders)
    }

    async fn upgrade_holders(
        &self,
        sale: &SaleId,
        holders: &HashMap<String, (u32, String, u64)>,
        new: &[String; 3],
    ) -> Result<(), StoreError> {
        let all: Vec<_> = holders.iter().collect();
        for page in all.chunks(PAGE) {
            let (mut by_number, mut by_name) = (redis::cmd("HSET"), redis::cmd("HSET"));
            by_number.arg(&new[1]);
            by_name.arg(&new[2]);
            for (name, (number, text, made)) in page {
                let member: MemberId = rows::word("a member", name)?;
                by_number.arg(number).arg(format!("{name} {text} {made}"));
                by_name.arg(rows::digest(sale, &member)).arg(number);
            }
            self.link.ask::<()>(&by_number).await?;
            self.link.ask::<()>(&by_name).await?;
        }
        Ok(())
    }
}
