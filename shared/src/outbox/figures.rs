//! How much waits in the outbox, and for how long: read when somebody asks, by every program that has a relay.

use sqlx::PgConnection;

use crate::contracts::Exchange;
use crate::lifecycle::Component;
use crate::metrics::{BoxFuture, Figures, Gauges, Metrics};

/// Rows are counted up to so many, those of an exchange that wait for another try apart: looking at a million would hurt
/// when it hurts most. The age of the oldest tells the rest.
const COUNTED_MAX: i64 = 10_000;
/// An event that has waited for longer, in seconds, is late: a relay needs milliseconds, and a try that failed waits half
/// a minute at most. One that was parked has nobody else who would say so.
const LATE_AFTER_SECONDS: f64 = 60.0;
/// One that was confirmed longer ago, in seconds, and is not in the trail, is late: what was lost is sent again before.
const UNRECORDED_AFTER_SECONDS: f64 = 240.0;

/// The outbox's figures.
#[derive(Debug)]
pub struct OutboxFigures {
    rows: Gauges<1>,
    due: Gauges<1>,
    oldest_age: Gauges<1>,
    parked: Gauges<1>,
    parked_age: Gauges<1>,
    confirmed: Gauges<1>,
    confirmed_age: Gauges<1>,
    component: Component,
}

/// One exchange's.
#[derive(Debug)]
struct Waiting {
    exchange: Exchange,
    rows: f64,
    due: f64,
    oldest_age_seconds: f64,
    parked: f64,
    parked_age_seconds: f64,
    confirmed: f64,
    confirmed_age_seconds: f64,
}

impl OutboxFigures {
    /// Registers them. `component` is told when events are late, whichever program's relay should have sent them.
    pub fn new(metrics: &Metrics, component: Component) -> Self {
        let gauges = |name, help| metrics.gauges(name, help, ["exchange"]);
        Self {
            rows: gauges(
                "outbox_rows",
                "Events that are committed and not yet confirmed by RabbitMQ, not all counted beyond 10000",
            ),
            due: gauges("outbox_due_rows", "Those of them that wait for no further try but for the relay"),
            oldest_age: gauges(
                "outbox_oldest_age_seconds",
                "For how long the oldest of them has waited, 0 if none does",
            ),
            parked: gauges(
                "outbox_parked_rows",
                "Events that no queue was bound for, or that the trail did not get, and that are set apart, not all counted \
                 beyond 10000",
            ),
            parked_age: gauges(
                "outbox_parked_oldest_age_seconds",
                "How long ago the oldest event was committed that was parked and has not left since, also while it is tried once \
                 more; 0 if there is none",
            ),
            confirmed: gauges(
                "outbox_confirmed_rows",
                "Events that RabbitMQ has confirmed and that no relay has seen in the trail yet, not all counted beyond 10000",
            ),
            confirmed_age: gauges(
                "outbox_confirmed_oldest_age_seconds",
                "How long ago the oldest of them was confirmed, 0 if there is none",
            ),
            component,
        }
    }

    fn tell(&self, all: &[Waiting]) {
        for one in all {
            let exchange = [one.exchange.name()];
            self.rows.of(exchange).set(one.rows);
            self.due.of(exchange).set(one.due);
            self.oldest_age.of(exchange).set(one.oldest_age_seconds);
            self.parked.of(exchange).set(one.parked);
            self.parked_age.of(exchange).set(one.parked_age_seconds);
            self.confirmed.of(exchange).set(one.confirmed);
            self.confirmed_age.of(exchange).set(one.confirmed_age_seconds);
        }
        match lateness(all) {
            Some(late) => self.component.down(late),
            None => self.component.up(),
        }
    }
}

impl Figures for OutboxFigures {
    fn read<'a>(&'a self, connection: &'a mut PgConnection) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        Box::pin(async move {
            self.tell(&read(connection).await?);
            Ok(())
        })
    }

    fn forget(&self) {
        let Self { rows, due, oldest_age, parked, parked_age, confirmed, confirmed_age, .. } = self;
        for gauges in [rows, due, oldest_age, parked, parked_age, confirmed, confirmed_age] {
            gauges.clear();
        }
        self.component.down("the database can't be asked");
    }
}

/// What is late, in words.
fn lateness(all: &[Waiting]) -> Option<String> {
    let latest = |age: fn(&Waiting) -> f64, after_seconds| {
        let latest = all.iter().max_by(|one, other| age(one).total_cmp(&age(other)))?;
        (age(latest) > after_seconds).then(|| (latest, latest.exchange.name(), age(latest)))
    };
    let waiting = latest(|one| one.oldest_age_seconds, LATE_AFTER_SECONDS).map(|(one, exchange, age)| {
        format!("{} event(s) for {exchange} are in the outbox, the oldest for {age:.0} s", one.rows)
    });
    let parked = latest(|one| one.parked_age_seconds, LATE_AFTER_SECONDS).map(|(_, exchange, age)| {
        format!("events for {exchange} are parked, or tried once more, the oldest for {age:.0} s")
    });
    let confirmed = latest(|one| one.confirmed_age_seconds, UNRECORDED_AFTER_SECONDS);
    let confirmed = confirmed.map(|(one, exchange, age)| {
        let rows = one.confirmed;
        format!("{rows} event(s) of {exchange} are confirmed and not in the trail, the oldest for {age:.0} s")
    });
    let all: Vec<_> = [waiting, parked, confirmed].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("; "))
}

