//! A lane of the relay: sends what is due for one exchange, window by window.
//!
//! It shares neither connection nor loop with another: RabbitMQ stops reading a connection while a queue leaves some hundreds of
//! its messages unanswered, and a window may take until its deadline.

use std::time::Duration;

use anyhow::anyhow;
use deadpool_lapin::Object;
use sqlx::{ConnectOptions, Connection, PgConnection, PgTransaction};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::claim::{Claimed, claim};
use super::relay::Relay;
use super::settle::{Plan, Settled};
use crate::broker::{BlockedWatch, ConfirmedChannel, DeclareError, Message, Needs, establish, within};
use crate::contracts::Exchange;
use crate::database;
use crate::lifecycle::{Component, Interruption, supervise};

/// How often one that has nothing to send looks whether its connections are still there.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// A lane.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    relay: &'a Relay,
    exchange: Exchange,
    component: Component,
    woken: Notify,
}

impl<'a> Lane<'a> {
    pub(super) fn new(relay: &'a Relay, exchange: Exchange) -> Self {
        let component = relay.component.branch(exchange.name());
        Self { relay, exchange, component, woken: Notify::new() }
    }

    pub(super) fn exchange(&self) -> Exchange {
        self.exchange
    }

    /// Something is due.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Sends until `stop`.
    pub(super) async fn run(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        supervise(&self.component, stop, &self.relay.entropy, || self.session(stop)).await
    }

    /// Works over one connection to either server until something breaks; one that saw an error is never used again.
    async fn session(&self, stop: &CancellationToken) -> Result<(), Interruption> {
        let Relay { database, broker, metrics, settings, .. } = self.relay;
        let mut database = database::within(settings.deadline, database.connect_options().connect()).await?;
        let broker = within(settings.deadline, async { Ok::<_, Interruption>(broker.get().await?) }).await?;
        let blocks = metrics.blocked.of([self.exchange.name()]);
        let mut blocked = BlockedWatch::of(&broker, self.component.clone(), blocks);
        metrics.connected(self.exchange);
        let result = self.send_over(&mut database, &broker, stop).await;
        // What it has in hand waits in the outbox by now; nothing more is sent before the broker takes it.
        drop(database);
        tokio::select! {
            () = stop.cancelled() => {}
            () = blocked.ended(&broker) => {}
        }
        drop(blocked);
        metrics.disconnected(self.exchange);
        if result.is_err() {
            drop(Object::take(broker));
        }
        result
    }

    async fn send_over(
        &self,
        database: &mut PgConnection,
        broker: &Object,
        stop: &CancellationToken,
    ) -> Result<(), Interruption> {
        let channel = within(self.relay.settings.deadline, async {
            let needs = Needs::Exchange(self.exchange);
            establish(broker, self.relay.settings.topology, needs)
                .await
                .map_err(DeclareError::interruption)?;
            Ok::<_, Interruption>(ConfirmedChannel::open(broker, self.relay.program).await?)
        })
        .await?;
        let mut proven = false;
        loop {
            let may_have_more = self.send_window(database, &channel).await?;
            if !proven {
                // Broker and database have both answered.
                self.component.up();
                proven = true;
            }
            if stop.is_cancelled() {
                return Ok(());
            }
            if !broker.status().connected() {
                // One who has nothing to send would not notice, and be called well.
                return Err(Interruption::Passing(anyhow!("the connection to RabbitMQ is closed")));
            }
            if may_have_more {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.woken.notified() => {}
                () = tokio::time::sleep(IDLE_INTERVAL) => {}
            }
        }
    }

    /// Sends one window, unless nothing is due or another relay was faster; whether there may be more. If this process dies
    /// here, its locks go and another relay sends the rows again.
    async fn send_window(
        &self,
        database: &mut PgConnection,
        channel: &ConfirmedChannel,
    ) -> Result<bool, Interruption> {
        let Relay { metrics, clock, entropy, settings, .. } = self.relay;
        let claimed = database::within(settings.deadline, self.claim(database)).await?;
        let Some((mut transaction, rows)) = claimed else { return Ok(false) };
        let began = Instant::now();
        let messages: Vec<Message> = rows.iter().map(|row| row.message.clone()).collect();
        let (verdicts, sent) = channel.publish_window(&messages, settings.deadline).await;
        metrics.judged(self.exchange, &verdicts);
        let plan = Plan::new(&rows, &verdicts, clock.now(), entropy);
        let settled = database::within(settings.deadline, async {
            let settled = plan.settle(&mut transaction, self.exchange).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(settled)
        })
        .await?;
        metrics.settled(self.exchange, rows.len(), settled.parked, began.elapsed());
        log(self.exchange, settled);
        sent?;
        // Whatever was not delivered waits until later, so that this is no circle.
        Ok(rows.len() == usize::from(settings.window))
    }

    /// Locks what is due.
    async fn claim<'c>(
        &self,
        database: &'c mut PgConnection,
    ) -> Result<Option<(PgTransaction<'c>, Vec<Claimed>)>, sqlx::Error> {
        let (now, limit) = (self.relay.clock.now(), i64::from(self.relay.settings.window));
        let mut transaction = database.begin().await?;
        let rows = claim(&mut transaction, self.exchange, now, limit).await?;
        if rows.is_empty() {
            transaction.rollback().await?;
            return Ok(None);
        }
        Ok(Some((transaction, rows)))
    }
}

fn log(exchange: Exchange, settled: Settled) {
    let Settled { delivered, parked, waiting } = settled;
    tracing::debug!(exchange = exchange.name(), delivered, parked, waiting, "sent a window");
    if parked > 0 {
        tracing::error!(
            exchange = exchange.name(),
            parked,
            "unroutable messages were parked in outbox_parked"
        );
    }
    if waiting > 0 {
        tracing::warn!(
            exchange = exchange.name(),
            waiting,
            "messages were not taken, trying them again later"
        );
    }
}
