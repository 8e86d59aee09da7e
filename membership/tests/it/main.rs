//! The members' rules, by what they promise.

mod benefits;
mod earning;
mod keeper;
mod opening;
mod points;
mod property;
mod referrals;
mod replay;
mod tiers;
