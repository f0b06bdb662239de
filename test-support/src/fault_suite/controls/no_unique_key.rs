//! A trail without a unique key, and a relay that is killed between the confirm and its own commit: the message comes twice.

use super::ground::Ground;
use crate::programs::Program;

const ROWS: i64 = 50;

pub(super) async fn run(ground: &Ground, is_broken: bool) {
    if is_broken {
        // The fault.
        let drop_it = sqlx::query("ALTER TABLE audit.events DROP CONSTRAINT events_pkey");
        drop_it.execute(ground.pool()).await.expect("the key can be dropped");
    }
    ground.commit(0..ROWS).await;
    let mut killed = ground.pool().begin().await.expect("a transaction");
    let rows = ground.claim(&mut killed).await;
    let (delivered, _) = ground.send(&rows).await;
    ground.settle(&mut killed, &delivered, &[]).await;
    killed.rollback().await.expect("it goes as if it were killed");
    ground.send_all().await;
    let _consumer = Program::audit_consumer(&ground.database, &ground.broker).start().await;
    ground.wait_until_all_is_handled().await;
}
