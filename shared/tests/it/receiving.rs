//! The receive loop on a real broker.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lapin::BasicProperties;
use shared::broker::topology::AUDIT_QUEUE;
use shared::broker::{BatchHandler, BatchSettings, Delivery, receive};
use shared::config::BrokerConfig;
use shared::entropy::Entropy;
use shared::lifecycle::{Health, Standing};
use test_support::{TestBroker, eventually, settled};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::bench::DEADLINE;

/// A store of message ids. A permit of `gate` is needed to go on after a commit, and `broken` says why it can't write.
#[derive(Clone)]
struct Store {
    committed: Arc<Mutex<Vec<String>>>,
    gate: Arc<Semaphore>,
    broken: Arc<Mutex<Option<&'static str>>>,
}

impl Store {
    fn new(permits: usize) -> Self {
        Self { committed: Arc::default(), gate: Arc::new(Semaphore::new(permits)), broken: Arc::default() }
    }

    fn open() -> Self {
        Self::new(Semaphore::MAX_PERMITS)
    }

    fn committed(&self) -> Vec<String> {
        self.committed.lock().unwrap().clone()
    }

    fn distinct(&self) -> HashSet<String> {
        self.committed().into_iter().collect()
    }

    fn break_down(&self, why: Option<&'static str>) {
        *self.broken.lock().unwrap() = why;
    }

    fn check(&self) -> anyhow::Result<()> {
        match *self.broken.lock().unwrap() {
            Some(why) => Err(anyhow::anyhow!(why)),
            None => Ok(()),
        }
    }
}

impl BatchHandler for Store {
    async fn ready(&self) -> anyhow::Result<()> {
        self.check()
    }

    async fn handle(&self, batch: &[Delivery]) -> anyhow::Result<()> {
        self.check()?;
        let ids = batch.iter().map(|one| one.properties.message_id().as_ref().unwrap().to_string());
        self.committed.lock().unwrap().extend(ids);
        // The permit comes back: a gate that is open stays open.
        drop(self.gate.acquire().await?);
        Ok(())
    }
}

struct Receiver {
    health: Health,
    stop: CancellationToken,
    end: JoinHandle<anyhow::Result<()>>,
}

impl Receiver {
    fn start(broker: &TestBroker, store: &Store, batch_max: u16) -> Self {
        Self::start_with(broker, store.clone(), Health::default(), settings(batch_max))
    }

    fn start_with(
        broker: &TestBroker,
        store: impl BatchHandler + 'static,
        health: Health,
        settings: BatchSettings,
    ) -> Self {
        let stop = CancellationToken::new();
        let component = health.component("consumer", Standing::Required);
        let config: BrokerConfig = broker.config();
        let loop_stop = stop.clone();
        let end = tokio::spawn(async move {
            receive(&config, &settings, &store, &component, &Entropy::system(), &loop_stop).await
        });
        Self { health, stop, end }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.end.await.unwrap().unwrap();
    }
}

fn settings(batch_max: u16) -> BatchSettings {
    BatchSettings {
        queue: AUDIT_QUEUE,
        instance: "receiver".to_owned(),
        batch_max,
        batch_wait: Duration::from_millis(5),
        patience: BatchSettings::PATIENCE,
    }
}

fn impatient(batch_max: u16) -> BatchSettings {
    BatchSettings { patience: Duration::ZERO, ..settings(batch_max) }
}

/// A store that answers and takes nothing, and notes what the component says whenever a batch comes.
#[derive(Clone)]
struct Full {
    store: Store,
    health: Health,
    said: Arc<Mutex<Vec<String>>>,
}

impl BatchHandler for Full {
    async fn ready(&self) -> anyhow::Result<()> {
        Ok(())
    }

    async fn handle(&self, batch: &[Delivery]) -> anyhow::Result<()> {
        self.said.lock().unwrap().push(self.health.readiness().checks["consumer"].clone());
        self.store.handle(batch).await
    }
}

