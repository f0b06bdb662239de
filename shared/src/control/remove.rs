//! Removing a schedule that no build declares.

use sqlx::PgPool;

use super::act_on_schedules::{lock, lock_settled};
use super::{ControlError, add_store, begin, end, told};
use crate::contracts::schedules::ScheduleRemoved;
use crate::entropy::Entropy;
use crate::operator::Operation;
use crate::outbox::Outbox;
use crate::schedules::close;
use crate::schedules::store::now;

/// Ends a schedule: what it owes is answered, runs that are there go on, history stays.
pub async fn remove(
    database: &PgPool,
    outbox: &Outbox,
    operation: &Operation,
    entropy: &Entropy,
    key: &str,
) -> Result<(), ControlError> {
    let mut transaction = begin(database, operation).await?;
    let connection = &mut *transaction;
    let done = async {
        lock(connection, key).await?;
        if add_store::is_in_code(connection, key).await? {
            let words = format!("{key} is declared in code, and would be there again; pause it instead");
            return Err(ControlError::NotNow(words));
        }
        let now = now(connection).await?;
        let row = lock_settled(connection, outbox, entropy, key, now).await?;
        // What its jitter has put off.
        close(connection, &row, now).await?;
        add_store::retire(connection, key, now).await?;
        outbox.append(connection, &operation.trace, ScheduleRemoved(told(&row, operation))).await?;
        Ok::<_, ControlError>(())
    }
    .await;
    end(transaction, done).await?;
    outbox.wake();
    Ok(())
}
