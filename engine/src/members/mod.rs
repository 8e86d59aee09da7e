//! The members' book as this process keeps it: events are taken by the rules of `membership/`, what they
//! post goes to the store, and orders reach it through the outbox.

mod ask;
mod audit;
mod book;
mod decide;
mod dry_run;
mod enrol;
mod feed;
mod hold;
mod pages;
mod plans;
mod redeem;
mod report;
mod seated;
mod sweep;
mod tiers;
mod totals;

pub use ask::{Ask, NotTaken};
pub use audit::{BookAudit, audit};
pub use book::Book;
pub use dry_run::DryRun;
pub use enrol::{Enrolled, NotEnrolled};
pub use hold::HoldAsk;
pub use plans::{CurrentPlan, NotPlan, Plans};
pub use report::Liability;
pub use tiers::{Changed, Hears};
