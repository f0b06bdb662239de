//! Claiming rows: the oldest due ones of an exchange, skipping those another relay holds.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::broker::Message;
use crate::contracts::Exchange;
use crate::ids::EventId;

/// A claimed row. The claim lasts as long as the transaction that made it.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) seq: i64,
    pub(super) attempts: i32,
    pub(super) returns: i32,
    pub(super) message: Message,
}

/// Locks the oldest due rows of `exchange`, at most `limit`.
pub(super) async fn claim(
    connection: &mut PgConnection,
    exchange: Exchange,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Claimed>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT seq, event_id, routing_key, headers, body, attempts, returns
        FROM outbox
        WHERE exchange = $1 AND not_before <= $2
        ORDER BY seq
        LIMIT $3
        FOR UPDATE SKIP LOCKED
        "#,
        exchange.name(),
        now,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let text =
                |name: &str| row.headers.get(name).and_then(|value| value.as_str()).unwrap_or_default();
            let message = Message {
                id: EventId(row.event_id),
                exchange: exchange.name().to_owned(),
                routing_key: row.routing_key,
                headers: vec![("traceparent".to_owned(), text("traceparent").to_owned())],
                event_type: text("type").to_owned(),
                body: row.body,
            };
            Claimed { seq: row.seq, attempts: row.attempts, returns: row.returns, message }
        })
        .collect())
}
