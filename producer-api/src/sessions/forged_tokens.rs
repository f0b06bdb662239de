//! Counts the tokens that were none of ours, address by address, and tells of them every few seconds.
//!
//! A stranger can send any number of them, so each alone is no event; their count is exact for as long as this process
//! lives.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::contracts::Origin;
use shared::contracts::auth::{AccessDenial, AccessDenied};
use shared::outbox::{AppendError, Outbox};
use shared::telemetry::{TraceContext, error_chain};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::middleware::RequestContext;

/// How long tries are gathered before they are told.
const INTERVAL: Duration = Duration::from_secs(10);
/// How many addresses are told apart; the rest is counted together.
const ADDRESSES_MAX: usize = 10_000;

/// The counts. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct ForgedTokens(Arc<Mutex<HashMap<Option<IpAddr>, Tries>>>);

#[derive(Debug, Clone)]
struct Tries {
    count: u64,
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
    origin: Origin,
    trace: TraceContext,
}

/// Why the counts could not be told; they are kept.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// The database could not be asked, or refused.
    #[error("the database can't be used")]
    Database(#[from] sqlx::Error),
    /// An event could not be written.
    #[error("the event can't be written")]
    Append(#[from] AppendError),
}

impl ForgedTokens {
    /// Counts one.
    pub fn note(&self, context: &RequestContext, now: DateTime<Utc>) {
        let origin = context.origin();
        let tries = Tries { count: 1, first_at: now, last_at: now, origin, trace: context.trace };
        add(&mut self.lock(), tries.origin.ip, tries);
    }

    /// Tells what was counted since the last time, all or nothing.
    pub async fn tell(&self, database: &PgPool, outbox: &Outbox) -> Result<(), TellError> {
        let counted = std::mem::take(&mut *self.lock());
        if counted.is_empty() {
            return Ok(());
        }
        let result = append(&counted, database, outbox).await;
        if result.is_err() {
            let mut counts = self.lock();
            for (address, tries) in counted {
                add(&mut counts, address, tries);
            }
        }
        result
    }

    /// Tells every few seconds, and once more when the program stops.
    pub async fn tell_regularly(
        self,
        database: PgPool,
        outbox: Outbox,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
            if let Err(error) = self.tell(&database, &outbox).await {
                tracing::warn!(error = error_chain(&error), "forged tokens can't be told of yet");
            }
            if stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, Tries>> {
        // A panic elsewhere leaves whole counts behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(counts: &mut HashMap<Option<IpAddr>, Tries>, address: Option<IpAddr>, tries: Tries) {
    let address = if counts.len() < ADDRESSES_MAX || counts.contains_key(&address) { address } else { None };
    counts
        .entry(address)
        .and_modify(|known| {
            known.count += tries.count;
            known.first_at = known.first_at.min(tries.first_at);
            known.last_at = known.last_at.max(tries.last_at);
        })
        .or_insert(tries);
}

async fn append(
    counted: &HashMap<Option<IpAddr>, Tries>,
    database: &PgPool,
    outbox: &Outbox,
) -> Result<(), TellError> {
    let mut transaction = database.begin().await?;
    for (address, tries) in counted {
        let event = AccessDenied {
            user_id: None,
            username: None,
            session_id: None,
            reason: AccessDenial::ForgedToken,
            object: None,
            count: tries.count,
            first_at: tries.first_at,
            last_at: tries.last_at,
            // Of addresses that are counted together none stands for the others.
            origin: if address.is_some() { tries.origin.clone() } else { Origin::default() },
        };
        outbox.append(&mut transaction, &tries.trace, event).await?;
    }
    transaction.commit().await?;
    outbox.wake();
    Ok(())
}
