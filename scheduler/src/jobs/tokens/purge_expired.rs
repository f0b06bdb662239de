//! `purge-expired-tokens`: sessions whose every token has run out end, and tokens that have run out are deleted, in
//! small batches that each commit by themselves.
//!
//! Sessions go first: once the tokens are gone, nothing tells when a session's last one ran out, but that it has none
//! left, which is enough. The blacklist of a deleted token goes with it: an expired token is refused anyway. Counts of
//! wrong passwords that nobody asks for any more go, too, and so do idempotency keys after their day.

use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::clock::Clock;
use shared::contracts::Origin;
use shared::contracts::auth::{SessionEnd, SessionEnded};
use shared::ids::SessionId;
use shared::outbox::{AppendError, Outbox};
use shared::schedules::Overlap;
use shared::telemetry::TraceContext;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::store;
use crate::jobs::batches::in_batches;
use crate::jobs::{Definition, Job, JobContext, JobError, JobResult};

/// How many sessions end in one transaction: their users' rows are locked meanwhile.
const SESSION_BATCH: i64 = 100;
/// How many tokens are deleted in one transaction.
const TOKEN_BATCH: i64 = 1_000;
/// How many changes of standing are deleted in one transaction.
const CHANGE_BATCH: i64 = 5_000;
/// How many counts of wrong passwords are deleted in one transaction.
const LIMIT_BATCH: i64 = 1_000;
/// How long after its last try, or its last wait, such a count is kept: the API's settings let none last longer.
const LIMITS_KEPT: Duration = Duration::from_hours(24);
/// How many idempotency keys are deleted in one transaction.
const KEY_BATCH: i64 = 1_000;
/// How long these are kept: the API promises as much.
const KEYS_KEPT: Duration = Duration::from_hours(24);
/// How long changes of standing are kept: a replica of the API that has not read for half as long begins anew.
const CHANGES_KEPT: Duration = Duration::from_hours(1);
/// A login writes its session and its token in one transaction; this much more, and no half-made one is met.
const SESSION_AGE_MIN: Duration = Duration::from_mins(1);

/// The job.
pub fn job() -> Job {
    let definition = Definition {
        verbose_name: "Purge expired tokens",
        timetable: Some("0 * * * *"),
        args: serde_json::json!({}),
        overlap: Overlap::Skip,
        timeout: Duration::from_mins(10),
        ..Definition::new("purge-expired-tokens")
    };
    Job::new(definition, purge_expired)
}

async fn purge_expired(context: JobContext) -> JobResult {
    let JobContext { database, outbox, clock, trace, stop, .. } = context;
    Purge { database, outbox, clock, trace, stop }.run().await
}

/// A purge, by the job or by the command. Any number may go on at once: each takes what the others leave.
#[derive(Debug)]
pub struct Purge {
    /// The database.
    pub database: PgPool,
    /// For the ends of sessions.
    pub outbox: Outbox,
    /// What time it is.
    pub clock: Clock,
    /// The trace its events belong to.
    pub trace: TraceContext,
    /// Cancelled when it should end after the batch in hand.
    pub stop: CancellationToken,
}

impl Purge {
    /// Purges until nothing is left or it is asked to stop, and says in one line what it did.
    pub async fn run(&self) -> JobResult {
        let now = self.clock.now();
        let ended = end_sessions(self, now).await.map_err(JobError::passing("sessions can't be ended"))?;
        let (deleted, blacklisted) =
            delete_tokens(self, now).await.map_err(JobError::passing("tokens can't be deleted"))?;
        let changes = delete_read_changes(self, now)
            .await
            .map_err(JobError::passing("changes of standing can't be deleted"))?;
        let limits = delete_old_limits(self, now)
            .await
            .map_err(JobError::passing("counts of wrong passwords can't be deleted"))?;
        let keys = delete_old_keys(self, now)
            .await
            .map_err(JobError::passing("idempotency keys can't be deleted"))?;
        let stopped = if self.stop.is_cancelled() { "; stopped early, the next run goes on" } else { "" };
        Ok(format!(
            "ended {ended} expired session(s), deleted {deleted} expired token(s), {blacklisted} of them \
             blacklisted, {changes} old change(s) of standing, {limits} old count(s) of wrong passwords, and {keys} old \
             idempotency key(s){stopped}\n"
        ))
    }
}

