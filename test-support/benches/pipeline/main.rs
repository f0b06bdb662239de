//! What the way of an event costs, beside what the servers alone can do on this machine: `cargo xtask bench pipeline`.
//!
//! 1. The relay, from a full outbox to confirmed and settled, beside publishing the same bodies with confirms.
//! 2. The audit consumer, from a full queue to rows, beside consuming, inserting and acknowledging without looking at what comes.
//! 3. Both again, with events among them that can't be routed, read or recorded.
//! 4. From the commit of a fact to the commit of its audit row, at a steady rate, through the real programs.
//! 5. The memory of a relaying program and of the audit consumer while each works off a long backlog.
//!
//! Rounds of the limit and of ours take turns, so that what else the machine does hits both; the medians are
//! compared. PostgreSQL is durable in all of it. It ends with exit code 1 if a limit is missed. `PIPELINE_SIZE=small` tries
//! it out, and judges as strictly; `PIPELINE_PART=disturbed` measures that part alone.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark ends at a fault and prints what it found"
)]

mod backlog;
mod consumer;
mod disturbed;
mod events;
mod latency;
mod memory;
mod raw_consumer;
mod raw_publisher;
mod relay;
mod report;
mod size;

use std::process::ExitCode;

use test_support::faults::PrivatePostgres;
use test_support::machine::load;

use report::Report;
use size::Size;

#[tokio::main]
async fn main() -> ExitCode {
    let size = Size::chosen();
    let mut postgres = PrivatePostgres::start().await;
    let database = postgres.database_with_commit_instants().await;
    let mut report = Report::default();
    println!("pipeline, {size:?}; load {}", load());
    let part = std::env::var("PIPELINE_PART");
    let is_wanted = |name: &str| part.as_ref().map_or(true, |part| part == name);
    if is_wanted("relay") {
        relay::measure(&database, &size, &mut report).await;
    }
    if is_wanted("consumer") {
        consumer::measure(&database, &size, &mut report).await;
    }
    if is_wanted("disturbed") {
        disturbed::measure(&database, &size, &mut report).await;
    }
    if is_wanted("latency") {
        latency::measure(&database, &size, &mut report).await;
    }
    if is_wanted("memory") {
        memory::measure(&database, &size, &mut report).await;
    }
    report.judge()
}
