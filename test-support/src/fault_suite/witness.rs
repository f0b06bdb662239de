//! A witness beside the consumer: a quorum queue of the suite's own, bound to the exchanges of facts, read all the time. It
//! sees what was published, how often, whatever the consumer makes of it.
//!
//! It must not make a message routable that else were not, so it looks away while a binding or a queue of the trail is
//! missing; what was sent meanwhile is judged by the trail alone ([`Witness::looked_away_from`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection};
use shared::clock::Clock;
use shared::config::BrokerConfig;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The exchanges of facts.
pub const FACTS: [&str; 3] = ["auth.events", "task.events", "job.events"];
/// The header of what the suite publishes itself.
pub const OWN: &str = "x-fault-suite";
/// The queue of the witness.
pub const QUEUE: &str = "fault-suite.witness";
const PREFETCH: u16 = 500;
const PATIENCE: Duration = Duration::from_mins(2);
/// How long after it was sent a message's row may leave the outbox: a relay may have stood still in between.
const SETTLES_WITHIN: chrono::TimeDelta = chrono::TimeDelta::seconds(60);
/// How long a connection may take to say goodbye; one that is broken says nothing.
const FAREWELL: Duration = Duration::from_secs(5);

/// How often a message was seen.
#[derive(Debug, Clone, Copy, Default)]
struct Sightings {
    first: u32,
    again: u32,
    own: u32,
}

/// Everything that it knows.
#[derive(Debug, Default)]
struct Memory {
    sightings: HashMap<Uuid, Sightings>,
    strangers: u32,
    away: Vec<Away>,
}

/// A time in which it looked away from some exchanges.
#[derive(Debug)]
struct Away {
    exchanges: Vec<String>,
    from: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
}

/// The witness. It stops looking when it is dropped.
#[derive(Debug)]
pub struct Witness {
    urls: Vec<String>,
    memory: Arc<Mutex<Memory>>,
    looking: JoinHandle<()>,
}

impl Witness {
    /// Declares its queue on the first of the nodes at `urls` that answers, if that is not done, and begins to look.
    pub async fn start(urls: Vec<String>) -> Self {
        let memory = Arc::new(Mutex::new(Memory::default()));
        declare(&urls).await;
        let looking = tokio::spawn(look(urls.clone(), memory.clone()));
        Self { urls, memory, looking }
    }

    /// Looks away from `exchanges`: returns when the binding is gone.
    pub async fn look_away(&self, exchanges: &[&str]) {
        let names = exchanges.iter().map(|exchange| (*exchange).to_owned()).collect();
        self.memory().away.push(Away { exchanges: names, from: Clock::system().now(), until: None });
        self.persistently(async |channel| {
            for exchange in exchanges {
                let none = FieldTable::default();
                channel.queue_unbind(QUEUE.into(), (*exchange).into(), "#".into(), none).await?;
            }
            Ok(())
        })
        .await;
    }

    /// Looks at them again.
    pub async fn look_again(&self, exchanges: &[&str]) {
        self.persistently(async |channel| bind(channel, exchanges).await).await;
        let now = Clock::system().now();
        let are_bound = |away: &&mut Away| away.exchanges.iter().all(|one| exchanges.contains(&one.as_str()));
        for away in self.memory().away.iter_mut().filter(are_bound) {
            away.until.get_or_insert(now);
        }
    }

    /// Whether what left the outbox at `gone_at` may have been sent to `exchange` while it looked away from that.
    pub fn looked_away_from(&self, exchange: &str, gone_at: DateTime<Utc>) -> bool {
        let memory = self.memory();
        let covers = |away: &Away| {
            away.exchanges.iter().any(|other| other == exchange)
                && gone_at >= away.from
                && away.until.is_none_or(|until| gone_at <= until + SETTLES_WITHIN)
        };
        memory.away.iter().any(covers)
    }

    /// Whether it has given up looking, which it must never.
    pub fn has_given_up(&self) -> bool {
        self.looking.is_finished()
    }

