//! The relay as it is, with its default settings, over a full outbox.

use std::time::Duration;

use shared::broker;
use shared::clock::Clock;
use shared::entropy::Entropy;
use shared::lifecycle::{Health, Standing};
use shared::outbox::{Relay, RelayMetrics, RelaySettings};
use test_support::{TestBroker, TestDatabase};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::backlog::{fill_outbox, is_waiting, outbox};
use crate::events::messages;
use crate::raw_publisher::{self, Manner};
use crate::report::{Report, Rounds};
use crate::size::Size;

/// What a relay must reach of what the broker takes, in percent.
const PERCENT_MIN: u32 = 60;

pub(crate) async fn measure(database: &TestDatabase, size: &Size, report: &mut Report) {
    let bytes: usize = messages(1_000).iter().map(|message| message.body.len()).sum();
    println!("relay: {} events a round, {} bytes each", size.round_events, bytes / 1_000);
    let (mut raw, mut at_once, mut ours) = (Rounds::default(), Rounds::default(), Rounds::default());
    for _ in 0..size.rounds {
        raw.push(publish(size.round_events, Manner::OneByOne).await);
        ours.push(relay(database, size.round_events).await);
        at_once.push(publish(size.round_events, Manner::WindowAtOnce).await);
    }
    println!(
        "relay: raw, each message awaited until it is written, by round: {}",
        raw.rates(size.round_events)
    );
    report.compare("relay", size.round_events, &at_once, &ours, PERCENT_MIN);
}

async fn publish(count: usize, manner: Manner) -> Duration {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    raw_publisher::publish(&broker, count, manner).await
}

/// How long a relay takes from its start, connecting included, until every row is confirmed and has left the outbox.
async fn relay(database: &TestDatabase, count: usize) -> Duration {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    sqlx::query("TRUNCATE outbox, outbox_confirmed").execute(database.pool()).await.unwrap();
    let last = fill_outbox(database.pool(), count).await;
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
        settings: RelaySettings::default(),
    };
    let began = Instant::now();
    let running = tokio::spawn(relay.run(stop.clone()));
    // Rows leave in the order of their sequences, so the last to come is the last to go.
    while is_waiting(database.pool(), last).await {
        sleep(Duration::from_millis(10)).await;
    }
    let took = began.elapsed();
    stop.cancel();
    running.await.unwrap().unwrap();
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(database.pool()).await.unwrap();
    assert_eq!(left, 0, "rows were left behind");
    assert_eq!(broker.queue_depth("audit.events").await, u32::try_from(count).unwrap(), "each event once");
    took
}
