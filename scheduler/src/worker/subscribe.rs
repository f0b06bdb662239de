//! The worker's loop: a slot, a delivery, a claim, the acknowledgement; then the next.
//!
//! A slot is taken before the subscription and a message is held only until its run is claimed. When the last slot is
//! given away the consumer is cancelled *before* that message is acknowledged, so the broker never hands this worker a
//! message it has no slot for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shared::broker::{Delivery, Subscription};
use shared::config::BrokerConfig;
use shared::lifecycle::{Backoff, Component, Interruption, supervise};
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Workshop;
use super::claim::{Claim, claim};
use super::execute::execute;
use super::tick_message::TickMessage;

/// How long a delivery is held while the database doesn't answer.
const PATIENCE: Duration = Duration::from_mins(1);
/// One message in hand at a time: the others are for whoever has a slot.
const PREFETCH: u16 = 1;

/// A worker; see the room's page.
#[derive(Debug)]
pub struct Worker {
    workshop: Workshop,
    broker: BrokerConfig,
    instance: String,
    queue: &'static str,
    component: Component,
    slots: Arc<Semaphore>,
    slots_max: usize,
    runs: TaskTracker,
    /// Whether it subscribes for one more delivery of a message that can't be decoded.
    is_again: AtomicBool,
}

/// What a delivery came to.
enum Received {
    /// A run is ours.
    Run(Box<Claim>),
    /// Somebody else's, or finished: nothing to do.
    Nothing,
    /// Not a tick of ours.
    Garbage,
    /// The program stops; the message goes back.
    Stopped,
}

impl Worker {
    /// A worker with `slots` slots that reads the broker's `queue`, called `instance` there.
    pub fn new(
        workshop: Workshop,
        (broker, instance): (BrokerConfig, String),
        queue: &'static str,
        component: Component,
        slots: usize,
    ) -> Self {
        let (slots_max, slots) = (slots, Arc::new(Semaphore::new(slots)));
        Self {
            workshop,
            broker,
            instance,
            queue,
            component,
            slots,
            slots_max,
            runs: TaskTracker::new(),
            is_again: AtomicBool::new(false),
        }
    }

    /// How many runs it would take beside those in hand, whenever that is asked.
    pub fn free_slots(&self) -> impl Fn() -> usize + Send + Sync + use<> {
        // The semaphore doesn't tell: a subscribed worker holds a slot for the next run.
        let (slots, runs) = (self.slots_max, self.runs.clone());
        move || slots.saturating_sub(runs.len())
    }

    /// Works until the workshop's stop, then waits for the runs in hand.
    pub async fn run(self) -> anyhow::Result<()> {
        let stop = self.workshop.stop.clone();
        let end = supervise(&self.component, &stop, &self.workshop.entropy, || self.session(&stop)).await;
        self.runs.close();
        if !self.runs.is_empty() {
            tracing::info!(runs = self.runs.len(), "waiting for the runs in hand");
        }
        self.runs.wait().await;
        end
    }

    /// Takes deliveries over one connection until something breaks. Runs in hand go on meanwhile.
    async fn session(&self, stop: &CancellationToken) -> Result<(), Interruption> {
        let is_again = self.is_again.swap(false, Ordering::Relaxed);
        ready(&self.workshop.database).await?;
        let Some(slot) = self.free_slot(stop).await else { return Ok(()) };
        let mut subscription = Subscription::open(&self.broker, &self.instance, self.queue, PREFETCH).await?;
        self.component.up();
        if !is_again {
            tracing::info!(queue = self.queue, "subscribed");
        }
        let result = self.take(&mut subscription, slot, stop).await;
        let result = subscription.close_after(result).await;
        self.is_again.store(matches!(result, Err(Interruption::AtOnce(_))), Ordering::Relaxed);
        result
    }

    async fn take(
        &self,
        subscription: &mut Subscription,
        mut slot: OwnedSemaphorePermit,
        stop: &CancellationToken,
    ) -> Result<(), Interruption> {
        loop {
            let delivery = tokio::select! {
                // The stop goes first when both are there: a stopping worker claims nothing more.
                biased;
                () = stop.cancelled() => return Ok(()),
                delivery = subscription.next() => delivery?,
            };
            match self.receive(&delivery, stop).await? {
                Received::Stopped => return Ok(()),
                Received::Nothing => subscription.ack_one(&delivery).await?,
                Received::Garbage => subscription.reject(&delivery).await?,
                Received::Run(claimed) => {
                    let next = self.slots.clone().try_acquire_owned().ok();
                    let full = next.is_none();
                    // Before anything can fail: the claim is committed, so the run is ours to do.
                    self.start(*claimed, slot);
                    if full {
                        subscription.cancel().await?;
                    }
                    subscription.ack_one(&delivery).await?;
                    slot = match next {
                        Some(next) => next,
                        None => match self.free_slot(stop).await {
                            Some(next) => next,
                            None => return Ok(()),
                        },
                    };
                    if full {
                        subscription.resume(&self.instance).await?;
                    }
                }
            }
        }
    }

    /// A slot, once there is one; `None` when the program stops first.
    async fn free_slot(&self, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            // The slot of the run that ended last is no reason to claim another.
            biased;
            () = stop.cancelled() => None,
            slot = self.slots.clone().acquire_owned() => slot.ok(),
        }
    }

    /// How long a run has been due.
    fn lateness(&self, claimed: &Claim) -> Duration {
        // When that was is the database's word, whose clock may be ahead of ours.
        (self.workshop.clock.now() - claimed.run.due_at).to_std().unwrap_or_default()
    }

    fn start(&self, claimed: Claim, slot: OwnedSemaphorePermit) {
        let workshop = self.workshop.clone();
        self.runs.spawn(async move {
            execute(&workshop, claimed).await;
            drop(slot);
        });
    }

    /// Reads a delivery and claims its run. While the database doesn't answer the delivery stays in hand; an error when
    /// patience ends.
    async fn receive(&self, delivery: &Delivery, stop: &CancellationToken) -> Result<Received, Interruption> {
        let message = match TickMessage::parse(&delivery.data) {
            Ok(message) => message,
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::error!(error, queue = self.queue, "a message goes to the dead letters");
                self.workshop.metrics.garbage();
                return Ok(Received::Garbage);
            }
        };
        let started = Instant::now();
        let mut backoff = Backoff::for_servers();
        loop {
            let error = match claim(&self.workshop, message.tick.run_id, message.traceparent.as_deref()).await
            {
                Ok(Some(claimed)) => {
                    self.component.up();
                    self.workshop.metrics.claimed(
                        &claimed.run.job_key,
                        claimed.run.attempt,
                        self.lateness(&claimed),
                    );
                    return Ok(Received::Run(Box::new(claimed)));
                }
                Ok(None) => {
                    self.component.up();
                    self.workshop.metrics.nothing_to_claim();
                    tracing::debug!(run.id = %message.tick.run_id, "nothing to claim");
                    return Ok(Received::Nothing);
                }
                Err(error) => error,
            };
            self.component.down(error.to_string());
            if started.elapsed() >= PATIENCE {
                return Err(error.into());
            }
            let wait = backoff.next(&self.workshop.entropy);
            tracing::warn!(%error, ?wait, "a run can't be claimed, trying again");
            tokio::select! {
                () = stop.cancelled() => return Ok(Received::Stopped),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

/// Asked before subscribing: a worker without a database has no use for messages.
async fn ready(database: &PgPool) -> Result<(), Interruption> {
    shared::database::ping(database).await.map_err(Interruption::from)
}
