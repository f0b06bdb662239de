//! A lane of the relay: sends what is due for one exchange, window by window.
//!
//! It shares neither connection nor loop with another: RabbitMQ stops reading a connection while a queue leaves some hundreds of
//! its messages unanswered, and a window may take until its deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use deadpool_lapin::Object;
use sqlx::{Connection, PgConnection, PgTransaction};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::claim::{Claimed, claim, is_waiting};
use super::relay::Relay;
use super::settle::{Plan, Settled};
use crate::broker::{
    BlockedWatch, ConfirmedChannel, DeclareError, Message, Needs, PublishError, establish, within,
};
use crate::contracts::Exchange;
use crate::database;
use crate::lifecycle::{Component, Interruption, supervise};
use crate::telemetry::error_chain;

/// How often one that has nothing to send looks whether its connections are still there.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// How much goes at once while the last window was not answered: what comes for a queue that is silent leaves a copy there with
/// each try, and below 200 unanswered messages RabbitMQ reads on, so that it sees the connection end. (Not less: rows that were tried take
/// half of it, and what is fresh, and may be for another queue of the exchange, must go on.)
const UNANSWERED_WINDOW: u16 = 100;
/// How long one waits for another that connects, and so for its deadline.
const TURN_DEADLINE: Duration = Duration::from_secs(2);

/// What the lanes of a relay have in common.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// Who connects. Before a server that takes connections and says nothing each try leaves one behind, and a thread, until the
    /// kernel gives it up (lapin 4.12.3).
    connecting: Mutex<()>,
    /// Whether any of them has ever worked.
    proven: AtomicBool,
}

/// A lane.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    relay: &'a Relay,
    common: &'a Common,
    exchange: Exchange,
    component: Component,
    woken: Notify,
    /// Whether a window was not answered in time, and rows that were tried are there still.
    is_unanswered: AtomicBool,
}

impl<'a> Lane<'a> {
    pub(super) fn new(relay: &'a Relay, common: &'a Common, exchange: Exchange) -> Self {
        let component = relay.component.branch(exchange.name());
        let (woken, is_unanswered) = (Notify::new(), AtomicBool::new(false));
        Self { relay, common, exchange, component, woken, is_unanswered }
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
        supervise(&self.component, stop, &self.relay.entropy, || async move {
            match self.session(stop).await {
                // As for a part that has worked: what somebody did to the broker is no reason to end the program.
                Err(Interruption::Fatal(error)) if self.common.proven.load(Ordering::Relaxed) => {
                    let words = error_chain(error.as_ref());
                    tracing::error!(component = %self.component, error = words, "an operator is needed");
                    Err(Interruption::Passing(error))
                }
                result => result,
            }
        })
        .await
    }

    /// Works over one connection to either server until something breaks; one that saw an error is never used again.
    async fn session(&self, stop: &CancellationToken) -> Result<(), Interruption> {
        let (mut database, broker) = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            connected = self.connect() => connected?,
        };
        let metrics = &self.relay.metrics;
        let blocks = metrics.blocked.of([self.exchange.name()]);
        let mut blocked = BlockedWatch::of(&broker, self.component.clone(), blocks);
        metrics.connected(self.exchange);
        let result = self.send_over(&mut database, &broker, &blocked, stop).await;
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

    async fn connect(&self) -> Result<(PgConnection, Object), Interruption> {
        // One whose own try would succeed does not wait for long.
        let _turn = tokio::time::timeout(TURN_DEADLINE, self.common.connecting.lock()).await;
        let database = self.relay.connect().await?;
        let pool = &self.relay.broker[self.exchange as usize];
        let broker =
            within(self.relay.settings.deadline, async { Ok::<_, Interruption>(pool.get().await?) }).await?;
        Ok((database, broker))
    }

    async fn send_over(
        &self,
        database: &mut PgConnection,
        broker: &Object,
        blocked: &BlockedWatch,
        stop: &CancellationToken,
    ) -> Result<(), Interruption> {
        let settings = &self.relay.settings;
        let channel = within(settings.deadline, async {
            let needs = Needs::Exchange(self.exchange);
            establish(broker, settings.topology, needs).await.map_err(DeclareError::interruption)?;
            Ok::<_, Interruption>(ConfirmedChannel::open(broker, self.relay.program).await?)
        })
        .await?;
        loop {
            let is_unanswered = self.is_unanswered.load(Ordering::Relaxed);
            let window = if is_unanswered { settings.window.min(UNANSWERED_WINDOW) } else { settings.window };
            let sent = self.send_window(database, &channel, window).await?;
            if !broker.status().connected() {
                // One who has nothing to send would not notice, and be called well.
                return Err(Interruption::Passing(anyhow!("the connection to RabbitMQ is closed")));
            }
            if (!is_unanswered || self.is_answered_again(database).await?) && !blocked.is_blocked() {
                // Broker and database have both answered.
                self.component.up();
                self.common.proven.store(true, Ordering::Relaxed);
            }
            if stop.is_cancelled() {
                return Ok(());
            }
            // Whatever was not delivered waits until later, so that this is no circle.
            if sent == usize::from(window) {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.woken.notified() => {}
                () = tokio::time::sleep(IDLE_INTERVAL) => {}
            }
        }
    }

    /// Whether nothing is left of what was not answered, as far as can be told: a window in which nothing was for the silent queue
    /// says little. What another queue refuses counts, too.
    async fn is_answered_again(&self, database: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let waits = is_waiting(database, self.exchange);
        let is_answered = !database::within(self.relay.settings.deadline, waits).await?;
        self.is_unanswered.store(!is_answered, Ordering::Relaxed);
        Ok(is_answered)
    }

    /// Sends at most `window` messages, none if nothing is due or another relay was faster; gives how many. If this process dies
    /// here, its locks go and another relay sends the rows again.
    async fn send_window(
        &self,
        database: &mut PgConnection,
        channel: &ConfirmedChannel,
        window: u16,
    ) -> Result<usize, Interruption> {
        let Relay { metrics, clock, entropy, settings, .. } = self.relay;
        let claimed = database::within(settings.deadline, self.claim(database, window)).await?;
        let Some((mut transaction, rows)) = claimed else { return Ok(0) };
        let began = Instant::now();
        let messages: Vec<Message> = rows.iter().map(|row| row.message.clone()).collect();
        let (verdicts, sent) = channel.publish_window(&messages, settings.deadline).await;
        if matches!(sent, Err(PublishError::Deadline(_))) {
            self.is_unanswered.store(true, Ordering::Relaxed);
        }
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
        Ok(rows.len())
    }

    /// Locks what is due.
    async fn claim<'c>(
        &self,
        database: &'c mut PgConnection,
        window: u16,
    ) -> Result<Option<(PgTransaction<'c>, Vec<Claimed>)>, sqlx::Error> {
        let mut transaction = database.begin().await?;
        let rows = claim(&mut transaction, self.exchange, self.relay.clock.now(), window.into()).await?;
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
