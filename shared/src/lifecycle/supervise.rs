//! Runs a role that talks to a server, again and again: one path for every kind of interruption.
//!
//! A closed channel, a lost connection, a consumer stream that ended and a missed deadline all mean the same: drop
//! everything, wait with full jitter, start again. What was in flight counts as unknown.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::health::Component;
use crate::entropy::Entropy;
use crate::telemetry::error_chain;

/// A run that worked and was this long was a success before it broke: the next wait is short again.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// The wait before what is over by being tried again.
const AT_ONCE: Duration = Duration::from_millis(5);
/// How many in a row are tried at once: more than a queue delivers a message. Then there is one wait as after any other.
const AT_ONCE_MAX: u32 = 2_000;

/// How a run of a supervised role broke off.
#[derive(Debug)]
pub enum Interruption {
    /// Something that passes: start again.
    Passing(anyhow::Error),
    /// Something that is over by being tried so many times: start again at once.
    AtOnce(anyhow::Error),
    /// Something only an operator can mend: stop the program if it has just started. One whose role has worked goes on with
    /// all else that it does, and tries again: what somebody did to a server is no reason to end the API.
    Fatal(anyhow::Error),
}

impl<E: Error + Send + Sync + 'static> From<E> for Interruption {
    fn from(error: E) -> Self {
        Self::Passing(error.into())
    }
}

/// Runs `role` until `stop`: each time it is interrupted by something passing it starts again, after a wait, and says so; of
/// interruptions that are tried at once it says the first in a row. The role
/// itself says `component.up()` once it works, and returns `Ok` only when it was asked to stop.
pub async fn supervise<F, Fut>(
    component: &Component,
    stop: &CancellationToken,
    entropy: &Entropy,
    mut role: F,
) -> anyhow::Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<(), Interruption>>,
{
    let mut backoff = Backoff::for_servers();
    let mut in_a_row = 0;
    loop {
        let (started, ups) = (Instant::now(), component.ups());
        let mut is_over_soon = false;
        let error = match role().await {
            Ok(()) => return Ok(()),
            Err(Interruption::AtOnce(error)) => {
                is_over_soon = true;
                error
            }
            Err(Interruption::Fatal(error)) if component.ups() == 0 => return Err(error),
            Err(Interruption::Fatal(error)) => {
                tracing::error!(
                    %component,
                    error = error_chain(error.as_ref()),
                    "an operator is needed"
                );
                error
            }
            Err(Interruption::Passing(error)) => error,
        };
        if stop.is_cancelled() {
            return Ok(());
        }
        let chain = error_chain(error.as_ref());
        // One that waited for its deadline was no success, however long it is.
        if component.ups() > ups && started.elapsed() >= HEALTHY_AFTER {
            backoff.reset();
        }
        component.down(&chain);
        in_a_row = if is_over_soon && in_a_row < AT_ONCE_MAX { in_a_row + 1 } else { 0 };
        let wait = if in_a_row > 0 { AT_ONCE } else { backoff.next(entropy) };
        if in_a_row <= 1 {
            tracing::warn!(%component, error = chain, ?wait, "interrupted, trying again");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
    }
}
