//! Answering one schedule before something about it changes.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::publish_tick::{PublishTickError, answer};
use super::store::{self, ScheduleRow};
use crate::entropy::Entropy;
use crate::outbox::Outbox;

/// Answers what a schedule owes until `now`, as a ticker does, and gives it as it is then, locked; `None`: there is none. One that
/// can't be read owes nothing that anybody could name.
pub async fn settle(
    connection: &mut PgConnection,
    outbox: &Outbox,
    entropy: &Entropy,
    key: &str,
    now: DateTime<Utc>,
) -> Result<Option<ScheduleRow>, PublishTickError> {
    let keys = [key.to_owned()];
    loop {
        let Some(row) = store::lock(connection, &keys).await?.pop() else { return Ok(None) };
        if row.timetable().is_err() || !answer(connection, outbox, entropy, &[row], now).await?.more {
            return Ok(store::lock(connection, &keys).await?.pop());
        }
    }
}
