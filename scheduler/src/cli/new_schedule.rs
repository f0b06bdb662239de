//! `scheduler schedules add`: the words of a schedule that no build declares.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use serde_json::Value;
use shared::config::parse_duration;
use shared::control::NewSchedule;
use shared::operator::WhoArguments;
use shared::schedules::Overlap;

use super::parse_instant;

/// How high the wait between two attempts goes, if nobody says otherwise.
const BACKOFF_MAX: Duration = Duration::from_mins(10);

/// A schedule, by whom and why.
#[derive(Debug, Args)]
pub(super) struct AddArguments {
    /// Its key.
    #[arg(value_name = "KEY")]
    pub(super) key: String,
    /// Its job: what its worker goes by.
    #[arg(long, value_name = "JOB")]
    job: String,
    /// The queue of its runs: one word. Ticks have the routing key QUEUE.JOB. Scheduler's own workers read `default` and `mail`
    /// alone.
    #[arg(long, value_name = "QUEUE")]
    queue: String,
    /// When: a cron line, `@daily`, `every 90s` or `at 2026-12-01 09:00`.
    #[arg(long, value_name = "LINE")]
    timetable: String,
    /// By the clocks of which time zone, such as Europe/London.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    /// What its runs are given: a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = json)]
    args: Value,
    /// What becomes of an instant while another run is not over: it is run beside it, skipped, or waits.
    #[arg(long, value_name = "RULE", value_enum, default_value_t = OverlapRule::Allow)]
    overlap: OverlapRule,
    /// How many instants that passed unseen are run: the newest so many, 0 to 100.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    catch_up_max: i32,
    /// How old they may be.
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = duration)]
    catch_up_window: Duration,
    /// How long an attempt may take.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// How often a run is tried.
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    attempts: i32,
    /// After a failed attempt a run waits at random, up to so long; the limit doubles with each.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    backoff: Duration,
    /// How high that limit goes; ten minutes, or the first if that is more.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    backoff_max: Option<Duration>,
    /// Of two runs that wait in a queue the one with the higher number goes first.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true)]
    priority: i16,
    /// It is not due before.
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
    starts_at: Option<DateTime<Utc>>,
    /// It is not due afterwards.
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
    ends_at: Option<DateTime<Utc>>,
    /// How much later than its instants it may be due, always the same of it.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    jitter: Duration,
    /// What people call it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    verbose_name: String,
    #[command(flatten)]
    pub(super) who: WhoArguments,
    /// As JSON, one object.
    #[arg(long)]
    pub(super) json: bool,
}

/// As `--overlap` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OverlapRule {
    Allow,
    Skip,
    Queue,
}

impl AddArguments {
    /// What is to be added.
    pub(super) fn schedule(&self) -> NewSchedule {
        NewSchedule {
            key: self.key.clone(),
            job_key: self.job.clone(),
            queue: self.queue.clone(),
            verbose_name: self.verbose_name.clone(),
            timetable: self.timetable.clone(),
            time_zone: self.time_zone.clone(),
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            jitter: self.jitter,
            args: self.args.clone(),
            priority: self.priority,
            catch_up_max: self.catch_up_max,
            catch_up_window: self.catch_up_window,
            overlap: match self.overlap {
                OverlapRule::Allow => Overlap::Allow,
                OverlapRule::Skip => Overlap::Skip,
                OverlapRule::Queue => Overlap::Queue,
            },
            timeout: self.timeout,
            attempts_max: self.attempts,
            backoff: self.backoff,
            backoff_max: self.backoff_max.unwrap_or(BACKOFF_MAX.max(self.backoff)),
        }
    }
}

fn json(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err("must be a JSON object, such as {\"region\": \"eu\"}".to_owned())
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("must be a duration such as 90s, 15m or 1h30m")
}
