//! Saying what a counted try was.

use chrono::{DateTime, Utc};
use shared::contracts::auth::AccountLocked;
use shared::ids::UserId;
use shared::telemetry::error_chain;
use sqlx::PgConnection;

use super::keys::Key;
use super::reserve::Tried;
use super::rule::{Count, Rule};
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;

pub use super::rule::Verdict;

/// How much of a tried name the audit trail keeps: no username is longer.
const TRIED_NAME_CHARACTERS_MAX: usize = 150;

/// A name as it was typed, as far as events keep it.
pub fn tried_name(username: &str) -> String {
    username.chars().take(TRIED_NAME_CHARACTERS_MAX).collect()
}

/// A key in whose count the try is.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) key: Key,
    pub(super) rule: Rule,
    /// Since when the count goes on.
    pub(super) since: DateTime<Utc>,
}

/// A try that is counted and not yet looked at. Dropped before it is settled, it counts as wrong a minute later.
#[derive(Debug)]
#[must_use = "a try that is neither settled nor given back counts as wrong"]
pub struct Reservation {
    counted: Vec<Counted>,
    username: String,
    user_id: Option<UserId>,
    settled: bool,
}

impl Reservation {
    pub(super) fn new(counted: Vec<Counted>, tried: Tried<'_>) -> Self {
        let (username, user_id) = (tried_name(tried.username), tried.user_id);
        Self { counted, username, user_id, settled: false }
    }

    /// Takes the try back if the secret was right, else leaves it counted; a wait that begins with it is told. In the
    /// caller's transaction, as its last statement: it locks counts that others wait for.
    pub async fn settle(
        &mut self,
        state: &AppState,
        context: &RequestContext,
        connection: &mut PgConnection,
        verdict: Verdict,
    ) -> Result<(), Fault> {
        if !self.counted.is_empty() {
            let locked = self.write(connection, verdict, state.clock.now()).await?;
            if !locked.is_empty() {
                state.outbox.append_all(connection, &context.trace, self.told(context, locked)).await?;
            }
        }
        self.settled = true;
        Ok(())
    }

    /// Takes the try back if it was not settled: nobody looked at the secret, or what came of it was never committed. If the
    /// database is away it stays, and counts as wrong in a minute.
    pub async fn give_back(mut self, state: &AppState) {
        if self.settled || self.counted.is_empty() {
            return;
        }
        let given_back = async {
            let mut transaction = state.database.begin().await?;
            self.write(&mut transaction, Verdict::Right, state.clock.now()).await?;
            transaction.commit().await
        };
        if let Err(error) = given_back.await {
            tracing::warn!(
                error = error_chain(&error),
                "a counted login can't be taken back and will count as wrong"
            );
        }
        self.settled = true;
    }

    /// Writes the counts and gives the waits that begin.
    async fn write(
        &self,
        connection: &mut PgConnection,
        verdict: Verdict,
        now: DateTime<Utc>,
    ) -> Result<Vec<(&Counted, Count, DateTime<Utc>)>, sqlx::Error> {
        let keys: Vec<&Key> = self.counted.iter().map(|counted| &counted.key).collect();
        let counts = store::lock(connection, &keys).await?;
        let (mut written, mut locked) = (Vec::new(), Vec::new());
        for (counted, count) in self.counted.iter().zip(counts) {
            // Cleared by an operator meanwhile, and this try with the rest.
            let Some(count) = count else { continue };
            let (count, begins) = counted.rule.settle(count, counted.since, verdict, now);
            written.push((&counted.key, count));
            locked.extend(begins.map(|until| (counted, count, until)));
        }
        store::write(connection, &written).await?;
        Ok(locked)
    }

    fn told(
        &self,
        context: &RequestContext,
        locked: Vec<(&Counted, Count, DateTime<Utc>)>,
    ) -> Vec<AccountLocked> {
        let event = |(counted, count, until): (&Counted, Count, DateTime<Utc>)| {
            let scope = counted.key.kind.scope()?;
            Some(AccountLocked {
                user_id: self.user_id,
                username: self.username.clone(),
                scope,
                failures: count.failures,
                until,
                origin: context.origin(),
            })
        };
        locked.into_iter().filter_map(event).collect()
    }
}
