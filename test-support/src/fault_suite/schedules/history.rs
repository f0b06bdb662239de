//! What there is when a run is over: what the database noted of each change of a run in the transaction that made it, the rows as
//! they are, what was told, and what attempts wrote of themselves. Judged nowhere in this room.

use std::collections::HashSet;
use std::path::Path;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::diary::{self, Line};
use crate::fault_suite::witness::Witness;

/// Has the database note, from now on; `application_name` is the instance that a program bears.
pub const NOTES: [&str; 9] = [
    "CREATE TABLE fault_suite.transitions (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run uuid NOT NULL, \
         schedule text NOT NULL, is_exclusive boolean NOT NULL, old_state text, state text NOT NULL, old_attempt integer, \
         attempt integer NOT NULL, attempts_max integer NOT NULL, worker text, writer text NOT NULL, error_kind text, \
         old_lease_until timestamptz, at timestamptz NOT NULL DEFAULT clock_timestamp(), \
         transaction bigint NOT NULL DEFAULT txid_current())",
    "CREATE FUNCTION fault_suite.note_transition() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN \
         INSERT INTO fault_suite.transitions (run, schedule, is_exclusive, old_state, state, old_attempt, attempt, attempts_max, \
             worker, writer, error_kind, old_lease_until) \
         VALUES (NEW.id, NEW.schedule_key, NEW.is_exclusive, OLD.state, NEW.state, OLD.attempt, NEW.attempt, NEW.attempts_max, \
             CASE WHEN OLD.state = ''running'' THEN OLD.worker ELSE NEW.worker END, current_setting(''application_name''), NEW.error_kind, OLD.lease_until); \
         RETURN NULL; END'",
    "CREATE TRIGGER note_transition AFTER INSERT OR UPDATE ON job_runs FOR EACH ROW EXECUTE FUNCTION fault_suite.note_transition()",
    "CREATE TABLE fault_suite.begun (schedule text NOT NULL, watermark timestamptz NOT NULL)",
    "CREATE FUNCTION fault_suite.note_begun() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN \
         INSERT INTO fault_suite.begun VALUES (NEW.schedule_key, NEW.watermark); RETURN NULL; END'",
    "CREATE TRIGGER note_begun AFTER INSERT ON job_schedules FOR EACH ROW EXECUTE FUNCTION fault_suite.note_begun()",
    "CREATE TABLE fault_suite.told (event_id uuid PRIMARY KEY, type text NOT NULL, run uuid NOT NULL)",
    "CREATE FUNCTION fault_suite.note_told() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN \
         INSERT INTO fault_suite.told VALUES (NEW.event_id, NEW.body::jsonb ->> ''type'', \
             (NEW.body::jsonb -> ''data'' ->> ''run_id'')::uuid) ON CONFLICT DO NOTHING; RETURN NULL; END'",
    "CREATE TRIGGER note_told AFTER INSERT ON outbox FOR EACH ROW \
         WHEN (NEW.exchange = 'job.ticks' OR NEW.routing_key IN ('job.run.succeeded', 'job.run.failed')) \
         EXECUTE FUNCTION fault_suite.note_told()",
];

/// A change of a run.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Transition {
    /// Which run.
    pub run: Uuid,
    /// Of which schedule.
    pub schedule: String,
    /// Whether no other run of its schedule may run beside it.
    pub is_exclusive: bool,
    /// The state before; none if it was not there.
    pub old_state: Option<String>,
    /// The state after.
    pub state: String,
    /// The attempt before.
    pub old_attempt: Option<i32>,
    /// The attempt after.
    pub attempt: i32,
    /// The last attempt it may have.
    pub attempts_max: i32,
    /// Who had it before; if nobody did, who has it now or had it last.
    pub worker: Option<String>,
    /// Who made the change.
    pub writer: String,
    /// Of what kind its last error is.
    pub error_kind: Option<String>,
    /// Until when somebody had it before.
    pub old_lease_until: Option<DateTime<Utc>>,
    /// When, by the database's clock.
    pub at: DateTime<Utc>,
}

impl Transition {
    /// Whether it ends an attempt.
    pub fn ends_an_attempt(&self) -> bool {
        self.old_state.as_deref() == Some("running") && self.state != "running"
    }

    /// Whether an attempt was given up because its lease had run out.
    pub fn is_a_rescue(&self) -> bool {
        self.ends_an_attempt()
            && self.error_kind.as_deref() == Some("lease_lost")
            && self.state != "succeeded"
    }

    /// Whether the run is over with it.
    pub fn ends_the_run(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "failed")
    }
}

/// A run as it is in the end.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Run {
    /// Which.
    pub id: Uuid,
    /// Of which schedule.
    pub schedule: String,
    /// Its instant.
    pub scheduled_at: DateTime<Utc>,
    /// Its state.
    pub state: String,
    /// How many attempts it had.
    pub attempt: i32,
}

/// A gap as it is in the end.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Gap {
    /// Of which schedule.
    pub schedule: String,
    /// Its first instant.
    pub first_at: DateTime<Utc>,
    /// Its last one.
    pub last_at: DateTime<Utc>,
    /// How many, as it says.
    pub instants: i64,
    /// Why.
    pub reason: String,
}

/// How far a schedule has come.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Progress {
    /// Which.
    pub schedule: String,
    /// From where on it was to be answered.
    pub from: DateTime<Utc>,
    /// Up to where it is.
    pub until: DateTime<Utc>,
}

/// Something that was told of a run.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Told {
    /// The event.
    pub event: Uuid,
    /// Its type.
    pub name: String,
    /// The run.
    pub run: Uuid,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// How far each schedule has come.
    pub progress: Vec<Progress>,
    /// Every run.
    pub runs: Vec<Run>,
    /// Every gap.
    pub gaps: Vec<Gap>,
    /// Every change of a run, in order.
    pub transitions: Vec<Transition>,
    /// What was told.
    pub told: Vec<Told>,
    /// Which events came out of the broker.
    pub came_out: HashSet<Uuid>,
    /// What attempts wrote, in order.
    pub diary: Vec<Line>,
    /// How much of that nobody can read.
    pub unreadable: usize,
}

impl History {
    /// Reads it.
    pub async fn read(database: &PgPool, witness: &Witness, diary: &Path) -> anyhow::Result<Self> {
        let progress = "SELECT schedule_key AS schedule, min(begun.watermark) AS from, job_schedules.watermark AS until \
                        FROM job_schedules JOIN fault_suite.begun ON schedule = schedule_key GROUP BY schedule_key";
        let runs = "SELECT id, schedule_key AS schedule, scheduled_at, state, attempt FROM job_runs ORDER BY scheduled_at";
        let gaps = "SELECT schedule_key AS schedule, first_at, last_at, instants, reason FROM job_gaps ORDER BY first_at";
        let transitions = "SELECT * FROM fault_suite.transitions ORDER BY id";
        let told = "SELECT event_id AS event, type AS name, run FROM fault_suite.told";
        let (diary, unreadable) = diary::read(diary)?;
        Ok(Self {
            progress: sqlx::query_as(progress).fetch_all(database).await?,
            runs: sqlx::query_as(runs).fetch_all(database).await?,
            gaps: sqlx::query_as(gaps).fetch_all(database).await?,
            transitions: sqlx::query_as(transitions).fetch_all(database).await?,
            told: sqlx::query_as(told).fetch_all(database).await?,
            came_out: witness.seen().into_iter().collect(),
            diary,
            unreadable,
        })
    }
}
