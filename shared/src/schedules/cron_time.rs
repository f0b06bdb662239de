//! Cron expressions as cron(5) means them, evaluated on naive wall time.
//!
//! The crate `cron` wants seconds first, counts Sunday as 1 and requires both the day of the month and the weekday to
//! match. Here five fields begin with the minute (six with the second), Sunday is 0 or 7, and when neither day field
//! begins with `*` either of them suffices. The crate never sees a time zone: with one, its iterator walks backwards
//! where clocks do (the tests show it). A timetable maps wall time to instants.

use std::str::FromStr;

use chrono::NaiveDateTime;
use cron::TimeUnitSpec;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Why a cron expression can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Neither five nor six fields.
    #[error("{0:?} has {1} field(s); cron has five, or six with seconds first")]
    FieldCount(String, usize),
    /// A weekday that is none.
    #[error("{0:?}: {1:?} is not a weekday, a range of weekdays or a step of them")]
    Weekday(String, String),
    /// A field is wrong; the parser's words.
    #[error("{0:?}: {1}")]
    Field(String, String),
}

/// A schedule in time.
#[derive(Debug, Clone)]
pub(super) struct Cron {
    /// One pattern; two when the day of the month *or* the weekday decides.
    patterns: Vec<cron::Schedule>,
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let mut fields: Vec<&str> = text.split_whitespace().collect();
        match fields.len() {
            5 => fields.insert(0, "0"),
            6 => {}
            count => return Err(CronError::FieldCount(text.to_owned(), count)),
        }
        let [seconds, minutes, hours, day, month, weekday] = fields[..] else {
            return Err(CronError::FieldCount(text.to_owned(), fields.len()));
        };
        // cron(5) knows no question mark, and the crate's answer to it is not obvious.
        if let Some(field) = fields.iter().find(|field| field.contains('?')) {
            return Err(CronError::Field(text.to_owned(), format!("{field:?} is not cron(5)")));
        }
        let weekdays =
            translate(weekday).ok_or_else(|| CronError::Weekday(text.to_owned(), weekday.to_owned()))?;
        let months = numbered(month);
        let pattern = |day: &str, weekdays: &str| {
            format!("{seconds} {minutes} {hours} {day} {months} {weekdays}")
                .parse::<cron::Schedule>()
                .map_err(|error| CronError::Field(text.to_owned(), error.to_string()))
        };
        let either = !day.starts_with('*') && !weekday.starts_with('*');
        let patterns = if either {
            vec![pattern(day, "*")?, pattern("*", &weekdays)?]
        } else {
            vec![pattern(day, &weekdays)?]
        };
        Ok(Self { patterns })
    }
}

impl Cron {
    /// The first wall time later than `after`; `None` when there is none before the year 2101.
    pub(super) fn next_after(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        self.patterns
            .iter()
            // The crate is given no zone but UTC, in which wall time never goes back.
            .filter_map(|pattern| pattern.after(&after.and_utc()).next())
            .map(|instant| instant.naive_utc())
            .min()
    }

    /// Whether it names no hour: it is due in each of the day.
    pub(super) fn is_of_every_hour(&self) -> bool {
        self.patterns.iter().all(|pattern| pattern.hours().count() == 24)
    }
}

/// Months by their numbers: the crate reads no range from a number to a name. What is no month stays, and the crate refuses it.
fn numbered(field: &str) -> String {
    let number =
        |word: &str| MONTHS.iter().position(|name| name.eq_ignore_ascii_case(word)).map(|place| place + 1);
    let words = field.split_inclusive([',', '-', '/']).map(|word| {
        let (name, end) = word.split_at(word.trim_end_matches([',', '-', '/']).len());
        number(name).map_or_else(|| word.to_owned(), |number| format!("{number}{end}"))
    });
    words.collect()
}

/// Weekdays of cron(5) as the crate's names: `1-5` becomes `mon,tue,wed,thu,fri`.
fn translate(field: &str) -> Option<String> {
    if field == "*" {
        return Some(field.to_owned());
    }
    let mut chosen = [false; 7];
    for item in field.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| (1..=7).contains(step))?),
            None => (item, 1),
        };
        let (first, last) = match range.split_once('-') {
            None if range == "*" => (0, 7),
            // A start with a step goes on to the end of the week, as in cronie.
            None if item.contains('/') => (weekday(range)?, 7),
            None => (weekday(range)?, weekday(range)?),
            Some((first, last)) => {
                let (first, last) = (weekday(first)?, weekday(last)?);
                // `fri-sun`: a range that ends on Sunday ends the week.
                (first, if last == 0 && first > 0 { 7 } else { last })
            }
        };
        if first > last {
            return None;
        }
        for day in (first..=last).step_by(step) {
            chosen[day % 7] = true;
        }
    }
    let names: Vec<&str> =
        WEEKDAYS.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(name, _)| *name).collect();
    Some(names.join(","))
}

