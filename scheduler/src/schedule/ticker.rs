//! The ticker: again and again, writes whatever has become due. Any number run side by side.

use std::time::Duration;

use shared::entropy::Entropy;
use shared::lifecycle::{Component, Interruption, supervise};
use shared::outbox::Outbox;
use sqlx::PgPool;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::catalogue::{SyncError, sync};
use super::metrics::TickerMetrics;
use super::publish_tick::publish_ticks;
use super::{store, watermark};
use crate::worker::{Registry, rescue};

/// A ticker; see the room's page.
#[derive(Debug)]
pub struct Ticker {
    /// The database, and the clock that counts.
    pub database: PgPool,
    /// For ticks.
    pub outbox: Outbox,
    /// What should be scheduled.
    pub registry: Registry,
    /// For ids and waits.
    pub entropy: Entropy,
    /// What tells how it goes.
    pub component: Component,
    /// What counts it.
    pub metrics: TickerMetrics,
    /// How often to look.
    pub interval: Duration,
}

impl Ticker {
    /// Ticks until `stop`.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        // Once a process, as soon as the database answers.
        let synced = OnceCell::new();
        supervise(&self.component, &stop, &self.entropy, || async {
            synced.get_or_try_init(|| sync(&self.database, &self.registry)).await.map_err(
                |error| match error {
                    SyncError::Cron(..) => Interruption::Fatal(error.into()),
                    SyncError::Database(_) => Interruption::Passing(error.into()),
                },
            )?;
            while !stop.is_cancelled() {
                let more = self.tick().await.map_err(Interruption::Passing)?;
                self.component.up();
                if more {
                    continue;
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(self.interval) => {}
                }
            }
            Ok(())
        })
        .await
    }

    /// Writes what is due now, in two transactions: stuck runs must not keep ticks waiting, nor the other way round.
    /// Whether more is due already.
    pub async fn tick(&self) -> anyhow::Result<bool> {
        let mut transaction = self.database.begin().await?;
        let now = store::now(&mut transaction).await?;
        watermark::watch(&mut transaction, now).await?;
        let published = publish_ticks(&mut transaction, &self.outbox, &self.entropy, now).await?;
        transaction.commit().await?;
        self.metrics.published(published);
        if published.runs > 0 {
            self.outbox.wake();
        }

        let mut transaction = self.database.begin().await?;
        let now = store::now(&mut transaction).await?;
        let rescued = rescue::rescue(&mut transaction, &self.outbox, &self.entropy, now).await?;
        transaction.commit().await?;
        self.metrics.rescues.rescued(rescued);
        if rescued.any() {
            self.outbox.wake();
        }
        Ok(published.more || rescued.more())
    }
}
