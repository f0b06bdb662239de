//! Counting a try before its secret is looked at.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use shared::contracts::auth::ReauthenticationPurpose;
use shared::ids::UserId;
use tokio::time::Instant;

use super::keys::Key;
use super::rule::{Count, Entry, Rule};
use super::settle::{Counted, Reservation};
use super::{Limits, WAITING_MAX, store};
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::problem::Problem;
use crate::state::AppState;

/// How long a try waits for those under way to end before it is refused.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How often one that waits looks again: so long and up to as much more for each ten that wait in this process, so that all
/// of them together ask no oftener than ten do.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a try waits for its turn at the counts: as long as for a connection, for want of which it is answered 503.
pub(super) const TURN_WAIT_MAX: Duration = Duration::from_secs(3);
/// When a client should come back that has waited in vain.
const RETRY_AFTER_WAITING: u64 = 1;

/// Whose secret is tried.
#[derive(Debug, Clone, Copy)]
pub struct Tried<'a> {
    /// The name, as the account is looked up by it.
    pub username: &'a str,
    /// The account, if there is one.
    pub user_id: Option<UserId>,
    /// What for.
    pub asked: Asked,
}

/// What a secret is asked for. The two are counted and told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// By a stranger, to log in: counted for the name.
    ToLogIn,
    /// By somebody signed in, to confirm who he is: counted for the account, whatever its name is by then. So nobody else's
    /// guesses keep him from it.
    ToConfirm(ReauthenticationPurpose),
}

/// Why a secret is not looked at, or no mail is asked for.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// Too many were wrong or are looked at just now, or too many were asked for.
    #[error("too much was tried or asked for; wait {retry_after_seconds} s")]
    Limited {
        /// When it is worth trying again.
        retry_after_seconds: u64,
    },
    /// An outage or a fault: nothing is looked at that can't be counted.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<LimitError> for Problem {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::Limited { retry_after_seconds } => Self::throttled(Some(retry_after_seconds)),
            LimitError::Fault(fault) => fault.into(),
        }
    }
}

impl From<sqlx::Error> for LimitError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Counts a try for its name and its address, or says how long to wait; a refused one is noted, to be told with others.
/// While as many are under way as may be wrong, it waits a little for the first to end: many right ones at once all come
/// through.
pub async fn reserve(
    state: &AppState,
    context: &RequestContext,
    tried: Tried<'_>,
) -> Result<Reservation, LimitError> {
    let keys = state.limits.keys(context, tried);
    let entered = match enter(state, &keys).await? {
        Entered::Busy => wait(state, &keys).await?,
        entered => entered,
    };
    let retry_after_seconds = match entered {
        Entered::Counted(counted) => return Ok(Reservation::new(counted, tried)),
        Entered::Locked(wait) => whole_seconds(wait),
        Entered::Busy => RETRY_AFTER_WAITING,
    };
    note_refused(state, context, tried);
    Err(LimitError::Limited { retry_after_seconds })
}

/// Counts a try whose secret nobody looked at: [`reserve`] does so itself, its caller where hashing was refused.
pub fn note_refused(state: &AppState, context: &RequestContext, tried: Tried<'_>) {
    state.limits.refused.note(context, tried, state.clock.now());
}

impl Limits {
    /// What this try counts for, in the order in which it is locked.
    fn keys(&self, context: &RequestContext, tried: Tried<'_>) -> Vec<(Key, Rule)> {
        let name = match (tried.asked, tried.user_id) {
            (Asked::ToConfirm(_), Some(user_id)) => Key::of_confirmations(user_id),
            _ => Key::of_name(tried.username, tried.user_id.is_some()),
        };
        let address = context.ip.map(Key::of_address);
        let keys = [Some(name), address].into_iter().flatten();
        keys.filter_map(|key| self.rule_of_secrets(key.kind).map(|rule| (key, rule))).collect()
    }
}

enum Entered {
    Counted(Vec<Counted>),
    Busy,
    /// For so long.
    Locked(TimeDelta),
}

async fn wait(state: &AppState, keys: &[(Key, Rule)]) -> Result<Entered, sqlx::Error> {
    let Ok(_place) = state.limits.waiting.try_acquire() else { return Ok(Entered::Busy) };
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        let waiting = WAITING_MAX - state.limits.waiting.available_permits();
        let spread = LOOK_AGAIN * u32::try_from(1 + waiting / 10).unwrap_or(1);
        tokio::time::sleep(LOOK_AGAIN + state.entropy.jitter(spread)).await;
        match enter(state, keys).await? {
            Entered::Busy if Instant::now() < deadline => {}
            entered => return Ok(entered),
        }
    }
}

