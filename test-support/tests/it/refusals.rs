//! What a program does when a server lets it in, but not do what it must; and when it doesn't let it in.

use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use reqwest::Method;
use serde_json::json;
use shared::role::Role;
use test_support::api::try_send;
use test_support::programs::{Program, RunningProgram};
use test_support::{TestBroker, TestDatabase, eventually};
use url::Url;

fn programs(database: &TestDatabase, broker: &TestBroker) -> [(Role, Program); 3] {
    [
        (Role::ProducerApi, Program::producer_api(database, broker)),
        (Role::AuditConsumer, Program::audit_consumer(database, broker)),
        (Role::Scheduler, Program::scheduler(database, broker)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_meets_another_topology_stops_with_the_brokers_words() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let options = QueueDeclareOptions::durable();
    channel.queue_declare("job.runs.mail".into(), options, FieldTable::default()).await.unwrap();
    for (role, program) in programs(&database, &broker) {
        let ended = program.run().await;
        assert_eq!(ended.code, Some(1), "{role:?}: {}", ended.log);
        let words = "the broker refuses the declaration of queue job.runs.mail: PRECONDITION_FAILED - inequivalent arg";
        assert!(ended.log.contains(words), "{role:?}: {}", ended.log);
        assert!(ended.log.contains("topology check"), "{role:?}: {}", ended.log);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_may_not_declare_stops_with_the_brokers_words_and_the_way_out() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    broker.apply_topology().await;
    for (role, program) in programs(&database, &broker) {
        let program = program.as_user_of(&broker, role).env("RABBITMQ_TOPOLOGY", "declare");
        let ended = program.run().await;
        assert_eq!(ended.code, Some(1), "{role:?}: {}", ended.log);
        let words = "the broker refuses the declaration of exchange auth.events: ACCESS_REFUSED - ";
        assert!(ended.log.contains(words), "{role:?}: {}", ended.log);
        assert!(ended.log.contains("RABBITMQ_TOPOLOGY=expect"), "{role:?}: {}", ended.log);
    }
}

/// A password may be being changed, a virtual host being restored, and the API needs no broker to serve: so this passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_the_broker_does_not_let_in_says_so_in_its_words_and_goes_on_when_it_may() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let wrong_password = {
        let mut url = Url::parse(broker.amqp_url()).unwrap();
        url.set_password(Some("wrong")).unwrap();
        url.to_string()
    };
    let nowhere = format!("{}_later", broker.amqp_url());
    let later = format!("api/vhosts/{}_later", broker.virtual_host());
    for (role, program) in programs(&database, &broker) {
        let refused = program.clone().env("AMQP_URL", &wrong_password).spawn();
        says(&refused, "ACCESS_REFUSED").await;
        drop(refused);
        let mut refused = program.env("AMQP_URL", &nowhere).spawn();
        says(&refused, "NOT_ALLOWED").await;
        assert!(!refused.log().contains("wrong@"), "{role:?}");
        // It comes, and with it the program's work.
        assert_eq!(broker.manage(Method::PUT, &later, &json!({})).await, 201);
        refused.wait_until_ready().await;
        drop(refused);
        assert_eq!(broker.manage(Method::DELETE, &later, &json!({})).await, 204);
    }
}

/// `/readyz` names what is wrong with a part of the program, whether or not it is a part that it can't do without.
async fn says(program: &RunningProgram, words: &str) {
    let client = program.client();
    eventually(Duration::from_mins(1), format!("/readyz to say {words}"), async || {
        let answer = try_send(client.request(Method::GET, "/readyz")).await.ok()?;
        answer.body.to_string().contains(words).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_program_that_postgresql_does_not_let_in_stops_in_its_words() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    for (role, program) in programs(&database, &broker) {
        let ended = program.env("DATABASE_URL", &database.url_for(role.name(), "wrong")).run().await;
        assert_eq!(ended.code, Some(1), "{role:?}: {}", ended.log);
        let words = format!("password authentication failed for user \"{}\"", role.name());
        assert!(ended.log.contains(&words) && !ended.log.contains("wrong@"), "{role:?}: {}", ended.log);
    }
}
