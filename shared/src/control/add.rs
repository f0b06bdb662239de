//! Adding a schedule that no build declares: for a job that a program of others does, or for one of ours at other times.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

use super::{ControlError, add_store, begin, end};
use crate::contracts::mail::SEND_MAIL;
use crate::contracts::schedules::{ScheduleAct, ScheduleAdded};
use crate::operator::Operation;
use crate::outbox::Outbox;
use crate::schedules::store::now;
use crate::schedules::timetable::Timetable;
use crate::schedules::{Overlap, jitter, share};

/// The longest key, in characters. With a queue and a dot it is a routing key, which has 255 bytes.
const KEY_MAX: usize = 120;
/// The longest name for people.
const VERBOSE_NAME_MAX: usize = 200;
/// The largest arguments, as JSON, in bytes: every tick carries them.
const ARGS_MAX: usize = 64 * 1024;

/// A schedule, to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSchedule {
    /// Its key.
    pub key: String,
    /// Its job: what its worker goes by.
    pub job_key: String,
    /// The queue of its runs: one word.
    pub queue: String,
    /// What people call it.
    pub verbose_name: String,
    /// When it is due.
    pub timetable: String,
    /// By the clocks of which time zone.
    pub time_zone: String,
    /// It is not due before.
    pub starts_at: Option<DateTime<Utc>>,
    /// It is not due afterwards.
    pub ends_at: Option<DateTime<Utc>>,
    /// How much later than its instants it may be due. Whole seconds, at most a day.
    pub jitter: Duration,
    /// What its runs are given: an object.
    pub args: Value,
    /// Its rank in the queue.
    pub priority: i16,
    /// How many late instants are run: at most 100.
    pub catch_up_max: i32,
    /// How old they may be. Whole seconds.
    pub catch_up_window: Duration,
    /// What becomes of an instant while another run is not over.
    pub overlap: Overlap,
    /// How long an attempt may take. Whole seconds.
    pub timeout: Duration,
    /// How many attempts.
    pub attempts_max: i32,
    /// The ceiling of the wait after the first failed attempt, which doubles with each. Whole seconds.
    pub backoff: Duration,
    /// How high it goes. Whole seconds.
    pub backoff_max: Duration,
}

impl NewSchedule {
    /// A schedule with the defaults of those in code.
    pub fn new(key: &str, job_key: &str, queue: &str, timetable: &str) -> Self {
        Self {
            key: key.to_owned(),
            job_key: job_key.to_owned(),
            queue: queue.to_owned(),
            verbose_name: String::new(),
            timetable: timetable.to_owned(),
            time_zone: "UTC".to_owned(),
            starts_at: None,
            ends_at: None,
            jitter: Duration::ZERO,
            args: Value::Object(serde_json::Map::new()),
            priority: 0,
            catch_up_max: 1,
            catch_up_window: Duration::from_hours(24),
            overlap: Overlap::Allow,
            timeout: Duration::from_secs(30),
            attempts_max: 3,
            backoff: Duration::from_secs(5),
            backoff_max: Duration::from_mins(10),
        }
    }

    /// When it is due, if all of it can be kept.
    fn check(&self) -> Result<Timetable, ControlError> {
        for (what, text) in [("key", &self.key), ("job", &self.job_key)] {
            let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_.:".contains(character);
            if text.is_empty() || text.len() > KEY_MAX || !text.chars().all(is_plain) {
                return Err(refused(format!(
                    "the {what} {text:?} must be 1 to {KEY_MAX} letters, digits and -_.: of ASCII"
                )));
            }
        }
        let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
        if self.queue.is_empty() || self.queue.len() > KEY_MAX || !self.queue.chars().all(is_plain) {
            return Err(refused(format!(
                "the queue {:?} must be one word of letters, digits, - and _ of ASCII: with the job it is the ticks' routing key",
                self.queue
            )));
        }
        let args = self.args.to_string();
        if !self.args.is_object() || args.len() > ARGS_MAX || args.contains("\\u0000") {
            return Err(refused(format!(
                "the arguments must be a JSON object of at most {ARGS_MAX} bytes without NUL"
            )));
        }
        let is_line =
            |text: &str| text.chars().count() <= VERBOSE_NAME_MAX && !text.chars().any(char::is_control);
        if !is_line(&self.verbose_name) {
            return Err(refused(format!(
                "the name must be one line of at most {VERBOSE_NAME_MAX} characters"
            )));
        }
        self.check_numbers()?;
        if self.starts_at.zip(self.ends_at).is_some_and(|(starts_at, ends_at)| starts_at > ends_at) {
            return Err(refused("it would end before it begins"));
        }
        let timetable = Timetable::new(&self.timetable, &self.time_zone)?;
        Ok(timetable.within(self.starts_at, self.ends_at))
    }

