//! A watermark ahead of the clock: the database's clock was ahead once and has been set back. Until it gets there again
//! the schedule stands still, so somebody is told, and after an hour the watermark is set back, too.
//!
//! Not sooner: a clock that was wrong for a few minutes comes back by itself. What ran ahead of its time does not run
//! again, its rows are there.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use shared::schedules::gaps_store;
use shared::schedules::store::ScheduleRow;
use sqlx::PgConnection;

use super::store;

/// How long a schedule stands still before its watermark is set back.
const STANDSTILL_MAX: Duration = Duration::from_hours(1);
/// Clocks are adjusted by a little all the time.
const TOLERANCE: Duration = Duration::from_secs(5);

/// What to do about a watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Leave,
    /// It is ahead, and this is the first time somebody sees it: say so.
    Report,
    /// It was ahead and isn't any more.
    Forget,
    /// It has been ahead for too long: set it back to now.
    SetBack,
}

/// Judges a watermark that has been seen ahead since `ahead_since`.
pub fn judge(watermark: DateTime<Utc>, ahead_since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Verdict {
    let ahead = watermark > now + TOLERANCE;
    match ahead_since {
        None if ahead => Verdict::Report,
        Some(_) if !ahead => Verdict::Forget,
        Some(since) if now >= since + STANDSTILL_MAX => Verdict::SetBack,
        // The clock went back once more: the hour begins anew.
        Some(since) if since > now => Verdict::Report,
        _ => Verdict::Leave,
    }
}

/// Looks after the watermarks that are ahead, in the caller's transaction.
pub async fn watch(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    for row in store::lock_ahead(connection, now).await? {
        let (key, watermark) = (row.schedule_key.as_str(), row.watermark);
        match judge(watermark, row.watermark_ahead_since, now) {
            Verdict::Leave => {}
            Verdict::Report => {
                tracing::error!(schedule = key, %watermark, %now, "a schedule is ahead of the clock and stands still");
                store::note_ahead(connection, key, Some(now)).await?;
            }
            Verdict::Forget => store::note_ahead(connection, key, None).await?,
            Verdict::SetBack => {
                tracing::error!(schedule = key, %watermark, %now, "a schedule ahead of the clock is set back");
                set_back(connection, &row, now).await?;
            }
        }
    }
    Ok(())
}

async fn set_back(
    connection: &mut PgConnection,
    row: &ScheduleRow,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let key = row.schedule_key.as_str();
    // One that can't be read is looked at, so that it is told about.
    let Ok(timetable) = row.timetable() else {
        return store::set_back(connection, key, now, Some(now)).await;
    };
    let next = timetable.next_after(now).map(|next| next + row.offset());
    store::set_back(connection, key, now, next).await?;
    if let Some((gap, first_at)) = gaps_store::gap_across(connection, key, now).await? {
        let before = first_at - TimeDelta::microseconds(1);
        let kept = timetable.instants_after(before).take_while(|instant| *instant <= now);
        let (instants, last_at) = kept.fold((0, first_at), |(count, _), instant| (count + 1, instant));
        // Its first instant has passed and lies in it, also if the timetable is another by now and names none of them.
        gaps_store::shorten_gap(connection, gap, last_at, instants.max(1)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_ahead_is_reported_once_and_set_back_after_an_hour() {
        let now = DateTime::from_timestamp(1_763_700_000, 0).unwrap();
        let at = |seconds| now + TimeDelta::seconds(seconds);
        for (watermark, ahead_since, verdict) in [
            (at(-60), None, Verdict::Leave),
            (at(4), None, Verdict::Leave),
            (at(7_200), None, Verdict::Report),
            (at(7_200), Some(at(-3_599)), Verdict::Leave),
            (at(7_200), Some(at(-3_600)), Verdict::SetBack),
            (at(7_200), Some(at(60)), Verdict::Report),
            (at(-60), Some(at(-600)), Verdict::Forget),
        ] {
            assert_eq!(judge(watermark, ahead_since, now), verdict, "{watermark} {ahead_since:?}");
        }
    }
}
