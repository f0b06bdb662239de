//! What the suite itself does with the broker: publishes once more, publishes rubbish, takes bindings and queues away.

use std::time::Duration;

use anyhow::{Context, ensure};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use shared::broker::topology::AUDIT_QUEUE;
use shared::entropy::Entropy;
use tokio::time::Instant;
use uuid::Uuid;

use super::notes::Notes;
use super::stage::Stage;
use super::witness::{OWN, connect, farewell};

/// How many messages are published once more, and how many are rubbish.
const COPIES: i64 = 50;
const RUBBISH: usize = 5;
/// What concerns the broker, tried again and again.
const PATIENCE: Duration = Duration::from_mins(1);
const ATTEMPT: Duration = Duration::from_secs(10);
/// How long a message that nobody can read may take into the quarantine: consumers may stand still.
const QUARANTINED_WITHIN: Duration = Duration::from_mins(1);

/// Publishes the newest events of the trail once more.
pub async fn publish_again(stage: &Stage) -> anyhow::Result<()> {
    let newest = "SELECT event_id, type, committed.exchange, body FROM audit.events \
                  JOIN fault_suite.committed USING (event_id) ORDER BY event_id DESC LIMIT $1";
    let rows: Vec<(Uuid, String, String, String)> =
        sqlx::query_as(newest).bind(COPIES).fetch_all(stage.database.pool()).await?;
    ensure!(!rows.is_empty(), "the trail has nothing yet");
    persistently(stage, "publish messages once more", async |channel| {
        for (id, event_type, exchange, body) in &rows {
            let properties =
                own().with_message_id(id.to_string().into()).with_type(event_type.as_str().into());
            publish(channel, exchange, event_type, properties, body.as_bytes()).await?;
        }
        channel.wait_for_confirms().await?;
        Ok(())
    })
    .await
}

/// Publishes messages that nobody can read, each one of its own, and waits until they are set aside: the next fault may
/// delete the queue.
pub async fn publish_poison(stage: &Stage, notes: &Notes) -> anyhow::Result<()> {
    let bodies: Vec<String> =
        (0..RUBBISH).map(|_| format!("no event {}", Entropy::system().uuid_v4())).collect();
    let published = persistently(stage, "publish what nobody can read", async |channel| {
        for body in &bodies {
            publish(channel, "task.events", "task.created", own(), body.as_bytes()).await?;
        }
        channel.wait_for_confirms().await?;
        Ok(())
    })
    .await;
    let is_quarantined = published.is_ok() && are_quarantined(stage, &bodies).await;
    // Unreadable bytes are one row of the quarantine, however often they come.
    notes.poisoned(RUBBISH, is_quarantined);
    published
}

async fn are_quarantined(stage: &Stage, bodies: &[String]) -> bool {
    let raw: Vec<&[u8]> = bodies.iter().map(String::as_bytes).collect();
    let count = "SELECT count(*) FROM audit.quarantine WHERE raw = ANY($1)";
    let began = Instant::now();
    while began.elapsed() < QUARANTINED_WITHIN {
        let count = sqlx::query_scalar(count).bind(&raw).fetch_one(stage.database.pool()).await;
        if count.is_ok_and(|count: i64| usize::try_from(count) == Ok(bodies.len())) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    false
}

/// Declares everything that Warren has at the broker, as an operator has it applied.
pub async fn declare_topology(stage: &Stage) -> anyhow::Result<()> {
    let attempt = async {
        loop {
            let connection = connect(stage.amqp_urls()).await;
            let declared = tokio::time::timeout(ATTEMPT, shared::broker::declare(&connection)).await;
            farewell(&connection).await;
            if matches!(declared, Ok(Ok(()))) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, attempt).await.context("the suite could not declare the topology")
}

/// Takes the route from `exchange` to the queue of the trail away.
pub async fn unbind(stage: &Stage, exchange: &str) -> anyhow::Result<()> {
    persistently(stage, "remove a binding", async |channel| {
        channel.queue_unbind(AUDIT_QUEUE.into(), exchange.into(), "#".into(), FieldTable::default()).await?;
        Ok(())
    })
    .await
}

/// Deletes the queue of the trail with all that is in it; gives how many messages that were.
pub async fn delete_queue(stage: &Stage) -> anyhow::Result<u32> {
    persistently(stage, "delete a queue", async |channel| {
        Ok(channel.queue_delete(AUDIT_QUEUE.into(), QueueDeleteOptions::default()).await?)
    })
    .await
}

/// How many messages wait in the queue of the trail.
pub async fn waiting(stage: &Stage) -> anyhow::Result<u32> {
    persistently(stage, "look at a queue", async |channel| {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare(AUDIT_QUEUE.into(), passive, FieldTable::default()).await?;
        Ok(queue.message_count())
    })
    .await
}

fn own() -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(OWN.into(), AMQPValue::Boolean(true));
    BasicProperties::default().with_delivery_mode(2).with_headers(headers)
}

async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    properties: BasicProperties,
    body: &[u8],
) -> anyhow::Result<()> {
    // Left unawaited, its confirm is awaited with all the others.
    let options = BasicPublishOptions::default();
    let _confirm = channel.basic_publish(exchange.into(), key.into(), options, body, properties).await?;
    Ok(())
}

async fn persistently<T>(
    stage: &Stage,
    what: &str,
    mut work: impl AsyncFnMut(&Channel) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let attempt = async {
        loop {
            let connection = connect(stage.amqp_urls()).await;
            let done = async {
                let channel = connection.create_channel().await?;
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                work(&channel).await
            };
            let done = tokio::time::timeout(ATTEMPT, done).await;
            farewell(&connection).await;
            if let Ok(Ok(value)) = done {
                return value;
            }
        }
    };
    tokio::time::timeout(PATIENCE, attempt)
        .await
        .with_context(|| format!("the suite could not {what} within a minute"))
}
