//! When a schedule is due: a line, a time zone, a beginning and an end.
//!
//! | line | due |
//! |---|---|
//! | `30 6 * * 1-5`, `0 30 6 * * 1-5` | as cron(5) reads five fields, or six with the second first |
//! | `@hourly`, `@daily` or `@midnight`, `@weekly`, `@monthly`, `@yearly` or `@annually` | as cron(5) has them |
//! | `every 90s`, `every 1h30m` | from the beginning on, which is due itself; without one from 1970-01-01T00:00:00Z on |
//! | `at 2026-12-01T09:00:00Z`, `at 2026-12-01 09:00` | once; without an offset by the clocks of the zone |
//!
//! Where clocks are put forward or back, a cron line that names hours is due once for each time that it names: at the instant at which
//! clocks jump over it, or the first time that they show it. One that is due in every hour of the day goes on as if nothing were: nothing
//! in the hour that there is not, twice in the one that comes twice. So nothing is left out and nothing comes twice, and what is to be
//! every so many minutes is.

use chrono::{DateTime, Datelike, NaiveDateTime, SubsecRound, TimeDelta, Utc};
use chrono_tz::Tz;

use super::cron_time::{Cron, CronError};
use super::wall_clock::{first_instant, next_change, wall_at};

/// The longest period.
const PERIOD_MAX: TimeDelta = TimeDelta::days(3_660);
/// The smallest step of time that PostgreSQL knows.
const MOMENT: TimeDelta = TimeDelta::microseconds(1);

/// Why a line or a zone can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimetableError {
    /// A cron line that is none.
    #[error(transparent)]
    Cron(#[from] CronError),
    /// An unknown word that begins with `@`.
    #[error("{0:?} is none of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually")]
    Nickname(String),
    /// A period that is none.
    #[error(
        "{0:?} is no period; write `every` and a duration of a second or more, such as every 90s or every 1h30m"
    )]
    Period(String),
    /// A moment that is none.
    #[error(
        "{0:?} is no moment; write `at` and a date with a time, such as at 2026-12-01T09:00:00Z or at 2026-12-01 09:00"
    )]
    Moment(String),
    /// A time zone that is none.
    #[error("{0:?} is no time zone; write its IANA name, such as Europe/London")]
    Zone(String),
}

/// The instants at which a schedule is due.
#[derive(Debug, Clone)]
pub struct Timetable {
    rule: Rule,
    zone: Tz,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone)]
enum Rule {
    Cron(Cron),
    Every(TimeDelta),
    At(DateTime<Utc>),
}

impl Timetable {
    /// Reads `line` by the clocks of `zone`.
    pub fn new(line: &str, zone: &str) -> Result<Self, TimetableError> {
        let zone = zone.parse::<Tz>().map_err(|_| TimetableError::Zone(zone.to_owned()))?;
        let line = line.trim();
        let rule = match line.split_once(char::is_whitespace) {
            Some(("every", period)) => Rule::Every(
                self::period(period.trim()).ok_or_else(|| TimetableError::Period(line.to_owned()))?,
            ),
            Some(("at", moment)) => {
                let moment = self::moment(moment.trim(), zone);
                Rule::At(moment.ok_or_else(|| TimetableError::Moment(line.to_owned()))?)
            }
            _ if line.starts_with('@') => {
                let line = nickname(line).ok_or_else(|| TimetableError::Nickname(line.to_owned()))?;
                Rule::Cron(line.parse()?)
            }
            _ => Rule::Cron(line.parse()?),
        };
        Ok(Self { rule, zone, starts_at: None, ends_at: None })
    }

    /// The same, due not before `starts_at` and not after `ends_at`.
    #[must_use]
    pub fn within(self, starts_at: Option<DateTime<Utc>>, ends_at: Option<DateTime<Utc>>) -> Self {
        Self { starts_at, ends_at, ..self }
    }

