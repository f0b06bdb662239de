//! Forgetting wrong secrets before their time: what operators and staff do for somebody who has to wait.

use std::net::IpAddr;

use shared::contracts::auth::{AccountChange, AccountUnlocked};
use shared::ids::UserId;
use shared::outbox::Outbox;
use sqlx::{PgConnection, PgPool};

use super::keys::Key;
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;

/// How many keys are forgotten in one transaction.
const BATCH: i64 = 1_000;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleared {
    /// Wrong secrets were forgotten.
    Done,
    /// There were none.
    Nothing,
}

/// Why an account was not unlocked.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// There is no such user.
    #[error("there is no user {0:?}")]
    UnknownUser(String),
    /// An outage or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for UnlockError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Forgets the wrong secrets of the account that has a name now, as an operator: it may try at once.
pub async fn unlock(
    (database, outbox): (&PgPool, &Outbox),
    context: &RequestContext,
    username: &str,
) -> Result<Cleared, UnlockError> {
    let mut transaction = database.begin().await?;
    let user_id = store::lock_user(&mut transaction, username).await?;
    let user_id = user_id.ok_or_else(|| UnlockError::UnknownUser(username.to_owned()))?;
    let cleared = unlock_locked((&mut transaction, outbox), context, None, (user_id, username)).await?;
    transaction.commit().await?;
    outbox.wake();
    Ok(cleared)
}

/// Forgets the wrong secrets of an account, with its event, in the transaction of a caller who has locked the account's
/// row: so it can't be renamed in between. Those of the addresses stay.
pub async fn unlock_locked(
    (connection, outbox): (&mut PgConnection, &Outbox),
    context: &RequestContext,
    actor_id: Option<UserId>,
    (user_id, username): (UserId, &str),
) -> Result<Cleared, Fault> {
    let cleared = store::delete(connection, &Key::of_name(username, true)).await?
        | store::delete(connection, &Key::of_confirmations(user_id)).await?;
    if !cleared {
        return Ok(Cleared::Nothing);
    }
    tell((connection, outbox), context, actor_id, [(user_id, username.to_owned())]).await?;
    Ok(Cleared::Done)
}

/// Forgets the wrong secrets of a name, whoever has it. Of an account it is told as [`unlock`] does; there is nothing to
/// tell of nobody.
pub async fn clear_name(
    program: (&PgPool, &Outbox),
    context: &RequestContext,
    name: &str,
) -> Result<Cleared, Fault> {
    match unlock(program, context, name).await {
        Ok(cleared) => Ok(cleared),
        Err(UnlockError::UnknownUser(_)) => clear(program.0, &Key::of_name(name, false)).await,
        Err(UnlockError::Fault(fault)) => Err(fault),
    }
}

/// Forgets the wrong secrets that came from an address, or its /64, and the mails that were asked for from there.
pub async fn clear_address(database: &PgPool, address: IpAddr) -> Result<Cleared, Fault> {
    let secrets = clear(database, &Key::of_address(address)).await?;
    let mails = clear(database, &Key::of_mails_from(address)).await?;
    Ok(if secrets == Cleared::Done { secrets } else { mails })
}

/// Forgets everything, and gives how many keys had wrong secrets. What is tried meanwhile may stay.
pub async fn clear_all(
    (database, outbox): (&PgPool, &Outbox),
    context: &RequestContext,
) -> Result<u64, Fault> {
    let mut cleared = 0;
    loop {
        let mut transaction = database.begin().await?;
        let deleted = store::delete_any(&mut transaction, BATCH).await?;
        let more = i64::try_from(deleted.len()) == Ok(BATCH);
        let failed: Vec<_> = deleted.into_iter().filter(|row| row.of_secrets && row.failures > 0).collect();
        cleared += u64::try_from(failed.len()).unwrap_or(u64::MAX);
        let users = failed.into_iter().filter_map(|row| row.user_id.zip(row.username));
        tell((&mut transaction, outbox), context, None, users).await?;
        transaction.commit().await?;
        outbox.wake();
        if !more {
            return Ok(cleared);
        }
    }
}

async fn clear(database: &PgPool, key: &Key) -> Result<Cleared, Fault> {
    let mut connection = database.acquire().await?;
    let cleared = store::delete(&mut connection, key).await?;
    Ok(if cleared { Cleared::Done } else { Cleared::Nothing })
}

async fn tell(
    (connection, outbox): (&mut PgConnection, &Outbox),
    context: &RequestContext,
    actor_id: Option<UserId>,
    users: impl IntoIterator<Item = (UserId, String)>,
) -> Result<(), Fault> {
    let change = |(user_id, username)| {
        AccountUnlocked(AccountChange { user_id, username, actor_id, origin: context.origin() })
    };
    outbox.append_all(connection, &context.trace, users.into_iter().map(change)).await?;
    Ok(())
}
