//! Time: an instant as it is kept and compared, and the calendar of the plan's days and months, which
//! is that of Asia/Shanghai: UTC+8, the whole year.

use jiff::civil::{Date, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::ops::Add;
use std::time::Duration;

/// An instant: milliseconds since 1970-01-01T00:00:00Z, below 2^48 (the year 10889).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Millis(pub u64);

impl Millis {
    /// The last instant that fits the words in which orders are kept.
    pub const MAX: Self = Self((1 << 48) - 1);

    /// The day in Shanghai.
    #[must_use]
    pub fn day(self) -> Date {
        self.in_shanghai().date()
    }

    /// Whether it is on a member day: every Wednesday in Shanghai.
    #[must_use]
    pub fn is_member_day(self) -> bool {
        self.day().weekday() == Weekday::Wednesday
    }

    /// The beginning of a day in Shanghai; the first instant of all for a day before 1970.
    #[must_use]
    pub fn start_of(day: Date) -> Self {
        let start = day.to_zoned(shanghai()).map(|start| start.timestamp().as_millisecond());
        Self(start.ok().and_then(|start| u64::try_from(start).ok()).unwrap_or(0))
    }

    /// As many months later, at the same time of day; on the last day of a month that has no such day.
    #[must_use]
    pub fn months_later(self, months: u16) -> Self {
        let later = self.in_shanghai().checked_add(Span::new().months(months));
        let later =
            later.ok().and_then(|later| u64::try_from(later.timestamp().as_millisecond()).ok());
        later.map_or(Self::MAX, |later| Self(later).min(Self::MAX))
    }

    /// As many months earlier, at the same time of day; the first instant of all for one before 1970.
    #[must_use]
    pub fn months_earlier(self, months: u16) -> Self {
        let earlier = self.in_shanghai().checked_sub(Span::new().months(months));
        let ms = earlier.ok().map(|earlier| earlier.timestamp().as_millisecond());
        Self(ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0))
    }

    /// As many months later, at the end of that day.
    #[must_use]
    pub fn end_of_day_later(self, months: u16) -> Self {
        self.months_later(months).day().tomorrow().map_or(Self::MAX, Self::start_of)
    }

    /// As many months later, at the end of that month.
    #[must_use]
    pub fn end_of_month_later(self, months: u16) -> Self {
        let last = self.months_later(months).day().last_of_month();
        last.tomorrow().map_or(Self::MAX, Self::start_of)
    }

    fn in_shanghai(self) -> jiff::Zoned {
        let ms = i64::try_from(self.0.min(Self::MAX.0)).unwrap_or(0);
        // The calendar ends in the year 9999, before this clock does.
        let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
        at.to_zoned(shanghai())
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Millis {
    type Output = Self;

    fn add(self, more: Duration) -> Self {
        let more_ms = u64::try_from(more.as_millis()).unwrap_or(Self::MAX.0);
        Self(self.0.saturating_add(more_ms).min(Self::MAX.0))
    }
}

/// The time of the plan's days: it has been UTC+8 without summer time since 1991.
fn shanghai() -> TimeZone {
    TimeZone::fixed(Offset::constant(8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_day_begins_at_four_in_the_afternoon_utc() {
        let start = Millis::start_of(date(2026, 11, 28));
        assert_eq!(start.0, 1_795_795_200_000);
        assert_eq!(start.day(), date(2026, 11, 28));
        assert_eq!(Millis(start.0 - 1).day(), date(2026, 11, 27));
        assert_eq!(Millis(start.0 + 24 * HOUR - 1).day(), date(2026, 11, 28));
    }

    #[test]
    fn a_member_day_is_a_wednesday_in_shanghai_to_the_millisecond() {
        let begins = Millis::start_of(date(2026, 7, 1)).0;
        let days = [begins - 1, begins, begins + 24 * HOUR - 1, begins + 24 * HOUR];
        let are = days.map(|at| Millis(at).is_member_day());
        assert_eq!(are, [false, true, true, false]);
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let noon = Millis(Millis::start_of(date(2024, 2, 29)).0 + 12 * HOUR);
        assert_eq!(
            noon.months_later(12),
            Millis(Millis::start_of(date(2025, 2, 28)).0 + 12 * HOUR)
        );
        assert_eq!(
            noon.months_earlier(12),
            Millis(Millis::start_of(date(2023, 2, 28)).0 + 12 * HOUR)
        );
        assert_eq!(Millis(HOUR).months_earlier(1), Millis(0));
        assert_eq!(noon.end_of_month_later(0), Millis::start_of(date(2024, 3, 1)));
        assert_eq!(noon.end_of_month_later(12), Millis::start_of(date(2025, 3, 1)));
    }

    #[test]
    fn the_last_instants_have_a_day_and_a_later_month_too() {
        assert_eq!(Millis::MAX.months_later(12), Millis::MAX);
        assert_eq!(Millis::MAX.end_of_month_later(12), Millis::MAX);
        assert!(Millis::MAX.day() > date(9999, 1, 1));
        assert_eq!(Millis(0).day(), date(1970, 1, 1));
    }
}
