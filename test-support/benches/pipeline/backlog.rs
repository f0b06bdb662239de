//! Filling an outbox or a queue, and seeing how much of it is left without disturbing those who work.

use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use shared::broker::topology::AUDIT_QUEUE;
use shared::broker::{ConfirmedChannel, Message};
use shared::clock::Clock;
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use shared::telemetry::TraceContext;
use sqlx::PgPool;
use test_support::TestBroker;

use crate::events::event;

/// As many as one statement, or one window, takes.
const PART: usize = 500;
/// Far more than anything here takes.
pub(crate) const DEADLINE: Duration = Duration::from_mins(10);

/// An outbox as a program's.
pub(crate) fn outbox() -> Outbox {
    Outbox::new("producer-api", Clock::system(), Entropy::system())
}

/// Writes events to the outbox as programs do; gives the greatest sequence.
pub(crate) async fn fill_outbox(database: &PgPool, count: usize) -> i64 {
    let (outbox, trace) = (outbox(), TraceContext::new(&Entropy::system()));
    for first in (0..count).step_by(PART) {
        let mut transaction = database.begin().await.unwrap();
        let events = (first..count.min(first + PART)).map(event);
        outbox.append_all(&mut transaction, &trace, events).await.unwrap();
        transaction.commit().await.unwrap();
    }
    sqlx::query_scalar("SELECT max(seq) FROM outbox").fetch_one(database).await.unwrap()
}

/// Whether a row is still in the outbox: a look at its key.
pub(crate) async fn is_waiting(database: &PgPool, seq: i64) -> bool {
    let there = sqlx::query_scalar("SELECT EXISTS (SELECT FROM outbox WHERE seq = $1)").bind(seq);
    there.fetch_one(database).await.unwrap()
}

/// Puts messages into the audit queue.
pub(crate) async fn fill_queue(broker: &TestBroker, messages: &[Message]) {
    let connection = broker.connect().await;
    let channel = ConfirmedChannel::open(&connection, "producer-api").await.unwrap();
    for part in messages.chunks(PART) {
        channel.publish_window(part, DEADLINE).await.1.unwrap();
    }
    connection.close(200, "done".into()).await.unwrap();
}

/// A look at the audit queue, over one connection.
#[derive(Debug)]
pub(crate) struct Queue {
    channel: Channel,
    _connection: Connection,
}

impl Queue {
    pub(crate) async fn of(broker: &TestBroker) -> Self {
        let connection = broker.connect().await;
        Self { channel: connection.create_channel().await.unwrap(), _connection: connection }
    }

    /// How many messages lie in it.
    pub(crate) async fn depth(&self) -> usize {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.channel.queue_declare(AUDIT_QUEUE.into(), options, FieldTable::default()).await;
        usize::try_from(queue.unwrap().message_count()).unwrap()
    }
}
