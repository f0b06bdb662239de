//! What the ticker counts, and how the schedules stand: read when somebody asks.

use chrono::{DateTime, Utc};
use shared::metrics::{BoxFuture, Counter, Counters, Figures, Gauges, Histogram, LAGS, Metrics};
use shared::schedules::due::GapReason;
use shared::schedules::publish_tick::Published;
use sqlx::PgConnection;

use super::store;
use crate::worker::{Registry, RescueMetrics, UNKNOWN};

/// The states of a run that is not over, and that of a queued one whose time has not come.
const UNFINISHED: [&str; 4] = ["queued", "not_due", "running", "retrying"];
/// Why instants are not run.
const REASONS: [GapReason; 3] = [GapReason::Missed, GapReason::Skipped, GapReason::Paused];
/// Runs are counted up to so many a state.
const COUNTED_MAX: i64 = 10_000;

/// What a ticker counts. Clones share it.
#[derive(Debug, Clone)]
pub struct TickerMetrics {
    written: Counter,
    not_run: Counters<1>,
    lateness: Histogram,
    unreadable: Counter,
    /// What it counts of stuck runs.
    pub(super) rescues: RescueMetrics,
}

/// The figures of schedules and runs.
#[derive(Debug)]
pub struct ScheduleFigures {
    registry: Registry,
    next_due: Gauges<1>,
    overdue: Gauges<1>,
    unfinished: Gauges<1>,
    failed: Gauges<1>,
}

impl TickerMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            written: metrics
                .counter("scheduler_ticks_written", "Runs written because their instant had come"),
            not_run: metrics.counters(
                (
                    "scheduler_instants_not_run",
                    "Instants that were not run, each of them in job_gaps: missed (nobody looked in time), skipped (a run of \
                     the schedule was not over), paused",
                ),
                ["reason"],
                REASONS.map(|reason| [reason.as_str()]),
            ),
            lateness: metrics.histogram(
                "scheduler_tick_lateness_seconds",
                "From when a run was due to the commit of its row, on the database's clock",
                LAGS,
            ),
            unreadable: metrics.counter(
                "scheduler_schedules_unreadable",
                "Looks, one a minute, at a due schedule whose timetable this build can't read: none of its instants is run until a \
                 build that can is there",
            ),
            rescues: RescueMetrics::new(metrics),
        }
    }

    /// What was due is committed.
    pub(super) fn published(&self, published: &Published, committed_at: DateTime<Utc>) {
        self.written.inc_by(u64::try_from(published.runs()).unwrap_or(u64::MAX));
        self.unreadable.inc_by(u64::try_from(published.unreadable).unwrap_or(u64::MAX));
        for (reason, instants) in &published.not_run {
            self.not_run.of([reason.as_str()]).inc_by(u64::try_from(*instants).unwrap_or(0));
        }
        for due in &published.due_since {
            self.lateness.observe((committed_at - *due).as_seconds_f64().max(0.0));
        }
    }
}

impl ScheduleFigures {
    /// Registers them for the jobs of `registry`.
    pub fn new(metrics: &Metrics, registry: &Registry) -> Self {
        Self {
            registry: registry.clone(),
            next_due: metrics.gauges(
                "scheduler_next_due_timestamp_seconds",
                "When a job is due next, in seconds since 1970; absent for one that is not scheduled; unknown: those of other programs",
                ["job_key"],
            ),
            overdue: metrics.gauges(
                "scheduler_overdue_seconds",
                "For how long a due instant has waited to be written as a run, 0 if none does",
                ["job_key"],
            ),
            unfinished: metrics.gauges(
                "scheduler_runs",
                "Runs that are not over, by state, counted up to 10000; not_due: queued ones whose time has not come",
                ["state"],
            ),
            failed: metrics.gauges(
                "scheduler_failed_runs",
                "Runs that failed for good in the last hour, whoever worked on them, but for those that somebody canceled; \
                 unknown: of jobs of other programs",
                ["job_key"],
            ),
        }
    }

    fn job(&self, key: &str) -> &'static str {
        self.registry.get(key).map_or(UNKNOWN, |job| job.definition.key)
    }

    #[expect(clippy::cast_precision_loss, reason = "no count comes near 2^52")]
    async fn read_all(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let schedules = store::next_due(connection).await?;
        let failed = store::failed_runs(connection).await?;
        let counts = store::count_runs(connection, COUNTED_MAX).await?;
        // A schedule may have been retired.
        for gauges in [&self.next_due, &self.overdue, &self.failed] {
            gauges.clear();
        }
        // The one that is due first comes last: jobs of other programs have one series.
        for schedule in schedules {
            let key = [self.job(&schedule.job_key)];
            self.next_due.of(key).set(schedule.next_due_seconds);
            self.overdue.of(key).set(schedule.overdue_seconds);
        }
        for job in self.registry.keys().chain([UNKNOWN]) {
            let runs: i64 = failed.iter().filter(|(key, _)| self.job(key) == job).map(|(_, runs)| runs).sum();
            self.failed.of([job]).set(runs as f64);
        }
        for state in UNFINISHED {
            let count = counts.iter().find(|(counted, _)| counted == state).map_or(0, |(_, count)| *count);
            self.unfinished.of([state]).set(count as f64);
        }
        Ok(())
    }
}

impl Figures for ScheduleFigures {
    fn read<'a>(&'a self, connection: &'a mut PgConnection) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        Box::pin(self.read_all(connection))
    }

    fn forget(&self) {
        for gauges in [&self.next_due, &self.overdue, &self.unfinished, &self.failed] {
            gauges.clear();
        }
    }
}
