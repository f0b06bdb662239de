//! The listener on a real broker: from the message to the answer and the acknowledgement.

use std::time::Duration;

use lapin::BasicProperties;
use scheduler::worker::remote::{Listener, ReportDesk};
use serde_json::{Value, json};
use shared::broker::topology::{DEAD_LETTERS, REPORTS_EXCHANGE, REPORTS_QUEUE};
use shared::lifecycle::{Component, Health, Standing};
use shared::role::Role;
use sqlx::postgres::PgPoolOptions;
use test_support::network::Proxy;
use test_support::{TestBroker, eventually, settled};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::remote::{Office, once};

const DEADLINE: Duration = Duration::from_mins(2);
const ANSWERS: &str = "sales.answers";

/// A listener at work.
struct Works {
    health: Health,
    stop: CancellationToken,
    working: JoinHandle<anyhow::Result<()>>,
}

impl Works {
    fn start(desk: ReportDesk, broker: &TestBroker) -> Self {
        let (health, stop) = (Health::default(), CancellationToken::new());
        let component: Component = health.component("reports", Standing::Supporting);
        let listener = Listener { desk, broker: broker.config(), instance: "test".to_owned(), component };
        let working = tokio::spawn(listener.run(stop.clone()));
        Self { health, stop, working }
    }

    async fn is(&self, what: &str) {
        let said = || self.health.readiness().checks["reports"].clone();
        eventually(DEADLINE, format!("the listener to be {what:?}"), async || {
            said().contains(what).then_some(())
        })
        .await;
    }

    async fn stop(self) {
        self.stop.cancel();
        self.working.await.unwrap().unwrap();
    }
}

async fn broker() -> TestBroker {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    broker.bind_queue(ANSWERS, "amq.fanout", &[]).await;
    broker
}

async fn ask(broker: &TestBroker, key: &str, id: &str, body: &[u8]) {
    let properties = BasicProperties::default().with_reply_to(ANSWERS.into()).with_correlation_id(id.into());
    broker.publish_raw(REPORTS_EXCHANGE, key, properties, body).await;
}

async fn answer(broker: &TestBroker, id: &str) -> Value {
    let taken = eventually(DEADLINE, "an answer", async || broker.take(ANSWERS).await).await;
    assert_eq!(taken.properties.correlation_id().as_ref().map(ToString::to_string).as_deref(), Some(id));
    taken.json()
}

fn claim(run: Uuid) -> Vec<u8> {
    json!({ "run_id": run, "tick_id": Uuid::nil(), "worker": "a" }).to_string().into_bytes()
}

#[tokio::test]
async fn whoever_asks_is_answered_in_his_own_queue_and_nothing_is_left_behind() {
    let (office, broker) = (Office::open().await, broker().await);
    let run = office.run_of(once("nightly")).await;
    let works = [Works::start(office.desk.clone(), &broker), Works::start(office.desk.clone(), &broker)];
    for one in &works {
        one.is("up").await;
    }
    ask(&broker, "sales.claim", "1", &claim(run)).await;
    assert_eq!(answer(&broker, "1").await["granted"], true);
    ask(&broker, "sales.claim", "2", b"\xff nothing").await;
    assert_eq!(answer(&broker, "2").await["granted"], false);
    ask(&broker, "sales.nonsense", "3", b"{}").await;
    assert_eq!(answer(&broker, "3").await["recorded"], false);
    // Nobody hears the first two; the third is an outcome.
    broker.publish_raw(REPORTS_EXCHANGE, "sales.claim", BasicProperties::default(), b"{").await;
    broker.publish_raw(REPORTS_EXCHANGE, "sales.claim", BasicProperties::default(), &claim(run)).await;
    let finish = json!({ "run_id": run, "worker": "a", "attempt": 1, "outcome": "succeeded" }).to_string();
    broker.publish_raw(REPORTS_EXCHANGE, "sales.finish", BasicProperties::default(), finish.as_bytes()).await;
    settled(DEADLINE, "the outcome", 1, async || {
        office.bench.count("SELECT count(*) FROM job_runs WHERE state = 'succeeded'").await
    })
    .await;
    for one in works {
        one.stop().await;
    }
    // What was not acknowledged would be back by now.
    assert_eq!((broker.queue_depth(REPORTS_QUEUE).await, broker.queue_depth(DEAD_LETTERS).await), (0, 0));
    assert_eq!(broker.queue_depth(ANSWERS).await, 0);
}

/// Red if an ask is acknowledged that was not done, or is not done once it can be.
#[tokio::test]
async fn while_the_database_is_away_an_ask_is_neither_lost_nor_acknowledged() {
    let (office, broker) = (Office::open().await, broker().await);
    let run = office.run_of(once("nightly")).await;
    let url = office.bench.database.url_as(Role::Scheduler);
    let proxy = Proxy::before(&url).await;
    let pool = || {
        let options = PgPoolOptions::new().max_connections(2).acquire_timeout(Duration::from_secs(1));
        options.connect_lazy(&proxy.instead_of(&url)).unwrap()
    };
    let desk = || ReportDesk { database: pool(), ..office.desk.clone() };
    let works = Works::start(desk(), &broker);
    works.is("up").await;
    proxy.admit(false);
    proxy.reset_connections();
    ask(&broker, "sales.claim", "1", &claim(run)).await;
    works.is("the run can't be read or written").await;
    assert_eq!(broker.queue_depth(ANSWERS).await, 0);
    works.stop().await;
    settled(DEADLINE, "the ask to be back in the queue", 1, async || broker.queue_depth(REPORTS_QUEUE).await)
        .await;
    let works = Works::start(desk(), &broker);
    proxy.admit(true);
    assert_eq!(answer(&broker, "1").await["granted"], true);
    works.is("up").await;
    works.stop().await;
    assert_eq!(broker.queue_depth(REPORTS_QUEUE).await, 0);
}
