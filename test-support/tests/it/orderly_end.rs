//! SIGTERM ends every program in order.

use std::time::Duration;

use test_support::programs::Program;
use test_support::world::World;
use test_support::{TestBroker, TestDatabase, settled};

#[tokio::test]
async fn every_program_ends_well_on_sigterm_and_leaves_nothing_half_done() {
    let mut world = World::start().await;
    let login = world.client.join("ada").await;
    world.client.create_task(&login, "stop the API").await.expect(201);
    let status = world.producer_api.terminate().await;
    assert!(status.success(), "{status}");
    // Another program's relay sends what is left.
    settled(Duration::from_secs(20), "an empty outbox", 0_i64, async || {
        sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(world.database.pool()).await.unwrap()
    })
    .await;
    for program in [&mut world.scheduler, &mut world.audit_consumer] {
        let status = program.terminate().await;
        assert!(status.success(), "{status}\n{}", program.log());
    }
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
