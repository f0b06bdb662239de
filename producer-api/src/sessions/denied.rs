//! Tells that a signed-in user asked for what is not his.

use shared::contracts::auth::{AccessDenial, AccessDenied};

use super::signed_in::SignedIn;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;

/// Leaves the event of one denial, in a transaction of its own: there is nothing else to commit.
pub async fn tell_denied(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    reason: AccessDenial,
    object: String,
) -> Result<(), Fault> {
    let now = state.clock.now();
    let event = AccessDenied {
        user_id: Some(who.user_id),
        username: Some(who.username.clone()),
        session_id: who.session_id,
        reason,
        object: Some(object),
        count: 1,
        first_at: now,
        last_at: now,
        origin: context.origin(),
    };
    let mut transaction = state.database.begin().await?;
    state.outbox.append(&mut transaction, &context.trace, event).await?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(())
}
