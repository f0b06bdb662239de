//! Asking a signed-in user for his password once more, before what can't be undone. Wrong ones count as at a
//! login, for the account: whoever has a stolen token can't guess on, under another name either.

use shared::contracts::auth::{ReauthenticationFailed, ReauthenticationFailure, ReauthenticationPurpose};
use shared::ids::UserId;
use sqlx::{PgConnection, Postgres, Transaction};

use super::store;
use crate::credentials::HashingError;
use crate::fault::Fault;
use crate::limits::{self, Asked, LimitError, Reservation, Tried, Verdict};
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
    /// The account was deleted meanwhile.
    #[error("the user is gone")]
    UserGone,
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

/// A password that was confirmed, as its hash was then; never printed.
pub(super) struct Confirmed {
    hash: String,
    purpose: ReauthenticationPurpose,
}

impl Confirmed {
    /// Whether it is the user's still: another change may have come first. The caller holds the user's lock.
    pub(super) async fn holds(
        &self,
        connection: &mut PgConnection,
        user: UserId,
    ) -> Result<bool, sqlx::Error> {
        Ok(store::stored_hash(connection, user).await?.as_ref() == Some(&self.hash))
    }

    /// Gives up what should have been done with it, because it does not hold, and tells of it.
    pub(super) async fn refuse(
        self,
        state: &AppState,
        context: &RequestContext,
        who: &SignedIn,
        transaction: Transaction<'_, Postgres>,
    ) -> ConfirmPasswordError {
        let told = async {
            transaction.rollback().await?;
            let mut transaction = state.database.begin().await?;
            state.outbox.append(&mut transaction, &context.trace, wrong(context, who, self.purpose)).await?;
            transaction.commit().await?;
            state.outbox.wake();
            Ok::<_, Fault>(())
        };
        told.await.err().map_or(ConfirmPasswordError::Wrong, ConfirmPasswordError::Fault)
    }
}

/// Looks at `password`, whose user wants to do something that needs it. A wrong one leaves its event, and one that nobody
/// looked at is counted. Whoever goes on under the user's lock asks whether it still holds.
pub(super) async fn confirm_password(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    password: String,
    purpose: ReauthenticationPurpose,
) -> Result<Confirmed, ConfirmPasswordError> {
    let asked = Asked::ToConfirm(purpose);
    let tried = Tried { username: &who.username, user_id: Some(who.user_id), asked };
    let mut reservation = limits::reserve(state, context, tried).await?;
    let checked = check(state, context, who, password, purpose, &mut reservation).await;
    if let Err(ConfirmPasswordError::Fault(fault)) = &checked {
        if matches!(fault, Fault::Hashing(HashingError::Overloaded)) {
            limits::note_refused(state, context, tried);
        }
        reservation.give_back(state).await;
    }
    checked
}

async fn check(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    password: String,
    purpose: ReauthenticationPurpose,
    reservation: &mut Reservation,
) -> Result<Confirmed, ConfirmPasswordError> {
    let stored = {
        let mut connection = state.database.acquire().await?;
        store::stored_hash(&mut connection, who.user_id).await?
    };
    let known = stored.is_some();
    let checked = state.hasher.verify(password, stored.clone()).await.map_err(Fault::from)?;
    let confirmed = stored.filter(|_| checked.matches);
    let verdict = if confirmed.is_some() { Verdict::Right } else { Verdict::Wrong };
    let mut transaction = state.database.begin().await?;
    if known && confirmed.is_none() {
        let event = wrong(context, who, purpose);
        state.outbox.append(&mut transaction, &context.trace, event).await.map_err(Fault::from)?;
    }
    reservation.settle(state, context, &mut transaction, verdict).await?;
    transaction.commit().await?;
    state.outbox.wake();
    match confirmed {
        Some(hash) => Ok(Confirmed { hash, purpose }),
        None if known => Err(ConfirmPasswordError::Wrong),
        None => Err(ConfirmPasswordError::UserGone),
    }
}

fn wrong(
    context: &RequestContext,
    who: &SignedIn,
    purpose: ReauthenticationPurpose,
) -> ReauthenticationFailed {
    ReauthenticationFailed {
        user_id: Some(who.user_id),
        username: Some(who.username.clone()),
        session_id: who.session_id,
        purpose: Some(purpose),
        reason: ReauthenticationFailure::WrongPassword,
        tally: None,
        origin: context.origin(),
    }
}
