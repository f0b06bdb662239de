//! A lane of the relay: sends what is due for one exchange, window by window.
//!
//! It shares neither connection nor loop with another: RabbitMQ stops reading a connection while a queue leaves some hundreds of
//! its messages unanswered, and a window may take until its deadline.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use deadpool_lapin::Object;
use sqlx::{Connection, PgConnection, PgTransaction};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::claim::{Claimed, claim, still_there};
use super::relay::Relay;
use super::settle::{Plan, Settled};
use crate::broker::{
    BlockedWatch, ConfirmedChannel, DeclareError, Message, Needs, PublishError, Verdict, establish, within,
};
use crate::contracts::Exchange;
use crate::database;
use crate::lifecycle::{Component, Interruption, supervise};
use crate::telemetry::error_chain;

/// How often one that has nothing to send looks whether its connections are still there.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// How much goes at once while there are rows that were not answered: what comes for a queue that is silent leaves a copy there with
/// each try, and below 200 unanswered messages RabbitMQ reads on, so that it sees the connection end. (Not less: rows that were tried take
/// half of it, and what is fresh, and may be for another queue of the exchange, must go on.)
const UNANSWERED_WINDOW: u16 = 100;

/// What the lanes of a relay have in common.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// Who connects to RabbitMQ, one at a time. Before a server that takes connections and says nothing each try leaves one behind, and
    /// a thread, until the kernel gives it up (lapin 4.12.3).
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
    /// Rows of which nobody knows, since their windows were not answered in time, until a later window of this lane with them is or they
    /// are gone. No session waits for another's.
    unanswered: Mutex<BTreeSet<i64>>,
}

/// A window that was sent.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    /// Of how many rows.
    rows: usize,
    /// How many of them have left the outbox.
    left: usize,
}

impl<'a> Lane<'a> {
    pub(super) fn new(relay: &'a Relay, common: &'a Common, exchange: Exchange) -> Self {
        let component = relay.component.branch(exchange.name());
        let (woken, unanswered) = (Notify::new(), Mutex::default());
        Self { relay, common, exchange, component, woken, unanswered }
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
        let database = self.relay.connect().await?;
        let _turn = self.common.connecting.lock().await;
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
        let mut unanswered = self.unanswered.lock().await;
        let mut looked_at = None::<Instant>;
        loop {
            if !unanswered.is_empty() && looked_at.is_none_or(|at| at.elapsed() >= IDLE_INTERVAL) {
                // Another relay may have sent them.
                let rows: Vec<_> = unanswered.iter().copied().collect();
                let there = database::within(settings.deadline, still_there(database, &rows)).await?;
                (*unanswered, looked_at) = (there.into_iter().collect(), Some(Instant::now()));
            }
            let window =
                if unanswered.is_empty() { settings.window } else { settings.window.min(UNANSWERED_WINDOW) };
            let sent = self.send_window(database, &channel, window, &mut unanswered).await?;
            if !broker.status().connected() {
                // One who has nothing to send would not notice, and be called well.
                return Err(Interruption::Passing(anyhow!("the connection to RabbitMQ is closed")));
            }
            // That some window was answered says little: it may have had nothing for a queue that is silent.
            if unanswered.is_empty() {
                self.common.proven.store(true, Ordering::Relaxed);
                blocked.up_unless_blocked();
            }
            if stop.is_cancelled() {
                return Ok(());
            }
            // What was tried before takes half of a window at most. Of that more is asked for at once only while some of it leaves: what
            // one queue refuses is a copy more in each other queue.
            let has_fresh = sent.rows == usize::from(window);
            if has_fresh || (sent.left > 0 && sent.rows >= usize::from(window.div_ceil(2))) {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.woken.notified() => {}
                () = tokio::time::sleep(IDLE_INTERVAL) => {}
            }
        }
    }

    /// Sends at most `window` messages, none if nothing is due or another relay was faster. If this process dies here, its locks go and
    /// another relay sends the rows again.
    async fn send_window(
        &self,
        database: &mut PgConnection,
        channel: &ConfirmedChannel,
        window: u16,
        unanswered: &mut BTreeSet<i64>,
    ) -> Result<Sent, Interruption> {
        let Relay { metrics, clock, entropy, settings, .. } = self.relay;
        let claimed = database::within(settings.deadline, self.claim(database, window)).await?;
        let Some((mut transaction, rows)) = claimed else { return Ok(Sent::default()) };
        let began = Instant::now();
        let messages: Vec<Message> = rows.iter().map(|row| row.message.clone()).collect();
        let (verdicts, sent) = channel.publish_window(&messages, settings.deadline).await;
        match sent {
            Ok(()) => {
                for row in &rows {
                    unanswered.remove(&row.seq);
                }
            }
            Err(PublishError::Deadline(_)) => {
                let unknown =
                    rows.iter().filter(|row| verdicts.get(&row.message.id) == Some(&Verdict::Unknown));
                unanswered.extend(unknown.map(|row| row.seq));
            }
            Err(_) => {}
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
        Ok(Sent { rows: rows.len(), left: settled.delivered + settled.parked })
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
