//! RabbitMQ's users: each program works with its own, and can do nothing else with it.

use std::time::Duration;

use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ExchangeKind};
use shared::config::BrokerConfig;
use shared::role::Role;
use test_support::programs::Program;
use test_support::world::World;
use test_support::{TestBroker, TestDatabase, eventually};

/// What somebody who took a program's login over would like to do.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Deed {
    /// Publish to an exchange.
    Publish(&'static str),
    /// Take from a queue.
    Take(&'static str),
    /// Consume a queue.
    Consume(&'static str),
    /// Empty a queue.
    Purge(&'static str),
    /// Delete a queue.
    Delete(&'static str),
    /// Declare a queue.
    Declare(&'static str),
    /// Declare an exchange.
    DeclareExchange(&'static str),
    /// Bind a queue to an exchange.
    Bind(&'static str, &'static str),
}

use Deed::{Bind, Consume, Declare, DeclareExchange, Delete, Publish, Purge, Take};

impl Deed {
    async fn attempt(self, channel: &Channel) -> Result<(), lapin::Error> {
        let none = FieldTable::default;
        match self {
            Publish(exchange) => {
                // Whether it may is known when the broker confirms.
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
                channel
                    .basic_publish(exchange.into(), "nobody".into(), options, b"", properties)
                    .await?
                    .await?;
            }
            Take(queue) => drop(channel.basic_get(queue.into(), BasicGetOptions::default()).await?),
            Consume(queue) => {
                let options = BasicConsumeOptions::default();
                drop(channel.basic_consume(queue.into(), "mine".into(), options, none()).await?);
            }
            Purge(queue) => drop(channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await?),
            Delete(queue) => drop(channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?),
            Declare(queue) => {
                drop(channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), none()).await?);
            }
            DeclareExchange(exchange) => {
                let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
                channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, none()).await?;
            }
            Bind(queue, exchange) => {
                let options = QueueBindOptions::default();
                channel.queue_bind(queue.into(), exchange.into(), "#".into(), options, none()).await?;
            }
        }
        Ok(())
    }
}

const QUEUES: [&str; 5] = ["audit.events", "job.runs", "job.runs.mail", "job.reports", "dead.letters"];
const EXCHANGES: [&str; 6] =
    ["auth.events", "task.events", "job.events", "job.ticks", "job.reports", "dead.letters"];

const REPLICA: &str = "realtime.mine.1";

/// Everything that is tried.
fn deeds() -> Vec<Deed> {
    let queues = QUEUES
        .into_iter()
        .flat_map(|queue| [Take(queue), Consume(queue), Purge(queue), Delete(queue), Declare(queue)]);
    let exchanges = EXCHANGES
        .into_iter()
        .flat_map(|exchange| [Publish(exchange), DeclareExchange(exchange), Bind("audit.events", exchange)]);
    let others = [Publish(""), Publish("amq.topic"), Declare("mine"), DeclareExchange("mine")];
    // A replica hears of sessions and of tasks, not of jobs.
    let overheard = ["job.events", "job.ticks", "dead.letters"].map(|exchange| Bind(REPLICA, exchange));
    queues.chain(exchanges).chain(others).chain(overheard).collect()
}

/// Exactly what a role may do of it, and what it must be able to do beside. Whoever may read a queue may empty it: what he
/// takes is gone.
fn allowed_to(role: Role) -> Vec<Deed> {
    let outbox = ["auth.events", "task.events", "job.events", "job.ticks"].map(Publish);
    let own = |queue| [Take(queue), Consume(queue), Purge(queue)];
    match role {
        Role::ProducerApi => {
            let replicas = [
                Declare(REPLICA),
                Bind(REPLICA, "task.events"),
                Bind(REPLICA, "auth.events"),
                Consume(REPLICA),
            ];
            outbox.into_iter().chain(replicas).collect()
        }
        Role::AuditConsumer => own("audit.events").to_vec(),
        Role::Scheduler => {
            let queues = ["job.runs", "job.runs.mail", "job.reports"].into_iter().flat_map(own);
            outbox.into_iter().chain(queues).chain([Publish("")]).collect()
        }
        Role::Operator => own("dead.letters").into_iter().chain([Publish("")]).collect(),
    }
}

async fn connect(broker: &TestBroker, role: Role) -> Connection {
    let config = BrokerConfig::at(&broker.amqp_url_as(role)).unwrap();
    shared::broker::connect(&config, "test", "test").await.unwrap()
}

/// Each on a channel of its own, because a refusal closes it.
async fn refusal(connection: &Connection, deed: Deed) -> Option<String> {
    let channel = connection.create_channel().await.unwrap();
    let error = deed.attempt(&channel).await.err()?;
    Some(error.to_string())
}

#[tokio::test]
async fn a_program_can_do_nothing_with_its_login_but_its_work() {
    let broker = TestBroker::create().await;
    broker.apply_topology().await;
    for role in Role::ALL {
        let connection = connect(&broker, role).await;
        let allowed = allowed_to(role);
        for deed in &allowed {
            assert_eq!(refusal(&connection, *deed).await, None, "{role:?} {deed:?}");
        }
        for deed in deeds().into_iter().filter(|deed| !allowed.contains(deed)) {
            let refused = refusal(&connection, deed).await.unwrap_or_default();
            assert!(refused.contains("ACCESS_REFUSED"), "{role:?} {deed:?}: {refused:?}");
        }
    }
}

/// Goes red when a right is missing that only a later step of the work needs: from a registration and its mail to the rows of
/// the trail. `World` starts every program as its own user.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_their_own_logins_the_programs_do_all_their_work() {
    let world = World::start().await;
    let login = world.client.join("ada").await;
    world.client.create_task(&login, "water the plants").await.expect(201);
    let pool = world.database.pool();
    for event in ["auth.login.succeeded", "task.created", "job.run.succeeded"] {
        eventually(Duration::from_mins(2), format!("{event} in the trail"), async || {
            let found: i64 = sqlx::query_scalar("SELECT count(*) FROM audit.events WHERE type = $1")
                .bind(event)
                .fetch_one(pool)
                .await
                .unwrap();
            (found > 0).then_some(())
        })
        .await;
    }
    let health = world.producer_api.client().readyz().await;
    for part in ["relay", "revocation notices", "live changes"] {
        assert_eq!(health.body["checks"][part], "up", "{}", health.body);
    }
}

/// Whoever starts before the administrator has applied the topology waits for him, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_expects_the_topology_waits_for_it_in_the_brokers_words() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    broker.apply_topology().await;
    assert_eq!(broker.delete_queues("audit.events").await, 1);
    let program = Program::audit_consumer(&database, &broker).as_user_of(&broker, Role::AuditConsumer);
    let mut consumer = program.spawn();
    let client = consumer.client();
    eventually(Duration::from_mins(1), "the consumer to say what is missing", async || {
        let answer =
            test_support::api::try_send(client.request(reqwest::Method::GET, "/readyz")).await.ok()?;
        let text = answer.body.to_string();
        (answer.status == 503 && text.contains("NOT_FOUND") && text.contains("topology apply")).then_some(())
    })
    .await;
    broker.apply_topology().await;
    consumer.wait_until_ready().await;
}
