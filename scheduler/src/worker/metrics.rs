//! What claiming and executing runs counts.

use std::time::Duration;

use shared::metrics::{Counter, Counters, Histograms, LAGS, LONG_DURATIONS, Metrics, Sample};

use super::registry::Registry;
use super::rescue::Rescued;

/// A run of a job that this build doesn't have.
pub const UNKNOWN: &str = "unknown";

/// How an attempt ended, as it is counted.
const SUCCEEDED: &str = "succeeded";
const RETRIED: &str = "retried";
const FAILED: &str = "failed";
const FENCED: &str = "fenced";
const ABANDONED: &str = "abandoned";

/// What the workers of a process count. Clones share it.
#[derive(Debug, Clone)]
pub struct WorkerMetrics {
    registry: Registry,
    claims: Counters<1>,
    attempts: Counters<2>,
    duration: Histograms<1>,
    lateness: Histograms<1>,
}

/// What tickers count of runs that are stuck. Clones share it.
#[derive(Debug, Clone)]
pub struct RescueMetrics {
    retries: Counter,
    lost_leases: Counter,
    resent: Counter,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Succeeded,
    Retried,
    Failed,
    /// Another attempt has the run; the outcome was dropped.
    Fenced,
    /// The lease was lost before the work was done.
    Abandoned,
}

impl WorkerMetrics {
    /// Registers them for the jobs of `registry`.
    pub fn new(metrics: &Metrics, registry: &Registry) -> Self {
        let jobs = || registry.keys().chain([UNKNOWN]);
        let outcomes = [SUCCEEDED, RETRIED, FAILED, FENCED, ABANDONED];
        Self {
            registry: registry.clone(),
            claims: metrics.counters(
                (
                    "scheduler_claims",
                    "Messages that name a run, by what came of them: claimed, nothing (another worker's, or done \
                     already), garbage (no tick)",
                ),
                ["outcome"],
                [["claimed"], ["nothing"], ["garbage"]],
            ),
            attempts: metrics.counters(
                (
                    "scheduler_attempts",
                    "Attempts at runs, by how they ended; fenced and abandoned ones had lost their lease",
                ),
                ["job_key", "outcome"],
                jobs().flat_map(|job| outcomes.map(|outcome| [job, outcome])),
            ),
            duration: metrics.histograms(
                ("scheduler_attempt_duration_seconds", "How long attempts took", LONG_DURATIONS),
                ["job_key"],
                jobs().map(|job| [job]),
            ),
            lateness: metrics.histograms(
                (
                    "scheduler_run_lateness_seconds",
                    "How long after its due instant a run was claimed for the first time",
                    LAGS,
                ),
                ["job_key"],
                jobs().map(|job| [job]),
            ),
        }
    }

    /// A worker's free slots.
    pub fn slots_of(queue: &'static str, free: impl Fn() -> usize + Send + Sync + 'static) -> Sample<1> {
        Sample::new([("queue", queue)], move || u32::try_from(free()).ok().map(f64::from))
    }

    /// Tells how many slots the workers of a process have free.
    pub fn watch_slots(metrics: &Metrics, slots: impl IntoIterator<Item = Sample<1>>) {
        metrics.sampled(
            "scheduler_slots_free",
            "How many runs the worker would take beside those in hand",
            slots,
        );
    }

    /// A message's run is ours.
    pub(super) fn claimed(&self, job_key: &str, attempt: i32, late: Duration) {
        self.claims.of(["claimed"]).inc();
        if attempt == 1 {
            self.lateness.of([self.job(job_key)]).observe(late.as_secs_f64());
        }
    }

    /// There was nothing to claim.
    pub(super) fn nothing_to_claim(&self) {
        self.claims.of(["nothing"]).inc();
    }

    /// A message was no tick.
    pub(super) fn garbage(&self) {
        self.claims.of(["garbage"]).inc();
    }

    /// An attempt ended.
    pub(super) fn ended(&self, job_key: &str, ended: Ended, took: Duration) {
        let job = self.job(job_key);
        let outcome = match ended {
            Ended::Succeeded => SUCCEEDED,
            Ended::Retried => RETRIED,
            Ended::Failed => FAILED,
            Ended::Fenced => FENCED,
            Ended::Abandoned => ABANDONED,
        };
        self.attempts.of([job, outcome]).inc();
        self.duration.of([job]).observe(took.as_secs_f64());
    }

    fn job(&self, key: &str) -> &'static str {
        self.registry.get(key).map_or(UNKNOWN, |job| job.definition.key)
    }
}

impl RescueMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            retries: metrics.counter("scheduler_retries", "Runs queued again because their wait for another attempt was over"),
            lost_leases: metrics.counter(
                "scheduler_leases_lost",
                "Attempts given up because their worker let the lease run out: it died, hung or lost the database",
            ),
            resent: metrics.counter(
                "scheduler_ticks_resent",
                "Ticks sent again because nobody claimed their run: the message was lost, or nobody works",
            ),
        }
    }

    /// A round was committed.
    pub fn rescued(&self, rescued: Rescued) {
        let counted = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.retries.inc_by(counted(rescued.retried));
        self.lost_leases.inc_by(counted(rescued.lost));
        self.resent.inc_by(counted(rescued.resent));
    }
}
