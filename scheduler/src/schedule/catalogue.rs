//! Keeps `job_schedules` in step with the registry: new jobs are added, changed ones updated, vanished ones retired. What
//! operators have said stays: pauses, and timetables of their own. History stays, too.
//!
//! Several builds may run at once while one takes over from another, each with its own registry. So every running build says
//! again and again which schedules are its own ([`PROOF`]); a schedule is retired only when nobody has done so for
//! [`PROOF_HOLDS`], and what a newer build has declared is changed back by an older one only when no newer one runs any more.

use chrono::{DateTime, TimeDelta, Utc};
use shared::database::is_locked;
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use shared::schedules::publish_tick::PublishTickError;
use shared::schedules::store::{self, ScheduleRow};
use shared::schedules::timetable::{Timetable, TimetableError};
use shared::schedules::{close, jitter, settle, share};
use sqlx::{PgConnection, PgPool};

use super::declaration::Declaration;
use super::store::lock_registered;
use crate::worker::Registry;

/// Keeps two programs that sync apart; "jobs" in ASCII.
const LOCK: i64 = 0x6a_6f_62_73;
/// How often a running build says which schedules are its own.
pub const PROOF: std::time::Duration = std::time::Duration::from_secs(20);
/// How long that holds.
pub const PROOF_HOLDS: TimeDelta = TimeDelta::seconds(90);

/// Why the schedules could not be synced.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// A job of this build has a schedule that can't be read, a fault of ours.
    #[error("the schedule of {0} is wrong")]
    Timetable(&'static str, #[source] TimetableError),
    /// The database refuses.
    #[error("the schedules can't be synced")]
    Database(#[source] sqlx::Error),
    /// What a schedule owed before it changed could not be answered.
    #[error("the schedules can't be synced")]
    Owed(#[from] PublishTickError),
}

impl From<sqlx::Error> for SyncError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl SyncError {
    /// Whether somebody else held a schedule for too long.
    pub(super) fn is_lock_timeout(&self) -> bool {
        let (Self::Database(error) | Self::Owed(PublishTickError::Write(error))) = self else { return false };
        is_locked(error)
    }
}

/// How many schedules were treated how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Synced {
    /// Not there before, or retired.
    pub added: usize,
    /// Something about them is new.
    pub changed: usize,
    /// Not in the registry of any build that runs.
    pub retired: usize,
    /// As they were.
    pub unchanged: usize,
    /// Another build that runs has declared them otherwise, or has them alone.
    pub of_others: usize,
}

/// What tells of runs that are made on the way.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// For their ticks; to be woken after the commit.
    pub outbox: &'a Outbox,
    /// For their ids.
    pub entropy: &'a Entropy,
}

/// When a build syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It begins: of two of the same version the one that began last is in force.
    Start,
    /// It goes on: what no build has any more is retired.
    Proof,
    /// It goes on after the database has not heard of it for so long that its proof has run out; so it may be with others,
    /// and they get their time to say so.
    Return,
}

/// Which build this is: of two the one with the higher number is newer.
pub fn generation() -> i64 {
    let number = |text: &str| text.parse::<i64>().unwrap_or(0);
    let [major, minor, patch] =
        [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"), env!("CARGO_PKG_VERSION_PATCH")]
            .map(number);
    (major * 1_000_000 + minor) * 1_000_000 + patch
}

/// Syncs in one transaction on the database's clock.
pub async fn sync(
    database: &PgPool,
    told: Told<'_>,
    registry: &Registry,
    occasion: Occasion,
) -> Result<Synced, SyncError> {
    let mut transaction = database.begin().await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK).fetch_one(&mut *transaction).await?;
    let now = store::now(&mut transaction).await?;
    let synced = sync_at(&mut transaction, told, (registry, generation()), occasion, now).await?;
    transaction.commit().await?;
    told.outbox.wake();
    let Synced { added, changed, retired, unchanged, of_others } = synced;
    if occasion == Occasion::Start || added + changed + retired > 0 {
        tracing::info!(
            added,
            changed,
            retired,
            unchanged,
            of_others,
            "the schedules are in step with this build"
        );
    }
    Ok(synced)
}

