//! Answers what is due: locks due schedules, plans, writes runs with their ticks, gaps and the new watermarks. One
//! transaction, the caller's.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::due::{self, Gap, GapReason, Rules};
use super::gaps_store;
use super::overlap::Overlap;
use super::runs_store::{self, DueRun};
use super::store::{self, Advances, ScheduleRow};
use crate::entropy::Entropy;
use crate::outbox::{AppendError, Outbox};
use crate::telemetry::TraceContext;

/// The most schedules answered in one transaction.
const SCHEDULES_MAX: usize = 200;
/// When a transaction has so many runs it takes no further schedule.
const ENOUGH_RUNS: usize = 1_000;
/// When a schedule that this build can't read is looked at again: a newer build may be about to take over.
const UNREADABLE_PUT_OFF: TimeDelta = TimeDelta::minutes(1);
/// A pause that begins so much later was none of this clock's.
const PAUSE_AHEAD: TimeDelta = TimeDelta::minutes(1);

/// Why nothing was answered; nothing is kept.
#[derive(Debug, thiserror::Error)]
pub enum PublishTickError {
    /// The schedules or runs could not be read or written.
    #[error("what is due can't be written")]
    Write(#[source] sqlx::Error),
    /// A tick could not be written to the outbox.
    #[error("a tick can't be sent")]
    Append(#[source] AppendError),
}

impl From<sqlx::Error> for PublishTickError {
    fn from(error: sqlx::Error) -> Self {
        Self::Write(error)
    }
}

/// What was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// Since when each run that was written had been due.
    pub due_since: Vec<DateTime<Utc>>,
    /// Instants that lie in gaps now, by reason.
    pub not_run: HashMap<GapReason, i64>,
    /// Schedules that this build can't read; they are looked at again in a minute.
    pub unreadable: usize,
    /// Whether more is due already.
    pub more: bool,
    /// When the first of these schedules is due again.
    pub next_due_at: Option<DateTime<Utc>>,
}

impl Published {
    /// How many runs were written.
    pub fn runs(&self) -> usize {
        self.due_since.len()
    }

