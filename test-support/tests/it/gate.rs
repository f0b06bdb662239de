//! Where programs of ours wait in the middle of their work, for tests of what happens meanwhile.

use std::time::Duration;

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use test_support::{TestDatabase, eventually};

const DEADLINE: Duration = Duration::from_mins(1);

/// Whoever deletes tokens waits here, in the middle of his batch, until it is opened. He waits by sleeping, since a
/// program of ours gives up a lock that takes two seconds.
pub(crate) struct Gate(PoolConnection<Postgres>);

impl Gate {
    pub(crate) async fn shut(database: &TestDatabase) -> Self {
        let gate = "CREATE FUNCTION wait_at_the_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                WHILE NOT pg_try_advisory_xact_lock_shared(1) LOOP PERFORM pg_sleep(0.05); END LOOP;
                RETURN OLD;
            END $$;
            CREATE TRIGGER gate BEFORE DELETE ON outstanding_tokens
                FOR EACH ROW EXECUTE FUNCTION wait_at_the_gate()";
        sqlx::raw_sql(gate).execute(database.pool()).await.unwrap();
        let mut connection = database.pool().acquire().await.unwrap();
        sqlx::query("SELECT pg_advisory_lock(1)").execute(&mut *connection).await.unwrap();
        Self(connection)
    }

    pub(crate) async fn wait_for(&mut self, batches: i64) {
        eventually(DEADLINE, format!("{batches} batch(es) under way"), async || {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'",
            )
            .fetch_one(&mut *self.0)
            .await
            .unwrap();
            (waiting == batches).then_some(())
        })
        .await;
    }

    pub(crate) async fn open(mut self) {
        sqlx::query("SELECT pg_advisory_unlock(1)").execute(&mut *self.0).await.unwrap();
    }
}
