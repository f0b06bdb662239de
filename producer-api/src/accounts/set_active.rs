//! Disabling an account, and enabling it again.

use shared::contracts::auth::{AccountChange, AccountDisabled, AccountEnabled, SessionEnd};
use shared::ids::{SessionId, UserId};
use sqlx::PgConnection;

use super::new_password::announce;
use super::office::Office;
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::sessions::{Ending, end_all_sessions};
use crate::tokens::Whose;

/// What changed.
#[derive(Debug, PartialEq, Eq)]
pub enum SetActive {
    /// The account was switched, and so many sessions ended.
    Done {
        /// How many.
        sessions_ended: usize,
    },
    /// It was so already.
    Unchanged,
}

/// Why an account could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such user.
    #[error("there is no user {0:?}")]
    UnknownUser(String),
    /// An outage, an overload or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Switches the account that has a name now off or on, as an operator.
pub async fn set_active(
    office: impl Into<Office<'_>>,
    context: &RequestContext,
    username: &str,
    active: bool,
) -> Result<SetActive, ChangeError> {
    let office = office.into();
    let unknown = || ChangeError::UnknownUser(username.to_owned());
    let mut transaction = office.database.begin().await?;
    let account = store::lock_by_username(&mut transaction, username).await?.ok_or_else(unknown)?;
    if account.is_active == active {
        return Ok(SetActive::Unchanged);
    }
    let user = (account.id, username);
    let ended = set_active_locked(office, context, &mut transaction, user, active, None).await?;
    transaction.commit().await?;
    announce(office, account.id, &ended);
    Ok(SetActive::Done { sessions_ended: ended.len() })
}

/// Switches an account that is not so yet off or on, with its events, in the transaction of a caller who has locked its
/// row. A disabled account can't log in, and all its sessions end; where tokens don't carry their session, they are refused
/// for as long as the account is disabled, as SimpleJWT's. Gives the sessions that ended, for `announce` after the commit.
pub(super) async fn set_active_locked(
    office: Office<'_>,
    context: &RequestContext,
    connection: &mut PgConnection,
    (user_id, username): (UserId, &str),
    active: bool,
    actor_id: Option<UserId>,
) -> Result<Vec<SessionId>, Fault> {
    store::set_active(connection, user_id, active).await?;
    let change = AccountChange { user_id, username: username.to_owned(), actor_id, origin: context.origin() };
    if active {
        office.outbox.append(connection, &context.trace, AccountEnabled(change)).await?;
        return Ok(Vec::new());
    }
    office.outbox.append(connection, &context.trace, AccountDisabled(change)).await?;
    if !office.sessions.tokens_carry_session() {
        return Ok(Vec::new());
    }
    let whose = Whose::of_user(user_id, username, context);
    let ending = Ending { reason: SessionEnd::AccountDisabled, at: office.clock.now(), actor_id };
    let user = (user_id, username);
    end_all_sessions(connection, office.outbox, user, &whose, ending).await
}
