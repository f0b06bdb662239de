//! The pool of connections to PostgreSQL while the network fails.

use std::time::Duration;

use shared::config::{DatabaseConfig, Secret};
use shared::database::{connect, within};
use sqlx::Connection;
use test_support::faults::Proxy;
use test_support::network::Traffic;
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

/// Goes red when the next one's write is never committed, though it was told that it is.
#[tokio::test]
async fn a_transaction_whose_beginning_was_given_up_is_nobody_elses() {
    let database = TestDatabase::create().await;
    let network = Proxy::before(database.url()).await;
    let url = Secret::new(network.instead_of(database.url()));
    let pool = connect(&DatabaseConfig { url, pool_max: 1 }, "test").unwrap();
    sqlx::query("CREATE TABLE notes (text text)").execute(&pool).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    network.pass(Traffic::Silent);
    let begun = within(Duration::from_millis(100), connection.begin()).await;
    assert!(begun.is_err(), "its answer was held up");
    drop(begun);
    drop(connection);
    network.pass(Traffic::Flows);
    sqlx::query("INSERT INTO notes VALUES ('kept')").execute(&pool).await.unwrap();
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(database.pool()).await.unwrap();
    assert_eq!(kept, 1);
}
