//! Whether a session goes on and what its user may do, without asking the database for each request.
//!
//! Each replica remembers what it has asked once: a check whose user and session are there costs no query. Three
//! things end a memory:
//! - whoever ends a session or changes a user tells its own replica before it answers ([`Standings::session_ended`],
//!   [`Standings::user_changed`]);
//! - a notice over RabbitMQ tells all others within milliseconds;
//! - once a second each replica reads from the database what changed. While it can't, for two seconds, nothing
//!   remembered is believed and every request asks.
//!
//! The last one is the bound: **two seconds after a change is committed no replica accepts what it revoked**, with the
//! broker down, blocked, behind, or half gone, and whoever made the change, an operator's SQL included. A database that
//! can't be asked means 503, never "yes".

mod bounded;
mod follower;
mod map;
mod notices;
mod store;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::config::BrokerConfig;
use shared::entropy::Entropy;
use shared::ids::{SessionId, UserId};
use shared::lifecycle::Component;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use follower::{Changes, FollowError, Follower};
pub use map::{Standing, UserFacts};

use map::{Found, Look, Map, Ticket};

/// How soon every replica refuses what was revoked.
pub const FRESH_FOR: Duration = Duration::from_secs(2);
/// How often an answer that a revocation overtook is read again; the last one is given out, true when it was read.
const READS_MAX: u32 = 3;

/// Knows how users and sessions stand. Clones share what they know.
#[derive(Clone)]
pub struct Standings(Arc<Shared>);

struct Shared {
    database: PgPool,
    database_reads: AtomicU64,
    /// None when nothing is to be remembered.
    map: Option<Mutex<Map>>,
}

impl Standings {
    /// Remembers, and so needs [`Standings::follow`] to run: until it does, every check asks the database. What is
    /// remembered is believed for `fresh_for` after the last read of what changed was sent; [`FRESH_FOR`] is what we
    /// promise.
    pub fn remembering(database: PgPool, fresh_for: Duration) -> Self {
        Self::over(database, Some(Mutex::new(Map::new(fresh_for))))
    }

    /// Remembers nothing: every check asks the database (`ACCESS_TOKEN_REVOCATION=none`). Its loops have nothing to do.
    pub fn reading_each_time(database: PgPool) -> Self {
        Self::over(database, None)
    }

    fn over(database: PgPool, map: Option<Mutex<Map>>) -> Self {
        Self(Arc::new(Shared { database, database_reads: AtomicU64::new(0), map }))
    }

    /// How `user` stands, and whether `session` is his and goes on. What [`Standings::session_ended`] was told before
    /// is never called active.
    pub async fn of(&self, user: UserId, session: Option<SessionId>) -> Result<Standing, sqlx::Error> {
        let mut reads = 0;
        loop {
            let ticket = match self.look(user, session) {
                Look::Known(standing) => return Ok(standing),
                Look::Unknown(ticket) => Some(ticket),
                Look::Stale => None,
            };
            // Boxed, since it is rare and large: each open live stream holds a check of its standing.
            let found = Box::pin(self.read(user, session)).await?;
            reads += 1;
            let Some(mut map) = self.map() else { return Ok(found.standing(user, session)) };
            let ticket = ticket.filter(|_| reads < READS_MAX);
            if let Some(standing) = settle(&mut map, ticket, (user, session), found) {
                return Ok(standing);
            }
        }
    }

    /// Whether [`Standings::of`] would answer without asking the database.
    pub fn knows(&self, user: UserId, session: Option<SessionId>) -> bool {
        matches!(self.look(user, session), Look::Known(_))
    }

    /// Whether `session` is known to have ended, though nothing else may be believed now.
    pub fn has_ended(&self, session: SessionId) -> bool {
        self.map().is_some_and(|mut map| map.has_ended(session))
    }

    /// A session has ended: call it after the commit and before the answer.
    pub fn session_ended(&self, session: SessionId) {
        if let Some(mut map) = self.map() {
            map.end(session);
        }
    }

    /// The same for several sessions.
    pub fn sessions_ended(&self, sessions: &[SessionId]) {
        for session in sessions {
            self.session_ended(*session);
        }
    }

    /// A user was changed or deleted: call it after the commit and before the answer.
    pub fn user_changed(&self, user: UserId) {
        if let Some(mut map) = self.map() {
            map.drop_user(user);
        }
    }

    /// How often the database was asked for a standing.
    pub fn database_reads(&self) -> u64 {
        self.0.database_reads.load(Ordering::Relaxed)
    }

    /// Whether what is remembered may be believed now.
    pub fn is_fresh(&self) -> bool {
        self.map().is_some_and(|map| map.is_fresh(Instant::now()))
    }

    /// A reader of what changed.
    pub fn follower(&self) -> Follower {
        Follower::new(self.clone())
    }

    /// Follows what changes in the database until `stop`.
    pub async fn follow(self, component: Component, stop: CancellationToken) -> anyhow::Result<()> {
        match self.0.map {
            Some(_) => self.follower().run(&component, &stop).await,
            None => idle(&component, &stop).await,
        }
        Ok(())
    }

    /// Listens to notices of other replicas until `stop`.
    pub async fn listen(
        self,
        broker: BrokerConfig,
        instance: String,
        component: Component,
        entropy: Entropy,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        if self.0.map.is_some() {
            return notices::listen(&self, &broker, &instance, &component, &entropy, &stop).await;
        }
        idle(&component, &stop).await;
        Ok(())
    }

    fn database(&self) -> &PgPool {
        &self.0.database
    }

    /// How long ago the last read that succeeded was sent.
    pub fn read_age(&self) -> Option<Duration> {
        self.map()?.read_age(Instant::now())
    }

    fn map(&self) -> Option<MutexGuard<'_, Map>> {
        self.0.map.as_ref().map(|map| map.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn look(&self, user: UserId, session: Option<SessionId>) -> Look {
        self.map().map_or(Look::Stale, |mut map| map.look(user, session, Instant::now()))
    }

    async fn read(&self, user: UserId, session: Option<SessionId>) -> Result<Found, sqlx::Error> {
        self.0.database_reads.fetch_add(1, Ordering::Relaxed);
        let mut connection = self.0.database.acquire().await?;
        store::find(&mut connection, user, session).await
    }

    fn forget_live(&self) {
        if let Some(mut map) = self.map() {
            map.forget_live();
        }
    }

    /// Applies what a read that was sent at `began` found, in one step.
    fn apply(&self, changes: &Changes, began: Instant) {
        let Some(mut map) = self.map() else { return };
        if changes.anew {
            map.forget_live();
        }
        changes.sessions.iter().for_each(|session| map.end(*session));
        changes.users.iter().for_each(|user| map.drop_user(*user));
        map.confirm(began);
    }
}

impl std::fmt::Debug for Standings {
    /// Without what it knows, which is long.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Standings").field("remembers", &self.0.map.is_some()).finish_non_exhaustive()
    }
}

/// What to do with an answer: keep it if it was asked for with a ticket, which may be overtaken; else only judge it.
fn settle(
    map: &mut Map,
    ticket: Option<Ticket>,
    (user, session): (UserId, Option<SessionId>),
    found: Found,
) -> Option<Standing> {
    match ticket {
        Some(ticket) => map.fill(ticket, found),
        None => Some(map.judge(user, session, found)),
    }
}

async fn idle(component: &Component, stop: &CancellationToken) {
    component.up();
    stop.cancelled().await;
}
