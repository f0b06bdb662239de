//! How much waits in the outbox, and for how long: read when somebody asks, by every program that has a relay.

use sqlx::PgConnection;

use crate::contracts::Exchange;
use crate::lifecycle::Component;
use crate::metrics::{BoxFuture, Figures, Gauges, Metrics};

/// Rows are counted up to so many, those of an exchange that wait for another try apart: looking at a million would hurt
/// when it hurts most. The age of the oldest tells the rest.
const COUNTED_MAX: i64 = 10_000;
/// An event that has waited for longer, in seconds, is late: a relay needs milliseconds, and a try that failed waits half
/// a minute at most.
const LATE_AFTER_SECONDS: f64 = 60.0;

/// The outbox's figures.
#[derive(Debug)]
pub struct OutboxFigures {
    rows: Gauges<1>,
    due: Gauges<1>,
    oldest_age: Gauges<1>,
    parked: Gauges<1>,
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
        let all =
            [&self.rows, &self.due, &self.oldest_age, &self.parked, &self.confirmed, &self.confirmed_age];
        for gauges in all {
            gauges.clear();
        }
        self.component.down("the database can't be asked");
    }
}

/// What is late, in words.
fn lateness(all: &[Waiting]) -> Option<String> {
    let latest =
        all.iter().max_by(|one, other| one.oldest_age_seconds.total_cmp(&other.oldest_age_seconds))?;
    let Waiting { exchange, rows, oldest_age_seconds, .. } = latest;
    (*oldest_age_seconds > LATE_AFTER_SECONDS).then(|| {
        let exchange = exchange.name();
        format!("{rows} event(s) for {exchange} are in the outbox, the oldest for {oldest_age_seconds:.0} s")
    })
}

#[expect(clippy::cast_precision_loss, reason = "no count comes near 2^52")]
async fn read(connection: &mut PgConnection) -> Result<Vec<Waiting>, sqlx::Error> {
    let names = Exchange::ALL.map(|exchange| exchange.name().to_owned());
    let found = sqlx::query!(
        r#"
        SELECT named.exchange AS "exchange!", fresh.rows + tried.rows AS "rows!", fresh.rows + tried.due AS "due!",
            COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - LEAST(fresh.oldest, tried.oldest))::float8, 0)
                AS "oldest_age_seconds!",
            parked.rows AS "parked!", COALESCE(confirmed.rows, 0) AS "confirmed!",
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
                min(created_at) FILTER (WHERE parkings = 0) AS oldest
            FROM (
                SELECT not_before, created_at, parkings FROM outbox
                WHERE outbox.exchange = named.exchange AND not_before > '-infinity'
                ORDER BY not_before, seq
                LIMIT $2
            ) AS head
        ) AS tried
        CROSS JOIN LATERAL (
            SELECT count(*) AS rows FROM (SELECT exchange FROM outbox_parked LIMIT $2) AS head
            WHERE head.exchange = named.exchange
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
            confirmed: row.confirmed as f64,
            confirmed_age_seconds: row.confirmed_age_seconds.max(0.0),
        })
    };
    Ok(Exchange::ALL.into_iter().filter_map(waiting).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_waited_for_long_is_late() {
        let waiting = |exchange, oldest_age_seconds| Waiting {
            exchange,
            rows: 7.0,
            due: 7.0,
            oldest_age_seconds,
            parked: 1.0,
            confirmed: 0.0,
            confirmed_age_seconds: 0.0,
        };
        let quiet = [waiting(Exchange::AuthEvents, 0.0), waiting(Exchange::JobTicks, 59.0)];
        assert_eq!(lateness(&quiet), None);
        let late = [waiting(Exchange::AuthEvents, 1.0), waiting(Exchange::JobTicks, 90.4)];
        let words = lateness(&late).unwrap();
        assert_eq!(words, "7 event(s) for job.ticks are in the outbox, the oldest for 90 s");
    }
}