    /// Every message that was published by Warren, once for each time it was. What the broker delivered to the witness
    /// again because of a lost connection counts only if it is all there was.
    pub fn seen(&self) -> Vec<Uuid> {
        let memory = self.memory();
        let times = |sightings: &Sightings| sightings.first.max(u32::from(sightings.again > 0));
        let repeated = |(id, sightings): (&Uuid, &Sightings)| {
            std::iter::repeat_n(*id, usize::try_from(times(sightings)).unwrap_or_default())
        };
        memory.sightings.iter().flat_map(repeated).collect()
    }

    /// Whether it has seen this one.
    pub fn has_seen(&self, id: &Uuid) -> bool {
        self.memory().sightings.get(id).is_some_and(|sightings| sightings.first + sightings.again > 0)
    }

    /// How many copies published by the suite itself it has seen.
    pub fn own_copies(&self) -> u32 {
        self.memory().sightings.values().map(|sightings| sightings.own).sum()
    }

    /// How many messages it saw that bear no id, and are not the suite's own.
    pub fn strangers(&self) -> u32 {
        self.memory().strangers
    }

    async fn persistently(&self, mut work: impl AsyncFnMut(&Channel) -> Result<(), lapin::Error>) {
        let attempt = async {
            loop {
                let connection = connect(&self.urls).await;
                let done = async {
                    let channel = connection.create_channel().await?;
                    work(&channel).await
                };
                let done = tokio::time::timeout(Duration::from_secs(10), done).await;
                farewell(&connection).await;
                if matches!(done, Ok(Ok(()))) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, attempt).await.expect("the witness can be told where to look");
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

/// Declares the queue of the witness, which keeps from now on what it will see.
pub async fn declare(urls: &[String]) {
    let connection = tokio::time::timeout(PATIENCE, connect(urls)).await.expect("the broker answers");
    let channel = connection.create_channel().await.expect("a channel");
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), durable, arguments).await.expect("the witness's queue");
    bind(&channel, &FACTS).await.expect("the witness's bindings");
    farewell(&connection).await;
}

/// A connection to the first node that answers; waits for one, however long it takes.
pub async fn connect(urls: &[String]) -> Connection {
    loop {
        for url in urls {
            let mut config = BrokerConfig::at(url).expect("a URL of RabbitMQ");
            config.connection_timeout = Duration::from_secs(5);
            if let Ok(connection) = shared::broker::connect(&config, "fault-suite", "suite").await {
                return connection;
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Closes a connection in order, if that can be done.
pub async fn farewell(connection: &Connection) {
    // One that is closing by itself, or broken, is as good.
    let _ = tokio::time::timeout(FAREWELL, connection.close(200, "done".into())).await;
}

async fn bind(channel: &Channel, exchanges: &[&str]) -> Result<(), lapin::Error> {
    for exchange in exchanges {
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(QUEUE.into(), (*exchange).into(), "#".into(), options, none).await?;
    }
    Ok(())
}

async fn look(urls: Vec<String>, memory: Arc<Mutex<Memory>>) {
    loop {
        let connection = connect(&urls).await;
        // Whatever ends it: look again.
        let _ = look_over(&connection, &memory).await;
        farewell(&connection).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn look_over(connection: &Connection, memory: &Mutex<Memory>) -> Result<(), lapin::Error> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut messages = channel.basic_consume(QUEUE.into(), "witness".into(), options, none).await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        // Noted first: what is acknowledged is surely remembered.
        note(&mut memory.lock().unwrap_or_else(PoisonError::into_inner), &message);
        message.acker.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

fn note(memory: &mut Memory, message: &lapin::message::Delivery) {
    let headers = message.properties.headers().as_ref();
    let is_own = headers.is_some_and(|headers| headers.inner().contains_key(OWN));
    let id = message.properties.message_id().as_ref().and_then(|id| Uuid::parse_str(id.as_str()).ok());
    let Some(id) = id else {
        memory.strangers += u32::from(!is_own);
        return;
    };
    let sightings = memory.sightings.entry(id).or_default();
    if is_own {
        sightings.own += 1;
    } else if message.redelivered {
        sightings.again += 1;
    } else {
        sightings.first += 1;
    }
}
