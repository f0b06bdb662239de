//! Ending one session from another place: a user his own, staff anybody's.

use shared::contracts::auth::SessionEnd;
use shared::ids::SessionId;

use super::denied::note_denied;
use super::end::{Ending, end_session};
use super::signed_in::SignedIn;
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;
use crate::tokens::Whose;

/// Why no session was ended.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// There is no such active session, or it is another's: a user is not told which.
    #[error("there is no such active session")]
    NotFound,
    /// An outage or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for RevokeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Ends `session`, if it is the caller's or the caller is staff.
pub async fn revoke_session(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    session: SessionId,
) -> Result<(), RevokeError> {
    let mut transaction = state.database.begin().await?;
    let holder = store::holder_of(&mut transaction, session).await?.ok_or(RevokeError::NotFound)?;
    let own = holder == who.user_id;
    if !own && !who.is_staff {
        note_denied(state, context, who, format!("sessions/{session}"));
        return Err(RevokeError::NotFound);
    }
    let account = store::lock_user(&mut transaction, holder).await?.ok_or(RevokeError::NotFound)?;
    let whose = Whose::of_user(account.id, &account.username, context);
    let at = state.clock.now();
    let ending = if own {
        Ending::by_rule(SessionEnd::UserRevoked, at)
    } else {
        Ending { reason: SessionEnd::StaffRevoked, at, actor_id: Some(who.user_id) }
    };
    let user = (account.id, account.username.as_str());
    if !end_session(&mut transaction, &state.outbox, user, session, &whose, ending).await? {
        return Err(RevokeError::NotFound);
    }
    transaction.commit().await?;
    state.outbox.wake();
    state.standings.session_ended(session);
    Ok(())
}