/// Syncs in the caller's transaction, at `now`, with the registry of a build of that generation.
pub async fn sync_at(
    connection: &mut PgConnection,
    told: Told<'_>,
    (registry, generation): (&Registry, i64),
    occasion: Occasion,
    now: DateTime<Utc>,
) -> Result<Synced, SyncError> {
    let declared: Vec<String> =
        registry.scheduled().map(|(definition, _)| definition.key.to_owned()).collect();
    let mut rows = lock_registered(connection, &declared).await?;
    for row in rows.iter_mut().filter(|row| is_of_another_clock(row, now)) {
        // Whoever said so may run: that is seen by whether he says it again.
        row.declared_until = Some(now + PROOF_HOLDS);
        prove(connection, std::slice::from_ref(&row.schedule_key), row.generation, now).await?;
    }
    let mut synced = Synced::default();
    let mut proven = Vec::new();
    for (definition, line) in registry.scheduled() {
        let key = definition.key;
        let timetable = Timetable::new(line, definition.time_zone);
        timetable.map_err(|error| SyncError::Timetable(key, error))?;
        let declared = Declaration::of(definition, line);
        let row = rows.iter().find(|row| row.schedule_key == key && row.retired_at.is_none());
        let Some(row) = row else {
            let before = rows.iter().find(|row| row.schedule_key == key);
            add(connection, key, &declared, (before, generation), now).await?;
            synced.added += 1;
            continue;
        };
        let is_proven = is_proven(row, now);
        if Declaration::in_force(row) == declared {
            synced.unchanged += 1;
            // An older build that agrees is no proof that the newer one runs.
            if row.generation <= generation || !is_proven {
                proven.push(key.to_owned());
            }
        } else if is_proven && row.generation > generation
            || is_proven && row.generation == generation && occasion != Occasion::Start
            || occasion == Occasion::Return
        {
            synced.of_others += 1;
        } else {
            change(connection, told, row, (&declared, generation), now).await?;
            synced.changed += 1;
        }
    }
    prove(connection, &proven, generation, now).await?;
    let is_ours = |key: &str| registry.scheduled().any(|(definition, _)| definition.key == key);
    for row in rows.iter().filter(|row| row.retired_at.is_none() && !is_ours(&row.schedule_key)) {
        if occasion != Occasion::Proof || is_proven(row, now) {
            synced.of_others += 1;
            continue;
        }
        close(connection, row, now).await?;
        retire(connection, &row.schedule_key, now).await?;
        synced.retired += 1;
    }
    Ok(synced)
}

/// Whether a build that has it runs.
fn is_proven(row: &ScheduleRow, now: DateTime<Utc>) -> bool {
    row.declared_until.is_some_and(|until| until >= now)
}

/// Whether a build was seen to have it while the clock was ahead. (`now` may have been read before a wait for the row.)
fn is_of_another_clock(row: &ScheduleRow, now: DateTime<Utc>) -> bool {
    row.declared_until.is_some_and(|until| until > now + PROOF_HOLDS * 2)
}

/// Adds a schedule, or takes up one that was retired, with an operator's timetable if it had one.
async fn add(
    connection: &mut PgConnection,
    key: &str,
    declared: &Declaration,
    (before, generation): (Option<&ScheduleRow>, i64),
    now: DateTime<Utc>,
) -> Result<(), SyncError> {
    let places = InForce::of(declared, before);
    let watermark = begin(&places, declared, now).unwrap_or(now);
    // What was answered stays so.
    let watermark = before.map_or(watermark, |row| watermark.max(row.watermark.min(now)));
    put(connection, key, declared, &places, (watermark, generation), now).await?;
    share(connection, key).await?;
    Ok(())
}

async fn change(
    connection: &mut PgConnection,
    told: Told<'_>,
    row: &ScheduleRow,
    (declared, generation): (&Declaration, i64),
    now: DateTime<Utc>,
) -> Result<(), SyncError> {
    let places = InForce::of(declared, Some(row));
    let once = |timetable: Option<Timetable>| timetable.and_then(|timetable| timetable.once());
    let is_the_same_once =
        once(row.timetable().ok()).is_some_and(|at| once(places.read(declared)) == Some(at));
    let same_instants = is_the_same_once
        || row.timetable == places.timetable
            && row.time_zone == places.time_zone
            && row.starts_at == declared.starts_at
            && row.ends_at == declared.ends_at;
    let watermark = if same_instants {
        row.watermark
    } else {
        // Another timetable begins now; the instants that the old one still owed get their answer first, those that are in time
        // their runs. Then comes what its jitter has put off.
        let Some(row) = settle(connection, told.outbox, told.entropy, &row.schedule_key, now).await? else {
            return Ok(());
        };
        close(connection, &row, now).await?;
        let begin = begin(&places, declared, now).unwrap_or(now);
        // A watermark that is ahead has its own way back.
        if begin < now && row.paused_at.is_none() { begin } else { now.max(row.watermark) }
    };
    put(connection, &row.schedule_key, declared, &places, (watermark, generation), now).await?;
    share(connection, &row.schedule_key).await?;
    Ok(())
}

/// The timetable in force, and the registry's if that is another.
struct InForce<'a> {
    timetable: &'a str,
    time_zone: &'a str,
    registry: Option<(&'a str, &'a str)>,
}

impl<'a> InForce<'a> {
    /// An operator's word stays in force, over whatever is declared.
    fn of(declared: &'a Declaration, row: Option<&'a ScheduleRow>) -> Self {
        let Declaration { timetable, time_zone, .. } = declared;
        match row.filter(|row| row.registry_timetable.is_some()) {
            Some(row) => Self {
                timetable: &row.timetable,
                time_zone: &row.time_zone,
                registry: Some((timetable, time_zone)),
            },
            None => Self { timetable, time_zone, registry: None },
        }
    }

