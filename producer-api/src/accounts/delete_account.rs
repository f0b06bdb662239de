//! Deleting one's own account, with its tasks. The audit trail stays.

use shared::contracts::auth::{AccountChange, AccountDeleted, ReauthenticationPurpose, SessionEnd};

use super::confirm_password::{ConfirmPasswordError, confirm_password};
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::sessions::{Ending, SignedIn, end_all_sessions};
use crate::state::AppState;
use crate::tokens::Whose;

/// Deletes the account of whoever asks, if `password` is his: his sessions end, his tasks, sessions and links are
/// deleted. What the audit trail has of him stays, under the name he had.
pub async fn delete_account(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    password: String,
) -> Result<(), ConfirmPasswordError> {
    let purpose = ReauthenticationPurpose::DeleteAccount;
    let confirmed = confirm_password(state, context, who, password, purpose).await?;
    let mut transaction = state.database.begin().await?;
    let user = store::lock(&mut transaction, who.user_id).await?.ok_or(ConfirmPasswordError::UserGone)?;
    if !confirmed.holds(&mut transaction, user.id).await? {
        return Err(confirmed.refuse(state, context, who, transaction).await);
    }
    let whose = Whose::of_user(user.id, &user.username, context);
    let ending = Ending::by_rule(SessionEnd::AccountDeleted, state.clock.now());
    let named = (user.id, user.username.as_str());
    let ended = end_all_sessions(&mut transaction, &state.outbox, named, &whose, ending).await?;
    let change = AccountChange {
        user_id: user.id,
        username: user.username.clone(),
        actor_id: None,
        origin: context.origin(),
    };
    let event = AccountDeleted(change);
    state.outbox.append(&mut transaction, &context.trace, event).await.map_err(Fault::from)?;
    store::delete(&mut transaction, user.id).await?;
    transaction.commit().await?;
    state.outbox.wake();
    state.standings.user_changed(user.id);
    state.standings.sessions_ended(&ended);
    Ok(())
}
