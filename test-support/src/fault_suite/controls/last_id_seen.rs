//! A relay that goes by the last sequence it has seen, and two writers of whom the first commits last.

use super::ground::{Ground, Row};
use crate::programs::Program;

pub(super) async fn run(ground: &Ground, is_broken: bool) {
    let mut slow = ground.pool().begin().await.expect("a transaction");
    let mut quick = ground.pool().begin().await.expect("a transaction");
    ground.append(&mut slow, 1).await;
    ground.append(&mut quick, 2).await;
    quick.commit().await.expect("the second writer commits");
    let seen = look(ground, 0, is_broken).await;
    slow.commit().await.expect("the first writer commits");
    look(ground, seen, is_broken).await;
    let _consumer = Program::audit_consumer(&ground.database, &ground.broker).start().await;
    ground.wait_until_all_is_handled().await;
}

/// Sends what is new since `seen`; gives the last sequence seen.
async fn look(ground: &Ground, seen: i64, is_broken: bool) -> i64 {
    let mut transaction = ground.pool().begin().await.expect("a transaction");
    let rows = ground.claim(&mut transaction).await;
    // The fault.
    let new: Vec<Row> = rows.into_iter().filter(|row| !is_broken || row.seq > seen).collect();
    let (delivered, returned) = ground.send(&new).await;
    ground.settle(&mut transaction, &delivered, &returned).await;
    transaction.commit().await.expect("what became of the rows can be committed");
    new.last().map_or(seen, |row| row.seq)
}
