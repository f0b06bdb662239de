//! SQL over the trail's partitions.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// What a drop took away.
#[derive(Debug)]
pub(super) struct Dropped {
    pub(super) partition: String,
    pub(super) rows: i64,
    pub(super) first_at: Option<DateTime<Utc>>,
    pub(super) last_at: Option<DateTime<Utc>>,
}

/// Drops the oldest month that has outlived its time, if there is one. From here to the end of the transaction nobody
/// else reads or writes the trail.
pub(super) async fn drop_expired_partition(
    connection: &mut PgConnection,
) -> Result<Option<Dropped>, sqlx::Error> {
    sqlx::query_as!(
        Dropped,
        r#"SELECT partition AS "partition!", rows AS "rows!", first_at, last_at FROM audit.drop_expired_partition()"#,
    )
    .fetch_optional(connection)
    .await
}
