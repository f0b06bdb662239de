//! Hears of every change of a task, on a queue of this connection alone, and tells the hub.
//!
//! Whatever may have been missed makes every socket read its list again: before this subscription, and while the process
//! stood still, since the broker drops the oldest of too many.

use std::time::Duration;

use shared::broker::{ExclusiveQueue, ExclusiveSubscription};
use shared::config::BrokerConfig;
use shared::contracts::Exchange;
use shared::entropy::Entropy;
use shared::lifecycle::{Component, Interruption, supervise};
use shared::telemetry::error_chain;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::change::{Change, owner};
use super::hub::Live;

/// How often the process looks whether it stood still.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A process that stood still for longer may have been sent more than the broker keeps for it.
const STANDSTILL_MAX: Duration = Duration::from_secs(5);

impl Live {
    /// Hears of changes until `stop`, and then waits until every socket has been told to go.
    pub async fn run(
        self,
        broker: BrokerConfig,
        instance: String,
        component: Component,
        entropy: Entropy,
    ) -> anyhow::Result<()> {
        let heard = listen(&self, &broker, &instance, &component, &entropy).await;
        if heard.is_ok() {
            self.ended().await;
        }
        heard
    }
}

async fn listen(
    live: &Live,
    broker: &BrokerConfig,
    instance: &str,
    component: &Component,
    entropy: &Entropy,
) -> anyhow::Result<()> {
    let queue = ExclusiveQueue { reader: "realtime", exchange: Exchange::TaskEvents, patterns: &["#"] };
    let stop = live.stop();
    supervise(component, stop, entropy, || async {
        let mut subscription = ExclusiveSubscription::open(broker, instance, &queue, entropy).await?;
        let sockets = live.doubt_everything();
        component.up();
        tracing::info!(queue = subscription.queue(), sockets, "subscribed; live streams begin anew");
        let end = hear_all(live, &mut subscription, stop).await;
        if !stop.is_cancelled() {
            let sockets = live.stop_listening();
            tracing::warn!(sockets, "changes of tasks are not heard of; live streams are stale");
        }
        subscription.close().await;
        end
    })
    .await
}

async fn hear_all(
    live: &Live,
    subscription: &mut ExclusiveSubscription,
    stop: &CancellationToken,
) -> Result<(), Interruption> {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looked_at = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            delivery = subscription.next() => hear(live, &delivery?.data),
            _ = looks.tick() => {
                let standstill = looked_at.elapsed();
                looked_at = Instant::now();
                if standstill > STANDSTILL_MAX {
                    tracing::warn!(?standstill, "the process stood still; live streams begin anew");
                    live.doubt_everything();
                }
            }
        }
    }
}

fn hear(live: &Live, body: &[u8]) {
    let owner = owner(body);
    if owner.is_some_and(|user| !live.watches(user)) {
        return;
    }
    match Change::read(body) {
        Ok((user, change)) => live.tell(user, change),
        Err(error) => {
            tracing::warn!(error = error_chain(&error), user = ?owner, "a change of a task can't be read");
            if let Some(user) = owner {
                live.doubt(user);
            }
        }
    }
}