/// For all keys, or none. A flood at one name waits here and not for the rows, where it would hold every connection; and one
/// look suffices to refuse it.
async fn enter(state: &AppState, keys: &[(Key, Rule)]) -> Result<Entered, sqlx::Error> {
    if keys.is_empty() {
        return Ok(Entered::Counted(Vec::new()));
    }
    let rows: Vec<&Key> = keys.iter().map(|(key, _)| key).collect();
    let turn = tokio::time::timeout(TURN_WAIT_MAX, state.limits.entering.acquire()).await;
    let _turn = turn.map_err(|_| sqlx::Error::PoolTimedOut)?;
    let seen = {
        let mut connection = state.database.acquire().await?;
        store::read(&mut connection, &rows).await?
    };
    match judge(keys, &seen, state.clock.now()) {
        Judged::Refused(entered) => Ok(entered),
        Judged::Counted(_) => count(state, keys, &rows).await,
    }
}

/// Counts it in one short transaction, if what was seen is so still.
async fn count(state: &AppState, keys: &[(Key, Rule)], rows: &[&Key]) -> Result<Entered, sqlx::Error> {
    let mut transaction = state.database.begin().await?;
    store::insert_missing(&mut transaction, rows, state.clock.now()).await?;
    let counts = store::lock(&mut transaction, rows).await?;
    if counts.iter().any(Option::is_none) {
        // The purge took an old one in between.
        transaction.rollback().await?;
        return Ok(Entered::Busy);
    }
    // After the locks: what others did before is before.
    let now = state.clock.now();
    match judge(keys, &counts, now) {
        Judged::Counted(counted) => {
            let written: Vec<(&Key, Count)> = rows.iter().copied().zip(counted.iter().copied()).collect();
            store::write(&mut transaction, &written).await?;
            transaction.commit().await?;
            let counted = keys.iter().cloned().zip(counted);
            Ok(Entered::Counted(
                counted
                    .map(|((key, rule), count)| Counted { key, rule, since: count.counted_from })
                    .collect(),
            ))
        }
        Judged::Refused(entered) => {
            // At once, because others wait for these rows.
            transaction.rollback().await?;
            Ok(entered)
        }
    }
}

enum Judged {
    Counted(Vec<Count>),
    Refused(Entered),
}

/// What all keys say together: the longest wait, else whether one is busy.
fn judge(keys: &[(Key, Rule)], counts: &[Option<Count>], now: DateTime<Utc>) -> Judged {
    let entries: Vec<Entry> =
        keys.iter().zip(counts).map(|((_, rule), count)| rule.enter(*count, now)).collect();
    let locked = |entry: &Entry| if let Entry::Locked(until) = entry { Some(*until) } else { None };
    if let Some(until) = entries.iter().filter_map(locked).max() {
        return Judged::Refused(Entered::Locked(until - now));
    }
    let counted = |entry: &Entry| if let Entry::Counted(count) = entry { Some(*count) } else { None };
    match entries.iter().map(counted).collect() {
        Some(counts) => Judged::Counted(counts),
        None => Judged::Refused(Entered::Busy),
    }
}

/// Rounded up: who comes back after so many is let in.
pub(super) fn whole_seconds(wait: TimeDelta) -> u64 {
    let millis = u64::try_from((wait + TimeDelta::microseconds(999)).num_milliseconds()).unwrap_or(0);
    millis.div_ceil(1_000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_keys_the_longer_wait_counts_and_a_busy_one_stops_the_other() {
        let now = DateTime::UNIX_EPOCH;
        let rule = Rule {
            failures_max: 1,
            window: TimeDelta::minutes(15),
            delay_first: Duration::from_secs(1),
            delay_max: Duration::from_mins(15),
        };
        let keys = [Key::of_name("froggly", true), Key::of_address(std::net::Ipv4Addr::LOCALHOST.into())];
        let keys = keys.map(|key| (key, rule));
        let waits = |seconds| {
            let until = Some(now + TimeDelta::seconds(seconds));
            Some(Count { failures: 1, counted_from: now, tried_at: now, locked_until: until })
        };
        let busy = Some(Count { failures: 1, counted_from: now, tried_at: now, locked_until: None });
        let judged = |counts: [Option<Count>; 2]| match judge(&keys, &counts, now) {
            Judged::Counted(counts) => format!("counted {}", counts.len()),
            Judged::Refused(Entered::Locked(wait)) => format!("{} s", wait.num_seconds()),
            Judged::Refused(_) => "busy".to_owned(),
        };
        for (counts, expected) in [
            ([waits(5), waits(60)], "60 s"),
            ([waits(60), waits(5)], "60 s"),
            ([busy, waits(5)], "5 s"),
            ([None, waits(5)], "5 s"),
            ([busy, None], "busy"),
            ([None, busy], "busy"),
            ([None, None], "counted 2"),
        ] {
            assert_eq!(judged(counts), expected);
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_too_short() {
        for (micros, seconds) in
            [(1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2), (900_000_000, 900), (-5, 1)]
        {
            assert_eq!(whole_seconds(TimeDelta::microseconds(micros)), seconds, "{micros}");
        }
    }
}