#[expect(clippy::cast_precision_loss, reason = "no count comes near 2^52")]
async fn read(connection: &mut PgConnection) -> Result<Vec<Waiting>, sqlx::Error> {
    let names = Exchange::ALL.map(|exchange| exchange.name().to_owned());
    let found = sqlx::query!(
        r#"
        SELECT named.exchange AS "exchange!", fresh.rows + tried.rows AS "rows!", fresh.rows + tried.due AS "due!",
            COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - LEAST(fresh.oldest, tried.oldest))::float8, 0)
                AS "oldest_age_seconds!",
            parked.rows AS "parked!",
            COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - LEAST(parked.oldest, tried.oldest_parked))::float8, 0)
                AS "parked_age_seconds!",
            COALESCE(confirmed.rows, 0) AS "confirmed!",
            COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - confirmed.oldest)::float8, 0) AS "confirmed_age_seconds!"
        FROM UNNEST($1::text[]) AS named (exchange)
        -- In two parts, each in the order of an index, so that no more rows are read than are counted.
        CROSS JOIN LATERAL (
            SELECT count(*) AS rows, min(created_at) AS oldest
            FROM (
                SELECT created_at FROM outbox
                WHERE outbox.exchange = named.exchange AND not_before <= '-infinity'
                ORDER BY not_before, seq
                LIMIT $2
            ) AS head
        ) AS fresh
        CROSS JOIN LATERAL (
            SELECT count(*) AS rows, count(*) FILTER (WHERE not_before <= clock_timestamp()) AS due,
                -- What was parked is here for one more try: its age is that of a binding, not of the relay.
                min(created_at) FILTER (WHERE parkings = 0) AS oldest,
                min(created_at) FILTER (WHERE parkings > 0) AS oldest_parked
            FROM (
                SELECT not_before, created_at, parkings FROM outbox
                WHERE outbox.exchange = named.exchange AND not_before > '-infinity'
                ORDER BY not_before, seq
                LIMIT $2
            ) AS head
        ) AS tried
        CROSS JOIN LATERAL (
            SELECT count(*) AS rows, min(created_at) AS oldest
            FROM (
                SELECT created_at FROM outbox_parked
                WHERE outbox_parked.exchange = named.exchange
                ORDER BY created_at
                LIMIT $2
            ) AS head
        ) AS parked
        LEFT JOIN (
            SELECT exchange, count(*) AS rows, min(confirmed_at) AS oldest
            FROM (SELECT exchange, confirmed_at FROM outbox_confirmed ORDER BY confirmed_at, seq LIMIT $2) AS head
            GROUP BY exchange
        ) AS confirmed ON confirmed.exchange = named.exchange
        "#,
        &names,
        COUNTED_MAX,
    )
    .fetch_all(connection)
    .await?;
    let waiting = |exchange: Exchange| {
        let row = found.iter().find(|row| row.exchange == exchange.name());
        row.map(|row| Waiting {
            exchange,
            rows: row.rows as f64,
            due: row.due as f64,
            oldest_age_seconds: row.oldest_age_seconds.max(0.0),
            parked: row.parked as f64,
            parked_age_seconds: row.parked_age_seconds.max(0.0),
            confirmed: row.confirmed as f64,
            confirmed_age_seconds: row.confirmed_age_seconds.max(0.0),
        })
    };
    Ok(Exchange::ALL.into_iter().filter_map(waiting).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds: in the outbox, parked, confirmed.
    fn waiting(exchange: Exchange, [oldest_age, parked_age, confirmed_age]: [f64; 3]) -> Waiting {
        Waiting {
            exchange,
            rows: 7.0,
            due: 7.0,
            oldest_age_seconds: oldest_age,
            parked: 8.0,
            parked_age_seconds: parked_age,
            confirmed: 9.0,
            confirmed_age_seconds: confirmed_age,
        }
    }

    #[test]
    fn only_what_has_waited_for_long_is_late() {
        let (auth, ticks) = (Exchange::AuthEvents, Exchange::JobTicks);
        let in_the_outbox = "7 event(s) for job.ticks are in the outbox, the oldest for 90 s";
        let parked = "events for auth.events are parked, or tried once more, the oldest for 61 s";
        let confirmed = "9 event(s) of auth.events are confirmed and not in the trail, the oldest for 241 s";
        for (of_auth, of_ticks, words) in [
            ([0.0; 3], [59.0, 60.0, 0.0], vec![]),
            ([1.0, 0.0, 240.0], [0.0; 3], vec![]),
            ([1.0, 0.0, 0.0], [90.4, 0.0, 0.0], vec![in_the_outbox]),
            ([1.0, 60.9, 0.0], [0.0, 59.0, 0.0], vec![parked]),
            ([0.0, 0.0, 240.6], [0.0; 3], vec![confirmed]),
            ([80.0, 61.0, 241.0], [90.0, 0.0, 0.0], vec![in_the_outbox, parked, confirmed]),
        ] {
            let said = lateness(&[waiting(auth, of_auth), waiting(ticks, of_ticks)]);
            assert_eq!(said.unwrap_or_default(), words.join("; "));
        }
    }
}
