//! The receive loop: gathers deliveries into batches, has them handled, acknowledges each batch once.
//!
//! A batch is acknowledged only after its handler has committed it; a process killed in between gets it again. A
//! handler that fails keeps its batch in hand and tries again; after its patience the subscription is closed once, so
//! that the management UI shows a queue without a consumer, and opened again when the handler's store answers. A store that
//! answers may still not take a batch: after such a break the component is up when one was committed, or none is there.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Delivery;
use super::subscription::{Subscription, SubscriptionError};
use crate::config::BrokerConfig;
use crate::entropy::Entropy;
use crate::lifecycle::{Backoff, Component, Interruption, supervise};
use crate::telemetry::error_chain;

/// A queue that has messages delivers them much sooner.
const EMPTY_AFTER: Duration = Duration::from_secs(5);

/// What to receive, and in which portions.
#[derive(Debug, Clone)]
pub struct BatchSettings {
    /// The queue.
    pub queue: &'static str,
    /// The name of this replica, which is also the consumer's tag.
    pub instance: String,
    /// The most deliveries in one batch.
    pub batch_max: u16,
    /// How long a batch waits to fill after its first delivery.
    pub batch_wait: Duration,
    /// How long a batch is tried before the subscription is given up.
    pub patience: Duration,
}

impl BatchSettings {
    /// The patience of a program.
    pub const PATIENCE: Duration = Duration::from_mins(1);
}

/// What is done with a batch.
pub trait BatchHandler: Send + Sync {
    /// Whether the store answers: asked before subscribing.
    fn ready(&self) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Commits the batch. An error means "not now": the same batch comes again.
    fn handle(&self, batch: &[Delivery]) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Receives until `stop`; `component` tells how it goes.
pub async fn receive<H: BatchHandler>(
    broker: &BrokerConfig,
    settings: &BatchSettings,
    handler: &H,
    component: &Component,
    entropy: &Entropy,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    // Whether the last subscription was given up because a batch could not be committed, and none was since.
    let in_doubt = AtomicBool::new(false);
    supervise(component, stop, entropy, || async {
        handler.ready().await.map_err(Interruption::Passing)?;
        // Twice a batch, so that the next one arrives while this one is written.
        let prefetch = settings.batch_max.saturating_mul(2);
        let mut subscription =
            Subscription::open(broker, &settings.instance, settings.queue, prefetch).await?;
        if !in_doubt.load(Ordering::Relaxed) {
            component.up();
        }
        tracing::info!(queue = settings.queue, "subscribed");
        let receiving = Loop { settings, handler, component, in_doubt: &in_doubt, entropy, stop };
        let result = receiving.receive_batches(&mut subscription).await;
        subscription.close().await;
        result
    })
    .await
}

/// One subscription's loop.
struct Loop<'a, H> {
    settings: &'a BatchSettings,
    handler: &'a H,
    component: &'a Component,
    in_doubt: &'a AtomicBool,
    entropy: &'a Entropy,
    stop: &'a CancellationToken,
}

impl<H: BatchHandler> Loop<'_, H> {
    async fn receive_batches(&self, subscription: &mut Subscription) -> Result<(), Interruption> {
        loop {
            let first = tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                delivery = subscription.next() => delivery?,
                () = tokio::time::sleep(EMPTY_AFTER), if self.in_doubt.load(Ordering::Relaxed) => {
                    self.is_well();
                    continue;
                }
            };
            let batch = gather(subscription, first, self.settings).await?;
            if !self.handle_patiently(&batch).await? {
                return Ok(());
            }
            if let Some(last) = batch.last() {
                subscription.ack_through(last).await?;
            }
        }
    }

    /// Tries a batch until it is committed; `false` when the program stops before that, an error when patience ends.
    async fn handle_patiently(&self, batch: &[Delivery]) -> Result<bool, Interruption> {
        let started = Instant::now();
        let mut backoff = Backoff::for_servers();
        loop {
            let Err(error) = self.handler.handle(batch).await else {
                self.is_well();
                return Ok(true);
            };
            let chain = error_chain(error.as_ref());
            self.component.down(&chain);
            if started.elapsed() >= self.settings.patience {
                self.in_doubt.store(true, Ordering::Relaxed);
                return Err(Interruption::Passing(error));
            }
            let wait = backoff.next(self.entropy);
            tracing::warn!(error = chain, batch = batch.len(), ?wait, "a batch can't be kept, trying again");
            tokio::select! {
                () = self.stop.cancelled() => return Ok(false),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn is_well(&self) {
        self.in_doubt.store(false, Ordering::Relaxed);
        self.component.up();
    }
}

/// Fills a batch until it is full or its time is over.
async fn gather(
    subscription: &mut Subscription,
    first: Delivery,
    settings: &BatchSettings,
) -> Result<Vec<Delivery>, SubscriptionError> {
    let deadline = Instant::now() + settings.batch_wait;
    let mut batch = vec![first];
    while batch.len() < usize::from(settings.batch_max) {
        match tokio::time::timeout_at(deadline, subscription.next()).await {
            Ok(delivery) => batch.push(delivery?),
            Err(_) => break,
        }
    }
    Ok(batch)
}
