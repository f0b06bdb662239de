//! A trail with events of the test's own, judged and recorded as the consumer does it.

use std::sync::atomic::{AtomicI64, Ordering};

use audit_consumer::audit::{Batch, Candidate, Message, record};
use audit_consumer::deliveries::classify;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::entropy::Entropy;
use sqlx::AssertSqlSafe;
use test_support::TestDatabase;
use uuid::Uuid;

/// A database and what was told so far.
pub(crate) struct Trail {
    pub(crate) database: TestDatabase,
    /// A full hour a few days ago, from which tests count.
    pub(crate) hour: DateTime<Utc>,
    told: AtomicI64,
}

impl Trail {
    pub(crate) async fn new() -> Self {
        let hour = Clock::system().now().duration_trunc(TimeDelta::hours(1)).unwrap() - TimeDelta::days(3);
        Self { database: TestDatabase::create().await, hour, told: AtomicI64::new(0) }
    }

    /// So many seconds after the full hour.
    pub(crate) fn at(&self, seconds: i64) -> DateTime<Utc> {
        self.hour + TimeDelta::seconds(seconds)
    }

    /// Records an event that arose `seconds` after the hour; gives its id.
    pub(crate) async fn tell(&self, seconds: i64, event_type: &str, data: Value) -> Uuid {
        self.tell_at(self.at(seconds), event_type, data).await
    }

    /// Records an event of an instant; gives its id.
    pub(crate) async fn tell_at(&self, at: DateTime<Utc>, event_type: &str, data: Value) -> Uuid {
        let sequence = self.told.fetch_add(1, Ordering::Relaxed) + 1;
        let id = Entropy::system().uuid_v7(at);
        let body = envelope(id, at, sequence, event_type, &data).to_string();
        self.record(&body, at).await;
        id
    }

    /// Takes numbers of the outbox that no event will have.
    pub(crate) fn skip(&self, numbers: i64) {
        self.told.fetch_add(numbers, Ordering::Relaxed);
    }

    /// Records a body as it is, judged at `now`.
    pub(crate) async fn record(&self, body: &str, now: DateTime<Utc>) {
        let message = Message { message_id: None, body: body.as_bytes(), delivery: None };
        let entry = classify(&message, now).unwrap();
        let batch = Batch { candidates: vec![Candidate { entry, message }], set_aside: Vec::new() };
        assert_eq!(record(self.database.pool(), batch).await.unwrap().entries, 1);
    }

    /// The rows of a query, each as JSON.
    pub(crate) async fn rows(&self, query: &str) -> Vec<Value> {
        let query = format!("SELECT row_to_json(answer) FROM ({query}) AS answer");
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(self.database.pool()).await.unwrap()
    }

    /// The one row of a query.
    pub(crate) async fn row(&self, query: &str) -> Value {
        let mut rows = self.rows(query).await;
        assert_eq!(rows.len(), 1, "{query}: {rows:?}");
        rows.remove(0)
    }

    pub(crate) async fn run(&self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(self.database.pool()).await.unwrap();
    }

    /// `audit.<name>(…)` from `seconds` after the hour on, to a day later.
    pub(crate) fn summed(&self, name: &str, seconds: i64) -> String {
        format!("SELECT * FROM audit.{name}('{}', '{}')", self.at(seconds), self.at(seconds + 86_400))
    }
}

/// An event as it is published.
pub(crate) fn envelope(id: Uuid, at: DateTime<Utc>, sequence: i64, event_type: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": "/warren/test",
        "type": event_type,
        "subject": "tests/1",
        "time": at,
        "dataschema": format!("/schemas/{event_type}/v1"),
        "sequence": format!("{sequence:020}"),
        "data": data,
    })
}

/// A session's id.
pub(crate) fn session(number: u128) -> Uuid {
    Uuid::from_u128(0x018f_0000_0000_7000_8000_0000_0000_0000 | number)
}

/// Some members of some rows, to be compared with a table.
pub(crate) fn members(rows: &[Value], names: &[&str]) -> Vec<Value> {
    rows.iter().map(|row| names.iter().map(|name| row[*name].clone()).collect()).collect()
}
