//! Disabling an account, and enabling it again.

use shared::contracts::auth::{AccountChange, AccountDisabled, AccountEnabled, SessionEnd};
use shared::ids::UserId;

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

/// Switches an account off or on. A disabled account can't log in, and all its sessions end; where tokens don't carry
/// their session, they are refused for as long as the account is disabled, as SimpleJWT's.
pub async fn set_active(
    office: impl Into<Office<'_>>,
    context: &RequestContext,
    actor_id: Option<UserId>,
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
    store::set_active(&mut transaction, account.id, active).await?;
    let user_id = account.id;
    let change = AccountChange { user_id, username: username.to_owned(), actor_id, origin: context.origin() };
    let mut ended = Vec::new();
    if active {
        let event = AccountEnabled(change);
        office.outbox.append(&mut transaction, &context.trace, event).await.map_err(Fault::from)?;
    } else {
        let event = AccountDisabled(change);
        office.outbox.append(&mut transaction, &context.trace, event).await.map_err(Fault::from)?;
        if office.sessions.tokens_carry_session() {
            let whose = Whose::of_user(user_id, username, context);
            let ending = Ending { reason: SessionEnd::AccountDisabled, at: office.clock.now(), actor_id };
            let user = (user_id, username);
            ended = end_all_sessions(&mut transaction, office.outbox, user, &whose, ending).await?;
        }
    }
    transaction.commit().await?;
    office.outbox.wake();
    office.standings.user_changed(user_id);
    office.standings.sessions_ended(&ended);
    Ok(SetActive::Done { sessions_ended: ended.len() })
}
