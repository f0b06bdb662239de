//! The relay while its servers die.

use std::collections::HashSet;
use std::time::Duration;

use lapin::types::AMQPValue;
use shared::broker::topology::{AUDIT_QUEUE, MAIL_RUNS_QUEUE};
use shared::config::BrokerConfig;
use shared::contracts::Exchange;
use shared::outbox::RelaySettings;
use shared::role::Role;
use sqlx::postgres::PgPoolOptions;
use test_support::broker::Taken;
use test_support::faults::{Alarm, PrivatePostgres, PrivateRabbitmq, Proxy};
use test_support::{TestBroker, TestDatabase, assert_same_ids, eventually, settled};
use uuid::Uuid;

use crate::bench::{
    DEADLINE, Fact, LoginFact, RunningRelay, Tick, append_all, arrived, bind_a_queue_for_one, outbox, waiting,
};

/// A server that was killed takes a while to come back, and the relay a while to notice.
const RECOVERY_DEADLINE: Duration = Duration::from_mins(3);
const FACTS: usize = 5_000;

/// Goes red when rows are deleted before their confirms have come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_in_the_middle_of_a_window_loses_nothing() {
    let mut rabbitmq = PrivateRabbitmq::start().await;
    let (database, broker) = (TestDatabase::create().await, rabbitmq.broker().await);
    broker.declare_topology().await;
    let outbox = outbox();
    let ids = append_all(database.pool(), &outbox, (0..FACTS).map(|number| Fact { number })).await;
    let relay = RunningRelay::start(&database, &broker, &outbox, 100);
    let some_left = async || (waiting(&database).await < i64::try_from(FACTS).unwrap()).then_some(());
    eventually(DEADLINE, "the first windows to leave", some_left).await;
    rabbitmq.kill().await;
    let left = waiting(&database).await;
    assert!(left > 0, "the broker was killed too late");
    eventually(DEADLINE, "the relay to say what is wrong", async || {
        let checks = relay.health.readiness().checks;
        (checks["relay"] != "up").then_some(())
    })
    .await;
    rabbitmq.start_again().await;
    settled(RECOVERY_DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    settled(DEADLINE, "the relay to be well", "up".to_owned(), async || {
        relay.health.readiness().checks["relay"].clone()
    })
    .await;
    let arrived: HashSet<Uuid> = arrived(&broker, AUDIT_QUEUE).await.into_iter().collect();
    assert_same_ids("arrived", arrived, ids);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_killed_in_the_middle_of_a_window_loses_nothing() {
    let mut postgres = PrivatePostgres::start().await;
    let (database, broker) = (postgres.database().await, TestBroker::create().await);
    broker.declare_topology().await;
    let outbox = outbox();
    let ids = append_all(database.pool(), &outbox, (0..FACTS).map(|number| Fact { number })).await;
    let _relay = RunningRelay::start(&database, &broker, &outbox, 100);
    eventually(DEADLINE, "the first messages", async || {
        (broker.queue_depth(AUDIT_QUEUE).await > 0).then_some(())
    })
    .await;
    postgres.kill().await;
    postgres.start_again().await;
    settled(RECOVERY_DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    // The window that was confirmed and not yet deleted is sent again: readers go by the id.
    let arrived: HashSet<Uuid> = arrived(&broker, AUDIT_QUEUE).await.into_iter().collect();
    assert_same_ids("arrived", arrived, ids);
}

/// What an operator does in the management UI, and what a load balancer does at night.
#[tokio::test]
async fn a_connection_that_is_closed_from_outside_is_opened_again() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let outbox = outbox();
    let _relay = RunningRelay::start(&database, &broker, &outbox, 500);
    append_all(database.pool(), &outbox, [Fact { number: 1 }]).await;
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    eventually(DEADLINE, "the relay's connection to be listed", async || {
        (broker.close_connections("(relay task.events)").await > 0).then_some(())
    })
    .await;
    append_all(database.pool(), &outbox, [Fact { number: 2 }]).await;
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    let arrived: HashSet<Uuid> = arrived(&broker, AUDIT_QUEUE).await.into_iter().collect();
    assert_eq!(arrived.len(), 2);
}

/// An outage of the broker holds up nobody who appends.
#[tokio::test]
async fn events_can_be_appended_while_no_broker_is_there() {
    let database = TestDatabase::create().await;
    let broker = TestBroker::create().await;
    let nowhere = {
        let mut url = url::Url::parse(broker.amqp_url()).unwrap();
        url.set_port(Some(1)).unwrap();
        BrokerConfig::at(url.as_str()).unwrap()
    };
    assert!(shared::broker::connect(&nowhere, "test", "test").await.is_err());
    append_all(database.pool(), &outbox(), (0..10).map(|number| Fact { number })).await;
    assert_eq!(waiting(&database).await, 10);
    let _relay = RunningRelay::start(&database, &broker, &outbox(), 500);
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
}

/// Goes red when nothing limits how long the relay waits for its connection.
#[tokio::test]
async fn a_relay_before_a_broker_that_says_nothing_reports_it_and_tries_again() {
    let database = TestDatabase::create().await;
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://guest:guest@{}", mute.local_addr().unwrap());
    let settings = RelaySettings { deadline: Duration::from_secs(1), ..RelaySettings::default() };
    let relay = RunningRelay::start_over(&database, &BrokerConfig::at(&url).unwrap(), &outbox(), settings);
    // One for each exchange, and once more.
    let mut taken = Vec::new();
    for _ in 0..=Exchange::ALL.len() {
        taken.push(mute.accept().await.unwrap());
    }
    let said = relay.health.readiness().checks["relay"].clone();
    assert!(said.contains("RabbitMQ did not answer within 1s"), "{said}");
    relay.stop().await.unwrap();
}

/// Goes red when a relay waits for ever for a database from which nothing comes any more.
#[tokio::test]
async fn a_relay_whose_database_falls_silent_reports_it_and_ends_when_asked() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let network = Proxy::before(database.url()).await;
    let pool = PgPoolOptions::new().connect_lazy(&network.instead_of(database.url())).unwrap();
    let settings = RelaySettings { deadline: Duration::from_secs(1), ..RelaySettings::default() };
    broker.declare_topology().await;
    let relay = RunningRelay::start_with(pool, &broker.config(), &outbox(), settings);
    settled(DEADLINE, "the relay to be well", "up".to_owned(), async || {
        relay.health.readiness().checks["relay"].clone()
    })
    .await;
    network.cut();
    eventually(DEADLINE, "the relay to say what is wrong", async || {
        let said = relay.health.readiness().checks["relay"].clone();
        said.contains("PostgreSQL did not answer within 1s").then_some(())
    })
    .await;
    relay.stop().await.unwrap();
}

