//! Giving an account another password without asking for the one it has: what an operator's command does.

use shared::contracts::auth::{AccountChange, PasswordChanged, SessionEnd};

use super::office::Office;
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::sessions::{Ending, end_all_sessions};
use crate::tokens::Whose;

/// Why an account has no new password.
#[derive(Debug, thiserror::Error)]
pub enum SetPasswordError {
    /// There is no such user.
    #[error("there is no user {0:?}")]
    UnknownUser(String),
    /// The policy refuses it, with the messages for its field.
    #[error("{}", .0.join(" "))]
    Refused(Vec<String>),
    /// An outage, an overload or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for SetPasswordError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Gives an account the password, if the policy lets it, and ends all its sessions; gives how many those were. Where tokens don't carry their session none ends, as in SimpleJWT; `CHECK_REVOKE_TOKEN` refuses them.
pub async fn set_password(
    office: impl Into<Office<'_>>,
    context: &RequestContext,
    username: &str,
    password: String,
) -> Result<usize, SetPasswordError> {
    let office = office.into();
    let unknown = || SetPasswordError::UnknownUser(username.to_owned());
    let about = {
        // Nothing is held while the password is judged and hashed.
        let mut connection = office.database.acquire().await?;
        store::personal_words(&mut connection, username).await?.ok_or_else(unknown)?
    };
    let faults = office.hasher.faults_of_new(&password, &about).await.map_err(Fault::from)?;
    if !faults.is_empty() {
        return Err(SetPasswordError::Refused(faults));
    }
    let hash = office.hasher.hash(password).await.map_err(Fault::from)?;
    let mut transaction = office.database.begin().await?;
    let account = store::lock_by_username(&mut transaction, username).await?.ok_or_else(unknown)?;
    let now = office.clock.now();
    store::set_password(&mut transaction, account.id, &hash, office.entropy.uuid_v4(), now).await?;
    let event = PasswordChanged(AccountChange {
        user_id: account.id,
        username: username.to_owned(),
        actor_id: None,
        origin: context.origin(),
    });
    office.outbox.append(&mut transaction, &context.trace, event).await.map_err(Fault::from)?;
    let mut ended = Vec::new();
    if office.sessions.tokens_carry_session() {
        let whose = Whose::of_user(account.id, username, context);
        let ending = Ending::by_rule(SessionEnd::PasswordChanged, now);
        let user = (account.id, username);
        ended = end_all_sessions(&mut transaction, office.outbox, user, &whose, ending).await?;
    }
    transaction.commit().await?;
    office.outbox.wake();
    office.standings.user_changed(account.id);
    office.standings.sessions_ended(&ended);
    Ok(ended.len())
}
