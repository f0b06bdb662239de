//! What was committed, noted by the database itself in the transaction that commits it: the truth that all else is held
//! against. And when each row left the outbox.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

/// Ticks are commands and no facts: they are not in the trail.
const TICKS: &str = "job.ticks";

const NOTES: [&str; 7] = [
    "CREATE SCHEMA fault_suite",
    "CREATE TABLE fault_suite.committed (event_id uuid PRIMARY KEY, exchange text NOT NULL)",
    "CREATE TABLE fault_suite.gone (event_id uuid NOT NULL, gone_at timestamptz NOT NULL, attempts integer NOT NULL)",
    "CREATE FUNCTION fault_suite.note_committed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
     'BEGIN INSERT INTO fault_suite.committed SELECT event_id, exchange FROM rows ON CONFLICT DO NOTHING; RETURN NULL; END'",
    "CREATE FUNCTION fault_suite.note_gone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
     'BEGIN INSERT INTO fault_suite.gone SELECT event_id, clock_timestamp(), attempts FROM rows; RETURN NULL; END'",
    "CREATE TRIGGER note_committed AFTER INSERT ON outbox REFERENCING NEW TABLE AS rows FOR EACH STATEMENT \
     EXECUTE FUNCTION fault_suite.note_committed()",
    "CREATE TRIGGER note_gone AFTER DELETE ON outbox REFERENCING OLD TABLE AS rows FOR EACH STATEMENT \
     EXECUTE FUNCTION fault_suite.note_gone()",
];

/// Has the database note, from now on.
pub async fn note_in(database: &PgPool) -> Result<(), sqlx::Error> {
    for statement in NOTES {
        sqlx::query(statement).execute(database).await?;
    }
    Ok(())
}

/// What the notes say.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    /// Every fact that was committed to the outbox.
    pub facts: HashSet<Uuid>,
    /// When a fact left the outbox for the last time, for those that are neither there nor parked.
    pub sent: HashMap<Uuid, DateTime<Utc>>,
    /// How many rows were tried more than once before they left.
    pub retried: usize,
    /// How many rows left the outbox more than once: they were parked in between.
    pub were_parked: usize,
    /// How many rows wait in the outbox.
    pub waiting: usize,
    /// How many are parked.
    pub parked: usize,
}

impl Committed {
    /// Reads the notes.
    pub async fn read(database: &PgPool) -> Result<Self, sqlx::Error> {
        let facts = "SELECT event_id FROM fault_suite.committed WHERE exchange <> $1";
        let facts: Vec<Uuid> = sqlx::query_scalar(facts).bind(TICKS).fetch_all(database).await?;
        let sent: Vec<(Uuid, DateTime<Utc>, i32, i64)> = sqlx::query_as(
            "SELECT event_id, max(gone_at), max(attempts), count(*) FROM fault_suite.gone JOIN fault_suite.committed USING (event_id) \
             WHERE exchange <> $1 AND NOT EXISTS (SELECT FROM outbox WHERE outbox.event_id = gone.event_id) \
               AND NOT EXISTS (SELECT FROM outbox_parked WHERE outbox_parked.event_id = gone.event_id) \
             GROUP BY event_id",
        )
        .bind(TICKS)
        .fetch_all(database)
        .await?;
        let (waiting, parked) = left_over(database).await?;
        Ok(Self {
            facts: facts.into_iter().collect(),
            retried: sent.iter().filter(|(_, _, attempts, _)| *attempts > 0).count(),
            were_parked: sent.iter().filter(|(_, _, _, times)| *times > 1).count(),
            sent: sent.into_iter().map(|(id, at, ..)| (id, at)).collect(),
            waiting,
            parked,
        })
    }
}

/// How many rows wait in the outbox, and how many are parked; ticks count, too.
pub async fn left_over(database: &PgPool) -> Result<(usize, usize), sqlx::Error> {
    let counts = "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM outbox_parked)";
    let (waiting, parked): (i64, i64) = sqlx::query_as(counts).fetch_one(database).await?;
    Ok((usize::try_from(waiting).unwrap_or_default(), usize::try_from(parked).unwrap_or_default()))
}

/// How many facts were committed that are no row of the trail yet.
pub async fn not_yet_recorded(database: &PgPool) -> Result<i64, sqlx::Error> {
    let missing = "SELECT count(*) FROM fault_suite.committed WHERE exchange <> $1 \
                   AND NOT EXISTS (SELECT FROM audit.events WHERE events.event_id = committed.event_id)";
    sqlx::query_scalar(missing).bind(TICKS).fetch_one(database).await
}