/// Goes red when each try during an alarm leaves a connection behind, and with it a thread and a window of messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_long_memory_is_short_the_relay_keeps_its_connection_and_says_that_it_is_blocked() {
    wait_out_an_alarm(Alarm::Memory, "low on memory").await;
}

/// Goes red when a full disk is another thing to the relay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_long_the_disk_is_full_the_relay_keeps_its_connection_and_says_that_it_is_blocked() {
    wait_out_an_alarm(Alarm::Disk, "low on disk").await;
}

async fn wait_out_an_alarm(alarm: Alarm, reason: &str) {
    let mut rabbitmq = PrivateRabbitmq::start().await;
    let (database, broker) = (TestDatabase::create().await, rabbitmq.broker().await);
    let outbox = outbox();
    let settings = RelaySettings { deadline: Duration::from_secs(1), ..RelaySettings::default() };
    broker.declare_topology().await;
    let relay = RunningRelay::start_over(&database, &broker.config(), &outbox, settings);
    append_all(database.pool(), &outbox, [Fact { number: 0 }]).await;
    settled(RECOVERY_DEADLINE, "a connection that has sent something", 0, async || waiting(&database).await)
        .await;
    settled(RECOVERY_DEADLINE, "all of the relay to work", "up".to_owned(), async || {
        relay.health.readiness().checks["relay"].clone()
    })
    .await;
    rabbitmq.block_publishers(alarm).await;
    let ids = append_all(database.pool(), &outbox, (1..10).map(|number| Fact { number })).await;
    let tries = async || -> i32 {
        sqlx::query_scalar("SELECT max(attempts) FROM outbox").fetch_one(database.pool()).await.unwrap()
    };
    eventually(DEADLINE, "a try that was not confirmed", async || (tries().await > 0).then_some(())).await;
    // One that gives its connection up tries again about once a second.
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(relay.count(database.pool(), r#"relay_blocked{exchange="task.events"}"#).await, 1);
        let said = relay.health.readiness().checks["relay"].clone();
        let words = format!("task.events: the broker blocks publishing: {reason}");
        assert!(said.contains(&words), "{said}");
        assert_eq!(tries().await, 1, "nothing is sent again amid the alarm");
    }
    rabbitmq.unblock_publishers(alarm).await;
    settled(RECOVERY_DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    let arrived: HashSet<Uuid> = arrived(&broker, AUDIT_QUEUE).await.into_iter().collect();
    assert!(ids.iter().all(|id| arrived.contains(id)), "{arrived:?}");
    settled(DEADLINE, "the relay to be well", "up".to_owned(), async || {
        relay.health.readiness().checks["relay"].clone()
    })
    .await;
}

/// Goes red when a queue from which nobody hears, as one without a majority, keeps the messages of other exchanges waiting. RabbitMQ
/// reads nothing more from a connection over which it has got some 400 messages for such a queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_neither_confirms_nor_refuses_starves_no_other_exchange() {
    const LOGINS: u64 = 500;
    let mut rabbitmq = PrivateRabbitmq::start().await;
    let (database, broker) = (TestDatabase::create().await, rabbitmq.broker().await);
    broker.declare_topology().await;
    let quorum = AMQPValue::LongString("quorum".into());
    broker.bind_queue("mute", "auth.events", &[("x-queue-type", quorum)]).await;
    let to_the_queue = |what: &str| {
        format!(
            "{{ok, Queue}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"{}\">>, queue, <<\"mute\">>)), \
             sys:{what}(amqqueue:get_pid(Queue)).",
            broker.virtual_host()
        )
    };
    rabbitmq.control(&["eval", &to_the_queue("suspend")]).await.unwrap();
    let outbox = outbox();
    append_all(database.pool(), &outbox, (0..LOGINS).map(|_| LoginFact)).await;
    let settings = RelaySettings { deadline: Duration::from_secs(3), ..RelaySettings::default() };
    let relay = RunningRelay::start_over(&database, &broker.config(), &outbox, settings);
    settled(DEADLINE, "logins to be claimed", true, async || {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM outbox WHERE xmax::text <> '0')")
            .fetch_one(database.pool())
            .await
            .unwrap()
    })
    .await;
    let facts = append_all(database.pool(), &outbox, (0..20).map(|number| Fact { number })).await;
    settled(DEADLINE, "the facts of tasks to leave", 0_i64, async || {
        sqlx::query_scalar("SELECT count(*) FROM outbox WHERE exchange = 'task.events'")
            .fetch_one(database.pool())
            .await
            .unwrap()
    })
    .await;
    let sent = broker.take_all(AUDIT_QUEUE).await;
    let arrived = sent.iter().filter(|taken| taken.routing_key.starts_with("task.")).map(Taken::message_id);
    assert_same_ids("arrived", arrived, facts);
    // All of them went in one window. Each further try is of some of them, and the relay does not call itself well meanwhile.
    let unanswered = r#"relay_messages_total{exchange="auth.events",verdict="unknown"}"#;
    let mut tried = 0;
    eventually(DEADLINE, "three more tries", async || {
        let now = relay.count(database.pool(), unanswered).await;
        let said = relay.health.readiness().checks["relay"].clone();
        assert_ne!(said, "up");
        // What is counted is told a moment later.
        assert!(now <= LOGINS || said == "auth.events: the broker did not confirm within 3 s", "{said}");
        assert!(tried < LOGINS || now - tried <= 100, "{} at once", now - tried);
        tried = now;
        (tried > LOGINS + 100).then_some(())
    })
    .await;
    let waits = i64::try_from(LOGINS).unwrap();
    assert_eq!(waiting(&database).await, waits, "nobody has confirmed a login");
    // That all are refused by another queue is an answer, too.
    bind_a_queue_for_one(&broker, "auth.events").await;
    broker.publish_raw("auth.events", "any", lapin::BasicProperties::default(), b"{}").await;
    rabbitmq.control(&["eval", &to_the_queue("resume")]).await.unwrap();
    settled(DEADLINE, "the relay to be well", "up".to_owned(), async || {
        relay.health.readiness().checks["relay"].clone()
    })
    .await;
    assert_eq!(waiting(&database).await, waits, "all are refused");
    assert_eq!(broker.delete_queues("for.one").await, 1);
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    settled(DEADLINE, "the relay to be well", "up".to_owned(), async || {
        relay.health.readiness().checks["relay"].clone()
    })
    .await;
    relay.stop().await.unwrap();
}

