//! Scenarios in which Redis is spoilt from outside: its disk is full, a key is overwritten, or
//! another process commits what no click led to.

use super::patience::{patience, until};
use super::shop::{LARGE, Shop};
use super::site::Site;
use super::suite::{Outcome, Suite, Times};
use super::views::Allowed;
use crate::world::{Lamps, NOW, terms};
use anyhow::{Context, ensure};
use engine::rules::money::Money;
use engine::rules::order::Status::Confirmed;
use engine::rules::terms::SaleId;
use engine::rules::units::Units;
use engine::rules::why::Why;
use engine::store::{
    Batch, Record, RedisOptions, RedisStore, ReservedOrder, Store, StoreError, Verdict,
};
use membership::Tier;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// A folder on a disk of its own, which is as small as the scenario wants.
pub(super) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub(super) fn new(size: &str) -> anyhow::Result<Self> {
        let disk = Self(tempfile::tempdir()?);
        disk.mount(&format!("size={size}"))?;
        Ok(disk)
    }

    fn mount(&self, options: &str) -> anyhow::Result<()> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.0.path());
        let status = mount.status().context("mount")?;
        ensure!(status.success(), "a small disk needs the right to mount one; run this as root");
        Ok(())
    }

    pub(super) fn grow(&self, size: &str) -> anyhow::Result<()> {
        self.mount(&format!("remount,size={size}"))
    }

    /// Writes a file until there is no room left.
    pub(super) fn fill(&self) -> anyhow::Result<()> {
        let mut file = std::fs::File::create(self.path().join("filler"))?;
        loop {
            match file.write_all(&[0; 4_096]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0.path()).status().ok();
    }
}

pub(super) async fn disk_full(suite: Suite) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for _ in 0..suite.times(Times { short: 1, long: 3 }) {
        let disk = SmallDisk::new("32m")?;
        let path = disk.path().to_str().context("a folder's name")?;
        let mut site = Site::open(&suite.binary, &["--dir", path], &[]).await?;
        // A member whom the book was never asked about is not let in while it is away.
        site.until_orders(400).await?;
        // Clicks are accepted for as long as orders may wait, which a slow end of Redis may use up.
        let orders = || site.shop.as_ref().map_or(0, Shop::orders);
        let before = orders();
        disk.fill()?;
        until("Redis ends because its disk is full", || site.redis.has_ended()).await?;
        until("clicks are still answered", || orders() >= before + 20).await?;
        disk.grow("256m")?;
        site.redis.start_again();
        site.recovered().await?;
        outcome.times += 1;
        outcome.views.merge(site.close(Allowed::default()).await?);
        outcome.recovery = outcome.recovery.max(site.recovery);
    }
    Ok(outcome)
}

/// The sale stops and says why. When the key is gone, a restart goes on with what is stored.
pub(super) async fn wrong_type(suite: Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let times = suite.times(Times { short: 1, long: 5 });
    for _ in 0..times {
        let key = format!("flashlane:{{{LARGE}}}:top_ups");
        site.redis.must(&format!("SET {key} planted"));
        let start = Instant::now();
        while !site.process.trouble(LARGE).await?.is_some_and(|why| why.contains(&key)) {
            ensure!(start.elapsed() < patience(), "it does not name the key");
        }
        ensure!(site.process.ready().await?.is_err(), "a sale is stopped, and it says ready");
        site.redis.must(&format!("DEL {key}"));
        site.restart().await?;
        site.recovered().await?;
    }
    let allowed = Allowed { reserved_gone: true, ..Allowed::default() };
    let views = site.close(allowed).await?;
    Ok(Outcome { times, views, recovery: site.recovery })
}

/// A process that has forgotten everything commits what it likes, and the store has the last word.
pub(super) async fn impostor(suite: Suite) -> anyhow::Result<Outcome> {
    let mut site = Site::open(&suite.binary, &[], &[]).await?;
    let (store, _) = RedisStore::connect(&RedisOptions::new(site.redis.url())).await?;
    let store = Store::from(store);
    let sale: SaleId = "impostor".parse()?;
    store.opening.create(&terms(sale.as_str(), Lamps { stock: 4, limit: 2 })).await?;
    let stale = store.opening.open(&sale).await?.epoch;
    let commit = |epoch, orders: Vec<ReservedOrder>| {
        let batch =
            Batch { sale: sale.clone(), epoch, at: NOW, pay_by: NOW, orders: orders.into() };
        let store = &store;
        async move { store.selling.commit(&batch).await }
    };
    let stored = |status| Verdict::Stored(status, NOW);

    let greedy = vec![reserved(1, "ann", 2), reserved(2, "ann", 1), reserved(3, "bob", 1)];
    let released = |why| Verdict::Released(why, NOW);
    let verdicts = [stored(Confirmed), released(Why::LimitReached), stored(Confirmed)];
    for _ in 0..2 {
        let said = commit(stale, greedy.clone()).await?;
        ensure!(said == verdicts, "over the limit, and sent twice: {said:?}");
    }
    let said = commit(stale, vec![reserved(4, "cyd", 2), reserved(5, "dan", 1)]).await?;
    ensure!(said == [released(Why::SoldOut), stored(Confirmed)], "more than there is: {said:?}");
    let (epoch, put_back) = (store.opening.open(&sale).await?.epoch, record(6, "eve", 1));
    let said = commit(stale, vec![reserved(6, "eve", 1)]).await?;
    ensure!(said == [Verdict::Fenced], "after another process took over: {said:?}");
    let said = store.opening.restore(&sale, epoch, &[put_back]).await;
    ensure!(matches!(said, Err(StoreError::TooLittleStock(_))), "from nothing: {said:?}");
    for _ in 0..2 {
        ensure!(
            store.operating.top_up(&sale, epoch, "once", Units(1)).await? == Units(5),
            "topped up twice"
        );
    }
    let views = site.close(Allowed::default()).await?;
    Ok(Outcome { times: 1, views, recovery: site.recovery })
}

/// An order as a process hands it to the store.
pub(super) fn reserved(number: u64, member: &str, units: u32) -> ReservedOrder {
    ReservedOrder {
        number,
        member: member.parse().expect("a member id"),
        tier: Tier::Gold,
        units: Units(units),
        reserved_at: NOW,
        money: Money::list(terms("any", Lamps { stock: 1, limit: 1 }).price, Units(units)),
        key: None,
        is_offer: false,
        refused: None,
    }
}

fn record(number: u64, member: &str, units: u32) -> Record {
    let ReservedOrder { member, tier, units, reserved_at, money, key, .. } =
        reserved(number, member, units);
    Record {
        number,
        epoch: 1,
        member,
        tier,
        units,
        status: Confirmed,
        reserved_at,
        settled_at: NOW,
        changed_at: NOW,
        pay_by: NOW,
        money,
        refunds: Vec::new(),
        key,
        before: 0,
        why: None,
    }
}
