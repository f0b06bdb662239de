//! What the outbox's tests have in common: events, relays, and a look at what is left.

use std::array::from_fn;
use std::time::Duration;

use lapin::types::AMQPValue;
use shared::broker;
use shared::clock::Clock;
use shared::config::{BrokerConfig, TopologyAtStart};
use shared::contracts::{Event, EventType, Exchange};
use shared::entropy::Entropy;
use shared::lifecycle::{Health, Standing};
use shared::metrics::{Exposition, Metrics};
use shared::outbox::{Outbox, Relay, RelayMetrics, RelaySettings};
use shared::telemetry::TraceContext;
use sqlx::PgPool;
use test_support::broker::Taken;
use test_support::metrics::Scrape;
use test_support::{TestBroker, TestDatabase};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long anything may take that needs no server to be started.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);

/// A fact about tasks.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Fact {
    pub(crate) number: usize,
}

impl Event for Fact {
    const TYPE: EventType = EventType::TASK_CREATED;

    fn subject(&self) -> Option<String> {
        Some(format!("facts/{}", self.number))
    }
}

/// A fact about logins, for another exchange.
#[derive(Debug, serde::Serialize)]
pub(crate) struct LoginFact;

impl Event for LoginFact {
    const TYPE: EventType = EventType::LOGIN_SUCCEEDED;

    fn subject(&self) -> Option<String> {
        None
    }
}

/// A tick for a queue: `nobody` has one for the queue `nobody`.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Tick {
    pub(crate) queue: &'static str,
}

impl Event for Tick {
    const TYPE: EventType = EventType::TICK_DUE;

    fn subject(&self) -> Option<String> {
        None
    }

    fn routing_key(&self) -> String {
        format!("{}.test", self.queue)
    }
}

/// An outbox that writes now.
pub(crate) fn outbox() -> Outbox {
    Outbox::new("test", Clock::system(), Entropy::system())
}

/// Commits events; gives their ids in order.
pub(crate) async fn append_all<E: Event>(
    database: &PgPool,
    outbox: &Outbox,
    events: impl IntoIterator<Item = E>,
) -> Vec<Uuid> {
    let mut transaction = database.begin().await.unwrap();
    let mut ids = Vec::new();
    for event in events {
        let trace = TraceContext::new(&Entropy::system());
        ids.push(outbox.append(&mut transaction, &trace, event).await.unwrap().0);
    }
    transaction.commit().await.unwrap();
    outbox.wake();
    ids
}

/// How many rows wait in the outbox.
pub(crate) async fn waiting(database: &TestDatabase) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(database.pool()).await.unwrap()
}

/// The ids of parked rows.
pub(crate) async fn parked(database: &TestDatabase) -> Vec<Uuid> {
    sqlx::query_scalar("SELECT event_id FROM outbox_parked").fetch_all(database.pool()).await.unwrap()
}

/// Takes everything from a queue; gives the ids as they came, twice what came twice.
pub(crate) async fn arrived(broker: &TestBroker, queue: &str) -> Vec<Uuid> {
    broker.take_all(queue).await.iter().map(Taken::message_id).collect()
}

/// A queue that refuses everything but its first message.
pub(crate) async fn bind_a_queue_for_one(broker: &TestBroker, exchange: &str) {
    let refuses = AMQPValue::LongString("reject-publish".into());
    let arguments = [("x-max-length", AMQPValue::LongInt(1)), ("x-overflow", refuses)];
    broker.bind_queue("for.one", exchange, &arguments).await;
}

/// A relay at work; it stops when this is dropped. It has threads of its own: a test that ends holds up its own, and what the relay
/// was about to open would stay open for as long as PostgreSQL waits for a password, and the test's database with it.
pub(crate) struct RunningRelay {
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    stop: CancellationToken,
    end: Option<JoinHandle<anyhow::Result<()>>>,
    runtime: Option<Runtime>,
}

impl Drop for RunningRelay {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl RunningRelay {
    pub(crate) fn start(
        database: &TestDatabase,
        test_broker: &TestBroker,
        outbox: &Outbox,
        window: u16,
    ) -> Self {
        let settings = RelaySettings { window, ..RelaySettings::default() };
        Self::start_over(database, &test_broker.config(), outbox, settings)
    }

    /// One that declares nothing.
    pub(crate) fn start_expecting(
        database: &TestDatabase,
        test_broker: &TestBroker,
        outbox: &Outbox,
    ) -> Self {
        let settings = RelaySettings { topology: TopologyAtStart::Expect, ..RelaySettings::default() };
        Self::start_over(database, &test_broker.config(), outbox, settings)
    }

    pub(crate) fn start_over(
        database: &TestDatabase,
        broker: &BrokerConfig,
        outbox: &Outbox,
        settings: RelaySettings,
    ) -> Self {
        Self::start_with(database.pool().clone(), broker, outbox, settings)
    }

    pub(crate) fn start_with(
        database: PgPool,
        broker: &BrokerConfig,
        outbox: &Outbox,
        settings: RelaySettings,
    ) -> Self {
        Self::start_by_ways(database, [broker; Exchange::ALL.len()], outbox, settings)
    }

    /// One of which each lane has its own way to the broker.
    pub(crate) fn start_by_ways(
        database: PgPool,
        ways: [&BrokerConfig; Exchange::ALL.len()],
        outbox: &Outbox,
        settings: RelaySettings,
    ) -> Self {
        let (health, metrics, stop) = (Health::default(), Metrics::default(), CancellationToken::new());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let inside = runtime.enter();
        let relay = Relay {
            database,
            broker: from_fn(|lane| broker::relay_pools(ways[lane], "test").unwrap()[lane].clone()),
            outbox: outbox.clone(),
            program: "test",
            clock: Clock::system(),
            entropy: Entropy::system(),
            component: health.component("relay", Standing::Supporting),
            metrics: RelayMetrics::new(&metrics),
            settings,
        };
        let end = Some(runtime.spawn(relay.run(stop.clone())));
        drop(inside);
        Self { health, metrics, stop, end, runtime: Some(runtime) }
    }

    /// What it counts under a name.
    pub(crate) async fn count(&self, database: &PgPool, name: &str) -> u64 {
        let exposition =
            Exposition::new("test", self.metrics.clone(), database, &Clock::system(), Vec::new());
        Scrape::from(&exposition).await.count(name)
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(mut self) -> anyhow::Result<()> {
        self.end.take().unwrap().await.unwrap()
    }
}
