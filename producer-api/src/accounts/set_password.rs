//! Giving an account another password without asking for the one it has: what an operator's command does.

use shared::contracts::auth::{AccountChange, PasswordChanged, SessionEnd};

use super::office::Office;
use super::set_active::ChangeError;
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::sessions::{Ending, end_all_sessions};
use crate::tokens::Whose;

/// Gives an account the password, which the caller has checked by the policy, and ends all its sessions; gives how many
/// those were. Where tokens don't carry their session none ends, as in SimpleJWT; `CHECK_REVOKE_TOKEN` refuses them.
pub async fn set_password(
    office: impl Into<Office<'_>>,
    context: &RequestContext,
    username: &str,
    password: String,
) -> Result<usize, ChangeError> {
    let office = office.into();
    let unknown = || ChangeError::UnknownUser(username.to_owned());
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
