//! The scheduler's use cases against a real database, and its worker against a real broker.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what goes wrong in a helper should fail the test"
)]

mod audit_partitions;
mod background_tasks;
mod bench;
mod catalogue;
mod control;
mod enqueued;
mod jobs;
mod mail;
mod metrics;
mod operators_schedules;
mod overlap;
mod remote;
mod remote_listener;
mod rescue;
mod runs;
mod thirty_days;
mod ticks;
mod worker;
