//! What a schedule still owes when its timetable ends or changes.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::due::{EXAMINED_MAX, GapReason, due_instants, not_run};
use super::publish_tick::{answered, record_gaps};
use super::store::ScheduleRow;

/// Records the instants that a schedule still owes as not run: paused if it is, missed otherwise. What its jitter has put off
/// is owed, too; what a clock that was ahead has run already is not.
pub async fn close(
    connection: &mut PgConnection,
    row: &ScheduleRow,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let reason = if row.paused_at.is_some() { GapReason::Paused } else { GapReason::Missed };
    // What an older build wrote and this one can't read owes nothing that anybody could name.
    let Ok(timetable) = row.timetable() else { return Ok(()) };
    let answered = answered(connection, row, now).await?;
    let mut after = row.watermark;
    loop {
        let owed: Vec<_> = due_instants(&timetable, after, now, EXAMINED_MAX).collect();
        let Some(last_at) = owed.last().copied() else { return Ok(()) };
        let gaps = not_run(owed.into_iter(), reason, &answered);
        record_gaps(connection, row, (after, &answered), (&gaps, &[]), now).await?;
        after = last_at;
    }
}
