//! Timetables against a scan that looks at every minute, or second, what the clocks show.

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use shared::schedules::timetable::Timetable;

/// Without changes; by an hour in spring and autumn; the same with UTC in winter; by half an hour; back for Ramadan and on again; across
/// the date line in 2011; changed by law at other dates (2016); against summer; by 45 minutes from the next hour.
const ZONES: [Tz; 10] = [
    Tz::UTC,
    Tz::America__Chicago,
    Tz::Europe__London,
    Tz::Australia__Lord_Howe,
    Tz::Africa__Casablanca,
    Tz::Pacific__Apia,
    Tz::Europe__Istanbul,
    Tz::America__Santiago,
    Tz::Pacific__Chatham,
    Tz::Asia__Tehran,
];

/// The values of a simple field: `*`, `*/n`, `n`, `n-m`, or a list of numbers.
fn values(field: &str, first: usize, last: usize) -> [bool; 60] {
    let number = |text: &str| text.parse::<usize>().unwrap();
    let mut chosen = [false; 60];
    if field == "*" {
        (first..=last).for_each(|value| chosen[value] = true);
    } else if let Some(step) = field.strip_prefix("*/") {
        (first..=last).step_by(number(step)).for_each(|value| chosen[value] = true);
    } else if let Some((from, to)) = field.split_once('-') {
        (number(from)..=number(to)).for_each(|value| chosen[value] = true);
    } else {
        field.split(',').for_each(|value| chosen[number(value)] = true);
    }
    chosen
}

/// A cron line, read once more and simply.
struct Line {
    seconds: [bool; 60],
    minutes: [bool; 60],
    hours: [bool; 60],
    days: [bool; 60],
    months: [bool; 60],
    weekdays: [bool; 60],
    either: bool,
}

impl Line {
    fn read(line: &str) -> Self {
        let mut fields: Vec<_> = line.split(' ').collect();
        if fields.len() == 5 {
            fields.insert(0, "0");
        }
        let [seconds, minutes, hours, days, months, weekdays] = fields.try_into().unwrap();
        let mut of_week = values(weekdays, 0, 7);
        of_week[0] |= of_week[7];
        Self {
            seconds: values(seconds, 0, 59),
            minutes: values(minutes, 0, 59),
            hours: values(hours, 0, 23),
            days: values(days, 1, 31),
            months: values(months, 1, 12),
            weekdays: of_week,
            either: !days.starts_with('*') && !weekdays.starts_with('*'),
        }
    }

    fn names(&self, wall: NaiveDateTime) -> bool {
        let is = |chosen: &[bool; 60], value: u32| chosen[value as usize];
        is(&self.minutes, wall.minute())
            && is(&self.hours, wall.hour())
            && is(&self.seconds, wall.second())
            && {
                let of_month = is(&self.days, wall.day());
                let of_week = is(&self.weekdays, wall.weekday().num_days_from_sunday());
                is(&self.months, wall.month())
                    && if self.either { of_month || of_week } else { of_month && of_week }
            }
    }

    fn is_of_every_hour(&self) -> bool {
        self.hours[..24].iter().all(|hour| *hour)
    }
}

/// What of each line is due from `begin` on and before `end`: looks at each `step` what clocks show.
fn scan(
    lines: &[&str],
    zone: Tz,
    begin: DateTime<Utc>,
    end: DateTime<Utc>,
    step: TimeDelta,
) -> Vec<Vec<DateTime<Utc>>> {
    let lines: Vec<Line> = lines.iter().map(|line| Line::read(line)).collect();
    let shows = |instant: DateTime<Utc>| instant.with_timezone(&zone).naive_local();
    // Two days before: what was shown then is not shown for the first time.
    let mut instant = begin - TimeDelta::days(2);
    let mut latest = shows(instant);
    let mut due = vec![Vec::new(); lines.len()];
    while instant < end {
        let wall = shows(instant);
        for (line, due) in lines.iter().zip(&mut due) {
            let is_due = if line.is_of_every_hour() || wall == latest + step {
                line.names(wall)
            } else {
                // What was jumped over since the last look, and what is shown now; nothing if it was shown before.
                std::iter::successors(Some(latest + step), |between| Some(*between + step))
                    .take_while(|between| *between <= wall)
                    .any(|between| line.names(between))
            };
            if is_due && instant >= begin {
                due.push(instant);
            }
        }
        latest = latest.max(wall);
        instant += step;
    }
    due
}