fn numbers(range: std::ops::Range<u32>) -> HashSet<String> {
    range.map(|number| number.to_string()).collect()
}

async fn publish(broker: &TestBroker, range: std::ops::Range<u32>) {
    let message = |number: u32| BasicProperties::default().with_message_id(number.to_string().into());
    let messages = range.map(|number| (message(number), b"{}".to_vec()));
    broker.publish_all_raw("task.events", "any", messages).await;
}

#[tokio::test]
async fn every_message_is_committed_and_acknowledged_in_batches() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    publish(&broker, 0..250).await;
    let store = Store::open();
    let receiver = Receiver::start(&broker, &store, 100);
    settled(DEADLINE, "all messages", numbers(0..250), async || store.distinct()).await;
    receiver.stop().await;
    assert_eq!(broker.queue_depth(AUDIT_QUEUE).await, 0);
    assert_eq!(store.committed().len(), 250, "nothing came twice");
}

/// Notes how many messages each batch has.
#[derive(Clone, Default)]
struct Sizes(Arc<Mutex<Vec<usize>>>);

impl BatchHandler for Sizes {
    async fn ready(&self) -> anyhow::Result<()> {
        Ok(())
    }

    async fn handle(&self, batch: &[Delivery]) -> anyhow::Result<()> {
        self.0.lock().unwrap().push(batch.len());
        Ok(())
    }
}

/// Goes red when messages are only counted: what others send may be too large for one statement together.
#[tokio::test]
async fn a_batch_of_many_bytes_waits_for_no_more_messages() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let large = || (BasicProperties::default(), vec![b' '; 16 << 20]);
    broker.publish_all_raw("task.events", "any", (0..4).map(|_| large())).await;
    let sizes = Sizes::default();
    // By its time alone, none would end before the deadline.
    let settings = BatchSettings { batch_wait: 2 * DEADLINE, ..settings(10) };
    let receiver = Receiver::start_with(&broker, sizes.clone(), Health::default(), settings);
    settled(DEADLINE, "two batches", vec![2, 2], async || sizes.0.lock().unwrap().clone()).await;
    receiver.stop().await;
}

/// Goes red when a batch is acknowledged before it is handled.
#[tokio::test]
async fn a_process_killed_between_commit_and_acknowledgement_gets_the_batch_again() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    publish(&broker, 0..30).await;
    let first = Store::new(0);
    let receiver = Receiver::start(&broker, &first, 10);
    eventually(DEADLINE, "a committed batch", async || (!first.committed().is_empty()).then_some(())).await;
    receiver.end.abort();
    settled(DEADLINE, "all messages to be back in the queue", 30, async || {
        broker.queue_depth(AUDIT_QUEUE).await
    })
    .await;
    let second = Store::open();
    let receiver = Receiver::start(&broker, &second, 10);
    settled(DEADLINE, "all messages again", numbers(0..30), async || second.distinct()).await;
    receiver.stop().await;
}

#[tokio::test]
async fn a_store_that_fails_keeps_its_batch_until_it_answers_again() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let store = Store::open();
    let receiver = Receiver::start(&broker, &store, 10);
    let state = || receiver.health.readiness().checks["consumer"].clone();
    settled(DEADLINE, "a subscription", "up".to_owned(), async || state()).await;
    store.break_down(Some("the disk is full"));
    publish(&broker, 0..30).await;
    settled(DEADLINE, "the component to say why", "the disk is full".to_owned(), async || state()).await;
    store.break_down(None);
    settled(DEADLINE, "all messages", numbers(0..30), async || store.distinct()).await;
    settled(DEADLINE, "the component to be well", "up".to_owned(), async || state()).await;
    assert_eq!(store.committed().len(), 30, "nothing came twice");
    receiver.stop().await;
}

