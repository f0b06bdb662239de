//! Keeps the partitions of the trail ahead of time. Whether rows came before their partition, its figures tell.

use std::time::Duration;

use shared::clock::Clock;
use shared::database::within;
use shared::entropy::Entropy;
use shared::lifecycle::{Component, supervise};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::store;

/// How many months after this one have their partition already.
const MONTHS_AHEAD: i32 = 3;
/// How often to look. A program that nobody restarts for three months still finds its partition.
const INTERVAL: Duration = Duration::from_hours(24);
/// How long that may take: longer than the server takes before it gives up by itself.
const DEADLINE: Duration = Duration::from_secs(30);

/// Makes what is missing now and then once a day, until `stop`.
pub async fn keep_partitions_ahead(
    database: &PgPool,
    clock: &Clock,
    component: &Component,
    entropy: &Entropy,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    supervise(component, stop, entropy, || async {
        loop {
            make_partitions(database, clock, component).await?;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    })
    .await
}

async fn make_partitions(database: &PgPool, clock: &Clock, component: &Component) -> Result<(), sqlx::Error> {
    let made = within(DEADLINE, async {
        let mut connection = database.acquire().await?;
        store::make_partitions(&mut connection, clock.now(), MONTHS_AHEAD).await
    })
    .await?;
    if made > 0 {
        tracing::info!(made, "made partitions of the audit trail");
    }
    component.up();
    Ok(())
}
