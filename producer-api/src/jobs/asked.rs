//! What query strings ask of schedules and runs. Pure.

use std::convert::Infallible;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use shared::control::{RunFilter, RunRow};
use uuid::Uuid;

use crate::extract::PageAsked;
use crate::extract::query::{Read, instant, last_values, set, text};
use crate::problem::{FieldErrors, Problem};

/// How many schedules or runs a page has unless more or fewer are asked for, and at the most.
pub(super) const LIMIT: u16 = 50;
pub(super) const LIMIT_MAX: u16 = 200;

/// The states of a run.
pub(super) const STATES: [&str; 5] = ["queued", "running", "retrying", "succeeded", "failed"];
/// Why a run is there.
pub(super) const KINDS: [&str; 4] = ["scheduled", "enqueued", "manual", "backfill"];
/// Of what kind a run's last error was.
pub(super) const ERROR_KINDS: [&str; 7] =
    ["passing", "lasting", "panicked", "timed_out", "unknown_job", "lease_lost", "canceled"];

/// The years 1 to 9999, in microseconds since 1970: PostgreSQL has all of these.
const INSTANTS: RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

const NO_CHOICE: &str = "Not a valid choice.";
const NO_BOOLEAN: &str = "Must be true or false.";
const NO_CURSOR: &str = "Invalid cursor.";

/// A page of schedules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulesAsked {
    /// Those as well that no build has any more.
    pub with_retired: bool,
    /// Behind which key; none for the first page.
    pub after: Option<String>,
    /// How many at the most.
    pub limit: u16,
}

impl SchedulesAsked {
    /// Reads it; 400 with everything that is wrong.
    pub fn of(query: Option<&str>) -> Result<Self, Problem> {
        let mut errors = FieldErrors::new();
        let mut with_retired = None;
        for (name, value) in last_values(query, &["retired", "cursor"]) {
            let fault = match name {
                "retired" => set(&mut with_retired, value.parse().map_err(|_| NO_BOOLEAN)),
                _ => value.contains('\0').then_some(NO_CURSOR),
            };
            if let Some(words) = fault {
                errors.add(name, words);
            }
        }
        if !errors.is_empty() {
            return Err(Problem::field_errors(errors));
        }
        let PageAsked { limit, after } = PageAsked::<Key>::of(query, LIMIT, LIMIT_MAX)?;
        let with_retired = with_retired.unwrap_or_default();
        Ok(Self { with_retired, after: after.map(|Key(key)| key), limit })
    }

    /// The query string of the next page, which begins behind `after`.
    pub fn next(&self, after: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.limit.to_string()).append_pair("cursor", after);
        if self.with_retired {
            query.append_pair("retired", "true");
        }
        query.finish()
    }
}

/// Any text.
struct Key(String);

impl FromStr for Key {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

/// A place in the list of runs; as text a cursor. A run never changes its place, and the one that stood there need not be
/// there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunPlace {
    scheduled_at: DateTime<Utc>,
    id: Uuid,
}

impl From<&RunRow> for RunPlace {
    fn from(run: &RunRow) -> Self {
        Self { scheduled_at: run.scheduled_at, id: run.id }
    }
}

impl fmt::Display for RunPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}_{}", self.scheduled_at.timestamp_micros(), self.id)
    }
}

impl FromStr for RunPlace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (micros, id) = text.split_once('_').ok_or(NO_CURSOR)?;
        let micros = micros.parse().ok().filter(|micros| INSTANTS.contains(micros));
        let scheduled_at = micros.and_then(DateTime::from_timestamp_micros).ok_or(NO_CURSOR)?;
        Ok(Self { scheduled_at, id: id.parse().map_err(|_| NO_CURSOR)? })
    }
}

/// A page of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunsAsked {
    /// Which.
    pub filter: RunFilter,
    /// How many at the most.
    pub limit: u16,
}