    fn read(&self, declared: &Declaration) -> Option<Timetable> {
        let timetable = Timetable::new(self.timetable, self.time_zone).ok()?;
        Some(timetable.within(declared.starts_at, declared.ends_at))
    }
}

fn begin(places: &InForce<'_>, declared: &Declaration, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    places.read(declared).map(|timetable| timetable.begin(now))
}

async fn put(
    connection: &mut PgConnection,
    key: &str,
    declared: &Declaration,
    places: &InForce<'_>,
    (watermark, generation): (DateTime<Utc>, i64),
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    // One that can't be read is looked at, so that it is told about.
    let next = places.read(declared).map_or(Some(now), |timetable| timetable.next_after(watermark));
    let next_due_at = next.map(|next| next + jitter::offset(key, declared.jitter_seconds));
    sqlx::query!(
        r#"
        INSERT INTO job_schedules
            (schedule_key, job_key, verbose_name, timetable, time_zone, registry_timetable, registry_time_zone,
             starts_at, ends_at, jitter_seconds, queue, priority, args, catch_up_max, catch_up_window_seconds, overlap,
             timeout_seconds, attempts_max, backoff_seconds, backoff_max_seconds, watermark, next_due_at, generation,
             declared_until, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
                $24, $25, $25)
        ON CONFLICT (schedule_key) DO UPDATE
        SET job_key = excluded.job_key,
            verbose_name = excluded.verbose_name,
            timetable = excluded.timetable,
            time_zone = excluded.time_zone,
            registry_timetable = excluded.registry_timetable,
            registry_time_zone = excluded.registry_time_zone,
            starts_at = excluded.starts_at,
            ends_at = excluded.ends_at,
            jitter_seconds = excluded.jitter_seconds,
            queue = excluded.queue,
            priority = excluded.priority,
            args = excluded.args,
            catch_up_max = excluded.catch_up_max,
            catch_up_window_seconds = excluded.catch_up_window_seconds,
            overlap = excluded.overlap,
            timeout_seconds = excluded.timeout_seconds,
            attempts_max = excluded.attempts_max,
            backoff_seconds = excluded.backoff_seconds,
            backoff_max_seconds = excluded.backoff_max_seconds,
            watermark = excluded.watermark,
            next_due_at = excluded.next_due_at,
            generation = excluded.generation,
            declared_until = excluded.declared_until,
            retired_at = NULL,
            updated_at = excluded.updated_at
        "#,
        key,
        declared.job_key,
        declared.verbose_name,
        places.timetable,
        places.time_zone,
        places.registry.map(|(timetable, _)| timetable),
        places.registry.map(|(_, time_zone)| time_zone),
        declared.starts_at,
        declared.ends_at,
        declared.jitter_seconds,
        declared.queue,
        declared.priority,
        declared.args,
        declared.catch_up_max,
        declared.catch_up_window_seconds,
        declared.overlap,
        declared.timeout_seconds,
        declared.attempts_max,
        declared.backoff_seconds,
        declared.backoff_max_seconds,
        watermark,
        next_due_at,
        generation,
        now + PROOF_HOLDS,
        now,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Says that a build with these schedules runs.
async fn prove(
    connection: &mut PgConnection,
    keys: &[String],
    generation: i64,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let proven = sqlx::query!(
        "UPDATE job_schedules SET generation = $2, declared_until = $3 WHERE schedule_key = ANY($1)",
        keys,
        generation,
        now + PROOF_HOLDS,
    );
    proven.execute(connection).await.map(|_| ())
}

async fn retire(
    connection: &mut PgConnection,
    schedule_key: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE job_schedules SET retired_at = $2, watermark = GREATEST(watermark, $2), updated_at = $2
         WHERE schedule_key = $1",
        schedule_key,
        now,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use shared::config::Reader;

    use super::*;
    use crate::jobs::{self, MailConfig, Mailer};

    #[test]
    fn every_job_of_this_build_has_a_key_of_its_own_and_a_schedule_that_comes_due() {
        let mailer = Mailer::new(&MailConfig::read(&mut Reader::from_values([]))).unwrap();
        let all = jobs::all(mailer, Entropy::seeded(1));
        let keys: HashSet<_> = all.iter().map(|job| job.definition.key).collect();
        assert_eq!(keys.len(), all.len());
        for (definition, line) in Registry::new(all).scheduled() {
            let timetable = Timetable::new(line, definition.time_zone).unwrap();
            assert!(timetable.next_after(DateTime::UNIX_EPOCH).is_some(), "{}", definition.key);
            assert!((0..=100).contains(&definition.catch_up_max));
        }
    }
}
