//! All of Warren for one test: the three programs over a database and a virtual host of the test's own.

use shared::role::Role;

use crate::api::Client;
use crate::programs::{Program, RunningProgram};
use crate::{TestBroker, TestDatabase};

/// The three programs and what they stand on. Everything goes away with it, the programs first.
#[derive(Debug)]
pub struct World {
    /// The HTTP API.
    pub producer_api: RunningProgram,
    /// The audit consumer.
    pub audit_consumer: RunningProgram,
    /// The scheduler.
    pub scheduler: RunningProgram,
    /// A client of the API.
    pub client: Client,
    /// The database.
    pub database: TestDatabase,
    /// The virtual host.
    pub broker: TestBroker,
}

impl World {
    /// Starts it on the servers of this test run and waits until all three programs are ready.
    pub async fn start() -> Self {
        Self::start_over(TestDatabase::create().await, TestBroker::create().await).await
    }

    /// Starts it over a given database and virtual host, such as those of private servers. Each program has its own login at
    /// both servers, as in life.
    pub async fn start_over(database: TestDatabase, broker: TestBroker) -> Self {
        let applied = broker.apply_topology().await;
        assert_eq!(applied.code, Some(0), "the topology can be applied: {}", applied.log);
        let own = |program: Program, role| program.as_user_of(&broker, role).spawn();
        let mut producer_api = own(Program::producer_api(&database, &broker), Role::ProducerApi);
        let mut audit_consumer = own(Program::audit_consumer(&database, &broker), Role::AuditConsumer);
        let mut scheduler = own(Program::scheduler(&database, &broker), Role::Scheduler);
        producer_api.wait_until_ready().await;
        audit_consumer.wait_until_ready().await;
        scheduler.wait_until_ready().await;
        let client = producer_api.client();
        Self { producer_api, audit_consumer, scheduler, client, database, broker }
    }
}
