//! Birthday: a day by either calendar, and when its gift may be claimed.
//!
//! The lunar calendar is the Chinese one of GB/T 33661-2017, as the almanacs have it.

use crate::time::Millis;
use icu_calendar::cal::ChineseTraditional;
use icu_calendar::options::{DateFromFieldsOptions, Overflow};
use icu_calendar::types::{DateFields, Month};
use icu_calendar::{Date as LunarDate, Iso};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Which calendar a birthday is kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calendar {
    /// The Gregorian one.
    Solar,
    /// The Chinese one.
    Lunar,
}

/// A day of each year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birthday {
    calendar: Calendar,
    month: u8,
    day: u8,
    is_leap: bool,
}

/// A day that no year has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no year has this day; a solar month has 28 to 31 days, a lunar one 29 or 30, and only a lunar one is a leap month"
)]
pub struct NoSuchDay;

/// The gift that a member had last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gift {
    /// When it was claimed.
    pub at: Millis,
    /// By which birthday.
    pub by: Birthday,
}

/// Why a gift cannot be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoGift {
    /// It is not the month.
    #[error("the gift can be claimed in the month of the birthday")]
    NotYourMonth,
    /// This year's gift was claimed.
    #[error("the gift of this year was claimed")]
    AlreadyClaimed,
}

impl Birthday {
    /// A birthday by this calendar; 29 February is one.
    ///
    /// # Errors
    /// [`NoSuchDay`]
    pub fn new(calendar: Calendar, month: u8, day: u8, is_leap: bool) -> Result<Self, NoSuchDay> {
        let days = match (calendar, month) {
            (Calendar::Solar, _) if is_leap => 0,
            (Calendar::Solar, 2) => 29,
            (Calendar::Solar, 4 | 6 | 9 | 11) | (Calendar::Lunar, 1..=12) => 30,
            (Calendar::Solar, 1..=12) => 31,
            _ => 0,
        };
        if (1..=days).contains(&day) {
            Ok(Self { calendar, month, day, is_leap })
        } else {
            Err(NoSuchDay)
        }
    }

    /// Which calendar it is kept by.
    #[must_use]
    pub const fn calendar(self) -> Calendar {
        self.calendar
    }

    /// The month, 1 to 12, and whether it is the leap month behind the one of that number.
    #[must_use]
    pub const fn month(self) -> (u8, bool) {
        (self.month, self.is_leap)
    }

    /// The day of the month, from 1.
    #[must_use]
    pub const fn day(self) -> u8 {
        self.day
    }

    /// The day on which it falls in a year of its calendar. In a month that is too short it is the last
    /// day; in a year without the leap month it is in the plain one.
    #[must_use]
    pub fn date_in(self, year: i16) -> Option<Date> {
        match self.calendar {
            Calendar::Solar => {
                let first = Date::new(year, i8::try_from(self.month).ok()?, 1).ok()?;
                let day = i8::try_from(self.day).ok()?.min(first.days_in_month());
                first.with().day(day).build().ok()
            }
            Calendar::Lunar => {
                let date = self.lunar_date(year, self.day)?.to_calendar(Iso);
                let month = i8::try_from(date.month().ordinal).ok()?;
                let day = i8::try_from(date.day_of_month().0).ok()?;
                Date::new(i16::try_from(date.year().extended_year()).ok()?, month, day).ok()
            }
        }
    }

    fn lunar_date(self, year: i16, day: u8) -> Option<LunarDate<ChineseTraditional>> {
        let mut fields = DateFields::default();
        fields.extended_year = Some(year.into());
        let month = if self.is_leap { Month::leap(self.month) } else { Month::new(self.month) };
        fields.month = Some(month);
        fields.day = Some(day);
        let mut options = DateFromFieldsOptions::default();
        options.overflow = Some(Overflow::Constrain);
        LunarDate::try_from_fields(fields, options, ChineseTraditional::new()).ok()
    }

    /// Whether `day` lies in the birthday's month.
    #[must_use]
    pub fn is_month_of(self, day: Date) -> bool {
        match self.calendar {
            Calendar::Solar => u8::try_from(day.month()) == Ok(self.month),
            Calendar::Lunar => {
                let here =
                    lunar(day).map(|lunar| (lunar.year().extended_year(), lunar.month().ordinal));
                let year = here.and_then(|(year, _)| i16::try_from(year).ok());
                let own = year.and_then(|year| self.lunar_date(year, 1));
                own.is_some_and(|own| {
                    here == Some((own.year().extended_year(), own.month().ordinal))
                })
            }
        }
    }

