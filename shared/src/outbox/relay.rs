//! The relay: empties the outbox into the broker. Any number may run side by side; each row is held by one at a time.

use std::time::Duration;

use deadpool_lapin::{Object, Pool};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::append::Outbox;
use super::claim::claim;
use super::settle::{Plan, Settled};
use crate::broker::{ConfirmedChannel, DeclareError, Message, declare, watch_blocked, within};
use crate::clock::Clock;
use crate::contracts::Exchange;
use crate::entropy::Entropy;
use crate::lifecycle::{Component, Interruption, supervise};

/// What bounds a relay.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// The most messages in flight at once.
    pub window: u16,
    /// How long the broker may take to let the relay in, and then to confirm a window.
    pub deadline: Duration,
    /// How often to look for rows that nobody told this relay about: those of other programs, and those whose wait
    /// is over.
    pub poll_interval: Duration,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self { window: 500, deadline: Duration::from_secs(10), poll_interval: Duration::from_millis(250) }
    }
}

/// A relay; see the room's page.
#[derive(Debug)]
pub struct Relay {
    /// The database that holds the outbox.
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
    /// What bounds it.
    pub settings: RelaySettings,
}

impl Relay {
    /// Sends until `stop`.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        supervise(&self.component, &stop, &self.entropy, || self.session(&stop)).await
    }

    /// Works over one connection until something breaks; a connection that saw an error never goes back to the pool.
    async fn session(&self, stop: &CancellationToken) -> Result<(), Interruption> {
        let connection =
            within(self.settings.deadline, async { Ok::<_, Interruption>(self.broker.get().await?) }).await?;
        let blocked = watch_blocked(&connection, self.component.clone());
        let result = self.send_over(&connection, stop).await;
        blocked.abort();
        if result.is_err() {
            drop(Object::take(connection));
        }
        result
    }

    async fn send_over(&self, connection: &Object, stop: &CancellationToken) -> Result<(), Interruption> {
        let channel = within(self.settings.deadline, async {
            declare(connection).await.map_err(DeclareError::interruption)?;
            Ok::<_, Interruption>(ConfirmedChannel::open(connection, self.program).await?)
        })
        .await?;
        let mut proven = false;
        loop {
            let mut busy = false;
            for exchange in Exchange::ALL {
                busy |= self.send_window(&channel, exchange).await?;
            }
            if !proven {
                // Broker and database have both answered.
                self.component.up();
                proven = true;
            }
            if stop.is_cancelled() {
                return Ok(());
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

    /// Sends one window of one exchange; whether there may be more. The rows stay locked until they are settled: if
    /// this process dies here, its locks go and another relay sends the rows again.
    async fn send_window(
        &self,
        channel: &ConfirmedChannel,
        exchange: Exchange,
    ) -> Result<bool, Interruption> {
        let mut transaction = self.database.begin().await?;
        let limit = i64::from(self.settings.window);
        let claimed = claim(&mut transaction, exchange, self.clock.now(), limit).await?;
        if claimed.is_empty() {
            return Ok(false);
        }
        let messages: Vec<Message> = claimed.iter().map(|row| row.message.clone()).collect();
        let (verdicts, result) = channel.publish_window(&messages, self.settings.deadline).await;
        let plan = Plan::new(&claimed, &verdicts, self.clock.now(), &self.entropy);
        let settled = plan.settle(&mut transaction).await?;
        transaction.commit().await?;
        log(exchange, settled);
        result?;
        Ok(settled.delivered == claimed.len() && claimed.len() == usize::from(self.settings.window))
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
