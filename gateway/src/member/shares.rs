//! Shares: how often the streams of each sale are told what has changed. Pure.
//!
//! All streams together take a bounded part of the processor time that clicks need. The budget is shared
//! among the sales so that none gets less because another one has more streams than its share pays for.

use std::time::Duration;

/// The most events a second on one stream.
const STREAM_EVENTS_PER_S: u64 = 10;
/// Events a second on all streams together, beyond what the floor asks for.
const EVENTS_PER_S: u64 = 2_000;
/// Up to this many streams, each is told once a second at least. What the clicks beside so many streams
/// lose is measured by the `crowd` bench (docs/measured.md).
const FLOOR_STREAMS: u64 = 10_000;

/// How the budget is shared at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    /// Most events a second that the streams of one sale get together.
    level: u64,
    /// Streams of all sales.
    streams: u64,
}

impl Shares {
    /// Shares the budget among the sales that have something to tell, by their numbers of streams: a sale
    /// that wants less than an equal part leaves the rest to the others. `streams` counts those of all
    /// sales.
    pub(super) fn of(busy: impl Iterator<Item = u64>, streams: u64) -> Self {
        let mut sales: Vec<u64> = busy.collect();
        sales.sort_unstable();
        let (mut rest, mut level) = (EVENTS_PER_S, u64::MAX);
        for (sharers, streams) in (1..=sales.len() as u64).rev().zip(&sales) {
            let wanted = streams * STREAM_EVENTS_PER_S;
            if wanted * sharers > rest {
                level = rest / sharers;
                break;
            }
            rest -= wanted;
        }
        Self { level, streams }
    }

    /// How long the task of a sale with so many streams waits between two events.
    pub(super) fn pause(self, streams: u64) -> Duration {
        let streams = streams.max(1);
        let share = self.level.min(streams * STREAM_EVENTS_PER_S);
        // A slow sale has fewer events than its streams: the floor lifts it, as far as there is room.
        let floor = streams * FLOOR_STREAMS / self.streams.max(FLOOR_STREAMS);
        let events_per_s = share.max(floor).max(1);
        Duration::from_millis((streams * 1_000).div_ceil(events_per_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses_ms<const N: usize>(streams: [u64; N]) -> [u128; N] {
        let shares = Shares::of(streams.into_iter(), streams.iter().sum());
        streams.map(|streams| shares.pause(streams).as_millis())
    }

    #[test]
    fn few_streams_are_told_ten_times_a_second() {
        assert_eq!(pauses_ms([0, 1, 200]), [100, 100, 101]);
        assert_eq!(pauses_ms([1, 199]), [100, 100]);
    }

    #[test]
    fn a_large_sale_does_not_slow_a_small_one() {
        assert_eq!(pauses_ms([1, 50, 5_000]), [100, 100, 1_000]);
        assert_eq!(pauses_ms([50, 9_000, 600]), [100, 1_000, 800]);
    }

    #[test]
    fn sales_that_have_nothing_to_tell_take_nothing_from_those_that_have() {
        let shares = Shares::of([50].into_iter(), 450);
        assert_eq!(shares.pause(50).as_millis(), 100);
    }

    #[test]
    fn sales_that_want_more_than_there_is_share_it_alike() {
        let [a, b] = pauses_ms([400, 400]);
        assert_eq!((a, b), (400, 400));
        let [small, large] = pauses_ms([300, 900]);
        assert_eq!((small, large), (300, 900), "each has half of the events");
    }

    #[test]
    fn each_stream_is_told_once_a_second_below_the_measured_number() {
        for streams in [[FLOOR_STREAMS, 0, 0], [5_000, 4_000, 1_000], [9_998, 1, 1]] {
            assert!(pauses_ms(streams).iter().all(|pause| *pause <= 1_000), "{streams:?}");
        }
        assert_eq!(pauses_ms([2 * FLOOR_STREAMS]), [2_000], "beyond it, all slow down alike");
    }

    #[test]
    fn all_streams_together_stay_within_the_budget() {
        for streams in [[1, 2, 3], [10, 500, 4_000], [7, 7_000, 70_000], [300, 300, 300]] {
            let shares = Shares::of(streams.into_iter(), streams.iter().sum());
            let events: f64 =
                streams.iter().map(|n| *n as f64 / shares.pause(*n).as_secs_f64()).sum();
            assert!(events <= (EVENTS_PER_S + FLOOR_STREAMS) as f64, "{streams:?}: {events}");
        }
    }
}