/// Goes red when the relay stops sending because the trail can't be looked at: ticks, notices and mails don't concern it.
#[tokio::test]
async fn a_trail_that_somebody_has_locked_keeps_nothing_from_being_sent() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    broker.declare_topology().await;
    let mut holder = database.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE audit.events").execute(&mut *holder).await.unwrap();
    // As programs connect, with their limit to how long they wait for a lock.
    let pool = shared::database::connect(&database.config_as(Role::ProducerApi), "a-relay").unwrap();
    let outbox = outbox();
    append_all(database.pool(), &outbox, [Fact { number: 1 }]).await;
    let relay = RunningRelay::start_with(pool, &broker.config(), &outbox, RelaySettings::default());
    eventually(DEADLINE, "the relay to say that it can't look at the trail", async || {
        let said = relay.health.readiness().checks["relay"].clone();
        (said.starts_with("arrivals: ") && said.contains("lock timeout")).then_some(())
    })
    .await;
    append_all(database.pool(), &outbox, [Fact { number: 2 }]).await;
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    drop(holder);
    settled(DEADLINE, "the relay to be well", "up".to_owned(), async || {
        relay.health.readiness().checks["relay"].clone()
    })
    .await;
    relay.stop().await.unwrap();
}

/// Goes red when what somebody does to the broker ends a program that works: at start it does, with the same words.
#[tokio::test]
async fn a_relay_that_has_worked_goes_on_where_the_broker_refuses_its_declaration() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let outbox = outbox();
    let relay = RunningRelay::start(&database, &broker, &outbox, 500);
    append_all(database.pool(), &outbox, [Fact { number: 1 }]).await;
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    settled(DEADLINE, "all of the relay to work", "up".to_owned(), async || {
        relay.health.readiness().checks["relay"].clone()
    })
    .await;
    replace_the_audit_queue(&broker).await;
    eventually(DEADLINE, "the relay's connection to be listed", async || {
        (broker.close_connections("(relay task.events)").await > 0).then_some(())
    })
    .await;
    eventually(DEADLINE, "the relay to say what is wrong", async || {
        relay.health.readiness().checks["relay"].contains("inequivalent arg").then_some(())
    })
    .await;
    append_all(database.pool(), &outbox, [Fact { number: 2 }]).await;
    broker.delete_queues(AUDIT_QUEUE).await;
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    relay.stop().await.unwrap();
}