    /// How many instants were missed.
    pub fn missed(&self) -> i64 {
        self.not_run.get(&GapReason::Missed).copied().unwrap_or(0)
    }
}

/// Answers what is due at `now`.
pub async fn publish_ticks(
    connection: &mut PgConnection,
    outbox: &Outbox,
    entropy: &Entropy,
    now: DateTime<Utc>,
) -> Result<Published, PublishTickError> {
    let limit = i64::try_from(SCHEDULES_MAX).unwrap_or(i64::MAX);
    let due = store::lock_due(connection, now, limit).await?;
    let mut published = answer(connection, outbox, entropy, &due, now).await?;
    published.more |= due.len() >= SCHEDULES_MAX;
    Ok(published)
}

/// Answers what is due at `now` of schedules that are locked.
pub async fn answer(
    connection: &mut PgConnection,
    outbox: &Outbox,
    entropy: &Entropy,
    due: &[ScheduleRow],
    now: DateTime<Utc>,
) -> Result<Published, PublishTickError> {
    let mut published = Published::default();
    if due.is_empty() {
        return Ok(published);
    }
    let limited = |row: &&ScheduleRow| Overlap::unfinished_max(&row.overlap).is_some();
    let limited: Vec<String> = due.iter().filter(limited).map(|row| row.schedule_key.clone()).collect();
    let unfinished =
        if limited.is_empty() { HashMap::new() } else { store::unfinished(connection, &limited).await? };
    let (mut runs, mut advances) = (Vec::new(), Advances::default());
    for schedule in due {
        if runs.len() >= ENOUGH_RUNS {
            published.more = true;
            break;
        }
        let timetable = match schedule.timetable() {
            Ok(timetable) => timetable,
            Err(error) => {
                tracing::error!(schedule = schedule.schedule_key, %error, "a schedule can't be read");
                store::put_off(connection, &schedule.schedule_key, now + UNREADABLE_PUT_OFF).await?;
                published.unreadable += 1;
                continue;
            }
        };
        let offset = schedule.offset();
        let running = unfinished.get(&schedule.schedule_key).copied().unwrap_or(0);
        let room =
            Overlap::unfinished_max(&schedule.overlap).map_or(usize::MAX, |max| max.saturating_sub(running));
        // A pause of a time to come is one of a clock that was ahead: it holds. (`now` may be from before a wait for the row.)
        let is_ahead = |at| at > now + PAUSE_AHEAD;
        let paused_from =
            schedule.paused_at.map(|at| if is_ahead(at) { schedule.watermark } else { at - offset });
        let rules = Rules { catch_up: schedule.catch_up(), paused_from, room };
        // As if it were so much earlier: what is due later by the offset is planned as what is due now.
        let answered = answered(connection, schedule, now).await?;
        let plan = due::plan(schedule.watermark, now - offset, &timetable, rules, &answered);
        let found = (plan.gaps.as_slice(), plan.runs.as_slice());
        record_gaps(connection, schedule, (schedule.watermark, &answered), found, now).await?;
        for gap in &plan.gaps {
            *published.not_run.entry(gap.reason).or_default() += gap.instants;
        }
        let next_due_at = plan.next_due_at.map(|next| next + offset);
        published.more |= next_due_at.is_some_and(|next| next <= now);
        published.next_due_at = published.next_due_at.into_iter().chain(next_due_at).min();
        advances.push(&schedule.schedule_key, plan.watermark, next_due_at);
        runs.extend(plan.runs.iter().map(|scheduled_at| DueRun {
            id: entropy.uuid_v7(now),
            schedule_key: schedule.schedule_key.clone(),
            scheduled_at: *scheduled_at,
            due_at: *scheduled_at + offset,
        }));
    }
    let inserted = write(connection, outbox, entropy, &runs, now).await?;
    let by_id: HashMap<Uuid, &DueRun> = runs.iter().map(|run| (run.id, run)).collect();
    published.due_since =
        inserted.into_iter().filter_map(|id| by_id.get(&id)).map(|run| run.due_at).collect();
    store::advance(connection, &advances).await?;
    Ok(published)
}

/// The instants that were run before they came, by a clock that was ahead.
pub(super) async fn answered(
    connection: &mut PgConnection,
    schedule: &ScheduleRow,
    now: DateTime<Utc>,
) -> Result<BTreeSet<DateTime<Utc>>, sqlx::Error> {
    if schedule.set_back_from.is_none_or(|from| schedule.watermark >= from) {
        return Ok(BTreeSet::new());
    }
    runs_store::instants(connection, &schedule.schedule_key, schedule.watermark, now).await
}

/// Writes gaps behind `after`, up to where all is answered; `runs` are written beside them.
pub(super) async fn record_gaps(
    connection: &mut PgConnection,
    schedule: &ScheduleRow,
    (mut after, answered): (DateTime<Utc>, &BTreeSet<DateTime<Utc>>),
    (gaps, runs): (&[Gap], &[DateTime<Utc>]),
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    for gap in gaps {
        let (first_at, last_at, instants) = (gap.first_at, gap.last_at, gap.instants);
        let (schedule_key, reason) = (schedule.schedule_key.as_str(), gap.reason.as_str());
        if gap.reason == GapReason::Missed {
            tracing::warn!(schedule = schedule_key, %first_at, %last_at, instants, "instants were missed");
        } else {
            tracing::info!(schedule = schedule_key, %first_at, %last_at, instants, reason, "instants are not run");
        }
        // One that begins after a run doesn't go on with the gap before that run.
        let run = runs.iter().rev().find(|run| **run < first_at).copied();
        let known = answered.range(..first_at).next_back().copied();
        let before = [run, known].into_iter().flatten().fold(after, DateTime::max);
        gaps_store::record_gap(connection, schedule_key, before, gap, now).await?;
        after = last_at;
    }
    Ok(())
}

/// Writes runs with their ticks; gives which are new.
async fn write(
    connection: &mut PgConnection,
    outbox: &Outbox,
    entropy: &Entropy,
    runs: &[DueRun],
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>, PublishTickError> {
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let inserted = runs_store::insert(connection, runs, now).await?;
    let trace = TraceContext::new(entropy);
    for tick in &inserted {
        tracing::info!(
            job.key = tick.job_key,
            run.id = %tick.run_id,
            scheduled_at = %tick.scheduled_at,
            trace_id = trace.trace_id(),
            "a run is due"
        );
    }
    let ids = inserted.iter().map(|tick| tick.run_id.0).collect();
    outbox.append_all(connection, &trace, inserted).await.map_err(PublishTickError::Append)?;
    Ok(ids)
}