fn weekday(text: &str) -> Option<usize> {
    match text.parse() {
        Ok(number) if number <= 7 => Some(number),
        Ok(_) => None,
        Err(_) => WEEKDAYS.iter().position(|name| name.eq_ignore_ascii_case(text)),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Datelike, TimeDelta, Timelike};
    use proptest::prelude::*;

    use super::*;

    fn next(expression: &str, after: &str) -> Option<String> {
        let cron: Cron = expression.parse().unwrap();
        cron.next_after(after.parse().unwrap()).map(|wall| wall.format("%FT%T").to_string())
    }

    #[test]
    fn five_fields_begin_with_the_minute_and_six_with_the_second() {
        for (expression, after, expected) in [
            ("* * * * *", "2026-11-21T09:00:00", "2026-11-21T09:01:00"),
            ("* * * * *", "2026-11-21T08:59:59.999999", "2026-11-21T09:00:00"),
            ("*/15 * * * *", "2026-11-21T09:50:00", "2026-11-21T10:00:00"),
            ("0 3 * * *", "2026-11-21T03:00:00", "2026-11-22T03:00:00"),
            ("0 0 1 1 *", "2026-11-21T03:00:00", "2027-01-01T00:00:00"),
            ("0 0 29 2 *", "2026-11-21T03:00:00", "2028-02-29T00:00:00"),
            ("0 0 31 * *", "2026-11-30T00:00:00", "2026-12-31T00:00:00"),
            ("*/10 * * * * *", "2026-11-21T09:00:05", "2026-11-21T09:00:10"),
            ("59 59 23 31 12 *", "2026-12-31T23:59:59", "2027-12-31T23:59:59"),
            ("0 0 * jan,JUL *", "2026-11-21T03:00:00", "2027-01-01T00:00:00"),
            ("0 0 * 2-may/3 *", "2027-02-28T03:00:00", "2027-05-01T00:00:00"),
        ] {
            assert_eq!(next(expression, after).as_deref(), Some(expected), "{expression} after {after}");
        }
    }

    #[test]
    fn weekdays_count_as_in_unix_with_sunday_at_both_ends() {
        // 2026-11-21 is a Saturday.
        for (weekday, expected) in [
            ("0", "2026-11-22"),
            ("7", "2026-11-22"),
            ("1", "2026-11-23"),
            ("5", "2026-11-27"),
            ("6", "2026-11-28"),
            ("1-5", "2026-11-23"),
            ("5-7", "2026-11-22"),
            ("Sun", "2026-11-22"),
            ("mon-fri", "2026-11-23"),
            ("fri-sun", "2026-11-22"),
            ("2,4", "2026-11-24"),
            ("*/2", "2026-11-22"),
            ("3/2", "2026-11-22"),
        ] {
            let found = next(&format!("0 0 * * {weekday}"), "2026-11-21T00:00:00");
            assert_eq!(found, Some(format!("{expected}T00:00:00")), "{weekday}");
        }
    }

    #[test]
    fn a_day_of_the_month_or_a_weekday_suffices_unless_one_of_them_begins_with_a_star() {
        // Friday the 13th, in cron's words, is every Friday and every 13th.
        assert_eq!(next("0 0 13 * 5", "2026-11-21T00:00:00").unwrap(), "2026-11-27T00:00:00");
        assert_eq!(next("0 0 13 * 5", "2026-12-12T00:00:00").unwrap(), "2026-12-13T00:00:00");
        assert_eq!(next("0 0 */2 * 5", "2026-11-21T00:00:00").unwrap(), "2026-11-27T00:00:00");
        assert_eq!(next("0 0 */2 * 1", "2026-11-23T00:00:00").unwrap(), "2026-12-07T00:00:00");
    }

    /// messaging.md F.4. So the crate is given wall time alone.
    #[test]
    fn with_a_time_zone_the_crate_leaves_out_an_hour_and_walks_backwards_where_clocks_go_back() {
        let minutely: cron::Schedule = "0 * * * * *".parse().unwrap();
        let next = |after: &str| {
            let after = at(after).with_timezone(&chrono_tz::America::Chicago);
            minutely.after(&after).take(2).map(|instant| instant.to_utc()).collect::<Vec<_>>()
        };
        // Chicago shows 01:00 to 02:00 twice: from 06:00 and from 07:00 UTC on.
        assert_eq!(next("2026-11-01T06:58:00Z"), ["2026-11-01T06:59:00Z", "2026-11-01T07:59:00Z"].map(at));
        assert_eq!(next("2026-11-01T06:59:00Z")[0], at("2026-11-01T08:00:00Z"));
        assert_eq!(next("2026-11-01T07:10:30Z")[0], at("2026-11-01T06:11:00Z"));
    }

    #[test]
    fn what_never_comes_is_never_due() {
        assert_eq!(next("0 0 30 2 *", "2026-11-21T00:00:00"), None);
    }

    #[test]
    fn what_is_not_cron_is_refused_with_its_own_words() {
        for expression in [
            "",
            "* * * *",
            "* * * * * * *",
            "@daily",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "* * * * 5-1",
            "* * * * mo",
            "* * * * 1/0",
            "* * * * 1-",
            "* * ? * *",
            "* * * janu *",
            "* * * dec-jan *",
            "*/0 * * * *",
            "a * * * *",
            "1- * * * *",
            "* * * * 99999999999999999999",
        ] {
            assert!(expression.parse::<Cron>().is_err(), "{expression:?}");
        }
    }

    /// The values of a simple field: `*`, `*/n`, `n`, `n-m`, or a list of numbers.
    fn values(field: &str, first: u32, last: u32) -> Vec<u32> {
        let number = |text: &str| text.parse::<u32>().unwrap();
        if field == "*" {
            return (first..=last).collect();
        }
        if let Some(step) = field.strip_prefix("*/") {
            return (first..=last).step_by(number(step) as usize).collect();
        }
        if let Some((from, to)) = field.split_once('-') {
            return (number(from)..=number(to)).collect();
        }
        field.split(',').map(number).collect()
    }

    fn field(first: u32, last: u32, step_max: u32) -> impl Strategy<Value = String> {
        prop_oneof![
            3 => Just("*".to_owned()),
            1 => (2..=step_max).prop_map(|step| format!("*/{step}")),
            2 => (first..=last).prop_map(|value| value.to_string()),
            1 => (first..=last, first..=last).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            1 => proptest::collection::btree_set(first..=last, 2..4).prop_map(|chosen| {
                chosen.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
            }),
        ]
    }

    fn at(text: &str) -> DateTime<chrono::Utc> {
        text.parse().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_next_instant_is_the_one_that_a_scan_of_all_minutes_finds(
            minute in field(0, 59, 59),
            hour in field(0, 23, 23),
            day in field(1, 31, 15),
            month in field(1, 12, 6),
            weekday in field(0, 7, 6),
            start in 0_i64..2_000_000_000,
        ) {
            let expression = format!("{minute} {hour} {day} {month} {weekday}");
            let cron: Cron = expression.parse().unwrap();
            let after = DateTime::from_timestamp(1_700_000_000 + start % 100_000_000, 0).unwrap().naive_utc();
            let (minutes, hours) = (values(&minute, 0, 59), values(&hour, 0, 23));
            let (days, months) = (values(&day, 1, 31), values(&month, 1, 12));
            let weekdays = values(&weekday, 0, 7);
            let either = !day.starts_with('*') && !weekday.starts_with('*');
            let on = |date: NaiveDateTime| {
                let of_month = days.contains(&date.day());
                let sunday_based = date.weekday().num_days_from_sunday();
                let of_week = weekdays.iter().any(|weekday| weekday % 7 == sunday_based);
                let day_fits = if either { of_month || of_week } else { of_month && of_week };
                day_fits && months.contains(&date.month())
            };
            let first = after.with_second(0).unwrap() + TimeDelta::minutes(1);
            let found = cron.next_after(after);
            // Ninety days of minutes; a later answer must at least not have an earlier one.
            let mut scan = (0..90 * 24 * 60).map(|minutes| first + TimeDelta::minutes(minutes));
            let scanned = scan.find(|instant| {
                minutes.contains(&instant.minute()) && hours.contains(&instant.hour()) && on(*instant)
            });
            match scanned {
                Some(scanned) => prop_assert_eq!(found, Some(scanned), "{}", expression),
                None => prop_assert!(found.is_none_or(|found| found >= first + TimeDelta::days(90)), "{}", expression),
            }
        }
    }
}
