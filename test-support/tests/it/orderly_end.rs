//! SIGTERM ends every program in order.

use std::time::Duration;

use test_support::programs::{Program, RunningProgram};
use test_support::world::World;
use test_support::{TestBroker, TestDatabase, eventually, settled};

const DEADLINE: Duration = Duration::from_mins(2);

#[tokio::test]
async fn every_program_ends_well_on_sigterm_and_leaves_nothing_half_done() {
    let mut world = World::start().await;
    let login = world.client.join("ada").await;
    world.client.create_task(&login, "stop the API").await.expect(201);
    let status = world.producer_api.terminate().await;
    assert!(status.success(), "{status}");
    // Another program's relay sends what is left.
    settled(DEADLINE, "an empty outbox", 0_i64, async || {
        sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(world.database.pool()).await.unwrap()
    })
    .await;
    for program in [&mut world.scheduler, &mut world.audit_consumer] {
        let status = program.terminate().await;
        assert!(status.success(), "{status}\n{}", program.log());
    }
}

/// Goes red when the listener drops its connections on SIGTERM.
#[tokio::test]
async fn a_request_in_hand_is_answered_before_the_api_ends() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let mut api = Program::producer_api(&database, &broker).start().await;
    let login = api.client().join("ada").await;
    let lock = database.lock_table("tasks").await;
    let client = api.client();
    let request = tokio::spawn(async move { client.create_task(&login, "finish this first").await });
    database.wait_for_a_blocked_writer("tasks").await;
    api.ask_to_stop();
    wait_for_the_signal(&api).await;
    lock.rollback().await.unwrap();
    assert_eq!(request.await.unwrap().status, 201);
    let status = api.ended().await;
    assert!(status.success(), "{status}");
}

/// The database keeps the batch from being written, for ever as it seems: whoever insists needs not wait.
#[tokio::test]
async fn a_second_signal_ends_a_program_at_once_and_its_batch_comes_again() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let mut consumer = Program::audit_consumer(&database, &broker).start().await;
    let mut lock = database.lock_table("audit.events").await;
    let api = Program::producer_api(&database, &broker).start().await;
    api.client().register("ada").await.expect(201);
    database.wait_for_a_blocked_writer("audit.events").await;
    consumer.ask_to_stop();
    wait_for_the_signal(&consumer).await;
    consumer.ask_to_stop();
    let status = consumer.ended().await;
    assert_eq!(status.code(), Some(1), "{status}");
    assert!(consumer.log().contains("second signal"), "{}", consumer.log());
    lock.rollback().await.unwrap();
    consumer.restart().await;
    settled(DEADLINE, "the event in the trail", 1, async || recorded(&database).await).await;

    // Nobody insists, but the work takes longer than it may.
    lock = database.lock_table("audit.events").await;
    let mut hasty =
        Program::audit_consumer(&database, &broker).env("SHUTDOWN_TIMEOUT", "200ms").start().await;
    consumer.kill();
    api.client().register("grace").await.expect(201);
    database.wait_for_a_blocked_writer("audit.events").await;
    let status = hasty.terminate().await;
    assert_eq!(status.code(), Some(1), "{status}");
    assert!(hasty.log().contains("was not done within 0.2 s"), "{}", hasty.log());
    lock.rollback().await.unwrap();
    consumer.restart().await;
    settled(DEADLINE, "both events in the trail", 2, async || recorded(&database).await).await;
}

async fn recorded(database: &TestDatabase) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM audit.events").fetch_one(database.pool()).await.unwrap()
}

async fn wait_for_the_signal(program: &RunningProgram) {
    eventually(DEADLINE, "the program to say that it was asked to stop", async || {
        program.log().contains("asked to stop").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for program in [
        Program::producer_api(&database, &broker),
        Program::audit_consumer(&database, &broker),
        Program::scheduler(&database, &broker),
    ] {
        let ended = program.env("LISTEN_ADDRESS", &address).run().await;
        assert_eq!(ended.code, Some(1), "{}", ended.log);
        assert!(ended.log.contains(&format!("can't listen on {address}")), "{}", ended.log);
    }
}
