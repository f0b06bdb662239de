//! Asking a signed-in user for his password once more, before what can't be undone.

use shared::ids::UserId;

use super::store;
use crate::fault::Fault;
use crate::state::AppState;

/// Why the password was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmPasswordError {
    /// It is not the user's.
    #[error("the password is wrong")]
    Wrong,
    /// An outage, an overload or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for ConfirmPasswordError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// The stored hash that `password` belongs to. Whoever goes on under the user's lock checks that it is still there.
pub(super) async fn confirm_password(
    state: &AppState,
    user: UserId,
    password: String,
) -> Result<String, ConfirmPasswordError> {
    let stored = {
        let mut connection = state.database.acquire().await?;
        store::stored_hash(&mut connection, user).await?
    };
    let checked = state.hasher.verify(password, stored.clone()).await.map_err(Fault::from)?;
    stored.filter(|_| checked.matches).ok_or(ConfirmPasswordError::Wrong)
}
