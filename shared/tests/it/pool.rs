//! The pool of connections to PostgreSQL while the network fails.

use std::time::Duration;

use shared::config::{DatabaseConfig, Secret};
use shared::database::connect;
use test_support::faults::Proxy;
use test_support::{TestDatabase, eventually};

const DEADLINE: Duration = Duration::from_mins(1);
const CONNECTIONS: u32 = 3;

/// A firewall that forgets connections tells neither side. Goes red when each of them keeps its place in the pool.
#[tokio::test]
async fn connections_that_fall_silent_while_they_are_lent_give_their_places_back() {
    let database = TestDatabase::create().await;
    // New connections pass, and so does one that never said this.
    let network = Proxy::cutting(database.url(), "to be forgotten").await;
    let url = Secret::new(network.instead_of(database.url()));
    let pool = connect(&DatabaseConfig { url, pool_max: CONNECTIONS }, "test").unwrap();
    let mut lent = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = pool.acquire().await.unwrap();
        sqlx::query("SELECT 'to be forgotten'").execute(&mut *connection).await.unwrap();
        lent.push(connection);
    }
    network.cut();
    drop(lent);
    eventually(DEADLINE, "a connection through which something comes", async || {
        let mut connection = pool.acquire().await.ok()?;
        sqlx::query("SELECT 1").execute(&mut *connection).await.ok()
    })
    .await;
}
