//! SQL over the trail, read in the order of its ids.

use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use ipnetwork::IpNetwork;
use shared::contracts::Outcome;
use shared::contracts::trail::TrailFilters;
use sqlx::PgPool;
use uuid::Uuid;

/// A row of the trail.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) event_id: Uuid,
    pub(super) event_type: String,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) recorded_at: DateTime<Utc>,
    pub(super) sequence: Option<i64>,
    pub(super) user_id: Option<i64>,
    pub(super) username: Option<String>,
    pub(super) session_id: Option<Uuid>,
    pub(super) jti: Option<String>,
    pub(super) ip: Option<IpNetwork>,
    pub(super) user_agent: Option<String>,
    pub(super) outcome: String,
    pub(super) reason: Option<String>,
    pub(super) request_id: Option<Uuid>,
    pub(super) trace_id: Option<String>,
    pub(super) body: String,
}

/// The next `limit` events behind `after` and before `before` that fit, one after the other.
pub(super) fn page<'a>(
    database: &'a PgPool,
    filters: &'a TrailFilters,
    (after, before): (Uuid, Uuid),
    limit: i64,
) -> BoxStream<'a, Result<Row, sqlx::Error>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT event_id, type AS event_type, occurred_at, recorded_at, sequence, user_id, username, session_id, jti,
            ip AS "ip: IpNetwork", user_agent, outcome, reason, request_id, trace_id, body
        FROM audit.events
        WHERE event_id > $1 AND event_id < $2
            AND ($3::text IS NULL OR type = $3)
            AND ($4::bigint IS NULL OR user_id = $4)
            AND ($5::text IS NULL OR username = $5)
            AND ($6::uuid IS NULL OR session_id = $6)
            AND ($7::inet IS NULL OR ip = $7)
            AND ($8::text IS NULL OR outcome = $8)
            AND ($9::uuid IS NULL OR request_id = $9)
            AND ($10::text IS NULL OR trace_id = $10)
        ORDER BY event_id
        LIMIT $11
        "#,
        after,
        before,
        filters.event_type.as_deref(),
        filters.user_id.map(|user| user.0),
        filters.username.as_deref(),
        filters.session_id.map(|session| session.0),
        filters.ip.map(IpNetwork::from) as _,
        filters.outcome.map(Outcome::as_str),
        filters.request_id.map(|request| request.0),
        filters.trace_id.as_deref(),
        limit,
    )
    .fetch(database)
}