    /// Lets a member claim the gift of a year: once a lunar year, by whichever calendar, once in one month,
    /// and for one who has changed the calendar once a solar year, too.
    ///
    /// # Errors
    /// [`NoGift`]
    pub fn claim(self, last: Option<Gift>, now: Millis) -> Result<Gift, NoGift> {
        let today = now.day();
        if !self.is_month_of(today) {
            return Err(NoGift::NotYourMonth);
        }
        let is_claimed = last.is_some_and(|last| {
            let before = last.at.day();
            let is_same_month =
                self.is_month_of(before) && before.duration_until(today).as_hours() < 24 * 32;
            let is_same_lunar_year = lunar_year(before) == lunar_year(today);
            let has_switched = last.by.calendar != self.calendar;
            is_same_lunar_year || is_same_month || (has_switched && before.year() == today.year())
        });
        if is_claimed { Err(NoGift::AlreadyClaimed) } else { Ok(Gift { at: now, by: self }) }
    }
}

fn lunar(day: Date) -> Option<LunarDate<ChineseTraditional>> {
    let (month, day_of_month) = (u8::try_from(day.month()).ok()?, u8::try_from(day.day()).ok()?);
    let iso = LunarDate::try_new_iso(day.year().into(), month, day_of_month).ok()?;
    Some(iso.to_calendar(ChineseTraditional::new()))
}

