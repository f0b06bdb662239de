//! What was committed, noted by the database itself in the transaction that commits it: the truth that all else is held
//! against. And when each row left the outbox.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

/// Ticks are commands and no facts: they are not in the trail.
const TICKS: &str = "job.ticks";

/// How the reason of a parked row begins that the broker had confirmed and that the trail did not get.
const NOT_RECORDED: &str = "RabbitMQ confirmed it";

const NOTES: [&str; 10] = [
    "CREATE SCHEMA fault_suite",
    "CREATE TABLE fault_suite.committed (event_id uuid PRIMARY KEY, exchange text NOT NULL, digest text NOT NULL)",
    "CREATE TABLE fault_suite.gone (event_id uuid NOT NULL, gone_at timestamptz NOT NULL, attempts integer NOT NULL)",
    "CREATE TABLE fault_suite.parked (event_id uuid NOT NULL, reason text NOT NULL)",
    "CREATE FUNCTION fault_suite.note_committed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
     'BEGIN INSERT INTO fault_suite.committed SELECT event_id, exchange, md5(body) FROM rows ON CONFLICT DO NOTHING; RETURN NULL; END'",
    "CREATE FUNCTION fault_suite.note_gone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
     'BEGIN INSERT INTO fault_suite.gone SELECT event_id, clock_timestamp(), attempts FROM rows; RETURN NULL; END'",
    "CREATE FUNCTION fault_suite.note_parked() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
     'BEGIN INSERT INTO fault_suite.parked SELECT event_id, reason FROM rows; RETURN NULL; END'",
    "CREATE TRIGGER note_committed AFTER INSERT ON outbox REFERENCING NEW TABLE AS rows FOR EACH STATEMENT \
     EXECUTE FUNCTION fault_suite.note_committed()",
    "CREATE TRIGGER note_gone AFTER DELETE ON outbox REFERENCING OLD TABLE AS rows FOR EACH STATEMENT \
     EXECUTE FUNCTION fault_suite.note_gone()",
    "CREATE TRIGGER note_parked AFTER INSERT ON outbox_parked REFERENCING NEW TABLE AS rows FOR EACH STATEMENT \
     EXECUTE FUNCTION fault_suite.note_parked()",
];

/// Has the database note, from now on.
pub async fn note_in(database: &PgPool) -> Result<(), sqlx::Error> {
    for statement in NOTES {
        sqlx::query(statement).execute(database).await?;
    }
    Ok(())
}

/// A fact that has left the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// To which exchange.
    pub exchange: String,
    /// When, for the last time.
    pub at: DateTime<Utc>,
}

/// What waits to be sent, or to be seen in the trail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOver {
    /// Rows in the outbox.
    pub waiting: usize,
    /// Parked rows.
    pub parked: usize,
    /// Rows that the broker has confirmed and that nobody has seen in the trail yet.
    pub unrecorded: usize,
}

/// What the notes say.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    /// Every fact that was committed to the outbox.
    pub facts: HashSet<Uuid>,
    /// The facts that have left the outbox, and are neither there again nor parked.
    pub sent: HashMap<Uuid, Sent>,
    /// How many rows were tried more than once before they left.
    pub retried: usize,
    /// How many were parked because the broker could route them nowhere.
    pub were_parked: usize,
    /// How many were sent again because the broker had confirmed them and the trail did not get them.
    pub sent_again: usize,
    /// What waits.
    pub left_over: LeftOver,
}

impl Committed {
    /// Reads the notes.
    pub async fn read(database: &PgPool) -> Result<Self, sqlx::Error> {
        let facts = "SELECT event_id FROM fault_suite.committed WHERE exchange <> $1";
        let facts: Vec<Uuid> = sqlx::query_scalar(facts).bind(TICKS).fetch_all(database).await?;
        let sent: Vec<(Uuid, String, DateTime<Utc>, i32)> = sqlx::query_as(
            "SELECT event_id, exchange, max(gone_at), max(attempts) FROM fault_suite.gone JOIN fault_suite.committed USING (event_id) \
             WHERE exchange <> $1 AND NOT EXISTS (SELECT FROM outbox WHERE outbox.event_id = gone.event_id) \
               AND NOT EXISTS (SELECT FROM outbox_parked WHERE outbox_parked.event_id = gone.event_id) \
             GROUP BY event_id, exchange",
        )
        .bind(TICKS)
        .fetch_all(database)
        .await?;
        let parked = "SELECT count(DISTINCT event_id) FILTER (WHERE NOT starts_with(reason, $2)), \
                             count(DISTINCT event_id) FILTER (WHERE starts_with(reason, $2)) \
                      FROM fault_suite.parked JOIN fault_suite.committed USING (event_id) WHERE exchange <> $1";
        let parked = sqlx::query_as(parked).bind(TICKS).bind(NOT_RECORDED).fetch_one(database);
        let (were_parked, sent_again): (i64, i64) = parked.await?;
        Ok(Self {
            facts: facts.into_iter().collect(),
            retried: sent.iter().filter(|(.., attempts)| *attempts > 0).count(),
            were_parked: usize::try_from(were_parked).unwrap_or_default(),
            sent_again: usize::try_from(sent_again).unwrap_or_default(),
            sent: sent.into_iter().map(|(id, exchange, at, _)| (id, Sent { exchange, at })).collect(),
            left_over: left_over(database).await?,
        })
    }
}

/// What waits; ticks count, too.
pub async fn left_over(database: &PgPool) -> Result<LeftOver, sqlx::Error> {
    let counts = "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM outbox_parked), \
                         (SELECT count(*) FROM outbox_confirmed)";
    let counts: (i64, i64, i64) = sqlx::query_as(counts).fetch_one(database).await?;
    let [waiting, parked, unrecorded] =
        [counts.0, counts.1, counts.2].map(|count| usize::try_from(count).unwrap_or_default());
    Ok(LeftOver { waiting, parked, unrecorded })
}

/// How many facts were committed that are no row of the trail yet.
pub async fn not_yet_recorded(database: &PgPool) -> Result<i64, sqlx::Error> {
    let missing = "SELECT count(*) FROM fault_suite.committed WHERE exchange <> $1 \
                   AND NOT EXISTS (SELECT FROM audit.events WHERE events.event_id = committed.event_id)";
    sqlx::query_scalar(missing).bind(TICKS).fetch_one(database).await
}
