//! The relay: empties the outbox into the broker. Any number may run side by side; each row is held by one at a time.

use std::time::Duration;

use anyhow::anyhow;
use deadpool_lapin::{Object, Pool};
use futures_util::future::{join_all, try_join_all};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, PgTransaction};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::append::Outbox;
use super::claim::{Claimed, claim, due};
use super::confirmed::{forget_arrived, park_missing};
use super::metrics::RelayMetrics;
use super::parked::put_back;
use super::settle::{Plan, Settled};
use crate::broker::{
    BlockedWatch, ConfirmedChannel, DeclareError, Message, Needs, PublishError, establish, within,
};
use crate::clock::Clock;
use crate::config::TopologyAtStart;
use crate::contracts::Exchange;
use crate::database;
use crate::entropy::Entropy;
use crate::lifecycle::{Component, Interruption, supervise};

/// How often each relay looks at rows that have left the outbox: which parked ones' wait is over, and which confirmed ones
/// have arrived.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long it leaves the trail alone when it can't be looked at: somebody may have locked it.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How many exchanges carry what the trail is to have.
const AUDITED: i64 = 3;

/// What bounds a relay.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// The most messages in flight at once to each exchange.
    pub window: u16,
    /// How long the broker may take to let the relay in, and then to confirm a window; and the database for each of its
    /// answers.
    pub deadline: Duration,
    /// How often to look for rows that nobody told this relay about: those of other programs, and those whose wait
    /// is over.
    pub poll_interval: Duration,
    /// Who declares the topology.
    pub topology: TopologyAtStart,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            window: 500,
            deadline: Duration::from_secs(10),
            poll_interval: Duration::from_millis(250),
            topology: TopologyAtStart::default(),
        }
    }
}

/// A relay; see the room's page.
#[derive(Debug)]
pub struct Relay {
    /// The database that holds the outbox; the relay opens a connection of its own as the pool does.
    pub database: PgPool,
    /// The pool from which it borrows its one connection.
    pub broker: Pool,
    /// The program's outbox, which wakes it.
    pub outbox: Outbox,
    /// The program's name: the AMQP `app_id`.
    pub program: &'static str,
    /// What time it is.
    pub clock: Clock,
    /// For waits.
    pub entropy: Entropy,
    /// What tells how it goes.
    pub component: Component,
    /// What counts it.
    pub metrics: RelayMetrics,
    /// What bounds it.
    pub settings: RelaySettings,
}

/// Claimed rows of one exchange.
#[derive(Debug)]
struct Window {
    exchange: Exchange,
    rows: Vec<Claimed>,
}

impl Window {
    fn messages(&self) -> Vec<Message> {
        self.rows.iter().map(|row| row.message.clone()).collect()
    }
}

/// A channel for each exchange: a queue that neither confirms nor refuses leaves the others' verdicts alone. (With 400 messages
/// unanswered, by RabbitMQ's settings, it stops the connection for all of them.)
#[derive(Debug)]
struct Channels(Vec<ConfirmedChannel>);

impl Channels {
    async fn open(broker: &Object, program: &str) -> Result<Self, lapin::Error> {
        try_join_all(Exchange::ALL.map(|_| ConfirmedChannel::open(broker, program))).await.map(Self)
    }

    fn of(&self, exchange: Exchange) -> &ConfirmedChannel {
        &self.0[exchange as usize]
    }
}

