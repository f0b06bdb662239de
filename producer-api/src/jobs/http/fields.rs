//! The fields of what staff asks for.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::extract::query::instant;
use crate::extract::{FieldCheck, Fields};
use crate::problem::Problem;

/// The longest reason, in characters.
pub(super) const REASON_CHARACTERS_MAX: usize = 500;
/// The longest timetable or time zone, in characters.
pub(super) const TIMETABLE_CHARACTERS_MAX: usize = 200;
/// The slowest pace.
pub(super) const PACE_SECONDS_MAX: u32 = 86_400;

const NO_TIMETABLE: &str = "A timetable or a time zone is required.";
const BEFORE_1970: &str = "Must not be before 1970.";
const ENDS_BEFORE_IT_BEGINS: &str = "Must not be before `from`.";

/// Why somebody acts: all there is to say of most deeds.
pub(super) fn reason(fields: &Fields) -> Result<String, Problem> {
    let mut check = FieldCheck::new(fields);
    let reason = bounded(&mut check, "reason", REASON_CHARACTERS_MAX);
    check.finish()?;
    Ok(reason)
}

/// When a schedule is to be due.
#[derive(Debug)]
pub(super) struct OverrideFields {
    pub(super) timetable: Option<String>,
    pub(super) time_zone: Option<String>,
    pub(super) reason: String,
}

impl OverrideFields {
    pub(super) fn read(fields: &Fields) -> Result<Self, Problem> {
        let mut check = FieldCheck::new(fields);
        let timetable = optional(&mut check, "timetable");
        let time_zone = optional(&mut check, "time_zone");
        let is_refused = check.refused("timetable") || check.refused("time_zone");
        if timetable.is_none() && time_zone.is_none() && !is_refused {
            check.refuse("timetable", NO_TIMETABLE);
        }
        let reason = bounded(&mut check, "reason", REASON_CHARACTERS_MAX);
        check.finish()?;
        Ok(Self { timetable, time_zone, reason })
    }
}

/// What to make up for.
#[derive(Debug)]
pub(super) struct BackfillFields {
    pub(super) from: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
    pub(super) pace: Duration,
    pub(super) reason: String,
}

impl BackfillFields {
    pub(super) fn read(fields: &Fields) -> Result<Self, Problem> {
        let mut check = FieldCheck::new(fields);
        let (from, until) = (moment(&mut check, "from"), moment(&mut check, "until"));
        if from.is_some_and(|from| from < DateTime::UNIX_EPOCH) {
            check.refuse("from", BEFORE_1970);
        }
        if let (Some(from), Some(until)) = (from, until)
            && from > until
        {
            check.refuse("until", ENDS_BEFORE_IT_BEGINS);
        }
        let pace = pace(&mut check);
        let reason = bounded(&mut check, "reason", REASON_CHARACTERS_MAX);
        check.finish()?;
        let (Some(from), Some(until)) = (from, until) else { return Err(Problem::internal()) };
        Ok(Self { from, until, pace, reason })
    }
}

fn bounded(check: &mut FieldCheck<'_>, name: &str, characters_max: usize) -> String {
    let text = check.text(name);
    if text.chars().count() > characters_max {
        check.refuse(name, too_long(characters_max));
    }
    text
}

fn optional(check: &mut FieldCheck<'_>, name: &str) -> Option<String> {
    let text = check.optional_text(name)?;
    if text.chars().count() > TIMETABLE_CHARACTERS_MAX {
        check.refuse(name, too_long(TIMETABLE_CHARACTERS_MAX));
    }
    Some(text)
}

fn too_long(characters_max: usize) -> String {
    format!("Ensure this field has no more than {characters_max} characters.")
}

fn moment(check: &mut FieldCheck<'_>, name: &str) -> Option<DateTime<Utc>> {
    let text = check.text(name);
    if check.refused(name) {
        return None;
    }
    instant(&text).map_err(|words| check.refuse(name, words)).ok()
}

fn pace(check: &mut FieldCheck<'_>) -> Duration {
    let Some(text) = check.optional_text("pace_seconds") else { return Duration::from_secs(1) };
    if let Ok(seconds @ 0..=PACE_SECONDS_MAX) = text.parse() {
        return Duration::from_secs(seconds.into());
    }
    check.refuse("pace_seconds", format!("A number from 0 to {PACE_SECONDS_MAX} is required."));
    Duration::ZERO
}
