//! The relay as it is, with its default settings, over a full outbox.

use std::time::Duration;

use shared::broker;
use shared::clock::Clock;
use shared::config::TopologyAtStart;
use shared::entropy::Entropy;
use shared::lifecycle::{Health, Standing};
use shared::outbox::{Relay, RelayMetrics, RelaySettings};
use sqlx::PgPool;
use test_support::{TestBroker, TestDatabase};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::backlog::{DEADLINE, fill_outbox, is_waiting, outbox};
use crate::events::messages;
use crate::raw_publisher::{self, Manner};
use crate::report::{Report, Rounds};
use crate::size::Size;

/// What a relay must reach of what the broker takes, in percent.
const PERCENT_MIN: u32 = 60;

pub(crate) async fn measure(database: &TestDatabase, size: &Size, report: &mut Report) {
    let bytes: usize = messages(1_000).iter().map(|message| message.body.len()).sum();
    println!("relay: {} events a round, {} bytes each", size.round_events, bytes / 1_000);
    let (mut raw, mut at_once, mut ours) = (Rounds::new(), Rounds::new(), Rounds::new());
    for _ in 0..size.rounds {
        raw.push(publish(size.round_events, Manner::OneByOne).await);
        let broker = TestBroker::create().await;
        broker.declare_topology().await;
        let filling = fill_outbox(database.pool(), size.round_events);
        ours.push(relay_over(database, &broker, size.round_events, filling).await);
        at_once.push(publish(size.round_events, Manner::WindowAtOnce).await);
    }
    println!(
        "relay: raw, each message awaited until it is written, by round: {}",
        raw.rates(size.round_events)
    );
    report.compare("relay", size.round_events, ("raw", &at_once), ("ours", &ours), PERCENT_MIN);
}

async fn publish(count: usize, manner: Manner) -> Duration {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    raw_publisher::publish(&broker, count, manner).await
}

/// How long a relay takes from its start, connecting included, until each of `good` rows is confirmed and has left the outbox.
/// `filling` puts them there, and gives the greatest sequence of them.
pub(crate) async fn relay_over(
    database: &TestDatabase,
    broker: &TestBroker,
    good: usize,
    filling: impl Future<Output = i64>,
) -> Duration {
    sqlx::query("TRUNCATE outbox, outbox_confirmed, outbox_parked").execute(database.pool()).await.unwrap();
    let last = filling.await;
    let stop = CancellationToken::new();
    let relay = Relay {
        database: database.pool().clone(),
        broker: broker::relay_pools(&broker.config(), "bench").unwrap(),
        outbox: outbox(),
        program: "producer-api",
        clock: Clock::system(),
        entropy: Entropy::system(),
        component: Health::default().component("relay", Standing::Supporting),
        metrics: RelayMetrics::default(),
        // It must not put a binding back that was taken away.
        settings: RelaySettings { topology: TopologyAtStart::Expect, ..RelaySettings::default() },
    };
    let began = Instant::now();
    let running = tokio::spawn(relay.run(stop.clone()));
    // Rows leave in the order of their sequences, so the last to come is the last to go.
    while is_waiting(database.pool(), last).await {
        sleep(Duration::from_millis(10)).await;
    }
    let took = began.elapsed();
    // Those that can't be routed are no good, and leave it, too.
    while rows(database.pool()).await > 0 {
        assert!(began.elapsed() < DEADLINE, "rows were left behind");
        sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(broker.queue_depth("audit.events").await, u32::try_from(good).unwrap(), "each event once");
    took
}

async fn rows(database: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(database).await.unwrap()
}
