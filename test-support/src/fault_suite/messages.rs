//! What the suite itself does with the broker: publishes once more, publishes rubbish, takes bindings and queues away.

use std::time::Duration;

use anyhow::Context;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use shared::broker::topology::AUDIT_QUEUE;
use shared::entropy::Entropy;
use sqlx::PgPool;
use uuid::Uuid;

use super::notes::Notes;
use super::stage::Stage;
use super::witness::{FACTS, OWN, Witness, connect};

/// How many messages are published once more, and how many are rubbish.
const COPIES: i64 = 50;
const RUBBISH: usize = 5;
/// What concerns the broker, tried again and again.
const PATIENCE: Duration = Duration::from_mins(1);
const ATTEMPT: Duration = Duration::from_secs(10);

/// Publishes the newest events of the trail once more.
pub async fn publish_again(stage: &Stage) {
    let newest = "SELECT event_id, type, committed.exchange, body FROM audit.events \
                  JOIN fault_suite.committed USING (event_id) ORDER BY event_id DESC LIMIT $1";
    let rows: Vec<(Uuid, String, String, String)> =
        sqlx::query_as(newest).bind(COPIES).fetch_all(stage.database.pool()).await.unwrap_or_default();
    persistently(stage, "publish messages once more", async |channel| {
        for (id, event_type, exchange, body) in &rows {
            let properties =
                own().with_message_id(id.to_string().into()).with_type(event_type.as_str().into());
            publish(channel, exchange, event_type, properties, body.as_bytes()).await?;
        }
        channel.wait_for_confirms().await?;
        Ok(())
    })
    .await;
}

/// Publishes messages that nobody can read, each one of its own.
pub async fn publish_poison(stage: &Stage, notes: &Notes) {
    let bodies: Vec<String> =
        (0..RUBBISH).map(|_| format!("no event {}", Entropy::system().uuid_v4())).collect();
    persistently(stage, "publish what nobody can read", async |channel| {
        for body in &bodies {
            publish(channel, "task.events", "task.created", own(), body.as_bytes()).await?;
        }
        channel.wait_for_confirms().await?;
        Ok(())
    })
    .await;
    // Unreadable bytes are one row of the quarantine, however often they come.
    notes.poisoned(RUBBISH);
}

/// Declares everything that Warren has at the broker, as each of its programs does.
pub async fn declare_topology(stage: &Stage) {
    let attempt = async {
        loop {
            let connection = connect(stage.amqp_urls()).await;
            let declared = tokio::time::timeout(ATTEMPT, shared::broker::declare(&connection)).await;
            // A connection that is closing by itself is as good.
            let _ = connection.close(200, "done".into()).await;
            if matches!(declared, Ok(Ok(()))) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, attempt).await.expect("the topology can be declared");
}

/// Takes the route from `exchange` to the queue of the trail away.
pub async fn unbind(stage: &Stage, exchange: &str) {
    persistently(stage, "remove a binding", async |channel| {
        channel.queue_unbind(AUDIT_QUEUE.into(), exchange.into(), "#".into(), FieldTable::default()).await?;
        Ok(())
    })
    .await;
}

/// Deletes the queue of the trail at a moment when it surely holds nothing that is not in the trail, and waits until it is
/// there again; says whether there was such a moment. A lock on the outbox makes it: a relay holds its rows until they are
/// settled, so while the lock is held none is under way, and what has left is confirmed and shows in the trail or not.
pub async fn replace_the_empty_queue(stage: &Stage, witness: &Witness, notes: &Notes) -> bool {
    let poison = notes.read().poison;
    for _ in 0..20 {
        match try_to_replace(stage, witness, poison).await {
            Ok(true) => return true,
            Ok(false) | Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
    false
}

async fn try_to_replace(stage: &Stage, witness: &Witness, poison: usize) -> anyhow::Result<bool> {
    let mut lock = stage.database.pool().begin().await?;
    // Requests wait for it, so it may not take long.
    sqlx::query("SET LOCAL lock_timeout = '500ms'").execute(&mut *lock).await?;
    sqlx::query("LOCK TABLE outbox IN EXCLUSIVE MODE").execute(&mut *lock).await?;
    let is_recorded = async || {
        for _ in 0..15 {
            if nothing_is_in_the_queue(stage.database.pool(), poison).await? {
                return anyhow::Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(false)
    };
    if !is_recorded().await? {
        return Ok(false);
    }
    witness.look_away(&FACTS).await;
    persistently(stage, "delete a queue", async |channel| {
        channel.queue_delete(AUDIT_QUEUE.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    })
    .await;
    // Its consumers are told, and declare it anew when they subscribe again; if they are slow, the suite does.
    declare_topology(stage).await;
    witness.look_again(&FACTS).await;
    lock.rollback().await.context("the lock is given back")?;
    Ok(true)
}

/// Whether every fact that has left the outbox is in the trail, and all that nobody can read in the quarantine.
async fn nothing_is_in_the_queue(database: &PgPool, poison: usize) -> anyhow::Result<bool> {
    let under_way = "SELECT count(*), (SELECT count(*) FROM audit.quarantine) FROM fault_suite.committed \
        WHERE exchange <> 'job.ticks' \
        AND NOT EXISTS (SELECT FROM audit.events WHERE events.event_id = committed.event_id) \
        AND NOT EXISTS (SELECT FROM outbox WHERE outbox.event_id = committed.event_id) \
        AND NOT EXISTS (SELECT FROM outbox_parked WHERE outbox_parked.event_id = committed.event_id)";
    let (under_way, quarantined): (i64, i64) = sqlx::query_as(under_way).fetch_one(database).await?;
    Ok(under_way == 0 && quarantined >= i64::try_from(poison)?)
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

async fn persistently(stage: &Stage, what: &str, mut work: impl AsyncFnMut(&Channel) -> anyhow::Result<()>) {
    let attempt = async {
        loop {
            let connection = connect(stage.amqp_urls()).await;
            let done = async {
                let channel = connection.create_channel().await?;
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                work(&channel).await
            };
            let done = tokio::time::timeout(ATTEMPT, done).await;
            // A connection that is closing by itself is as good.
            let _ = connection.close(200, "done".into()).await;
            if matches!(done, Ok(Ok(()))) {
                return;
            }
        }
    };
    let done = tokio::time::timeout(PATIENCE, attempt).await;
    assert!(done.is_ok(), "the suite could not {what} within a minute");
}