/// Goes red when a lane that has never worked ends the program although others have: for them nothing is wrong.
#[tokio::test]
async fn a_relay_of_which_some_lanes_have_worked_goes_on_where_the_broker_refuses_another() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let network = Proxy::before(broker.amqp_url()).await;
    network.admit(false);
    let (way, no_way) = (broker.config(), BrokerConfig::at(&network.instead_of(broker.amqp_url())).unwrap());
    let ways = Exchange::ALL.map(|exchange| if exchange == Exchange::JobTicks { &no_way } else { &way });
    let (outbox, settings) = (outbox(), RelaySettings::default());
    let relay = RunningRelay::start_by_ways(database.pool().clone(), ways, &outbox, settings);
    let said = || relay.health.readiness().checks["relay"].clone();
    eventually(DEADLINE, "all others to work", async || {
        let said = said();
        (said.starts_with("job.ticks: ") && !said.contains("starting")).then_some(())
    })
    .await;
    replace_the_audit_queue(&broker).await;
    network.admit(true);
    eventually(DEADLINE, "the broker's words", async || said().contains("inequivalent arg").then_some(()))
        .await;
    append_all(database.pool(), &outbox, [Tick { queue: "default" }]).await;
    broker.delete_queues(AUDIT_QUEUE).await;
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    relay.stop().await.unwrap();
}

/// By one with other arguments, as which nobody may declare it.
async fn replace_the_audit_queue(broker: &TestBroker) {
    broker.delete_queues(AUDIT_QUEUE).await;
    broker.bind_queue(AUDIT_QUEUE, "auth.events", &[]).await;
}

/// Goes red when one missing queue stops parts that have nothing to do with it.
#[tokio::test]
async fn a_relay_that_expects_the_topology_does_not_wait_for_somebody_elses_queue() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    broker.declare_topology().await;
    broker.delete_queues(MAIL_RUNS_QUEUE).await;
    let outbox = outbox();
    append_all(database.pool(), &outbox, [Fact { number: 1 }]).await;
    let _relay = RunningRelay::start_expecting(&database, &broker, &outbox);
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
}