    /// The first instant later than `after`; `None` when there is none before the year 2101.
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let after = self.starts_at.map_or(after, |starts_at| after.max(starts_at - MOMENT));
        let next = match &self.rule {
            Rule::Cron(cron) if cron.is_of_every_hour() => self.next_of_every_hour(cron, after),
            Rule::Cron(cron) => self.next_of_named_hours(cron, after),
            Rule::Every(period) => {
                let begin = self.starts_at.unwrap_or(DateTime::UNIX_EPOCH);
                let period = period.num_seconds();
                // How many have passed: what is due at `after` is not later than it.
                let passed = (after - begin).num_microseconds()?.div_euclid(period * 1_000_000);
                begin.checked_add_signed(TimeDelta::try_seconds(period.checked_mul(passed + 1)?)?)
            }
            Rule::At(instant) => Some(*instant),
        };
        // Not the crate's promise, so ours: a schedule never goes back.
        next.filter(|next| *next > after && self.ends_at.is_none_or(|ends_at| *next <= ends_at))
    }

    /// When, if it is due once.
    pub const fn once(&self) -> Option<DateTime<Utc>> {
        match self.rule {
            Rule::At(instant) => Some(instant),
            Rule::Cron(_) | Rule::Every(_) => None,
        }
    }

    /// Whether it is due once: then it is late and not missed, however long nobody looked.
    pub const fn is_once(&self) -> bool {
        self.once().is_some()
    }

    /// From where on a schedule that is new at `now` is answered: it owes nothing from before, but the one instant of one that is
    /// due once.
    pub fn begin(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self.rule {
            Rule::At(instant) => now.min(instant - MOMENT),
            Rule::Cron(_) | Rule::Every(_) => now,
        }
    }

    /// Every instant later than `after`, in order.
    pub fn instants_after(&self, after: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        std::iter::successors(self.next_after(after), |instant| self.next_after(*instant))
    }

    /// Each wall time is one instant. Later ones are never earlier instants.
    fn next_of_named_hours(&self, cron: &Cron, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut wall = wall_at(self.zone, after);
        loop {
            wall = cron.next_after(wall)?;
            let instant = first_instant(self.zone, wall)?;
            // Clocks show it for the second time, or several wall times were jumped over.
            if instant > after {
                return Some(instant);
            }
        }
    }

    /// Each instant is judged by what clocks show then: from one change of clocks to the next wall time is as even as UTC.
    fn next_of_every_hour(&self, cron: &Cron, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (mut from, mut wall) = (after, wall_at(self.zone, after));
        let mut shown = wall;
        loop {
            let next = cron.next_after(shown)?;
            let instant = from + (next - wall);
            let Some(change) = next_change(self.zone, from, instant) else { return Some(instant) };
            (from, wall) = (change, wall_at(self.zone, change));
            // What clocks show at the change itself counts.
            shown = wall - MOMENT;
        }
    }
}

fn nickname(line: &str) -> Option<&'static str> {
    Some(match line {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        _ => return None,
    })
}

/// A duration such as `1h30m`, of whole seconds, up to ten years.
fn period(text: &str) -> Option<TimeDelta> {
    let duration = humantime::parse_duration(text).ok()?;
    let is_whole = duration.subsec_nanos() == 0 && !duration.is_zero();
    let period = TimeDelta::from_std(duration).ok()?;
    (is_whole && period <= PERIOD_MAX).then_some(period)
}

