//! The store in Redis: its connection, what it has seen of each sale, and what an answer means.

use super::keys::SaleKeys;
use super::link::Link;
use super::options::RedisOptions;
use super::{check, format, library, rows};
use crate::rules::terms::SaleId;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::store::StoreError;
use parking_lot::Mutex;
use redis::Cmd;
use std::collections::HashMap;
use std::time::Duration;

/// Sales in Redis, which other processes may share.
#[derive(Debug)]
pub struct RedisStore {
    pub(super) link: Link,
    pub(super) seen: Mutex<HashMap<SaleId, Seen>>,
    /// The name under which this process opens a sale, kept until the sale is known to be open: a
    /// repeated call names the same opener.
    pub(super) openers: Mutex<HashMap<SaleId, String>>,
    pub(super) outbox_keep: Duration,
    /// When each sale's outbox was last trimmed.
    pub(super) trimmed_at: Mutex<HashMap<SaleId, Millis>>,
}

/// How far a sale has come, as Redis has told. When Redis later tells of less, part of its history
/// is lost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Changes of orders.
    pub(super) seq: u64,
    /// Switches, top-ups and changes of the waitlist.
    pub(super) turns: u64,
}

/// Why a turn was not made: the sale has come further than its caller had seen.
const STALE: &str = "something else was turned in between";

impl RedisStore {
    /// Connects, looks at what must be right before anything is sold, and loads the functions.
    /// Returns what should be right and is not, a sentence each.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] with what to do about it.
    pub async fn connect(options: &RedisOptions) -> Result<(Self, Vec<String>), StoreError> {
        let link = Link::find(options).await.map_err(check::explained)?;
        let warnings = check::all(&link, options).await?;
        let store = Self {
            link,
            seen: Mutex::default(),
            openers: Mutex::default(),
            outbox_keep: options.outbox_keep,
            trimmed_at: Mutex::default(),
        };
        Ok((store, warnings))
    }

    pub(super) fn seen(&self, sale: &SaleId) -> Seen {
        self.seen.lock().get(sale).copied().unwrap_or_default()
    }

    fn has_come_to(&self, sale: &SaleId, seq: &str, turns: &str) -> Result<(), StoreError> {
        let (seq, turns) = (rows::word("a count", seq)?, rows::word("a count", turns)?);
        let mut seen = self.seen.lock();
        let seen = seen.entry(sale.clone()).or_default();
        *seen = Seen { seq: seen.seq.max(seq), turns: seen.turns.max(turns) };
        Ok(())
    }

    /// Makes one function call. Returns the words that follow `OK` and the two numbers of how far
    /// the sale has come.
    pub(super) async fn call(&self, sale: &SaleId, call: &Cmd) -> Result<Vec<String>, StoreError> {
        let answer: Vec<String> = self.link.ask(call).await?;
        crate::fault::crash_point("answered");
        let mut words = answer.into_iter();
        let (kind, next) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match kind.as_str() {
            "OK" => {
                self.has_come_to(sale, &next, &words.next().unwrap_or_default())?;
                Ok(words.collect())
            }
            "STALE" => {
                self.has_come_to(sale, &next, &words.next().unwrap_or_default())?;
                Err(StoreError::Refused(STALE.into()))
            }
            "DENIED" => Err(StoreError::Refused(format!("NOPERM: {next} was withdrawn"))),
            "EXISTS" => Err(StoreError::SaleExists),
            "UNKNOWN_SALE" => Err(StoreError::UnknownSale),
            "MOVED_ON" => Err(StoreError::Refused(
                "another process goes on with this sale; stop it, then ask again".into(),
            )),
            "FORMAT" => {
                format::check(sale, &next)?;
                Err(rows::unreadable("the format", &next))
            }
            "TAKEN" => Err(StoreError::Refused(format!("{next} is another holder of {sale}"))),
            "FENCED" => Err(StoreError::Fenced),
            "OTHER_OWNER" => Err(StoreError::OtherOwner),
            "LOST" => Err(StoreError::HistoryLost(format!(
                "its outbox ends at {next} and had been told to end at {}, or a switch, a top-up or a \
                 wait is gone; resume the sale to put back what this process knows",
                self.seen(sale).seq
            ))),
            "SHORT" => Err(StoreError::TooLittleStock(Units(rows::word("units left", &next)?))),
            "CONFLICT" => Err(StoreError::TopUpConflict(Units(rows::word("a top-up", &next)?))),
            "TOO_MUCH" => Err(StoreError::TooMuchStock(Units(rows::word("the stock", &next)?))),
            _ => Err(StoreError::Damaged(next)),
        }
    }

    /// Makes a function call that counts as a turn. It is made once more if there was another turn in
    /// between, perhaps this very call, whose answer was lost before.
    pub(super) async fn turn(
        &self,
        sale: &SaleId,
        call: impl Fn() -> Cmd,
    ) -> Result<Vec<String>, StoreError> {
        match self.call(sale, &call()).await {
            Err(StoreError::Refused(why)) if why == STALE => self.call(sale, &call()).await,
            answer => answer,
        }
    }

    /// A call of the process that sells this sale. Its first arguments are the epoch and what the
    /// process has seen.
    pub(super) fn sellers_call(&self, function: &str, sale: &SaleId, epoch: u64) -> Cmd {
        let mut call = library::call(function, &SaleKeys::of(sale));
        let seen = self.seen(sale);
        call.arg(epoch).arg(seen.seq).arg(seen.turns);
        call
    }
}
