//! A batch from the broker: judged message by message, written together.

use anyhow::Context;
use shared::broker::{BatchHandler, Delivery};
use shared::clock::Clock;
use shared::database;
use sqlx::PgPool;
use tokio::time::Instant;

use super::classify;
use super::metrics::{ConsumerMetrics, Judged};
use crate::audit::{Batch, Candidate, Message, SetAside, record};

/// Records what the receive loop gathers.
#[derive(Debug, Clone)]
pub struct AuditHandler {
    /// Where the trail is.
    pub database: PgPool,
    /// What time it is.
    pub clock: Clock,
    /// What counts it.
    pub metrics: ConsumerMetrics,
}

impl BatchHandler for AuditHandler {
    /// Whether the database answers with a schema that holds the trail.
    async fn ready(&self) -> anyhow::Result<()> {
        database::require_schema(&self.database).await.context("the audit trail can't be reached")
    }

    async fn handle(&self, deliveries: &[Delivery]) -> anyhow::Result<()> {
        let began = Instant::now();
        let (batch, judged) = self.judge(deliveries);
        let recorded = record(&self.database, batch).await.context("the audit trail can't be written")?;
        self.metrics.kept(&judged, recorded, self.clock.now(), began.elapsed());
        tracing::debug!(
            deliveries = deliveries.len(),
            recorded = recorded.entries,
            quarantined = recorded.quarantined,
            "kept a batch"
        );
        Ok(())
    }
}

impl AuditHandler {
    fn judge<'a>(&self, deliveries: &'a [Delivery]) -> (Batch<'a>, Judged) {
        let now = self.clock.now();
        let (mut batch, mut judged) = (Batch::default(), Judged::default());
        for delivery in deliveries {
            judged.redelivered += u64::from(delivery.redelivered);
            let message = Message::from_delivery(delivery);
            match classify(&message, now) {
                Ok(entry) => {
                    judged.occurred_at.push(entry.occurred_at);
                    batch.candidates.push(Candidate { entry, message });
                }
                Err(reason) => {
                    judged.set_aside.push(reason.kind());
                    batch.set_aside.push(SetAside { message, reason: reason.to_string() });
                }
            }
        }
        (batch, judged)
    }
}
