//! Declaring the topology on a real broker.

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use shared::broker::topology::{AUDIT_QUEUE, BINDINGS, EXCHANGES, QUEUES};
use shared::broker::{DeclareError, declare};
use shared::lifecycle::Interruption;
use shared::telemetry::error_chain;
use test_support::TestBroker;

#[tokio::test]
async fn the_topology_can_be_declared_by_many_and_more_than_once() {
    let broker = TestBroker::create().await;
    let declarations = (0..4).map(|_| broker.declare_topology());
    futures_util::future::join_all(declarations).await;
    broker.declare_topology().await;
    let virtual_host = broker.virtual_host();
    let names = |list: &serde_json::Value| -> Vec<String> {
        let names = list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned());
        names.collect()
    };
    let exchanges = names(&broker.get(&format!("api/exchanges/{virtual_host}")).await);
    let queues = names(&broker.get(&format!("api/queues/{virtual_host}")).await);
    assert!(EXCHANGES.iter().all(|one| exchanges.iter().any(|name| name == one.name)), "{exchanges:?}");
    assert!(QUEUES.iter().all(|one| queues.iter().any(|name| name == one.name)), "{queues:?}");
    let bindings = broker.get(&format!("api/bindings/{virtual_host}")).await;
    for one in BINDINGS {
        let there = bindings.as_array().unwrap().iter().any(|binding| {
            binding["source"] == one.exchange
                && binding["destination"] == one.queue
                && binding["routing_key"] == one.pattern
        });
        assert!(there, "{one:?} in {bindings}");
    }
}

#[tokio::test]
async fn a_queue_with_other_arguments_is_refused_in_the_brokers_words() {
    let broker = TestBroker::create().await;
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let options = QueueDeclareOptions::durable();
    channel.queue_declare(AUDIT_QUEUE.into(), options, FieldTable::default()).await.unwrap();
    match declare(&connection).await {
        Err(DeclareError::Refused { what, words }) => {
            assert_eq!(what, "queue audit.events");
            assert!(words.contains("inequivalent arg"), "{words}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_exchange_of_another_kind_is_refused_in_the_brokers_words() {
    let broker = TestBroker::create().await;
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let kind = lapin::ExchangeKind::Fanout;
    channel.exchange_declare("auth.events".into(), kind, options, FieldTable::default()).await.unwrap();
    let error = declare(&connection).await.unwrap_err();
    assert!(error.to_string().contains("exchange auth.events"), "{error}");
    assert!(error.to_string().contains("inequivalent arg 'type'"), "{error}");
}

/// A queue of somebody's connection goes with it, and then the declaration succeeds: so it is waited for, in the broker's words.
#[tokio::test]
async fn a_queue_that_another_connection_has_for_itself_is_waited_for() {
    let broker = TestBroker::create().await;
    let (holder, connection) = (broker.connect().await, broker.connect().await);
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let channel = holder.create_channel().await.unwrap();
    channel.queue_declare(AUDIT_QUEUE.into(), options, FieldTable::default()).await.unwrap();
    match declare(&connection).await.unwrap_err().interruption() {
        Interruption::Passing(error) => {
            let words = error_chain(error.as_ref());
            assert!(words.contains("RESOURCE_LOCKED") && words.contains(AUDIT_QUEUE), "{words}");
        }
        other => panic!("{other:?}"),
    }
    holder.close(200, "done".into()).await.unwrap();
    declare(&connection).await.unwrap();
}
