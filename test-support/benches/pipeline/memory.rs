//! The memory of a relaying program and of the audit consumer, each a process over a long backlog.
//!
//! Flat means: the most that it held after the first tenth is hardly more than the most within it. Whoever kept a byte or two
//! of every event would be far beyond that at the end.

use std::time::Duration;

use test_support::programs::{Program, RunningProgram};
use test_support::{TestBroker, TestDatabase, machine};
use tokio::time::{Instant, sleep};

use crate::backlog::{DEADLINE, Queue, fill_outbox, is_waiting};
use crate::report::{Report, per_second};
use crate::size::Size;

/// What may come on top of the first tenth's peak: allocators round up, and caches fill.
const GROWTH_MAX: usize = 16 * 1_024;

pub(crate) async fn measure(database: &TestDatabase, size: &Size, report: &mut Report) {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    sqlx::query("TRUNCATE outbox, outbox_confirmed, audit.events").execute(database.pool()).await.unwrap();
    let last = fill_outbox(database.pool(), size.backlog_events).await;
    let queue = Queue::of(&broker).await;

    let relaying = Program::producer_api(database, &broker).spawn();
    let done = async || queue.depth().await;
    let samples = watch(&relaying, size.backlog_events, done).await;
    while is_waiting(database.pool(), last).await {
        sleep(Duration::from_millis(10)).await;
    }
    judge("memory of a relaying producer-api", &samples, report);
    drop(relaying);

    let consuming = Program::audit_consumer(database, &broker).spawn();
    let done = async || size.backlog_events - queue.depth().await;
    let samples = watch(&consuming, size.backlog_events, done).await;
    judge("memory of audit-consumer", &samples, report);
}

/// How much was done, and how much memory was held then.
type Sample = (usize, usize);

/// Looks every now and then until all is done.
async fn watch(program: &RunningProgram, all: usize, done: impl AsyncFn() -> usize) -> Vec<Sample> {
    let (began, mut samples, mut first) = (Instant::now(), Vec::new(), None);
    loop {
        let done = done().await;
        samples.push((done, machine::resident_kilobytes(program.pid())));
        if done > 0 && first.is_none() {
            first = Some((done, Instant::now()));
        }
        if done >= all {
            break;
        }
        assert!(began.elapsed() < DEADLINE, "{done} of {all} were done");
        sleep(Duration::from_millis(100)).await;
    }
    let (before, since) = first.unwrap();
    let rate = per_second(all.saturating_sub(before), since.elapsed());
    println!("a backlog of {all} events was worked off at {rate:.0} a second");
    samples
}

fn judge(what: &str, samples: &[Sample], report: &mut Report) {
    let all = samples.last().unwrap().0;
    let peak = |from: usize, to: usize| {
        let within = samples.iter().filter(|(done, _)| (all * from..=all * to).contains(&(done * 10)));
        within.map(|(_, kilobytes)| *kilobytes).max().unwrap_or(0)
    };
    let by_tenths = (0..10).map(|tenth| peak(tenth, tenth + 1).to_string()).collect::<Vec<_>>().join(" ");
    println!("{what}: peak in kB by tenths of the backlog: {by_tenths}");
    report.at_most_kilobytes(&format!("{what} after the first tenth"), peak(1, 10), peak(0, 1) + GROWTH_MAX);
}
