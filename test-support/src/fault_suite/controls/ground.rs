//! What every control stands on: facts to commit, a relay without a fault, the witness, the verdict.

use std::time::Duration;

use shared::broker::{ConfirmedChannel, Message, Verdict};
use shared::clock::Clock;
use shared::contracts::tasks::{TaskCreated, TaskFact, TaskState};
use shared::contracts::{Event, Origin};
use shared::entropy::Entropy;
use shared::ids::{EventId, TaskId, UserId};
use shared::outbox::Outbox;
use shared::telemetry::TraceContext;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::super::committed;
use super::super::evidence::Evidence;
use super::super::invariants::{Observed, Violation, judge};
use super::super::load::Ledger;
use super::super::witness::Witness;
use crate::{TestBroker, TestDatabase, eventually};

const DEADLINE: Duration = Duration::from_mins(1);
const WINDOW: i64 = 200;

/// The ground.
pub(super) struct Ground {
    pub(super) database: TestDatabase,
    pub(super) broker: TestBroker,
    outbox: Outbox,
    witness: Witness,
}

/// A row of the outbox, as a relay needs it.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) event_id: Uuid,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) body: String,
}

impl Row {
    fn message(&self) -> Message {
        Message {
            id: EventId(self.event_id),
            exchange: self.exchange.clone(),
            routing_key: self.routing_key.clone(),
            headers: Vec::new(),
            event_type: self.routing_key.clone(),
            body: self.body.clone(),
        }
    }
}

impl Ground {
    pub(super) async fn prepare(database: TestDatabase, broker: TestBroker) -> Self {
        committed::note_in(database.pool()).await.expect("the database can take notes");
        broker.declare_topology().await;
        let witness = Witness::start(vec![broker.amqp_url().to_owned()]).await;
        let outbox = Outbox::new("fault-suite", Clock::system(), Entropy::system());
        Self { database, broker, outbox, witness }
    }

    pub(super) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// Writes a fact in the caller's transaction; each number is a task of its own.
    pub(super) async fn append(&self, connection: &mut PgConnection, number: i64) -> Uuid {
        let trace = TraceContext::new(&Entropy::system());
        self.outbox.append(connection, &trace, fact(number)).await.expect("the fact can be written").0
    }

    /// Commits facts, one a number.
    pub(super) async fn commit(&self, numbers: std::ops::Range<i64>) {
        let mut transaction = self.pool().begin().await.expect("a transaction");
        for number in numbers {
            self.append(&mut transaction, number).await;
        }
        transaction.commit().await.expect("the facts can be committed");
    }

    /// Locks the oldest rows of the outbox, as a relay does.
    pub(super) async fn claim(&self, connection: &mut PgConnection) -> Vec<Row> {
        let oldest = "SELECT seq, event_id, exchange, routing_key, body FROM outbox ORDER BY seq LIMIT $1 \
                      FOR UPDATE SKIP LOCKED";
        sqlx::query_as(oldest).bind(WINDOW).fetch_all(connection).await.expect("rows can be claimed")
    }

    /// Sends rows, accounted by message id; gives those that were delivered, and those that were returned.
    pub(super) async fn send(&self, rows: &[Row]) -> (Vec<i64>, Vec<i64>) {
        let connection = self.broker.connect().await;
        let channel = ConfirmedChannel::open(&connection, "fault-suite").await.expect("a channel");
        let messages: Vec<Message> = rows.iter().map(Row::message).collect();
        let (verdicts, result) = channel.publish_window(&messages, DEADLINE).await;
        result.expect("the broker confirms");
        let of = |is: fn(&Verdict) -> bool| {
            let rows = rows.iter().filter(|row| is(&verdicts[&EventId(row.event_id)]));
            rows.map(|row| row.seq).collect()
        };
        // A connection that is closing by itself is as good.
        let _ = connection.close(200, "done".into()).await;
        (of(|verdict| *verdict == Verdict::Acked), of(|verdict| matches!(verdict, Verdict::Returned(_))))
    }

    /// Sends all that is in the outbox, without a fault.
    pub(super) async fn send_all(&self) {
        loop {
            let mut transaction = self.pool().begin().await.expect("a transaction");
            let rows = self.claim(&mut transaction).await;
            if rows.is_empty() {
                return;
            }
            let (delivered, returned) = self.send(&rows).await;
            self.settle(&mut transaction, &delivered, &returned).await;
            transaction.commit().await.expect("what became of the rows can be committed");
        }
    }

    /// Deletes what was delivered, parks what was returned.
    pub(super) async fn settle(&self, connection: &mut PgConnection, delivered: &[i64], returned: &[i64]) {
        let delete = sqlx::query("DELETE FROM outbox WHERE seq = ANY($1)").bind(delivered);
        delete.execute(&mut *connection).await.expect("rows can be deleted");
        let park = "WITH returned AS (DELETE FROM outbox WHERE seq = ANY($1) RETURNING *) INSERT INTO outbox_parked \
                    (seq, event_id, exchange, routing_key, headers, body, created_at, attempts, reason) \
                    SELECT seq, event_id, exchange, routing_key, headers, body, created_at, 1, 'returned' FROM returned";
        sqlx::query(park).bind(returned).execute(connection).await.expect("rows can be parked");
    }

    /// Waits until everything that was sent has been handled: the queues keep their order, so a last message tells.
    pub(super) async fn wait_until_all_is_handled(&self) {
        let mut transaction = self.pool().begin().await.expect("a transaction");
        let last = self.append(&mut transaction, 1_000_000).await;
        transaction.commit().await.expect("a last fact can be committed");
        let row = "SELECT seq, event_id, exchange, routing_key, body FROM outbox WHERE event_id = $1";
        let row: Row = sqlx::query_as(row).bind(last).fetch_one(self.pool()).await.expect("the last row");
        let mut connection = self.pool().acquire().await.expect("a connection");
        let (delivered, _) = self.send(&[row]).await;
        self.settle(&mut connection, &delivered, &[]).await;
        eventually(DEADLINE, "the last fact in the trail and before the witness", async || {
            let recorded =
                sqlx::query_scalar("SELECT count(*) FROM audit.events WHERE event_id = $1").bind(last);
            let recorded: i64 = recorded.fetch_one(self.pool()).await.expect("the trail can be read");
            (recorded > 0 && self.witness.has_seen(&last)).then_some(())
        })
        .await;
    }

    pub(super) async fn verdict(&self) -> Vec<Violation> {
        let evidence = Evidence::gather(self.pool(), &self.witness, &Ledger::default()).await;
        judge(&evidence.expect("the database answers"), &Observed::default())
    }
}

fn fact(number: i64) -> impl Event {
    let at = Clock::system().now();
    let task = TaskState {
        id: TaskId(number),
        title: format!("task {number}"),
        duration_microseconds: 1,
        version: 1,
        created_at: at,
        updated_at: at,
    };
    let (username, origin) = ("fault-suite".to_owned(), Origin::default());
    // Of nobody: there is no such task in the tables.
    TaskCreated(TaskFact { user_id: UserId(0), username, session_id: None, task, origin })
}