/// Goes red when a component is up each time that it subscribes: an alert on it would never last long enough.
#[tokio::test]
async fn who_could_not_commit_a_batch_is_down_until_one_is_committed() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let (store, health) = (Store::open(), Health::default());
    store.break_down(Some("the disk is full"));
    let full = Full { store: store.clone(), health: health.clone(), said: Arc::default() };
    publish(&broker, 0..5).await;
    let receiver = Receiver::start_with(&broker, full.clone(), health.clone(), impatient(10));
    eventually(DEADLINE, "several subscriptions", async || {
        (full.said.lock().unwrap().len() >= 4).then_some(())
    })
    .await;
    assert_eq!(full.said.lock().unwrap()[1..4], ["the disk is full"; 3]);
    store.break_down(None);
    settled(DEADLINE, "all messages", numbers(0..5), async || store.distinct()).await;
    let state = || health.readiness().checks["consumer"].clone();
    settled(DEADLINE, "the component to be well", "up".to_owned(), async || state()).await;
    receiver.stop().await;
}

/// Another replica took the batch. Goes red when a replica that has nothing to do is down for ever.
#[tokio::test]
async fn who_could_not_commit_a_batch_is_up_again_when_none_is_left() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let (store, health) = (Store::open(), Health::default());
    store.break_down(Some("the disk is full"));
    publish(&broker, 0..5).await;
    let receiver = Receiver::start_with(&broker, store.clone(), health.clone(), impatient(10));
    let state = || health.readiness().checks["consumer"].clone();
    settled(DEADLINE, "the component to say why", "the disk is full".to_owned(), async || state()).await;
    // A store that is `ready` again and has no batch of its own.
    let other = Store::open();
    let taker = Receiver::start(&broker, &other, 10);
    settled(DEADLINE, "all messages", numbers(0..5), async || other.distinct()).await;
    store.break_down(None);
    settled(DEADLINE, "the component to be well", "up".to_owned(), async || state()).await;
    receiver.stop().await;
    taker.stop().await;
}

#[tokio::test]
async fn nobody_subscribes_before_the_store_has_answered() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    publish(&broker, 0..5).await;
    let store = Store::open();
    store.break_down(Some("not yet"));
    let receiver = Receiver::start(&broker, &store, 10);
    settled(DEADLINE, "the component to say why", "not yet".to_owned(), async || {
        receiver.health.readiness().checks["consumer"].clone()
    })
    .await;
    assert_eq!(broker.queue_depth(AUDIT_QUEUE).await, 5, "all messages lie in the queue");
    store.break_down(None);
    settled(DEADLINE, "all messages", numbers(0..5), async || store.distinct()).await;
    receiver.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_closed_from_outside_is_opened_again() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let store = Store::open();
    let receiver = Receiver::start(&broker, &store, 10);
    publish(&broker, 0..5).await;
    settled(DEADLINE, "the first messages", numbers(0..5), async || store.distinct()).await;
    eventually(DEADLINE, "the connection to be listed", async || {
        (broker.close_connections("(consumes audit.events)").await > 0).then_some(())
    })
    .await;
    publish(&broker, 5..10).await;
    settled(DEADLINE, "all messages", numbers(0..10), async || store.distinct()).await;
    receiver.stop().await;
}

#[tokio::test]
async fn a_deleted_queue_is_declared_again() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let store = Store::open();
    let receiver = Receiver::start(&broker, &store, 10);
    publish(&broker, 0..5).await;
    settled(DEADLINE, "the first messages", numbers(0..5), async || store.distinct()).await;
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    channel.queue_delete(AUDIT_QUEUE.into(), lapin::options::QueueDeleteOptions::default()).await.unwrap();
    eventually(DEADLINE, "the queue to have a consumer again", async || {
        let queue = broker.get(&format!("api/queues/{}/{AUDIT_QUEUE}", broker.virtual_host())).await;
        (queue["consumers"].as_u64() == Some(1)).then_some(())
    })
    .await;
    publish(&broker, 5..10).await;
    settled(DEADLINE, "all messages", numbers(0..10), async || store.distinct()).await;
    receiver.stop().await;
}
