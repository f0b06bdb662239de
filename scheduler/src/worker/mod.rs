//! Runs: claimed from the queue, executed under a lease, recorded under the attempt that was claimed.
//!
//! A tick's message only says which run to look at; the row in `job_runs` decides. Whoever moves it from `queued` to
//! `running` owns it until the lease ends, and writes its outcome only while the row still bears the attempt that was
//! claimed. The message is acknowledged after the claim, not after the job: from there the row carries the work. A
//! worker without a free slot is not subscribed, so a long job holds nothing that another worker could do.
//!
//! ```text
//! queued -> running -> succeeded | failed
//!    ^         |
//!    |         v  an attempt failed, or its worker's lease ran out
//!    +---- retrying  (until run_after)
//! ```

mod claim;
mod claims_store;
pub mod error_kind;
mod execute;
mod lease;
mod metrics;
mod outcome;
mod record;
pub mod registry;
pub mod remote;
mod requeue_store;
pub mod rescue;
pub mod retry_policy;
pub mod runs_store;
mod subscribe;
mod tick_message;

pub use claim::{Claim, claim, claim_next};
pub use execute::execute;
pub use lease::{LEASE, LeaseSettings};
pub use metrics::{RescueMetrics, UNKNOWN, WorkerMetrics};
pub use registry::Registry;
pub use subscribe::Worker;

use shared::clock::Clock;
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::jobs::Printer;

/// What claiming and executing need.
#[derive(Debug, Clone)]
pub struct Workshop {
    /// The database.
    pub database: PgPool,
    /// For events.
    pub outbox: Outbox,
    /// The jobs of this build.
    pub registry: Registry,
    /// What time it is, for jobs.
    pub clock: Clock,
    /// For waits.
    pub entropy: Entropy,
    /// Standard output.
    pub printer: Printer,
    /// Who works here, as `job_runs.worker` has it.
    pub worker: String,
    /// How long a claim holds.
    pub lease: LeaseSettings,
    /// What counts it.
    pub metrics: WorkerMetrics,
    /// Cancelled when the program should stop.
    pub stop: CancellationToken,
}