impl Relay {
    /// Sends until `stop`.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        supervise(&self.component, &stop, &self.entropy, || self.session(&stop)).await
    }

    /// Works over one connection to either server until something breaks; one that saw an error is never used again. That
    /// to the database is none of the pool's: it is held all the time, and requests need those.
    async fn session(&self, stop: &CancellationToken) -> Result<(), Interruption> {
        let deadline = self.settings.deadline;
        let mut database = database::within(deadline, self.database.connect_options().connect()).await?;
        let broker = within(deadline, async { Ok::<_, Interruption>(self.broker.get().await?) }).await?;
        let mut blocked = BlockedWatch::of(&broker, self.component.clone(), self.metrics.blocked.clone());
        self.metrics.connected.set(1.0);
        let result = self.send_over(&mut database, &broker, stop).await;
        // What it has in hand waits in the outbox by now; nothing more is sent before the broker takes it.
        drop(database);
        tokio::select! {
            () = stop.cancelled() => {}
            () = blocked.ended(&broker) => {}
        }
        drop(blocked);
        self.metrics.disconnected();
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
        let channels = within(self.settings.deadline, async {
            let needs = Needs::Exchanges;
            establish(broker, self.settings.topology, needs).await.map_err(DeclareError::interruption)?;
            Ok::<_, Interruption>(Channels::open(broker, self.program).await?)
        })
        .await?;
        let mut proven = false;
        let mut look_at = Instant::now();
        loop {
            let (mut busy, sent) = self.send_due(database, &channels).await?;
            if !proven && sent.is_ok() {
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
            if Instant::now() >= look_at {
                self.put_parked_back(database).await?;
                let wait = match self.follow_confirmed(database).await {
                    // Where there is more to forget it takes turns with what is to be sent.
                    Ok(true) => Duration::ZERO,
                    Ok(false) => LOOK_INTERVAL,
                    // The server's own refusal, such as a lock that is not to be had: the connection is well, and what is to
                    // be sent does not wait for the trail.
                    Err(error @ sqlx::Error::Database(_)) if database::is_unavailable(&error) => {
                        tracing::warn!(%error, "what has arrived in the trail can't be looked at, trying again later");
                        LOOK_AGAIN_AFTER
                    }
                    Err(error) => return Err(error.into()),
                };
                busy |= wait.is_zero();
                look_at = Instant::now() + wait;
            }
            // Not sooner: one queue that does not answer must not keep what has nothing to do with it.
            sent?;
            if busy {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.outbox.woken() => {}
                () = tokio::time::sleep(self.settings.poll_interval) => {}
            }
        }
    }

    /// Sends one window of each exchange for which rows are due, side by side; whether there may be more, and whether the broker
    /// has answered for all. The slowest holds up the next round: the rows stay locked until all are settled. If this process
    /// dies here, its locks go and another relay sends the rows again.
    async fn send_due(
        &self,
        database: &mut PgConnection,
        channels: &Channels,
    ) -> Result<(bool, Result<(), PublishError>), Interruption> {
        let deadline = self.settings.deadline;
        let claimed = database::within(deadline, self.claim_due(database)).await?;
        let Some((mut transaction, windows)) = claimed else { return Ok((false, Ok(()))) };
        let began = Instant::now();
        let sending = windows.iter().map(async |window| {
            channels.of(window.exchange).publish_window(&window.messages(), deadline).await
        });
        let sent = join_all(sending).await;
        for (window, (verdicts, _)) in windows.iter().zip(&sent) {
            self.metrics.judged(window.exchange, verdicts);
        }
        let settled = database::within(deadline, async {
            let mut settled = Vec::new();
            for (window, (verdicts, _)) in windows.iter().zip(&sent) {
                let plan = Plan::new(&window.rows, verdicts, self.clock.now(), &self.entropy);
                settled.push(plan.settle(&mut transaction, window.exchange).await?);
            }
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(settled)
        })
        .await?;
        for (window, settled) in windows.iter().zip(settled) {
            self.metrics.settled(window.exchange, window.rows.len(), settled.parked, began.elapsed());
            log(window.exchange, settled);
        }
        // Whatever was not delivered waits until later, so that this is no circle.
        let busy = windows.iter().any(|window| window.rows.len() == usize::from(self.settings.window));
        Ok((busy, sent.into_iter().try_for_each(|(_, result)| result)))
    }

    /// Locks what is due; none if there is nothing, or another relay was faster.
    async fn claim_due<'a>(
        &self,
        database: &'a mut PgConnection,
    ) -> Result<Option<(PgTransaction<'a>, Vec<Window>)>, sqlx::Error> {
        let (now, limit) = (self.clock.now(), i64::from(self.settings.window));
        let exchanges = due(&mut *database, now).await?;
        if exchanges.is_empty() {
            return Ok(None);
        }
        let mut transaction = database.begin().await?;
        let mut windows = Vec::new();
        for exchange in exchanges {
            let rows = claim(&mut transaction, exchange, now, limit).await?;
            if !rows.is_empty() {
                windows.push(Window { exchange, rows });
            }
        }
        Ok((!windows.is_empty()).then_some((transaction, windows)))
    }

    /// Gives parked rows whose wait is over another try.
    async fn put_parked_back(&self, database: &mut PgConnection) -> Result<(), Interruption> {
        let (deadline, limit) = (self.settings.deadline, i64::from(self.settings.window));
        let tried_again = database::within(deadline, put_back(database, self.clock.now(), limit)).await?;
        if tried_again > 0 {
            tracing::info!(rows = tried_again, "parked messages are tried again");
        }
        Ok(())
    }

    /// Forgets confirmed rows that have arrived where they were to, and parks those that are missing there; whether there may
    /// be more.
    async fn follow_confirmed(&self, database: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let (deadline, limit) = (self.settings.deadline, i64::from(self.settings.window));
        // As many as one round sends, so that they don't become more while there is a backlog.
        let forgotten = limit * AUDITED;
        if database::within(deadline, forget_arrived(database, forgotten)).await? == forgotten.unsigned_abs()
        {
            return Ok(true);
        }
        let missing =
            database::within(deadline, park_missing(database, self.clock.now(), &self.entropy, limit))
                .await?;
        for exchange in Exchange::ALL {
            let rows = missing.iter().filter(|name| *name == exchange.name()).count();
            if rows > 0 {
                self.metrics.missing(exchange, rows);
                tracing::error!(
                    exchange = exchange.name(),
                    rows,
                    "RabbitMQ confirmed messages that the trail did not get: they were parked in outbox_parked to be sent \
                     again; is a binding of audit.events missing?"
                );
            }
        }
        Ok(missing.len() == usize::from(self.settings.window))
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
