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
    pub(super) parkings: i32,
    pub(super) message: Message,
}

/// The exchanges for which a row is due, in the order of [`Exchange::ALL`]: one question where there is nothing to do.
pub(super) async fn due(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<Exchange>, sqlx::Error> {
    let names = Exchange::ALL.map(|exchange| exchange.name().to_owned());
    let due = sqlx::query_scalar!(
        r#"
        SELECT name AS "name!" FROM UNNEST($1::text[]) AS exchange (name)
        -- In the order of the index: else a backlog of one exchange might be read through for each of the others.
        CROSS JOIN LATERAL (
            SELECT FROM outbox WHERE outbox.exchange = name AND not_before <= $2 ORDER BY not_before, seq LIMIT 1
        ) AS first
        "#,
        &names,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(Exchange::ALL.into_iter().filter(|exchange| due.iter().any(|name| name == exchange.name())).collect())
}

/// Has rows tried now that were put off for longer than any row waits between tries, at most `limit`: the clock of the program that tried
/// them was ahead. Gives how many.
pub(super) async fn release_put_off(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let names = Exchange::ALL.map(|exchange| exchange.name().to_owned());
    let released = sqlx::query!(
        "UPDATE outbox SET not_before = LEAST($2, statement_timestamp())
         WHERE seq IN (
             -- By the database's clock: ours may be the one that is wrong.
             SELECT seq FROM outbox
             WHERE exchange = ANY($1) AND not_before > statement_timestamp() + interval '10 minutes'
             LIMIT $3
             FOR UPDATE SKIP LOCKED)",
        &names,
        now,
        limit,
    );
    Ok(released.execute(connection).await?.rows_affected())
}

/// Which of `rows` are there still.
pub(super) async fn still_there(
    connection: &mut PgConnection,
    rows: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!("SELECT seq FROM outbox WHERE seq = ANY($1)", rows).fetch_all(connection).await
}

/// Locks the oldest due rows of `exchange`, at most `limit`: those that were tried before and whose wait is over, which
/// take half of the places at most, then those that nobody has tried. Both are asked for in the order of the index
/// `outbox_due`, which nothing else gives, so that neither is looked for among a million of the other. (`<=` for `=`: of
/// what is equal to a constant no order would be asked.)
pub(super) async fn claim(
    connection: &mut PgConnection,
    exchange: Exchange,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Claimed>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        WITH tried AS MATERIALIZED (
            SELECT seq, event_id, routing_key, headers, body, attempts, returns, parkings
            FROM outbox
            WHERE exchange = $1 AND not_before > '-infinity' AND not_before <= $2
            ORDER BY not_before, seq
            LIMIT ($3::bigint + 1) / 2
            FOR UPDATE SKIP LOCKED
        ), fresh AS MATERIALIZED (
            SELECT seq, event_id, routing_key, headers, body, attempts, returns, parkings
            FROM outbox
            WHERE exchange = $1 AND not_before <= '-infinity'
            ORDER BY not_before, seq
            LIMIT $3 - (SELECT count(*) FROM tried)
            FOR UPDATE SKIP LOCKED
        )
        SELECT
            seq AS "seq!", event_id AS "event_id!", routing_key AS "routing_key!", headers AS "headers!",
            body AS "body!", attempts AS "attempts!", returns AS "returns!", parkings AS "parkings!"
        FROM (SELECT * FROM tried UNION ALL SELECT * FROM fresh) AS claimed
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
            let (seq, attempts, returns, parkings) = (row.seq, row.attempts, row.returns, row.parkings);
            Claimed { seq, attempts, returns, parkings, message }
        })
        .collect())
}
