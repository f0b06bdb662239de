//! A claim holds for a short while and is renewed as long as its job runs, so that a run whose worker was killed is
//! soon taken over, and a worker that was cut off knows by itself when to stop.

use std::time::Duration;

use tokio::time::Instant;

use super::Workshop;
use super::claim::Claim;
use super::runs_store::{self, Renewed};

/// The lease of production: a killed worker's run is taken over within half a minute.
pub const LEASE: LeaseSettings =
    LeaseSettings { length: Duration::from_secs(30), renewal: Duration::from_secs(10) };

/// How long a claim holds, and how often it is renewed.
#[derive(Debug, Clone, Copy)]
pub struct LeaseSettings {
    /// How long.
    pub length: Duration,
    /// How often; several times within the length.
    pub renewal: Duration,
}

/// Why a claim holds no longer.
#[derive(Debug)]
pub(super) enum Over {
    /// The lease is lost; how.
    Lost(String),
    /// Somebody wants the run to end; why.
    Canceled(String),
}

/// Renews the lease of `claim` until it is lost or the run is to end.
pub(super) async fn keep(workshop: &Workshop, claim: &Claim) -> Over {
    let LeaseSettings { length, renewal } = workshop.lease;
    let mut held_until = claim.asked_at + length;
    loop {
        tokio::time::sleep(renewal).await;
        let asked_at = Instant::now();
        // Without an answer in time others may have it: no proof of the lease is the loss of it.
        match tokio::time::timeout_at(held_until, renew(workshop, claim)).await {
            Ok(Ok(Some(Renewed { cancel_reason: Some(reason) }))) => return Over::Canceled(reason),
            Ok(Ok(Some(_))) => held_until = asked_at + length,
            Ok(Ok(None)) => return Over::Lost("another attempt has the run".to_owned()),
            Ok(Err(error)) if Instant::now() >= held_until => {
                return Over::Lost(format!("the lease ran out: {error}"));
            }
            Ok(Err(error)) => {
                tracing::warn!(run.id = %claim.run.id, %error, "a lease can't be renewed, trying again");
            }
            Err(_) => return Over::Lost("the lease ran out: the database didn't answer".to_owned()),
        }
    }
}

async fn renew(workshop: &Workshop, claim: &Claim) -> Result<Option<Renewed>, sqlx::Error> {
    let mut connection = workshop.database.acquire().await?;
    let lease_seconds = workshop.lease.length.as_secs_f64();
    runs_store::renew_lease(&mut connection, claim.run.id, claim.run.attempt, lease_seconds).await
}
