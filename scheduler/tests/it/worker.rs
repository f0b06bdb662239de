//! The worker on a real broker: from the tick in the outbox to the recorded run.

use std::sync::Arc;
use std::time::Duration;

use scheduler::jobs::Job;
use scheduler::worker::{Registry, Worker};
use shared::broker::topology::{DEAD_LETTERS, RUNS_QUEUE};
use shared::broker::{self};
use shared::lifecycle::{Health, Standing};
use shared::outbox::{Relay, RelayMetrics, RelaySettings};
use test_support::{TestBroker, eventually, settled};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, at, definition};

const DEADLINE: Duration = Duration::from_mins(2);

/// A relay and a worker with `slots` slots at work.
struct Works {
    stop: CancellationToken,
    loops: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Works {
    fn start(bench: &Bench, test_broker: &TestBroker, registry: Registry, slots: usize) -> Self {
        let health = Health::default();
        let stop = CancellationToken::new();
        let relay = Relay {
            database: bench.as_program.clone(),
            broker: broker::relay_pools(&test_broker.config(), "test").unwrap(),
            outbox: bench.outbox.clone(),
            program: "test",
            clock: shared::clock::Clock::system(),
            entropy: bench.entropy.clone(),
            component: health.component("relay", Standing::Supporting),
            metrics: RelayMetrics::default(),
            settings: RelaySettings::default(),
        };
        let mut workshop = bench.workshop(registry);
        workshop.stop = stop.clone();
        let component = health.component("worker", Standing::Required);
        let connection = (test_broker.config(), "test".to_owned());
        let worker = Worker::new(workshop, connection, RUNS_QUEUE, component, slots);
        let loops = vec![tokio::spawn(relay.run(stop.clone())), tokio::spawn(worker.run())];
        Self { stop, loops }
    }

    /// Stops both and waits for their good end.
    async fn stop(self) {
        self.stop.cancel();
        for ended in self.loops {
            ended.await.unwrap().unwrap();
        }
    }
}

/// A job that waits for a permit of `gate` before it ends.
fn gated(gate: &Arc<Semaphore>) -> Registry {
    let gate = gate.clone();
    Registry::new([Job::new(definition(), move |_| {
        let gate = gate.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(String::new())
        }
    })])
}

async fn in_state(bench: &Bench, state: &'static str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM job_runs WHERE state = $1")
        .bind(state)
        .fetch_one(bench.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_worker_without_a_free_slot_holds_no_message() {
    let bench = Bench::new().await;
    let test_broker = TestBroker::create().await;
    test_broker.declare_topology().await;
    bench.schedule(at("09:00:00")).await;
    assert_eq!(bench.tick(at("09:05:00")).await.runs(), 5);
    let gate = Arc::new(Semaphore::new(0));
    let works = Works::start(&bench, &test_broker, gated(&gate), 2);
    settled(DEADLINE, "both slots to be taken", 2, async || in_state(&bench, "running").await).await;
    settled(DEADLINE, "the other ticks to lie in the queue", 3, async || {
        test_broker.queue_depth(RUNS_QUEUE).await
    })
    .await;
    gate.add_permits(1);
    settled(DEADLINE, "one to be done and the next begun", (1, 2, 2), async || {
        let depth = test_broker.queue_depth(RUNS_QUEUE).await;
        (in_state(&bench, "succeeded").await, in_state(&bench, "running").await, depth)
    })
    .await;
    gate.add_permits(4);
    settled(DEADLINE, "all to be done", 5, async || in_state(&bench, "succeeded").await).await;
    settled(DEADLINE, "no message to be left", 0, async || test_broker.queue_depth(RUNS_QUEUE).await).await;
    works.stop().await;
    assert_eq!(bench.count("SELECT count(*) FROM job_runs WHERE attempt = 1").await, 5);
}

#[tokio::test]
async fn garbage_goes_to_the_dead_letters_and_keeps_nobody_waiting() {
    let bench = Bench::new().await;
    let test_broker = TestBroker::create().await;
    test_broker.declare_topology().await;
    let garbage = b"\xff not a tick";
    test_broker
        .publish_raw("job.ticks", "default.anything", lapin::BasicProperties::default(), garbage)
        .await;
    bench.queued_run().await;
    let works = Works::start(&bench, &test_broker, Bench::registry(|_| Ok(String::new())), 1);
    settled(DEADLINE, "the run behind it to be done", 1, async || in_state(&bench, "succeeded").await).await;
    let dead = eventually(DEADLINE, "the garbage", async || test_broker.take(DEAD_LETTERS).await).await;
    assert_eq!(dead.body, garbage);
    works.stop().await;
}

#[tokio::test]
async fn a_stopping_worker_finishes_the_run_in_hand_and_claims_no_other() {
    let bench = Bench::new().await;
    let test_broker = TestBroker::create().await;
    test_broker.declare_topology().await;
    bench.schedule(at("09:00:00")).await;
    assert_eq!(bench.tick(at("09:02:00")).await.runs(), 2);
    let gate = Arc::new(Semaphore::new(0));
    let works = Works::start(&bench, &test_broker, gated(&gate), 1);
    settled(DEADLINE, "a run in hand", 1, async || in_state(&bench, "running").await).await;
    works.stop.cancel();
    gate.add_permits(2);
    works.stop().await;
    assert_eq!((in_state(&bench, "succeeded").await, in_state(&bench, "queued").await), (1, 1));
}

#[tokio::test]
async fn a_second_message_for_a_run_does_nothing() {
    let bench = Bench::new().await;
    let test_broker = TestBroker::create().await;
    test_broker.declare_topology().await;
    bench.queued_run().await;
    // Sixty seconds later nobody has claimed it: the same tick is sent once more.
    assert_eq!(bench.rescue(at("09:02:00")).await.resent, 1);
    let works = Works::start(&bench, &test_broker, Bench::registry(|_| Ok(String::new())), 4);
    settled(DEADLINE, "the run to be done", 1, async || in_state(&bench, "succeeded").await).await;
    settled(DEADLINE, "both messages to be gone", (0, 0), async || {
        (test_broker.queue_depth(RUNS_QUEUE).await, bench.count("SELECT count(*) FROM outbox").await)
    })
    .await;
    works.stop().await;
    assert_eq!(bench.count("SELECT attempt::bigint FROM job_runs").await, 1);
    assert_eq!(test_broker.queue_depth(DEAD_LETTERS).await, 0);
}
