//! The relay: empties the outbox into the broker. Any number may run side by side; each row is held by one at a time.

use std::time::Duration;

use deadpool_lapin::{Object, Pool};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::append::Outbox;
use super::claim::{claim, due};
use super::confirmed::{forget_arrived, park_missing};
use super::metrics::RelayMetrics;
use super::parked::put_back;
use super::settle::{Plan, Settled};
use crate::broker::{BlockedWatch, ConfirmedChannel, DeclareError, Message, establish, within};
use crate::clock::Clock;
use crate::config::TopologyAtStart;
use crate::contracts::Exchange;
use crate::database;
use crate::entropy::Entropy;
use crate::lifecycle::{Component, Interruption, supervise};

/// How often each relay looks at rows that have left the outbox: which parked ones' wait is over, and which confirmed ones
/// have arrived.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What bounds a relay.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// The most messages in flight at once.
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
        let channel = within(self.settings.deadline, async {
            establish(broker, self.settings.topology).await.map_err(DeclareError::interruption)?;
            Ok::<_, Interruption>(ConfirmedChannel::open(broker, self.program).await?)
        })
        .await?;
        let mut proven = false;
        let mut looked_at: Option<Instant> = None;
        loop {
            let mut busy = self.send_due(database, &channel).await?;
            if !proven {
                // Broker and database have both answered.
                self.component.up();
                proven = true;
            }
            if stop.is_cancelled() {
                return Ok(());
            }
            if looked_at.is_none_or(|at| at.elapsed() >= LOOK_INTERVAL) {
                self.put_parked_back(database).await?;
                // Where there is more to forget it takes turns with what is to be sent.
                let has_more = self.follow_confirmed(database).await?;
                busy |= has_more;
                looked_at = (!has_more).then(Instant::now);
            }
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

    /// Sends one window of each exchange for which rows are due; whether there may be more.
    async fn send_due(
        &self,
        database: &mut PgConnection,
        channel: &ConfirmedChannel,
    ) -> Result<bool, Interruption> {
        let mut busy = false;
        for exchange in
            database::within(self.settings.deadline, due(&mut *database, self.clock.now())).await?
        {
            busy |= self.send_window(database, channel, exchange).await?;
        }
        Ok(busy)
    }

    /// Sends one window of one exchange; whether there may be more. The rows stay locked until they are settled: if
    /// this process dies here, its locks go and another relay sends the rows again.
    async fn send_window(
        &self,
        database: &mut PgConnection,
        channel: &ConfirmedChannel,
        exchange: Exchange,
    ) -> Result<bool, Interruption> {
        let deadline = self.settings.deadline;
        let limit = i64::from(self.settings.window);
        let (mut transaction, claimed) = database::within(deadline, async {
            let mut transaction = database.begin().await?;
            let claimed = claim(&mut transaction, exchange, self.clock.now(), limit).await?;
            Ok::<_, sqlx::Error>((transaction, claimed))
        })
        .await?;
        if claimed.is_empty() {
            // Another relay was faster.
            return Ok(false);
        }
        let messages: Vec<Message> = claimed.iter().map(|row| row.message.clone()).collect();
        let began = Instant::now();
        let (verdicts, result) = channel.publish_window(&messages, deadline).await;
        self.metrics.judged(exchange, &verdicts);
        let plan = Plan::new(&claimed, &verdicts, self.clock.now(), &self.entropy);
        let settled = database::within(deadline, async {
            let settled = plan.settle(&mut transaction, exchange).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(settled)
        })
        .await?;
        self.metrics.settled(exchange, claimed.len(), settled.parked, began.elapsed());
        log(exchange, settled);
        result?;
        // Whatever was not delivered waits until later, so that this is no circle.
        Ok(claimed.len() == usize::from(self.settings.window))
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
    async fn follow_confirmed(&self, database: &mut PgConnection) -> Result<bool, Interruption> {
        let (deadline, limit) = (self.settings.deadline, i64::from(self.settings.window));
        if database::within(deadline, forget_arrived(database, limit)).await? == limit.unsigned_abs() {
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