impl RunsAsked {
    /// Reads it; 400 with everything that is wrong. Names that it doesn't know are ignored; the last of several values counts.
    pub fn of(query: Option<&str>) -> Result<Self, Problem> {
        const NAMES: [&str; 8] =
            ["job_key", "schedule_key", "kind", "state", "error_kind", "queue", "from", "until"];
        let mut filter = RunFilter::default();
        let mut errors = FieldErrors::new();
        for (name, value) in last_values(query, &NAMES) {
            let fault = match name {
                "job_key" => set(&mut filter.job_key, text(&value)),
                "schedule_key" => set(&mut filter.schedule_key, text(&value)),
                "kind" => set(&mut filter.kind, choice(&value, &KINDS)),
                "state" => set(&mut filter.state, choice(&value, &STATES)),
                "error_kind" => set(&mut filter.error_kind, choice(&value, &ERROR_KINDS)),
                "queue" => set(&mut filter.queue, text(&value)),
                "from" => set(&mut filter.from, instant(&value)),
                "until" => set(&mut filter.until, instant(&value)),
                _ => None,
            };
            if let Some(words) = fault {
                errors.add(name, words);
            }
        }
        if !errors.is_empty() {
            return Err(Problem::field_errors(errors));
        }
        let PageAsked { limit, after } = PageAsked::<RunPlace>::of(query, LIMIT, LIMIT_MAX)?;
        filter.before = after.map(|place| (place.scheduled_at, place.id));
        Ok(Self { filter, limit })
    }

    /// The query string of the next page, which begins behind `after`.
    pub fn next(&self, after: RunPlace) -> String {
        let filter = &self.filter;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.limit.to_string()).append_pair("cursor", &after.to_string());
        let texts = [
            ("job_key", filter.job_key.clone()),
            ("schedule_key", filter.schedule_key.clone()),
            ("kind", filter.kind.clone()),
            ("state", filter.state.clone()),
            ("error_kind", filter.error_kind.clone()),
            ("queue", filter.queue.clone()),
            ("from", filter.from.map(|at| at.to_rfc3339())),
            ("until", filter.until.map(|at| at.to_rfc3339())),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                query.append_pair(name, &text);
            }
        }
        query.finish()
    }
}

fn choice(value: &str, choices: &[&str]) -> Read<String> {
    if choices.contains(&value) { Ok(value.to_owned()) } else { Err(NO_CHOICE) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: &str = "job_key=a%26b&schedule_key=daily+%C3%BC&kind=manual&state=failed&error_kind=timed_out&queue=default\
        &from=2026-11-28T10:00:00.000001%2B02:00&until=2026-11-29T00:00:00Z&limit=7\
        &cursor=1764410400000001_018f0000-0000-7000-8000-000000000003";

    #[test]
    fn every_filter_of_runs_is_read_and_comes_back_in_the_link_to_the_next_page() {
        let asked = RunsAsked::of(Some(FULL)).unwrap();
        assert_eq!(asked.filter.job_key.as_deref(), Some("a&b"));
        assert_eq!(asked.filter.from.unwrap().to_rfc3339(), "2026-11-28T08:00:00.000001+00:00");
        let (scheduled_at, id) = asked.filter.before.unwrap();
        assert_eq!(scheduled_at.timestamp_micros(), 1_764_410_400_000_001);
        assert_eq!(RunsAsked::of(Some(&asked.next(RunPlace { scheduled_at, id }))).unwrap(), asked);
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let names = ["kind", "state", "error_kind", "from", "until"];
        let query: Vec<_> = names.iter().map(|name| format!("{name}=nonsense")).collect();
        let said = format!("{:?}", RunsAsked::of(Some(&(query.join("&") + "&queue=%00"))).unwrap_err());
        assert!(names.iter().chain(&["queue"]).all(|name| said.contains(name)), "{said}");
        for query in [
            "limit=0",
            "limit=201",
            "cursor=1",
            "cursor=1_2",
            "cursor=-99999999999999999_018f0000-0000-7000-8000-000000000003",
        ] {
            assert!(RunsAsked::of(Some(query)).is_err(), "{query}");
        }
        for query in ["limit=0", "retired=yes", "cursor=%00"] {
            assert!(SchedulesAsked::of(Some(query)).is_err(), "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_refused(query in ".{0,200}", key in "[^\0]{0,40}") {
            let _ = (RunsAsked::of(Some(&query)), SchedulesAsked::of(Some(&query)));
            let asked = SchedulesAsked { with_retired: true, after: None, limit: 3 };
            let followed = SchedulesAsked::of(Some(&asked.next(&key))).unwrap();
            prop_assert_eq!(followed, SchedulesAsked { after: Some(key), ..asked });
        }
    }
}
