//! Follows what changed in the database, by a connection of its own: the bound of a revocation under any fault.
//!
//! Once a second it asks what was not yet visible in the snapshot of its last read (see the migration that makes
//! `standing_changes`). The map is believed as long as the last read that succeeded was *sent* less than two seconds
//! ago; from then on every request asks the database itself. Where a change may have been missed, everything live is
//! forgotten and the following begins anew: on each new connection (at start, and after whatever cut the last one, which a
//! crash of the server always does), after a gap as long as changes are kept, and after more changes than one read takes.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use shared::ids::{SessionId, UserId};
use shared::lifecycle::Component;
use shared::telemetry::error_chain;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{Standings, store};

/// How often changes are read.
const READ_EVERY: Duration = Duration::from_secs(1);
/// How soon a read that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// How long connecting may take, and how long a read.
const DEADLINE: Duration = Duration::from_secs(1);
/// The most changes one read takes; beyond it, forgetting everything is cheaper.
const CHANGES_MAX: usize = 10_000;
/// A longer gap between two reads, by the server's clock, may have outlived changes: they are kept an hour.
const GAP_MAX: TimeDelta = TimeDelta::minutes(30);

/// What one read applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Everything live was forgotten, and the following began anew.
    pub anew: bool,
    /// Sessions that ended.
    pub sessions: Vec<SessionId>,
    /// Users that changed.
    pub users: Vec<UserId>,
}

/// Why changes could not be read. It passes.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// No connection.
    #[error("can't connect to read what was revoked")]
    Connect(#[source] sqlx::Error),
    /// The read failed.
    #[error("can't read what was revoked")]
    Read(#[source] sqlx::Error),
    /// The database took too long.
    #[error("the database did not answer within {} s", DEADLINE.as_secs())]
    TooSlow,
}

/// The reader of changes; one for each [`Standings`].
#[derive(Debug)]
pub struct Follower {
    standings: Standings,
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    position: Option<Position>,
}

#[derive(Debug)]
struct Position {
    server_started: DateTime<Utc>,
    read_at: DateTime<Utc>,
    snapshot: String,
}

impl Follower {
    pub(super) fn new(standings: Standings) -> Self {
        // What nobody waits for any more should not go on in the server either.
        let limit = format!("{}ms", DEADLINE.as_millis());
        let options = standings.database().connect_options().as_ref().clone();
        let options = options.options([("statement_timeout", limit)]);
        Self { standings, options, connection: None, position: None }
    }

    /// Reads once what changed, applies it, and lets the map be believed again from the instant the read was sent.
    pub async fn read_changes_once(&mut self) -> Result<Changes, FollowError> {
        // Taken out: after an error or a missed deadline it is dropped, its state unknown.
        let mut connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            // Whatever cut the last one may have been a crash: PostgreSQL recovers from that of one backend with the same
            // start time, and hands out the numbers of transactions again that were not yet on disk.
            self.position = None;
            in_time(self.options.connect(), FollowError::Connect).await?
        };
        let since = self.position.as_ref().map(|position| position.snapshot.as_str());
        let limit = i64::try_from(CHANGES_MAX + 1).unwrap_or(i64::MAX);
        let began = Instant::now();
        let row = in_time(store::changes(&mut connection, since, limit), FollowError::Read).await?;
        self.connection = Some(connection);
        let overflow = row.sessions.len() + row.users.len() > CHANGES_MAX;
        let anew = overflow || !self.position.as_ref().is_some_and(|position| position.leads_to(&row));
        let changes = Changes {
            anew,
            sessions: row.sessions.into_iter().map(SessionId).collect(),
            users: row.users.into_iter().map(UserId).collect(),
        };
        self.standings.apply(&changes, began);
        let (server_started, read_at, snapshot) = (row.server_started, row.read_at, row.snapshot);
        self.position = Some(Position { server_started, read_at, snapshot });
        Ok(changes)
    }

    /// Follows until `stop`. `component` is down while requests ask the database themselves.
    pub(super) async fn run(mut self, component: &Component, stop: &CancellationToken) {
        let mut ticks = interval(READ_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_failing = false;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let Some(read) = stop.run_until_cancelled(self.read_changes_once()).await else { break };
            match read {
                Ok(_) => {
                    component.up();
                    if std::mem::take(&mut is_failing) {
                        tracing::info!("revocations are followed again");
                    }
                }
                Err(error) => {
                    ticks.reset_after(RETRY_AFTER);
                    let chain = error_chain(&error);
                    if !self.standings.is_fresh() {
                        component.down(format!("every request asks the database: {chain}"));
                    }
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(error = chain, "revocations can't be followed, trying again");
                    }
                }
            }
        }
        if let Some(connection) = self.connection {
            // The server notices without the farewell, too.
            let _ = connection.close().await;
        }
    }
}

impl Position {
    /// Whether a read that asked for what is new since this position missed nothing.
    fn leads_to(&self, row: &store::ChangesRow) -> bool {
        self.server_started == row.server_started && (row.read_at - self.read_at).abs() < GAP_MAX
    }
}

async fn in_time<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
    failed: impl FnOnce(sqlx::Error) -> FollowError,
) -> Result<T, FollowError> {
    timeout(DEADLINE, work).await.map_err(|_| FollowError::TooSlow)?.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::store::ChangesRow;
    use super::*;

    fn row(server_started: i64, read_at: i64) -> ChangesRow {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        ChangesRow {
            server_started: at(server_started),
            read_at: at(read_at),
            snapshot: String::new(),
            sessions: Vec::new(),
            users: Vec::new(),
        }
    }

    #[test]
    fn a_read_goes_on_from_the_last_one_unless_changes_may_have_been_deleted_or_the_server_is_another() {
        let ChangesRow { server_started, read_at, snapshot, .. } = row(1_000, 10_000);
        let position = Position { server_started, read_at, snapshot };
        assert!(position.leads_to(&row(1_000, 10_001)));
        assert!(position.leads_to(&row(1_000, 10_000 + 1_799)));
        assert!(!position.leads_to(&row(1_000, 10_000 + 1_800)), "kept an hour, trusted for half of it");
        assert!(!position.leads_to(&row(1_000, 10_000 - 1_800)), "the server's clock was set back");
        assert!(!position.leads_to(&row(9_999, 10_001)), "started again meanwhile");
    }
}
