//! Members with tokens, in a mix of tiers.

use anyhow::{Context, ensure};
use gateway::{Algorithm, issue_token};
use hyper::header::HeaderValue;
use membership::Tier;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A member, and the header that proves who the member is.
#[derive(Debug, Clone)]
pub struct Clicker {
    /// The member's id.
    pub member: String,
    /// The member's tier.
    pub tier: Tier,
    /// `Bearer ...`
    pub authorization: HeaderValue,
    /// Whether the member has an account in the book, with points and a coupon to spend.
    pub is_enrolled: bool,
}

/// How many members of each tier take part.
pub type Members = BTreeMap<Tier, u64>;

/// Returns `count` members in a fixed random order. `mix` says how many of a hundred are in each
/// tier, lowest first, and `enrolled` how many have an account. The key in the server's data folder signs
/// their tokens.
///
/// # Errors
/// When the mix does not add up or the key cannot be read.
pub fn clickers(
    data: &Path,
    count: usize,
    mix: &[usize],
    enrolled: usize,
) -> anyhow::Result<(Arc<[Clicker]>, Members)> {
    let is_whole = mix.len() == 5 && mix.iter().sum::<usize>() == 100;
    ensure!(is_whole, "the mix of tiers is five numbers, regular first, that add up to 100");
    ensure!((1..=2_000_000).contains(&count), "1 to 2,000,000 members can take part");
    let path = data.join("token.key");
    let key = std::fs::read(&path).with_context(|| {
        format!("cannot read {}; name the server's data folder", path.display())
    })?;
    let ttl = Duration::from_secs(3_600);
    let mut clickers = Vec::with_capacity(count);
    let mut members = Members::new();
    for i in 0..count {
        let tier = tier_of(i % 100, mix).context("the mix covers every member")?;
        let member = format!("viewer-{i:06}").parse()?;
        let token = issue_token(Algorithm::Hs256, &key, None, None, &member, tier, ttl)?;
        let authorization = HeaderValue::try_from(format!("Bearer {token}"))?;
        *members.entry(tier).or_default() += 1;
        // Members of all tiers: the tiers come in blocks of a hundred.
        let is_enrolled = i * 37 % 100 < enrolled;
        clickers.push(Clicker { member: member.to_string(), tier, authorization, is_enrolled });
    }
    // The seed is fixed, so that the same members click in the same order in every run.
    fastrand::Rng::with_seed(1).shuffle(&mut clickers);
    Ok((clickers.into(), members))
}

fn tier_of(mut nth: usize, mix: &[usize]) -> Option<Tier> {
    mix.iter().zip(Tier::ALL).find_map(|(share, tier)| {
        let found = (nth < *share).then_some(tier);
        nth = nth.saturating_sub(*share);
        found
    })
}
