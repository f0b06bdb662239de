//! A claim holds for a short while and is renewed as long as its job runs, so that a run whose worker was killed is
//! soon taken over, and a worker that was cut off knows by itself when to stop.

use std::time::Duration;

use shared::lifecycle::Backoff;
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
    Lost(&'static str),
    /// Somebody wants the run to end; why.
    Canceled(String),
}

/// Renews the lease of `claim` until it is lost or the run is to end.
pub(super) async fn keep(workshop: &Workshop, claim: &Claim) -> Over {
    let LeaseSettings { length, renewal } = workshop.lease;
    let mut held_until = claim.asked_at + length;
    loop {
        // Whatever is waited for meanwhile, and however late the claim was answered: without an answer in time others may have the
        // run, and no proof of the lease is the loss of it.
        let renewed = tokio::time::timeout_at(held_until, async {
            tokio::time::sleep(renewal).await;
            renew_patiently(workshop, claim).await
        });
        match renewed.await {
            Ok((_, Some(Renewed { cancel_reason: Some(reason) }))) => return Over::Canceled(reason),
            Ok((asked_at, Some(_))) => held_until = asked_at + length,
            Ok((_, None)) => return Over::Lost("another attempt has the run"),
            Err(_) => return Over::Lost("the lease ran out: the database didn't answer"),
        }
    }
}

/// Asks until the database answers; gives when it asked.
async fn renew_patiently(workshop: &Workshop, claim: &Claim) -> (Instant, Option<Renewed>) {
    let mut backoff = Backoff::for_servers();
    loop {
        let asked_at = Instant::now();
        let error = match renew(workshop, claim).await {
            Ok(renewed) => return (asked_at, renewed),
            Err(error) => error,
        };
        let wait = backoff.next(&workshop.entropy);
        tracing::warn!(run.id = %claim.run.id, %error, ?wait, "a lease can't be renewed, trying again");
        tokio::time::sleep(wait).await;
    }
}

async fn renew(workshop: &Workshop, claim: &Claim) -> Result<Option<Renewed>, sqlx::Error> {
    let mut connection = workshop.database.acquire().await?;
    let lease_seconds = workshop.lease.length.as_secs_f64();
    runs_store::renew_lease(&mut connection, claim.run.id, claim.run.attempt, lease_seconds).await
}
