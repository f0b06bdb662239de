//! Pausing a schedule, having it go on, and having it due at other times.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::read::{self, ScheduleInFull};
use super::{ControlError, begin, end, store, told};
use crate::contracts::schedules::{ScheduleChanged, SchedulePaused, ScheduleResumed};
use crate::entropy::Entropy;
use crate::operator::Operation;
use crate::outbox::Outbox;
use crate::schedules::store::{Advances, ScheduleRow, now};
use crate::schedules::timetable::Timetable;
use crate::schedules::{close, settle};

/// A schedule that is in force, locked.
pub(super) async fn lock(connection: &mut PgConnection, key: &str) -> Result<ScheduleRow, ControlError> {
    let row = crate::schedules::store::lock(connection, &[key.to_owned()]).await?.pop();
    let row = row.ok_or_else(|| ControlError::NoSchedule(key.to_owned()))?;
    match row.retired_at {
        None => Ok(row),
        Some(at) => {
            let words = format!("{key} is retired since {at}: no build that runs has it, or it was removed");
            Err(ControlError::NotNow(words))
        }
    }
}

/// Has none of a schedule's later instants run until it is resumed. Runs that are there go on.
pub async fn pause(
    database: &PgPool,
    outbox: &Outbox,
    operation: &Operation,
    key: &str,
) -> Result<ScheduleInFull, ControlError> {
    let mut transaction = begin(database, operation).await?;
    let connection = &mut *transaction;
    let done = async {
        let row = lock(connection, key).await?;
        if let Some(at) = row.paused_at {
            return Err(ControlError::NotNow(format!("{key} is paused already, since {at}")));
        }
        let (now, act) = (now(connection).await?, &operation.act);
        store::pause(connection, key, now, (&act.actor, &act.reason)).await?;
        outbox.append(connection, &operation.trace, SchedulePaused(told(&row, operation))).await?;
        in_full(connection, key).await
    }
    .await;
    let schedule = end(transaction, done).await?;
    outbox.wake();
    Ok(schedule)
}

/// The schedule as it is then.
async fn in_full(connection: &mut PgConnection, key: &str) -> Result<ScheduleInFull, ControlError> {
    let schedule = read::schedule_in_full(connection, key).await?;
    schedule.ok_or_else(|| ControlError::NoSchedule(key.to_owned()))
}

/// A schedule that is in force, locked, after what it owed until `now` is answered.
pub(super) async fn lock_settled(
    connection: &mut PgConnection,
    outbox: &Outbox,
    entropy: &Entropy,
    key: &str,
    now: DateTime<Utc>,
) -> Result<ScheduleRow, ControlError> {
    lock(connection, key).await?;
    settle(connection, outbox, entropy, key, now).await?;
    lock(connection, key).await
}

/// Has a paused schedule go on with its next instant; those that passed meanwhile are not made up for.
pub async fn resume(
    database: &PgPool,
    outbox: &Outbox,
    operation: &Operation,
    entropy: &Entropy,
    key: &str,
) -> Result<ScheduleInFull, ControlError> {
    let mut transaction = begin(database, operation).await?;
    let connection = &mut *transaction;
    let done = async {
        lock(connection, key).await?;
        let paused = store::paused(connection, key).await?;
        let Some((paused_at, paused_by)) = paused else {
            return Err(ControlError::NotNow(format!("{key} is not paused")));
        };
        let now = now(connection).await?;
        // Nobody may have ticked while it was paused.
        let row = lock_settled(connection, outbox, entropy, key, now).await?;
        store::resume(connection, key).await?;
        let event = ScheduleResumed { schedule: told(&row, operation), paused_at, paused_by };
        outbox.append(connection, &operation.trace, event).await?;
        in_full(connection, key).await
    }
    .await;
    let schedule = end(transaction, done).await?;
    outbox.wake();
    Ok(schedule)
}

/// When a schedule is to be due, in an operator's words.
#[derive(Debug, Clone)]
pub struct Override {
    /// A timetable; as it is if none is given.
    pub timetable: Option<String>,
    /// A time zone; as it is if none is given.
    pub time_zone: Option<String>,
}

