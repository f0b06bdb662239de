//! The receive loop: gathers deliveries into batches, has them handled, acknowledges each batch once.
//!
//! A batch is acknowledged only after its handler has committed it; a process killed in between gets it again. A
//! handler that fails keeps its batch in hand and tries again; after its patience the subscription is closed once, so
//! that the management UI shows a queue without a consumer, and opened again when the handler's store answers. A store that
//! answers may still not take a batch: after such a break the component is up when one was committed, or none is there.
//!
//! A message that our AMQP client can't decode breaks the connection, and would for each of the many deliveries that a queue allows, and
//! all in hand with it. After one, messages are taken singly until as many have passed as were in hand: the broker soon gives up that
//! one and no other.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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

/// A batch that has so many bytes of bodies grows no more: events have a kilobyte, and what others send may be as large as the broker
/// lets it be, and is to fit into a statement one by one.
const BATCH_BYTES_MAX: usize = 32 << 20;

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

    /// Twice a batch, so that the next one arrives while this one is written.
    const fn prefetch(&self) -> u16 {
        self.batch_max.saturating_mul(2)
    }
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
    let receiving = Loop {
        settings,
        handler,
        component,
        in_doubt: AtomicBool::new(false),
        singly: AtomicUsize::new(0),
        passes: AtomicBool::new(false),
        entropy,
        stop,
    };
    supervise(component, stop, entropy, || async {
        handler.ready().await.map_err(Interruption::Passing)?;
        loop {
            let result = receiving.subscribe(broker).await;
            if matches!(result, Err(Interruption::AtOnce(_))) {
                receiving.singly.store(usize::from(settings.prefetch()), Ordering::Relaxed);
            }
            match result? {
                Over::Stopped => return Ok(()),
                Over::Passed => receiving.passes.store(false, Ordering::Relaxed),
            }
        }
    })
    .await
}

/// Why a subscription is over that did not break.
enum Over {
    /// The program stops.
    Stopped,
    /// What had to be taken singly has passed.
    Passed,
}

/// The loop of one subscription after the other.
struct Loop<'a, H> {
    settings: &'a BatchSettings,
    handler: &'a H,
    component: &'a Component,
    /// Whether the last subscription was given up because a batch could not be committed, and none was since.
    in_doubt: AtomicBool,
    /// How many messages are still to be taken singly.
    singly: AtomicUsize,
    /// Whether it is known that they pass.
    passes: AtomicBool,
    entropy: &'a Entropy,
    stop: &'a CancellationToken,
}

impl<H: BatchHandler> Loop<'_, H> {
    async fn subscribe(&self, broker: &BrokerConfig) -> Result<Over, Interruption> {
        let is_singly = self.singly.load(Ordering::Relaxed) > 0;
        let (prefetch, batch_max) =
            if is_singly { (1, 1) } else { (self.settings.prefetch(), self.settings.batch_max) };
        let BatchSettings { queue, instance, .. } = self.settings;
        let mut subscription = Subscription::open(broker, instance, queue, prefetch).await?;
        if !self.in_doubt.load(Ordering::Relaxed) {
            self.component.up();
        }
        if !is_singly {
            tracing::info!(queue, "subscribed");
        }
        let result = self.receive_batches(&mut subscription, batch_max).await;
        subscription.close_after(result).await
    }

    async fn receive_batches(
        &self,
        subscription: &mut Subscription,
        batch_max: u16,
    ) -> Result<Over, Interruption> {
        loop {
            let first = tokio::select! {
                () = self.stop.cancelled() => return Ok(Over::Stopped),
                delivery = subscription.next() => delivery?,
                () = tokio::time::sleep(EMPTY_AFTER), if self.in_doubt.load(Ordering::Relaxed) => {
                    self.is_well();
                    continue;
                }
            };
            let batch = gather(subscription, first, batch_max, self.settings.batch_wait).await?;
            if !self.handle_patiently(&batch).await? {
                return Ok(Over::Stopped);
            }
            if let Some(last) = batch.last() {
                subscription.ack_through(last).await?;
            }
            let singly = self.singly.load(Ordering::Relaxed);
            if singly > 0 {
                if !self.passes.swap(true, Ordering::Relaxed) {
                    tracing::info!(queue = self.settings.queue, "messages pass, singly for a while");
                }
                self.singly.store(singly - 1, Ordering::Relaxed);
                if singly == 1 {
                    return Ok(Over::Passed);
                }
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
    batch_max: u16,
    batch_wait: Duration,
) -> Result<Vec<Delivery>, SubscriptionError> {
    let deadline = Instant::now() + batch_wait;
    let mut bytes = first.data.len();
    let mut batch = vec![first];
    while batch.len() < usize::from(batch_max) && bytes < BATCH_BYTES_MAX {
        match tokio::time::timeout_at(deadline, subscription.next()).await {
            Ok(delivery) => {
                let delivery = delivery?;
                bytes += delivery.data.len();
                batch.push(delivery);
            }
            Err(_) => break,
        }
    }
    Ok(batch)
}
