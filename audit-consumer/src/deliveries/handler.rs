//! A batch from the broker: judged message by message, written together.

use anyhow::Context;
use shared::broker::{BatchHandler, Delivery};
use shared::clock::Clock;
use shared::database;
use sqlx::PgPool;

use super::classify;
use crate::audit::{Batch, Candidate, Message, SetAside, record};

/// Records what the receive loop gathers.
#[derive(Debug, Clone)]
pub struct AuditHandler {
    /// Where the trail is.
    pub database: PgPool,
    /// What time it is.
    pub clock: Clock,
}

impl BatchHandler for AuditHandler {
    /// Whether the database answers with a schema that holds the trail.
    async fn ready(&self) -> anyhow::Result<()> {
        database::require_schema(&self.database).await.context("the audit trail can't be reached")
    }

    async fn handle(&self, deliveries: &[Delivery]) -> anyhow::Result<()> {
        let batch = self.judge(deliveries);
        let recorded = record(&self.database, batch).await.context("the audit trail can't be written")?;
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
    fn judge<'a>(&self, deliveries: &'a [Delivery]) -> Batch<'a> {
        let now = self.clock.now();
        let mut batch = Batch::default();
        for delivery in deliveries {
            let message = Message::from_delivery(delivery);
            match classify(&message, now) {
                Ok(entry) => batch.candidates.push(Candidate { entry, message }),
                Err(reason) => batch.set_aside.push(SetAside { message, reason: reason.to_string() }),
            }
        }
        batch
    }
}
