//! What a job is: its definition, and the work itself as an async function.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::clock::Clock;
use shared::contracts::jobs::DEFAULT_QUEUE;
use shared::ids::RunId;
use shared::outbox::Outbox;
use shared::schedules::Overlap;
use shared::telemetry::TraceContext;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::printer::Printer;

/// When and how a job runs: what is synced to `job_schedules` at start.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Its name for ever, such as `print-user-tasks`.
    pub key: &'static str,
    /// What people call it.
    pub verbose_name: &'static str,
    /// When it is due, as [`Timetable`](shared::schedules::timetable) reads it; none if only code enqueues it.
    pub timetable: Option<&'static str>,
    /// By the clocks of which time zone, an IANA name.
    pub time_zone: &'static str,
    /// It is not due before.
    pub starts_at: Option<DateTime<Utc>>,
    /// It is not due afterwards.
    pub ends_at: Option<DateTime<Utc>>,
    /// How much later than its instants it may be due: always the same of it, drawn from its key. Whole seconds.
    pub jitter: Duration,
    /// What it is given.
    pub args: serde_json::Value,
    /// Who works on it.
    pub queue: &'static str,
    /// Of two that wait in a queue the one with the higher number goes first.
    pub priority: i16,
    /// How many of the instants that passed unseen are run: the newest so many; 0: none.
    pub catch_up_max: i32,
    /// How old they may be.
    pub catch_up_window: Duration,
    /// What becomes of an instant while another run of the schedule is not over.
    pub overlap: Overlap,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// How often a run is tried.
    pub attempts_max: i32,
    /// What the wait after a first failed attempt is drawn below; it doubles with each further one. Whole seconds.
    pub backoff: Duration,
    /// What it doubles up to.
    pub backoff_max: Duration,
}

impl Definition {
    /// A job called `key` that only code enqueues, in the default queue, with half a minute for each of three attempts.
    pub const fn new(key: &'static str) -> Self {
        Self {
            key,
            verbose_name: "",
            timetable: None,
            time_zone: "UTC",
            starts_at: None,
            ends_at: None,
            jitter: Duration::ZERO,
            args: serde_json::Value::Null,
            queue: DEFAULT_QUEUE,
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
}

/// What a run may use.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// The run.
    pub run_id: RunId,
    /// The due instant, which is not the present one.
    pub scheduled_at: DateTime<Utc>,
    /// Which attempt this is, from 1.
    pub attempt: i32,
    /// What the schedule gives it.
    pub args: serde_json::Value,
    /// The database.
    pub database: PgPool,
    /// For events.
    pub outbox: Outbox,
    /// What time it is.
    pub clock: Clock,
    /// The program's standard output.
    pub printer: Printer,
    /// The trace its events belong to.
    pub trace: TraceContext,
    /// Cancelled when the program is asked to stop, or four fifths of the attempt's time are over: a job in batches ends after the
    /// one in hand, with success.
    pub stop: CancellationToken,
}

/// A run's output, or why there is none.
pub type JobResult = Result<String, JobError>;

/// Why an attempt failed, and whether another one makes sense.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It may succeed the next time.
    #[error("{what}")]
    Passing {
        /// What could not be done.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It will fail the same way every time.
    #[error("{0}")]
    Lasting(String),
}

impl JobError {
    /// For `map_err`: `what` could not be done, this time.
    pub fn passing<E: Into<Box<dyn Error + Send + Sync>>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Passing { what, source: source.into() }
    }
}

type Work = dyn Fn(JobContext) -> Pin<Box<dyn Future<Output = JobResult> + Send>> + Send + Sync;

/// A job: its definition and its work.
#[derive(Clone)]
pub struct Job {
    /// When and how.
    pub definition: Definition,
    work: Arc<Work>,
}

impl Job {
    /// A job that does `work`.
    pub fn new<F, Fut>(definition: Definition, work: F) -> Self
    where
        F: Fn(JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = JobResult> + Send + 'static,
    {
        Self { definition, work: Arc::new(move |context| Box::pin(work(context))) }
    }

    /// Does the work once.
    pub fn run(&self, context: JobContext) -> impl Future<Output = JobResult> + Send + 'static {
        let work = self.work.clone();
        // Called when the future is polled, so that a panic on the way to it is the run's, too.
        async move { work(context).await }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Job").field("definition", &self.definition).finish_non_exhaustive()
    }
}