/// Has a schedule due at other times, until it is [`reset`]: whatever builds say of it.
pub async fn override_timetable(
    database: &PgPool,
    outbox: &Outbox,
    operation: &Operation,
    entropy: &Entropy,
    (key, word): (&str, &Override),
) -> Result<ScheduleInFull, ControlError> {
    let mut transaction = begin(database, operation).await?;
    let connection = &mut *transaction;
    let done = async {
        let now = now(connection).await?;
        let row = lock_settled(connection, outbox, entropy, key, now).await?;
        let timetable = word.timetable.clone().unwrap_or_else(|| row.timetable.clone());
        let time_zone = word.time_zone.clone().unwrap_or_else(|| row.time_zone.clone());
        let registry_timetable = row.registry_timetable.as_deref().unwrap_or(&row.timetable);
        let registry_time_zone = row.registry_time_zone.as_deref().unwrap_or(&row.time_zone);
        let registry = Some((registry_timetable, registry_time_zone));
        change(connection, outbox, operation, (&row, now), (&timetable, &time_zone), registry).await?;
        in_full(connection, key).await
    }
    .await;
    let schedule = end(transaction, done).await?;
    outbox.wake();
    Ok(schedule)
}

/// Has a schedule due again as the registry says.
pub async fn reset(
    database: &PgPool,
    outbox: &Outbox,
    operation: &Operation,
    entropy: &Entropy,
    key: &str,
) -> Result<ScheduleInFull, ControlError> {
    let mut transaction = begin(database, operation).await?;
    let connection = &mut *transaction;
    let done = async {
        let now = now(connection).await?;
        let row = lock_settled(connection, outbox, entropy, key, now).await?;
        let (Some(timetable), Some(time_zone)) = (&row.registry_timetable, &row.registry_time_zone) else {
            return Err(ControlError::NotNow(format!("{key} is due as the registry says already")));
        };
        change(connection, outbox, operation, (&row, now), (timetable, time_zone), None).await?;
        in_full(connection, key).await
    }
    .await;
    let schedule = end(transaction, done).await?;
    outbox.wake();
    Ok(schedule)
}

async fn change(
    connection: &mut PgConnection,
    outbox: &Outbox,
    operation: &Operation,
    (row, now): (&ScheduleRow, DateTime<Utc>),
    (timetable, time_zone): (&str, &str),
    registry: Option<(&str, &str)>,
) -> Result<(), ControlError> {
    let new = Timetable::new(timetable, time_zone).map_err(|error| match registry {
        Some(_) => ControlError::Timetable(error),
        // What a newer build says is nobody's wrong request.
        None => ControlError::NotNow(format!("what the registry says can't be read here: {error}")),
    })?;
    let new = new.within(row.starts_at, row.ends_at);
    let begin = new.begin(now);
    // One that is due once and has passed is run, unless it is answered or paused. A watermark that is ahead has its own way back.
    let is_owed = match new.once() {
        Some(instant) if begin < now && row.paused_at.is_none() => {
            !store::is_answered(connection, &row.schedule_key, instant).await?
        }
        _ => false,
    };
    let watermark = if is_owed { begin } else { now.max(row.watermark) };
    let next = new.next_after(watermark);
    if next.is_none() && registry.is_some() {
        return Err(ControlError::NotNow(format!("{timetable:?} would never be due")));
    }
    // What the old one owes yet its jitter has put off.
    close(connection, row, now).await?;
    store::set_timetable(connection, &row.schedule_key, (timetable, time_zone), registry).await?;
    let mut advance = Advances::default();
    advance.push(&row.schedule_key, watermark, next.map(|next| next + row.offset()));
    crate::schedules::store::advance(connection, &advance).await?;
    let event = ScheduleChanged {
        schedule: told(row, operation),
        timetable: timetable.to_owned(),
        time_zone: time_zone.to_owned(),
        former_timetable: row.timetable.clone(),
        former_time_zone: row.time_zone.clone(),
        is_override: registry.is_some(),
    };
    outbox.append(connection, &operation.trace, event).await?;
    Ok(())
}