fn moment(text: &str, zone: Tz) -> Option<DateTime<Utc>> {
    let is_near = |wall: NaiveDateTime| (1970..=2100).contains(&wall.year());
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        // As the database keeps it: else it is for ever later than its own run.
        let instant = instant.to_utc().trunc_subsecs(6);
        return Some(instant).filter(|instant| is_near(instant.naive_utc()));
    }
    let walls = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];
    let wall = walls.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?;
    if is_near(wall) { first_instant(zone, wall) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// The next few instants by the clocks of `zone`, as UTC writes them.
    fn next(line: &str, zone: &str, after: &str, count: usize) -> String {
        let timetable = Timetable::new(line, zone).unwrap();
        let instants = timetable.instants_after(at(after)).take(count);
        instants.map(|instant| instant.format("%d %H:%M").to_string()).collect::<Vec<_>>().join(", ")
    }

    /// The crate leaves out an hour and walks backwards here: `cron_time::tests`.
    #[test]
    fn where_clocks_go_back_a_minutely_timetable_goes_on() {
        let timetable = Timetable::new("* * * * *", "America/Chicago").unwrap();
        let ours = |after: &str| timetable.next_after(at(after)).unwrap();
        assert_eq!(ours("2026-11-01T06:59:00Z"), at("2026-11-01T07:00:00Z"));
        assert_eq!(ours("2026-11-01T07:10:30Z"), at("2026-11-01T07:11:00Z"));
    }

    #[test]
    fn where_clocks_change_named_hours_come_once_each_and_all_hours_go_on() {
        for (line, zone, after, expected) in [
            // Chicago, spring: 08:00 UTC is 03:00, and there is no 02:30.
            ("30 2 * * *", "America/Chicago", "2026-03-08T00:00:00Z", "08 08:00, 09 07:30"),
            ("0,30 2-3 * * *", "America/Chicago", "2026-03-08T00:00:00Z", "08 08:00, 08 08:30, 09 07:00"),
            ("30 * * * *", "America/Chicago", "2026-03-08T06:45:00Z", "08 07:30, 08 08:30"),
            // Autumn: 06:00 to 08:00 UTC are 01:00 to 02:00 twice.
            ("30 1 * * *", "America/Chicago", "2026-11-01T00:00:00Z", "01 06:30, 02 07:30"),
            ("30 1 * * *", "America/Chicago", "2026-11-01T07:00:00Z", "02 07:30"),
            (
                "*/30 * * * *",
                "America/Chicago",
                "2026-11-01T05:59:00Z",
                "01 06:00, 01 06:30, 01 07:00, 01 07:30, 01 08:00",
            ),
            ("30 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", "04 14:30, 05 15:00"),
            ("45 * * * *", "Australia/Lord_Howe", "2026-04-04T14:00:00Z", "04 14:45, 04 15:15, 04 16:15"),
            ("0 0 30 12 *", "Pacific/Apia", "2011-01-01T00:00:00Z", "30 10:00, 29 10:00"),
            ("0 9 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "29 19:00, 30 10:00, 30 19:00"),
            ("0 9 * * *", "Asia/Kolkata", "2026-11-29T00:00:00Z", "29 03:30, 30 03:30"),
        ] {
            assert_eq!(next(line, zone, after, expected.split(", ").count()), expected, "{line} in {zone}");
        }
    }

    #[test]
    fn nicknames_periods_and_moments_are_due_as_they_say() {
        for (line, after, expected) in [
            ("@hourly", "2026-11-29T13:40:00Z", "29 14:00, 29 15:00"),
            ("@daily", "2026-11-29T13:40:00Z", "30 00:00, 01 00:00"),
            ("@midnight", "2026-11-29T13:40:00Z", "30 00:00, 01 00:00"),
            ("@weekly", "2026-11-29T13:40:00Z", "06 00:00, 13 00:00"),
            ("@monthly", "2026-11-29T13:40:00Z", "01 00:00, 01 00:00"),
            ("@yearly", "2026-11-29T13:40:00Z", "01 00:00"),
            ("@annually", "2026-11-29T13:40:00Z", "01 00:00"),
            ("every 90s", "1970-01-01T00:00:00Z", "01 00:01, 01 00:03, 01 00:04"),
            ("every 1h30m", "1970-01-01T01:29:59.999999Z", "01 01:30, 01 03:00"),
            ("every 2 days", "1969-12-31T23:59:59Z", "01 00:00, 03 00:00"),
            ("at 2026-12-01T09:00:00Z", "2026-11-29T13:40:00Z", "01 09:00"),
            ("at 2026-12-01T09:00:00+05:30", "2026-11-29T13:40:00Z", "01 03:30"),
            ("at 2026-12-01 09:00", "2026-11-29T13:40:00Z", "01 09:00"),
            ("at  2026-12-01T09:00:30", "2026-12-01T09:00:00Z", "01 09:00"),
            ("at 2026-12-01 09:00", "2026-12-01T09:00:00Z", ""),
        ] {
            let count = expected.split(", ").count();
            assert_eq!(next(line, "UTC", after, count), expected, "{line}");
        }
        assert_eq!(next("at 2026-03-08 02:30", "America/Chicago", "2026-03-01T00:00:00Z", 2), "08 08:00");
        assert_eq!(next("at 2026-11-01 01:30", "America/Chicago", "2026-03-01T00:00:00Z", 2), "01 06:30");
        // The database keeps microseconds.
        let fine = Timetable::new("at 2026-12-01T09:00:00.1234567Z", "UTC").unwrap();
        assert_eq!(fine.once(), Some(at("2026-12-01T09:00:00.123456Z")));
        assert_eq!(fine.next_after(at("2026-12-01T09:00:00.123456Z")), None);
    }

    #[test]
    fn nothing_is_due_before_the_beginning_or_after_the_end_and_both_are_due_themselves() {
        let bounds = (Some(at("2026-11-29T12:00:10Z")), Some(at("2026-11-29T12:04:10Z")));
        for (line, expected) in [
            ("* * * * *", "12:01:00, 12:02:00, 12:03:00, 12:04:00"),
            ("10 * * * * *", "12:00:10, 12:01:10, 12:02:10, 12:03:10, 12:04:10"),
            ("every 2m", "12:00:10, 12:02:10, 12:04:10"),
            ("at 2026-11-29 12:00:10", "12:00:10"),
            ("at 2026-11-29 12:00:09", ""),
            ("at 2026-11-29 12:04:11", ""),
        ] {
            let timetable = Timetable::new(line, "UTC").unwrap().within(bounds.0, bounds.1);
            for after in ["2026-11-01T00:00:00Z", "2026-11-29T12:00:09.999999Z"] {
                let due = timetable.instants_after(at(after));
                let due: Vec<_> = due.map(|instant| instant.format("%H:%M:%S").to_string()).collect();
                assert_eq!(due.join(", "), expected, "{line} after {after}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_in_words_that_help() {
        for (line, zone, words) in [
            ("@reboot", "UTC", "@hourly"),
            ("@Daily", "UTC", "@hourly"),
            ("every", "UTC", "cron has five"),
            ("every minute", "UTC", "every 90s"),
            ("every 0s", "UTC", "a second or more"),
            ("every 1500ms", "UTC", "every 1h30m"),
            ("every -5s", "UTC", "every 90s"),
            ("every 11years", "UTC", "every 90s"),
            ("every 99999999999999999999s", "UTC", "every 90s"),
            ("at noon", "UTC", "at 2026-12-01 09:00"),
            ("at 2026-02-30 09:00", "UTC", "at 2026-12-01 09:00"),
            ("at 2026-12-01", "UTC", "a date with a time"),
            ("at +262142-12-31 23:59", "America/Chicago", "at 2026-12-01 09:00"),
            ("at 2101-01-01T00:00:00Z", "UTC", "a date with a time"),
            ("* * * *", "UTC", "cron has five"),
            ("* * * * *", "Middle/Earth", "IANA name"),
            ("* * * * *", "", "IANA name"),
            ("* * * * *", "CEST", "IANA name"),
        ] {
            let error = Timetable::new(line, zone).unwrap_err().to_string();
            assert!(error.contains(words), "{line:?} in {zone:?}: {error}");
        }
    }
}
