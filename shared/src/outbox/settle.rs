//! Acting on verdicts: what was confirmed leaves the outbox, what can't be routed is parked, the rest waits and is tried
//! again, each row for itself, so that one full queue starves no other. Parked rows are tried again, too, if rarely.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::claim::Claimed;
use super::confirmed;
use super::parked;
use crate::broker::{Verdict, Verdicts};
use crate::contracts::Exchange;
use crate::entropy::Entropy;
use crate::lifecycle::Backoff;

/// How often an unroutable message is tried before it is parked: a binding may be about to be made. Tries that ended
/// otherwise don't count.
pub(super) const ROUTING_TRIES: i32 = 3;

/// What is to be done with claimed rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    delivered: Vec<i64>,
    parked: Vec<i64>,
    parked_reasons: Vec<String>,
    parked_until: Vec<DateTime<Utc>>,
    waiting: Vec<i64>,
    waiting_until: Vec<DateTime<Utc>>,
    waiting_returned: Vec<i32>,
}

/// Counts of what was done, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) delivered: usize,
    pub(super) parked: usize,
    pub(super) waiting: usize,
}

impl Plan {
    /// Decides about each claimed row by the verdict on its message.
    pub(super) fn new(
        claimed: &[Claimed],
        verdicts: &Verdicts,
        now: DateTime<Utc>,
        entropy: &Entropy,
    ) -> Self {
        let mut plan = Self::default();
        for row in claimed {
            match verdicts.get(&row.message.id) {
                Some(Verdict::Acked) => plan.delivered.push(row.seq),
                Some(Verdict::Returned(words)) if row.returns + 1 >= ROUTING_TRIES => {
                    plan.parked.push(row.seq);
                    plan.parked_reasons.push(words.clone());
                    plan.parked_until.push(now + parked::wait(row.parkings, entropy));
                }
                verdict => {
                    let returned = matches!(verdict, Some(Verdict::Returned(_)));
                    plan.waiting_returned.push(i32::from(returned));
                    plan.waiting.push(row.seq);
                    plan.waiting_until.push(now + wait(row.attempts, entropy));
                }
            }
        }
        plan
    }

    /// Carries the plan out in the transaction of the claim, which was of rows of `exchange`.
    pub(super) async fn settle(
        &self,
        connection: &mut PgConnection,
        exchange: Exchange,
    ) -> Result<Settled, sqlx::Error> {
        if !self.delivered.is_empty() {
            if exchange.is_audited() {
                confirmed::keep(connection, &self.delivered).await?;
            } else {
                sqlx::query!("DELETE FROM outbox WHERE seq = ANY($1)", &self.delivered)
                    .execute(&mut *connection)
                    .await?;
            }
        }
        if !self.parked.is_empty() {
            sqlx::query!(
                r#"
                WITH unroutable AS (
                    DELETE FROM outbox
                    USING UNNEST($1::bigint[], $2::text[], $3::timestamptz[]) AS verdict (seq, reason, until)
                    WHERE outbox.seq = verdict.seq
                    RETURNING outbox.*, verdict.reason, verdict.until
                )
                INSERT INTO outbox_parked (
                    seq, event_id, exchange, routing_key, headers, body, created_at, attempts, reason, parkings, retry_at
                )
                SELECT
                    seq, event_id, exchange, routing_key, headers, body, created_at, attempts + 1, reason, parkings + 1,
                    until
                FROM unroutable
                -- Somebody copied it by hand: it is parked once.
                ON CONFLICT DO NOTHING
                "#,
                &self.parked,
                &self.parked_reasons,
                &self.parked_until,
            )
            .execute(&mut *connection)
            .await?;
        }
        if !self.waiting.is_empty() {
            sqlx::query!(
                r#"
                UPDATE outbox
                SET attempts = attempts + 1, returns = returns + verdict.returned, not_before = verdict.until
                FROM UNNEST($1::bigint[], $2::timestamptz[], $3::integer[]) AS verdict (seq, until, returned)
                WHERE outbox.seq = verdict.seq
                "#,
                &self.waiting,
                &self.waiting_until,
                &self.waiting_returned,
            )
            .execute(&mut *connection)
            .await?;
        }
        Ok(Settled {
            delivered: self.delivered.len(),
            parked: self.parked.len(),
            waiting: self.waiting.len(),
        })
    }
}

/// Grows from a fifth of a second to ten seconds with the tries so far, with full jitter: what a full queue refused is on
/// its way soon after there is room.
fn wait(attempts: i32, entropy: &Entropy) -> Duration {
    let tries = u32::try_from(attempts).unwrap_or(0);
    Backoff::new(Duration::from_millis(200), Duration::from_secs(10)).after(tries).next(entropy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Message;
    use crate::ids::EventId;
    use uuid::Uuid;

    fn claimed(seq: i64, attempts: i32, returns: i32) -> Claimed {
        let message = Message {
            id: EventId(Uuid::from_u128(seq.unsigned_abs().into())),
            exchange: "auth.events".to_owned(),
            routing_key: "auth.login.succeeded".to_owned(),
            headers: vec![],
            event_type: "auth.login.succeeded".to_owned(),
            body: String::new(),
        };
        Claimed { seq, attempts, returns, parkings: 0, message }
    }

    #[test]
    fn only_an_acked_row_leaves_and_only_an_often_returned_one_is_parked() {
        // The second had many tries, but none that was returned.
        let rows = [
            claimed(1, 0, 0),
            claimed(2, 9, 0),
            claimed(3, 2, 2),
            claimed(4, 9, 2),
            claimed(5, 0, 0),
            claimed(6, 0, 0),
        ];
        let returned = || Verdict::Returned("312 NO_ROUTE".to_owned());
        let verdicts = [Verdict::Acked, returned(), returned(), Verdict::Nacked, Verdict::Unknown];
        let verdicts = rows.iter().map(|row| row.message.id).zip(verdicts).collect();
        let now = DateTime::from_timestamp(1_763_700_000, 0).unwrap();
        let plan = Plan::new(&rows, &verdicts, now, &Entropy::seeded(1));
        assert_eq!(plan.delivered, [1]);
        assert_eq!(plan.parked, [3]);
        assert_eq!(plan.parked_reasons, ["312 NO_ROUTE"]);
        assert!(plan.parked_until[0] > now);
        assert_eq!(plan.waiting, [2, 4, 5, 6], "no verdict at all is unknown, too");
        assert_eq!(plan.waiting_returned, [1, 0, 0, 0]);
        assert!(
            plan.waiting_until.iter().all(|until| *until > now && *until <= now + Duration::from_secs(10))
        );
    }
}
