//! The ticker: again and again, writes whatever has become due. Any number run side by side.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use shared::entropy::Entropy;
use shared::lifecycle::{Component, Interruption, supervise};
use shared::outbox::Outbox;
use shared::schedules::publish_tick::publish_ticks;
use shared::schedules::store::now;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::catalogue::{Occasion, PROOF, PROOF_HOLDS, SyncError, Told, sync};
use super::metrics::TickerMetrics;
use super::{store, watermark};
use crate::worker::Registry;
use crate::worker::rescue::{self, Rescued};

/// How often it looks for lost messages: they are sent again after a minute at the soonest.
const MESSAGES_INTERVAL: Duration = Duration::from_secs(15);

/// When something was done last.
#[derive(Debug, Default)]
pub struct Last(Mutex<Option<Instant>>);

impl Last {
    /// How long ago; `None`: never.
    fn elapsed(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    fn is_now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

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
    /// When it looked for lost messages.
    pub looked_for_messages: Last,
    /// Whether that failed.
    pub failed_at_messages: AtomicBool,
}

/// What a look has left.
#[derive(Debug, Clone, Copy)]
pub struct Ticked {
    /// Whether more is due already.
    pub more: bool,
    /// How long after the look a schedule is due next.
    pub next_due_in: Option<Duration>,
}

impl Ticker {
    /// Ticks until `stop`.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let synced = Last::default();
        supervise(&self.component, &stop, &self.entropy, || async {
            while !stop.is_cancelled() {
                self.sync(&synced).await?;
                let looked_at = Instant::now();
                let Ticked { more, next_due_in } = self.tick().await.map_err(Interruption::Passing)?;
                if more {
                    continue;
                }
                // What is due sooner is not kept waiting for the next look.
                let wait = next_due_in.map_or(self.interval, |next| next.min(self.interval));
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep_until(looked_at + wait) => {}
                }
            }
            Ok(())
        })
        .await
    }

    /// Syncs as soon as the database answers, and then says now and then that this build runs.
    async fn sync(&self, synced: &Last) -> Result<(), Interruption> {
        let occasion = match synced.elapsed() {
            None => Occasion::Start,
            Some(ago) if ago >= PROOF_HOLDS.to_std().unwrap_or(PROOF) => Occasion::Return,
            Some(ago) if ago >= PROOF => Occasion::Proof,
            Some(_) => return Ok(()),
        };
        let told = Told { outbox: &self.outbox, entropy: &self.entropy };
        match sync(&self.database, told, &self.registry, occasion).await {
            Ok(_) => {}
            // Somebody acts upon a schedule and takes his time: what is due must not wait for him.
            Err(error) if error.is_lock_timeout() => {
                tracing::warn!("the schedules can't be synced while one of them is locked, trying again");
                return Ok(());
            }
            Err(error @ SyncError::Timetable(..)) => return Err(Interruption::Fatal(error.into())),
            Err(error) => return Err(Interruption::Passing(error.into())),
        }
        synced.is_now();
        Ok(())
    }

    /// Writes what is due now, and then sees to stuck runs, each by questions and a transaction of its own: these must not keep ticks
    /// waiting, also if they can't be seen to. Nothing is begun where nothing is due. Says how it went.
    pub async fn tick(&self) -> anyhow::Result<Ticked> {
        let mut connection = self.database.acquire().await?;
        let work = store::work(&mut connection).await?;
        drop(connection);
        let (mut more, mut next_due_at) = (false, work.next_due_at);
        if work.is_due {
            let mut transaction = self.database.begin().await?;
            // Asked again: whoever stood still since then would find all that others have answered ahead of the clock.
            let (now, looked_at) = (now(&mut transaction).await?, Instant::now());
            watermark::watch(&mut transaction, now).await?;
            let published = publish_ticks(&mut transaction, &self.outbox, &self.entropy, now).await?;
            transaction.commit().await?;
            // On the database's clock: as much later as this took.
            let committed_at = now + TimeDelta::from_std(looked_at.elapsed()).unwrap_or_default();
            self.metrics.published(&published, committed_at);
            if published.runs() > 0 {
                self.outbox.wake();
            }
            more |= published.more;
            next_due_at = next_due_at.into_iter().chain(published.next_due_at).min();
        }
        let with_messages = self.looked_for_messages.elapsed().is_none_or(|ago| ago >= MESSAGES_INTERVAL);
        let rescued = match self.see_to_stuck_runs(with_messages).await {
            Ok(rescued) => {
                if with_messages {
                    self.failed_at_messages.store(false, Ordering::Relaxed);
                }
                // A look without messages doesn't tell how it would go with them.
                if !self.failed_at_messages.load(Ordering::Relaxed) {
                    self.component.up();
                }
                rescued
            }
            Err(error) => {
                if with_messages {
                    self.failed_at_messages.store(true, Ordering::Relaxed);
                }
                let error = format!("{error:#}");
                tracing::warn!(error, "stuck runs can't be seen to, trying again");
                self.component.down(format!("stuck runs can't be seen to: {error}"));
                Rescued::default()
            }
        };
        more |= rescued.more();
        // Also one that failed, so that the next look does not fail the same way.
        if with_messages && !rescued.more_messages() {
            self.looked_for_messages.is_now();
        }
        let next_due_in = next_due_at.and_then(|next| (next - work.now).to_std().ok());
        Ok(Ticked { more, next_due_in })
    }

    async fn see_to_stuck_runs(&self, with_messages: bool) -> anyhow::Result<Rescued> {
        if !store::is_stuck(&mut *self.database.acquire().await?, with_messages).await? {
            return Ok(Rescued::default());
        }
        let mut transaction = self.database.begin().await?;
        let now = now(&mut transaction).await?;
        let told = (&self.outbox, &self.entropy);
        let rescued = rescue::rescue(&mut transaction, told, with_messages, now).await?;
        transaction.commit().await?;
        self.metrics.rescues.rescued(rescued);
        if rescued.any() {
            self.outbox.wake();
        }
        Ok(rescued)
    }
}