/// The lunar year that a day lies in, by the solar year in which most of it lies.
fn lunar_year(day: Date) -> Option<i32> {
    lunar(day).map(|lunar| lunar.year().extended_year())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn lunar_birthday(month: u8, day: u8) -> Birthday {
        Birthday::new(Calendar::Lunar, month, day, false).unwrap()
    }

    fn leap(month: u8, day: u8) -> Birthday {
        Birthday::new(Calendar::Lunar, month, day, true).unwrap()
    }

    fn solar(month: u8, day: u8) -> Birthday {
        Birthday::new(Calendar::Solar, month, day, false).unwrap()
    }

    fn on(year: i16, month: i8, day: i8) -> Millis {
        Millis(Millis::start_of(date(year, month, day)).0 + 3_600_000)
    }

    #[test]
    fn lunar_days_fall_where_the_almanac_has_them() {
        // New Year's Day, the Lantern Festival, the Mid-Autumn Festival, the last month.
        for (birthday, year, almanac) in [
            (lunar_birthday(1, 1), 2000, date(2000, 2, 5)),
            (lunar_birthday(1, 1), 2023, date(2023, 1, 22)),
            (lunar_birthday(1, 1), 2024, date(2024, 2, 10)),
            (lunar_birthday(1, 1), 2025, date(2025, 1, 29)),
            (lunar_birthday(1, 1), 2026, date(2026, 2, 17)),
            (lunar_birthday(1, 15), 2025, date(2025, 2, 12)),
            (lunar_birthday(8, 15), 2023, date(2023, 9, 29)),
            (lunar_birthday(8, 15), 2025, date(2025, 10, 6)),
            (lunar_birthday(12, 1), 2023, date(2024, 1, 11)),
            (lunar_birthday(12, 1), 2024, date(2024, 12, 31)),
        ] {
            assert_eq!(birthday.date_in(year), Some(almanac), "{birthday:?} in {year}");
        }
    }

    #[test]
    fn a_leap_month_that_a_year_does_not_have_is_the_plain_one() {
        // 2025 has a leap sixth month, from 25 July; 2023 a leap second one, from 22 March.
        assert_eq!(leap(6, 1).date_in(2025), Some(date(2025, 7, 25)));
        assert_eq!(leap(2, 1).date_in(2023), Some(date(2023, 3, 22)));
        assert_eq!(leap(6, 1).date_in(2024), lunar_birthday(6, 1).date_in(2024));
        assert!(leap(6, 1).is_month_of(date(2025, 7, 25)));
        assert!(!leap(6, 1).is_month_of(date(2025, 7, 24)));
        assert!(leap(6, 1).is_month_of(lunar_birthday(6, 1).date_in(2024).unwrap()));
    }

    #[test]
    fn a_day_that_a_month_does_not_have_is_its_last_one() {
        let last_day = |year| lunar_birthday(12, 30).date_in(year).unwrap();
        // The last month of 2024 has 29 days, that of 2023 has 30; New Year's Day comes behind both.
        assert_eq!(last_day(2024), date(2025, 1, 28));
        assert_eq!(last_day(2023), date(2024, 2, 9));
        assert_eq!(solar(2, 29).date_in(2025), Some(date(2025, 2, 28)));
        assert_eq!(solar(2, 29).date_in(2024), Some(date(2024, 2, 29)));
    }

    #[test]
    fn days_that_no_year_has_are_refused() {
        use Calendar::{Lunar, Solar};
        for (calendar, month, day, is_leap) in [
            (Solar, 2, 30, false),
            (Solar, 4, 31, false),
            (Solar, 13, 1, false),
            (Solar, 0, 1, false),
            (Solar, 6, 0, false),
            (Solar, 6, 1, true),
            (Lunar, 1, 31, false),
            (Lunar, 13, 1, false),
            (Lunar, 5, 0, true),
        ] {
            assert_eq!(Birthday::new(calendar, month, day, is_leap), Err(NoSuchDay));
        }
    }

    #[test]
    fn the_gift_is_there_in_the_month_and_once_a_lunar_year() {
        let birthday = lunar_birthday(12, 1);
        let claim = |last, at| birthday.claim(last, at);
        assert_eq!(claim(None, on(2023, 12, 31)), Err(NoGift::NotYourMonth));
        // 2024 has two: those of the lunar years 2023 and 2024.
        let first = claim(None, on(2024, 1, 11)).unwrap();
        assert_eq!(claim(Some(first), on(2024, 2, 9)), Err(NoGift::AlreadyClaimed));
        assert_eq!(claim(Some(first), on(2024, 2, 10)), Err(NoGift::NotYourMonth));
        let second = claim(Some(first), on(2024, 12, 31)).unwrap();
        assert_eq!(claim(Some(second), on(2025, 1, 28)), Err(NoGift::AlreadyClaimed));
        assert!(claim(Some(second), on(2026, 1, 19)).is_ok());
    }

    #[test]
    fn a_month_across_two_lunar_years_has_one_gift() {
        let birthday = solar(2, 20);
        let first = birthday.claim(None, on(2026, 2, 10)).unwrap();
        assert_eq!(birthday.claim(Some(first), on(2026, 2, 20)), Err(NoGift::AlreadyClaimed));
        assert!(birthday.claim(Some(first), on(2027, 2, 20)).is_ok());
    }

    #[test]
    fn switching_the_calendar_earns_no_second_gift_in_a_year() {
        let by_sun = solar(3, 5).claim(None, on(2025, 3, 5)).unwrap();
        // The same lunar year, in the next solar one; and another lunar year, in the same solar one.
        let lunar_new_year = lunar_birthday(12, 20);
        assert_eq!(
            lunar_new_year.claim(Some(by_sun), on(2026, 1, 25)),
            Err(NoGift::AlreadyClaimed)
        );
        let by_moon = lunar_new_year.claim(None, on(2026, 1, 25)).unwrap();
        assert_eq!(solar(3, 5).claim(Some(by_moon), on(2026, 3, 5)), Err(NoGift::AlreadyClaimed));
        assert!(solar(3, 5).claim(Some(by_moon), on(2027, 3, 5)).is_ok());
    }

    #[test]
    fn every_day_of_two_centuries_lies_in_one_month_of_each_calendar() {
        let mut day = date(1901, 3, 1);
        while day < date(2099, 12, 1) {
            let plain = (1..=12).filter(|month| lunar_birthday(*month, 1).is_month_of(day)).count();
            let of_leap = (1..=12).filter(|month| leap(*month, 1).is_month_of(day)).count();
            assert!(plain <= 1 && of_leap <= 1 && plain + of_leap > 0, "{day}: {plain} {of_leap}");
            day = day.checked_add(jiff::Span::new().days(29)).unwrap();
        }
    }
}