fn due(line: &str, zone: Tz, begin: DateTime<Utc>, end: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let timetable = Timetable::new(line, zone.name()).unwrap();
    timetable
        .instants_after(begin - TimeDelta::microseconds(1))
        .take_while(|instant| *instant < end)
        .collect()
}

fn day(text: &str) -> DateTime<Utc> {
    format!("{text}T00:00:00Z").parse().unwrap()
}

/// When clocks change in ten years, to the minute.
fn changes(zone: Tz) -> Vec<DateTime<Utc>> {
    let ahead = |instant: DateTime<Utc>| instant.with_timezone(&zone).naive_local() - instant.naive_utc();
    let hours = (0..10 * 365 * 24).map(|hour| day("2008-01-01") + TimeDelta::hours(hour));
    let with_a_change = hours.filter(|hour| ahead(*hour) != ahead(*hour + TimeDelta::hours(1)));
    let minutes =
        with_a_change.flat_map(|hour| (1..=60).map(move |minute| hour + TimeDelta::minutes(minute)));
    minutes.filter(|minute| ahead(*minute) != ahead(*minute - TimeDelta::minutes(1))).collect()
}

#[test]
fn over_ten_years_each_schedule_is_due_when_a_look_at_every_minute_finds_it() {
    const LINES: [&str; 10] = [
        "30 1 * * *",
        "30 2 * * *",
        "0 0 * * *",
        "15 2 * * 0",
        "59 23 13 * 5",
        "5,35 1-3 * * *",
        "0 */6 * * *",
        "0 0 30 12 *",
        "45 0 1 */2 *",
        "17 * * * *",
    ];
    std::thread::scope(|scope| {
        for zone in ZONES {
            scope.spawn(move || {
                let (begin, end) = (day("2008-01-01"), day("2018-01-01"));
                let scanned = scan(&LINES, zone, begin, end, TimeDelta::minutes(1));
                for (line, scanned) in LINES.into_iter().zip(scanned) {
                    let due = due(line, zone, begin, end);
                    let differs = scanned.iter().zip(&due).find(|(scanned, due)| scanned != due);
                    assert_eq!(differs, None, "{line} in {zone}");
                    assert_eq!(scanned.len(), due.len(), "{line} in {zone}");
                }
            });
        }
    });
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

fn hour() -> impl Strategy<Value = String> {
    prop_oneof![1 => field(0, 23, 23), 1 => field(0, 4, 4)]
}

/// A zone and one of its changes.
fn change() -> impl Strategy<Value = (Tz, DateTime<Utc>)> {
    let all: Vec<_> =
        ZONES.iter().flat_map(|zone| changes(*zone).into_iter().map(|change| (*zone, change))).collect();
    proptest::sample::select(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn where_clocks_change_a_schedule_is_due_when_a_look_at_every_minute_finds_it(
        minute in field(0, 59, 59),
        hour in hour(),
        day in field(1, 31, 15),
        month in field(1, 12, 6),
        weekday in field(0, 7, 6),
        (zone, change) in change(),
        before in 0_i64..3 * 24 * 60,
    ) {
        let line = format!("{minute} {hour} {day} {month} {weekday}");
        let (begin, end) = (change - TimeDelta::minutes(before), change + TimeDelta::days(3));
        let scanned = scan(&[&line], zone, begin, end, TimeDelta::minutes(1)).remove(0);
        prop_assert_eq!(due(&line, zone, begin, end), scanned, "{} in {}", line, zone);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn where_clocks_change_a_schedule_with_seconds_is_due_when_a_look_at_every_second_finds_it(
        second in field(0, 59, 30),
        minute in field(0, 59, 59),
        hour in hour(),
        (zone, change) in change(),
        before in 0_i64..3_600,
    ) {
        let line = format!("{second} {minute} {hour} * * *");
        let (begin, end) = (change - TimeDelta::seconds(before), change + TimeDelta::hours(2));
        let scanned = scan(&[&line], zone, begin, end, TimeDelta::seconds(1)).remove(0);
        prop_assert_eq!(due(&line, zone, begin, end), scanned, "{} in {}", line, zone);
    }
}
