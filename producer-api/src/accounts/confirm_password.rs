//! Asking a signed-in user for his password once more, before what can't be undone. Wrong ones count as at a
//! login, for the account: whoever has a stolen token can't guess on, under another name either.

use super::store;
use crate::fault::Fault;
use crate::limits::{self, Asked, LimitError, Tried, Verdict};
use crate::middleware::RequestContext;
use crate::sessions::SignedIn;
use crate::state::AppState;

/// Why the password was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmPasswordError {
    /// It is not the user's.
    #[error("the password is wrong")]
    Wrong,
    /// Too many passwords were wrong before: none is looked at.
    #[error("too many wrong passwords; wait {retry_after_seconds} s")]
    Limited {
        /// When it is worth trying again.
        retry_after_seconds: u64,
    },
    /// An outage, an overload or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for ConfirmPasswordError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl From<LimitError> for ConfirmPasswordError {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::Limited { retry_after_seconds } => Self::Limited { retry_after_seconds },
            LimitError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// The stored hash that `password` belongs to. Whoever goes on under the user's lock checks that it is still there.
pub(super) async fn confirm_password(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    password: String,
) -> Result<String, ConfirmPasswordError> {
    let tried = Tried { username: &who.username, user_id: Some(who.user_id), asked: Asked::ToConfirm };
    let mut reservation = limits::reserve(state, context, tried).await?;
    let checked = async {
        let stored = {
            let mut connection = state.database.acquire().await?;
            store::stored_hash(&mut connection, who.user_id).await?
        };
        let checked = state.hasher.verify(password, stored.clone()).await?;
        let confirmed = stored.filter(|_| checked.matches);
        let verdict = if confirmed.is_some() { Verdict::Right } else { Verdict::Wrong };
        let mut transaction = state.database.begin().await?;
        reservation.settle(state, context, &mut transaction, verdict).await?;
        transaction.commit().await?;
        state.outbox.wake();
        Ok::<_, Fault>(confirmed)
    }
    .await;
    match checked {
        Ok(confirmed) => confirmed.ok_or(ConfirmPasswordError::Wrong),
        Err(fault) => {
            reservation.give_back(state).await;
            Err(fault.into())
        }
    }
}
