//! SQL over the trail, read in the order of its ids.

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use shared::contracts::Outcome;
use shared::contracts::trail::TrailFilters;
use sqlx::{PgConnection, PgPool};
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

/// What a look at the trail found.
#[derive(Debug)]
pub(super) struct Look {
    /// The events that fit, the oldest first.
    pub(super) found: Vec<Uuid>,
    /// How many were looked at.
    pub(super) looked_at: i64,
    /// The newest of these.
    pub(super) newest: Option<Uuid>,
}

/// Looks at so many events at the most behind `after` and before `before`, by the one index that leaves the fewest, and
/// gives those that fit.
pub(super) async fn look(
    connection: &mut PgConnection,
    filters: &TrailFilters,
    (after, before): (Uuid, Uuid),
    looked_at_max: i64,
) -> Result<Look, sqlx::Error> {
    // How rare a type or a user is decides which index to read, so the plan must know it.
    sqlx::query("SET LOCAL plan_cache_mode = force_custom_plan").execute(&mut *connection).await?;
    sqlx::query_as!(
        Look,
        r#"
        WITH looked_at AS MATERIALIZED (
            -- One of these four is read: the conditions on parameters alone are judged before anything else.
            (
                SELECT event_id, type, user_id, username, ip, outcome, request_id, trace_id FROM audit.events
                WHERE $1::uuid IS NOT NULL AND session_id = $1 AND event_id > $9 AND event_id < $10
                ORDER BY event_id LIMIT $11
            )
            UNION ALL
            (
                SELECT event_id, type, user_id, username, ip, outcome, request_id, trace_id FROM audit.events
                WHERE $1::uuid IS NULL AND $2::bigint IS NOT NULL AND user_id = $2 AND event_id > $9 AND event_id < $10
                ORDER BY event_id LIMIT $11
            )
            UNION ALL
            (
                SELECT event_id, type, user_id, username, ip, outcome, request_id, trace_id FROM audit.events
                WHERE $1::uuid IS NULL AND $2::bigint IS NULL AND $3::text IS NOT NULL AND type = $3
                    AND event_id > $9 AND event_id < $10
                ORDER BY event_id LIMIT $11
            )
            UNION ALL
            (
                SELECT event_id, type, user_id, username, ip, outcome, request_id, trace_id FROM audit.events
                WHERE $1::uuid IS NULL AND $2::bigint IS NULL AND $3::text IS NULL
                    AND event_id > $9 AND event_id < $10
                ORDER BY event_id LIMIT $11
            )
        ), found AS (
            SELECT event_id
            FROM looked_at
            WHERE ($2::bigint IS NULL OR user_id = $2)
                AND ($3::text IS NULL OR type = $3)
                AND ($4::text IS NULL OR username = $4)
                AND ($5::inet IS NULL OR ip = $5)
                AND ($6::text IS NULL OR outcome = $6)
                AND ($7::uuid IS NULL OR request_id = $7)
                AND ($8::text IS NULL OR trace_id = $8)
        )
        SELECT
            ARRAY(SELECT event_id FROM found ORDER BY event_id) AS "found!",
            (SELECT count(*) FROM looked_at) AS "looked_at!",
            (SELECT event_id FROM looked_at ORDER BY event_id DESC LIMIT 1) AS newest
        "#,
        filters.session_id.map(|session| session.0),
        filters.user_id.map(|user| user.0),
        filters.event_type.as_deref(),
        filters.username.as_deref(),
        filters.ip.map(IpNetwork::from) as _,
        filters.outcome.map(Outcome::as_str),
        filters.request_id.map(|request| request.0),
        filters.trace_id.as_deref(),
        after,
        before,
        looked_at_max,
    )
    .fetch_one(connection)
    .await
}

/// These events, the oldest first.
pub(super) async fn rows(database: &PgPool, ids: &[Uuid]) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT event_id, type AS event_type, occurred_at, recorded_at, sequence, user_id, username, session_id, jti,
            ip AS "ip: IpNetwork", user_agent, outcome, reason, request_id, trace_id, body
        FROM audit.events
        WHERE event_id = ANY($1)
        ORDER BY event_id
        -- That is all of them. Where there is a limit, what is wide is fetched behind the sort.
        LIMIT cardinality($1)
        "#,
        ids,
    )
    .fetch_all(database)
    .await
}