/// Why a batch of sessions could not be ended.
#[derive(Debug, thiserror::Error)]
enum EndSessionsError {
    #[error("the database refuses")]
    Database(#[source] sqlx::Error),
    #[error("the end of a session can't be told")]
    Append(#[source] AppendError),
}

impl From<sqlx::Error> for EndSessionsError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

async fn end_sessions(purge: &Purge, now: DateTime<Utc>) -> Result<usize, EndSessionsError> {
    let mut ended = 0;
    let mut after = None;
    while !purge.stop.is_cancelled() {
        let batch = end_batch(purge, now, after).await?;
        ended += batch.ended;
        after = batch.last;
        if after.is_none() {
            break;
        }
    }
    Ok(ended)
}

struct Batch {
    ended: usize,
    /// Where the next batch begins; none when there is no next.
    last: Option<SessionId>,
}

async fn end_batch(
    purge: &Purge,
    now: DateTime<Utc>,
    after: Option<SessionId>,
) -> Result<Batch, EndSessionsError> {
    let begun_before = now - SESSION_AGE_MIN;
    let mut transaction = purge.database.begin().await?;
    let candidates =
        store::expired_sessions(&mut transaction, now, begun_before, after, SESSION_BATCH).await?;
    let Some(last) = candidates.last().map(|candidate| candidate.session_id) else {
        return Ok(Batch { ended: 0, last: None });
    };
    // The order in which a login takes its locks: the user's row first.
    let mut user_ids: Vec<i64> = candidates.iter().map(|candidate| candidate.user_id.0).collect();
    user_ids.sort_unstable();
    user_ids.dedup();
    store::lock_users(&mut transaction, &user_ids).await?;
    let session_ids: Vec<_> = candidates.iter().map(|candidate| candidate.session_id.0).collect();
    let ended = store::end_sessions(&mut transaction, now, &session_ids).await?;
    for session in &ended {
        let event = SessionEnded {
            user_id: session.user_id,
            username: session.username.clone(),
            session_id: session.session_id,
            reason: SessionEnd::Expired,
            actor_id: None,
            origin: Origin::default(),
        };
        purge.outbox.append(&mut transaction, &purge.trace, event).await.map_err(EndSessionsError::Append)?;
    }
    transaction.commit().await?;
    purge.outbox.wake();
    Ok(Batch { ended: ended.len(), last: Some(last) })
}

async fn delete_tokens(purge: &Purge, now: DateTime<Utc>) -> Result<(i64, i64), sqlx::Error> {
    let (mut deleted, mut blacklisted) = (0, 0);
    while !purge.stop.is_cancelled() {
        let mut connection = purge.database.acquire().await?;
        let batch = store::delete_expired_tokens(&mut connection, now, TOKEN_BATCH).await?;
        deleted += batch.deleted;
        blacklisted += batch.blacklisted;
        if batch.deleted < TOKEN_BATCH {
            break;
        }
    }
    Ok((deleted, blacklisted))
}

async fn delete_read_changes(purge: &Purge, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    in_batches(&purge.stop, || async move {
        let mut connection = purge.database.acquire().await?;
        let foreign = store::delete_foreign_changes(&mut connection, CHANGE_BATCH).await?;
        let read = store::delete_changes_before(&mut connection, now - CHANGES_KEPT, CHANGE_BATCH).await?;
        Ok(foreign + read)
    })
    .await
}

async fn delete_old_limits(purge: &Purge, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    in_batches(&purge.stop, || async move {
        let mut connection = purge.database.acquire().await?;
        store::delete_limits_before(&mut connection, now - LIMITS_KEPT, LIMIT_BATCH).await
    })
    .await
}

async fn delete_old_keys(purge: &Purge, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    in_batches(&purge.stop, || async move {
        let mut connection = purge.database.acquire().await?;
        store::delete_keys_before(&mut connection, now - KEYS_KEPT, KEY_BATCH).await
    })
    .await
}
