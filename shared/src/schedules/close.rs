//! What a schedule still owes when its timetable ends or changes.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::due::{EXAMINED_MAX, Gap, GapReason, due_instants};
use super::gaps_store;
use super::store::ScheduleRow;

/// Records the instants that a schedule still owes as not run: paused if it is, missed otherwise. What its jitter has put off
/// is owed, too.
pub async fn close(
    connection: &mut PgConnection,
    row: &ScheduleRow,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let reason = if row.paused_at.is_some() { GapReason::Paused } else { GapReason::Missed };
    // What an older build wrote and this one can't read owes nothing that anybody could name.
    let Ok(timetable) = row.timetable() else { return Ok(()) };
    let mut after = row.watermark;
    loop {
        let owed: Vec<_> = due_instants(&timetable, after, now, EXAMINED_MAX).collect();
        let (Some(first_at), Some(last_at)) = (owed.first().copied(), owed.last().copied()) else {
            return Ok(());
        };
        let instants = i64::try_from(owed.len()).unwrap_or(i64::MAX);
        let gap = Gap { first_at, last_at, instants, reason };
        gaps_store::record_gap(connection, &row.schedule_key, after, &gap, now).await?;
        after = last_at;
    }
}
