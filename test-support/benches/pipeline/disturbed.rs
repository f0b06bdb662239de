//! What good events lose while others come that can't be routed, read or recorded (`messaging.md` D.2, I8): relay and audit consumer
//! with and without them, in turns.

use std::time::Duration;

use lapin::options::QueueBindOptions;
use lapin::types::FieldTable;
use serde_json::Value;
use shared::broker::Message;
use shared::broker::topology::AUDIT_QUEUE;
use shared::clock::Clock;
use shared::contracts::Event;
use shared::contracts::auth::LoginFailed;
use shared::entropy::Entropy;
use shared::ids::EventId;
use sqlx::PgPool;
use test_support::{TestBroker, TestDatabase};

use crate::backlog::fill_outbox;
use crate::consumer::{consume, prepared, recorded_within};
use crate::events::messages;
use crate::relay::relay_over;
use crate::report::{Report, Rounds};
use crate::size::Size;

/// One in so many is no good.
const ONE_IN: usize = 100;
/// What good events must keep of their rate, in percent.
const PERCENT_MIN: u32 = 90;
/// One in so many is read, and its row refused by the database: its batch is halved until it is alone.
const REFUSED_ONE_IN: usize = 10_000;
/// How much longer all others may take for one of these.
const REFUSED_MAX: Duration = Duration::from_millis(100);

pub(crate) async fn measure(database: &TestDatabase, size: &Size, report: &mut Report) {
    relay(database, size, report).await;
    consumer(database, size, report).await;
}

async fn relay(database: &TestDatabase, size: &Size, report: &mut Report) {
    let (pool, good) = (database.pool(), size.round_events);
    let (mut alone, mut beside) = (Rounds::new(), Rounds::new());
    for _ in 0..size.rounds {
        alone.push(relay_over(database, &bound_by_type().await, good, fill_outbox(pool, good)).await);
        beside.push(relay_over(database, &bound_by_type().await, good, fill_disturbed(pool, good)).await);
    }
    let what = format!("relay, one event in {ONE_IN} unroutable");
    report.compare(&what, good, ("without them", &alone), ("good ones", &beside), PERCENT_MIN);
    sqlx::query("TRUNCATE outbox, outbox_parked").execute(pool).await.unwrap();
}

async fn consumer(database: &TestDatabase, size: &Size, report: &mut Report) {
    let good = size.round_events;
    let [mut alone, mut unreadable, mut refused] = [const { Rounds::new() }; 3];
    for _ in 0..size.rounds {
        for (rounds, every, bad) in [
            (&mut alone, usize::MAX, Bad::Unreadable),
            (&mut unreadable, ONE_IN, Bad::Unreadable),
            (&mut refused, REFUSED_ONE_IN, Bad::Refused),
        ] {
            let messages = with_bad(good, every, bad);
            let broker = prepared(database, &messages).await;
            consume(database, &broker, good).await;
            let set_aside = messages.len() - good;
            assert_eq!(quarantined(database.pool()).await, set_aside, "what is no good is set aside");
            rounds.push(recorded_within(database.pool(), good).await);
        }
    }
    let what = format!("consumer, one message in {ONE_IN} unreadable");
    report.compare(&what, good, ("without them", &alone), ("good ones", &unreadable), PERCENT_MIN);
    println!("consumer, one message in {REFUSED_ONE_IN} refused, by round: {}", refused.rates(good));
    let each =
        refused.median().saturating_sub(alone.median()) / u32::try_from(good / REFUSED_ONE_IN).unwrap();
    report.below(
        "consumer, how much longer a row that the database refuses makes it take",
        each,
        REFUSED_MAX,
    );
}

/// A broker whose audit queue gets the events of [`messages`] alone, so that others of their exchange are unroutable.
async fn bound_by_type() -> TestBroker {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let (queue, exchange, key) = (AUDIT_QUEUE, LoginFailed::TYPE.exchange.name(), LoginFailed::TYPE.name);
    let bound = channel.queue_bind(
        queue.into(),
        exchange.into(),
        key.into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.unwrap();
    channel.queue_unbind(queue.into(), exchange.into(), "#".into(), FieldTable::default()).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
    broker
}

/// As many good rows, and others between them that no queue wants; gives the greatest sequence of a good one.
async fn fill_disturbed(database: &PgPool, good: usize) -> i64 {
    fill_outbox(database, good + good / (ONE_IN - 1)).await;
    let bad = "UPDATE outbox SET routing_key = 'nobody.wants' WHERE seq IN \
               (SELECT seq FROM (SELECT seq, row_number() OVER (ORDER BY seq) AS place FROM outbox) AS row WHERE place % $1 = $1 / 2)";
    sqlx::query(bad).bind(i64::try_from(ONE_IN).unwrap()).execute(database).await.unwrap();
    let last = "SELECT max(seq) FROM outbox WHERE routing_key <> 'nobody.wants'";
    sqlx::query_scalar(last).fetch_one(database).await.unwrap()
}

/// What is wrong with a message.
#[derive(Clone, Copy)]
enum Bad {
    /// It is no JSON.
    Unreadable,
    /// It can be read, and its row has an entry too long for an index.
    Refused,
}

impl Bad {
    fn message(self, good: &Message, entropy: &Entropy) -> Message {
        let id = EventId(entropy.uuid_v7(Clock::system().now()));
        let body = match self {
            Self::Unreadable => "{".to_owned(),
            Self::Refused => {
                let mut body: Value = serde_json::from_str(&good.body).unwrap();
                body["id"] = id.to_string().into();
                // Not to be compressed.
                let chance: String = (0..128).map(|_| entropy.uuid_v4().simple().to_string()).collect();
                body["type"] = chance.into();
                body.to_string()
            }
        };
        Message { id, body, ..good.clone() }
    }
}

/// As many good messages, and a bad one before one in `every` of them.
fn with_bad(good: usize, every: usize, bad: Bad) -> Vec<Message> {
    let entropy = Entropy::system();
    let mut all = Vec::new();
    for (number, message) in messages(good).into_iter().enumerate() {
        if number % every == every / 2 {
            all.push(bad.message(&message, &entropy));
        }
        all.push(message);
    }
    all
}

async fn quarantined(database: &PgPool) -> usize {
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit.quarantine").fetch_one(database).await.unwrap();
    usize::try_from(rows).unwrap()
}
