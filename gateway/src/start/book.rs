//! Book: what keeps the members' book up to date while this process serves: orders reach it through the
//! outbox, and what time ends is posted.

use engine::Engine;
use engine::store::{Bucket, StoreError};
use std::convert::Infallible;
use std::time::Duration;

/// Between two pieces of what became of orders: a drop's clicks come first.
const PIECES_EVERY: Duration = Duration::from_millis(5);
/// How often it is looked whether something became of an order.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// After a store that could not be asked.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Each bucket is swept once a day.
const DAY_MS: u64 = 86_400_000;

/// Feeds the book and sweeps it, for ever.
pub(super) async fn keep(engine: &Engine, outbox_keep: Duration) -> Infallible {
    let (mut swept, mut is_well) = (None, true);
    loop {
        let pause = match step(engine, &mut swept, outbox_keep).await {
            Ok(true) => PIECES_EVERY,
            Ok(false) => LOOK_EVERY,
            Err(error) => {
                if is_well {
                    tracing::warn!(%error, "the members' book does not follow for now");
                }
                TRY_AGAIN
            }
        };
        is_well = pause != TRY_AGAIN;
        tokio::time::sleep(pause).await;
    }
}

/// Takes in what became of orders, and sweeps the next bucket whose turn has come. Returns whether there may
/// be more to take in.
async fn step(
    engine: &Engine,
    swept: &mut Option<Bucket>,
    outbox_keep: Duration,
) -> Result<bool, StoreError> {
    let is_more = engine.feed_book().await?;
    let next = next(swept.map(|swept| swept.place()), turn(engine.now().0));
    if let Some(bucket) = next.and_then(|next| Bucket::all().nth(next.into())) {
        engine.book().sweep(bucket).await?;
        engine.book().trim(bucket, outbox_keep).await?;
        *swept = Some(bucket);
    }
    Ok(is_more)
}

/// Which bucket is to be swept: the one behind the last, until the one whose turn it is was swept.
fn next(swept: Option<u16>, due: u16) -> Option<u16> {
    match swept {
        None => Some(due),
        Some(swept) if swept == due => None,
        Some(swept) => Some((swept + 1) % Bucket::COUNT),
    }
}

/// Whose turn it is: by the clock, so that a process that restarts goes on where it was.
fn turn(now_ms: u64) -> u16 {
    let turn = now_ms % DAY_MS * u64::from(Bucket::COUNT) / DAY_MS;
    u16::try_from(turn).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_has_its_turn_in_a_day() {
        let turns: Vec<_> = (0..DAY_MS).step_by(40_000).map(turn).collect();
        assert!(turns.is_sorted_by(|a, b| *b <= a + 1 && a <= b));
        assert_eq!((turns.first(), turns.last()), (Some(&0), Some(&1_023)));
        assert_eq!(turn(DAY_MS), 0);
    }

    #[test]
    fn a_bucket_whose_turn_was_missed_is_swept_later() {
        let (mut swept, mut order) = (None, Vec::new());
        for due in [1_022, 1_022, 1, 1, 1, 1, 1] {
            if let Some(bucket) = next(swept, due) {
                swept = Some(bucket);
                order.push(bucket);
            }
        }
        assert_eq!(order, [1_022, 1_023, 0, 1]);
    }
}
