//! Every scenario there is, by name.

use super::suite::{Outcome, Suite};
use super::{archived, crashes, embedded, history, many, replies, spoils, versions, wire};
use futures_util::future::BoxFuture;

/// A function that makes one fault and returns what became of the orders.
pub type Run = fn(Suite) -> BoxFuture<'static, anyhow::Result<Outcome>>;

/// A scenario: its name on the command line, its name in the table, and the function that makes it.
pub type Scenario = (&'static str, &'static str, Run);

/// Every scenario there is.
pub const SCENARIOS: [Scenario; 45] = [
    ("points", "`kill -9` of flashlane at each named point", |s| Box::pin(crashes::points(s))),
    ("kills", "`kill -9` of flashlane at random", |s| Box::pin(crashes::kills(s))),
    ("redis-kills", "`kill -9` of Redis mid-batch", |s| Box::pin(crashes::redis_kills(s))),
    ("redis-stopped", "Redis stopped for 3 s", |s| Box::pin(crashes::redis_stopped(s))),
    ("stopped", "flashlane stopped for 4 s", |s| Box::pin(crashes::stopped(s))),
    ("rival", "another process takes over from one that was killed", |s| {
        Box::pin(crashes::rival(s))
    }),
    ("rival-idle", "another process takes over from one that stands still, without a click", |s| {
        Box::pin(crashes::rival_idle(s))
    }),
    ("replaced", "stopped, replaced, and let go on", |s| Box::pin(crashes::replaced(s))),
    ("away", "Redis away for longer than orders may wait", |s| Box::pin(crashes::away(s))),
    ("cut-requests", "cut after each byte of a commit", |s| Box::pin(wire::cut_requests(s))),
    ("cut-replies", "cut after each byte of its reply", |s| Box::pin(wire::cut_replies(s))),
    ("cut-changes", "cut while orders are paid and cancelled", |s| Box::pin(wire::cut_changes(s))),
    ("slow", "100 ms each way", |s| Box::pin(wire::slow(s))),
    ("sliced", "one byte a packet", |s| Box::pin(wire::sliced(s))),
    ("throttled", "64 bytes a millisecond", |s| Box::pin(wire::throttled(s))),
    ("swallowed", "everything swallowed for 3 s", |s| Box::pin(wire::swallowed(s))),
    ("refused", "every connection refused for 1 s", |s| Box::pin(wire::refused(s))),
    ("loading", "reply LOADING", |s| Box::pin(replies::loading(s))),
    ("readonly", "reply READONLY", |s| Box::pin(replies::readonly(s))),
    ("masterdown", "reply MASTERDOWN", |s| Box::pin(replies::masterdown(s))),
    ("noreplicas", "reply NOREPLICAS", |s| Box::pin(replies::noreplicas(s))),
    ("misconf", "reply MISCONF", |s| Box::pin(replies::misconf(s))),
    ("oom", "reply OOM", |s| Box::pin(replies::oom(s))),
    ("busy", "reply BUSY", |s| Box::pin(replies::busy(s))),
    ("noperm", "reply NOPERM: rights withdrawn", |s| Box::pin(replies::noperm(s))),
    ("withdrawn", "a right that only the functions use is withdrawn", |s| {
        Box::pin(replies::withdrawn(s))
    }),
    ("noscript", "reply NOSCRIPT", |s| Box::pin(replies::noscript(s))),
    ("flush", "reply Function not found: FUNCTION FLUSH", |s| Box::pin(replies::flush(s))),
    ("cluster", "replies CLUSTERDOWN, TRYAGAIN, ASK, MOVED: a slot moves", |s| {
        Box::pin(replies::cluster(s))
    }),
    ("disk-full", "the disk of Redis is full", |s| Box::pin(spoils::disk_full(s))),
    ("wrong-type", "a key of another type is planted", |s| Box::pin(spoils::wrong_type(s))),
    ("impostor", "commits that no click led to", |s| Box::pin(spoils::impostor(s))),
    ("history", "history lost: frozen replica, old backup, FLUSHALL", |s| {
        Box::pin(history::lost(s))
    }),
    (
        "parts",
        "Redis killed between two parts of a batch; a replica with and without the first",
        |s| Box::pin(history::parts(s)),
    ),
    ("archiving", "`kill -9` while a sale is archived", |s| Box::pin(archived::archiving(s))),
    ("many-owners", "many machines: the node that sells is killed, stands still, ends", |s| {
        Box::pin(many::owners(s))
    }),
    ("many-fronts", "many machines: a front is killed; all are started anew in turn", |s| {
        Box::pin(many::fronts(s))
    }),
    (
        "many-cut",
        "many machines: the node that sells is cut off from Redis, from the others",
        |s| Box::pin(many::cut_off(s)),
    ),
    (
        "many-primaries",
        "many machines: a primary is killed, stands still, is killed while its replica lags",
        |s| Box::pin(many::primaries(s)),
    ),
    ("versions", "two versions on one Redis, one after the other and at once", |s| {
        Box::pin(versions::together(s))
    }),
    ("own-points", "embedded: `kill -9` at each named point", |s| Box::pin(embedded::points(s))),
    ("own-kills", "embedded: `kill -9` at random", |s| Box::pin(embedded::kills(s))),
    ("own-stopped", "embedded: stopped for 4 s", |s| Box::pin(embedded::stopped(s))),
    ("own-full", "embedded: the disk is full", |s| Box::pin(embedded::disk_full(s))),
    ("own-second", "embedded: a second process on the folder", |s| Box::pin(embedded::second(s))),
];
