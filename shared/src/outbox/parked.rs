//! Parked rows: what the broker could not route, several times. Each is tried again after a wait that grows, so that a
//! binding which comes back needs nobody who remembers; what stays parked is an operator's business.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::settle::ROUTING_TRIES;
use crate::entropy::Entropy;

/// The wait of a row that is parked for the first time.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// How long a row stays parked that was parked `parkings` times before. It doubles; half of it is jitter, so that a
/// million rows do not come back at once.
pub(super) fn wait(parkings: i32, entropy: &Entropy) -> Duration {
    let doublings = u32::try_from(parkings).unwrap_or(0);
    let whole = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_WAIT);
    whole / 2 + entropy.jitter(whole / 2)
}

/// Puts the rows whose wait is over back into the outbox, at most `limit` or twice that, to be tried once more. Gives how many.
pub(super) async fn put_back(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        r#"
        WITH due AS (
            SELECT seq FROM outbox_parked WHERE retry_at <= $1 ORDER BY retry_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ), put_off AS (
            -- Longer than anything waits, by the database's clock: that of whoever parked it was ahead.
            SELECT seq FROM outbox_parked
            WHERE retry_at > statement_timestamp() + interval '61 minutes' AND retry_at < 'infinity'
            LIMIT $2 FOR UPDATE SKIP LOCKED
        ), taken AS (
            DELETE FROM outbox_parked USING (TABLE due UNION ALL TABLE put_off) AS back
            WHERE outbox_parked.seq = back.seq
            RETURNING outbox_parked.*
        )
        INSERT INTO outbox
            (seq, event_id, exchange, routing_key, headers, body, created_at, not_before, attempts, returns, parkings)
        OVERRIDING SYSTEM VALUE
        SELECT seq, event_id, exchange, routing_key, headers, body, created_at, $1, attempts, $3, parkings
        FROM taken
        -- Somebody put it back by hand: it is sent once.
        ON CONFLICT DO NOTHING
        "#,
        now,
        limit,
        // Returned once more, it is parked again.
        ROUTING_TRIES - 1,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_from_seconds_to_an_hour_and_no_two_are_the_same() {
        let entropy = Entropy::seeded(1);
        let mut shortest = FIRST_WAIT / 2;
        for parkings in 0..40 {
            let waits: Vec<_> = (0..50).map(|_| wait(parkings, &entropy)).collect();
            assert!(
                waits.iter().all(|wait| *wait >= shortest && *wait <= shortest * 2),
                "{parkings}: {waits:?}"
            );
            assert!(waits.iter().any(|wait| *wait != waits[0]));
            shortest = (shortest * 2).min(LONGEST_WAIT / 2);
        }
        assert!(wait(i32::MAX, &entropy) <= LONGEST_WAIT);
    }
}