    fn check_numbers(&self) -> Result<(), ControlError> {
        let whole = |duration: Duration, least: u64, most: u64| {
            duration.subsec_nanos() == 0 && (least..=most).contains(&duration.as_secs())
        };
        let year = 366 * 86_400;
        let words = if !whole(self.jitter, 0, 86_400) {
            "the jitter must be whole seconds, at most a day"
        } else if !whole(self.timeout, 1, year) {
            "the time limit must be whole seconds, from one to a year's"
        } else if !whole(self.catch_up_window, 1, year) {
            "the window of late instants must be whole seconds, from one to a year's"
        } else if !(0..=100).contains(&self.catch_up_max) {
            "late instants that are run must be 0 to 100"
        } else if !whole(self.backoff, 1, year) || !whole(self.backoff_max, self.backoff.as_secs(), year) {
            "the waits between attempts must be whole seconds, from one to a year's, and the highest not below the first"
        } else if !(1..=10_000).contains(&self.attempts_max) {
            "attempts must be 1 to 10000"
        } else {
            return Ok(());
        };
        Err(refused(words))
    }
}

/// What was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// When it is due first.
    pub next_due_at: DateTime<Utc>,
}

/// Adds a schedule, due from now on; one that is due once and has passed is run. A key that was removed may be used again: what
/// was answered under it stays so.
pub async fn add(
    database: &PgPool,
    outbox: &Outbox,
    operation: &Operation,
    new: &NewSchedule,
) -> Result<Added, ControlError> {
    let timetable = new.check()?;
    let mut transaction = begin(database, operation).await?;
    let connection = &mut *transaction;
    let done = async {
        let now = now(connection).await?;
        let key = &new.key;
        let before = add_store::before(connection, key).await?;
        if let Some(reason) = add_store::refusal(key, before.as_ref()) {
            return Err(ControlError::NotNow(reason));
        }
        if before.is_none() && (key == SEND_MAIL || add_store::has_runs(connection, key).await?) {
            let words = format!("runs that no schedule makes have the key {key}; choose another");
            return Err(ControlError::NotNow(words));
        }
        // What was answered stays so.
        let begin = timetable.begin(now);
        let watermark = before.map_or(begin, |before| begin.max(before.watermark.min(now)));
        let offset = jitter::offset(key, seconds(new.jitter));
        let next = timetable.next_after(watermark).map(|next| next + offset);
        let Some(next_due_at) = next else {
            return Err(ControlError::NotNow(format!("{:?} would never be due", new.timetable)));
        };
        let places = (watermark, next_due_at, now);
        if !add_store::put(connection, new, &operation.act.actor, places).await? {
            return Err(ControlError::NotNow(format!("somebody adds {key} at this moment")));
        }
        share(connection, key).await?;
        let schedule = ScheduleAct {
            schedule_key: key.clone(),
            job_key: new.job_key.clone(),
            act: operation.act.clone(),
        };
        let (queue, timetable, time_zone) = (new.queue.clone(), new.timetable.clone(), new.time_zone.clone());
        let event = ScheduleAdded { schedule, queue, timetable, time_zone };
        outbox.append(connection, &operation.trace, event).await?;
        Ok::<_, ControlError>(Added { next_due_at })
    }
    .await;
    let added = end(transaction, done).await?;
    outbox.wake();
    Ok(added)
}

fn refused(words: impl Into<String>) -> ControlError {
    ControlError::NotNow(words.into())
}

pub(super) fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nightly() -> NewSchedule {
        NewSchedule::new("sales-nightly", "report", "sales", "0 3 * * *")
    }

    #[test]
    fn a_schedule_that_could_not_be_kept_is_refused_in_words() {
        assert!(nightly().check().is_ok());
        let object = |args: Value| NewSchedule { args, ..nightly() };
        for (new, expected) in [
            (NewSchedule { key: "two words".to_owned(), ..nightly() }, "the key"),
            (NewSchedule { key: "k".repeat(121), ..nightly() }, "the key"),
            (NewSchedule { job_key: "*".to_owned(), ..nightly() }, "the job"),
            (NewSchedule { queue: "sales.eu".to_owned(), ..nightly() }, "one word"),
            (NewSchedule { queue: String::new(), ..nightly() }, "one word"),
            (NewSchedule { timetable: "* * *".to_owned(), ..nightly() }, "cron has five"),
            (NewSchedule { time_zone: "Mars/Olympus".to_owned(), ..nightly() }, "time zone"),
            (object(json!([1])), "JSON object"),
            (object(json!({ "a": "\0" })), "NUL"),
            (object(json!({ "a": "x".repeat(ARGS_MAX) })), "bytes"),
            (NewSchedule { verbose_name: "two\nlines".to_owned(), ..nightly() }, "one line"),
            (NewSchedule { timeout: Duration::from_millis(1_500), ..nightly() }, "time limit"),
            (NewSchedule { jitter: Duration::from_hours(25), ..nightly() }, "jitter"),
            (NewSchedule { catch_up_window: Duration::ZERO, ..nightly() }, "window"),
            (NewSchedule { catch_up_max: 101, ..nightly() }, "late instants"),
            (NewSchedule { attempts_max: 0, ..nightly() }, "attempts"),
        ] {
            let error = new.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let (starts_at, ends_at) = (DateTime::from_timestamp(2, 0), DateTime::from_timestamp(1, 0));
        let reversed = NewSchedule { starts_at, ends_at, ..nightly() };
        assert!(reversed.check().unwrap_err().to_string().contains("before it begins"));
    }
}
