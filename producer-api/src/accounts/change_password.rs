//! Changing one's own password, by the one before.

use shared::contracts::auth::ReauthenticationPurpose;
use shared::contracts::mail::MailPurpose;

use super::confirm_password::{ConfirmPasswordError, confirm_password};
use super::new_password::{Chosen, announce, replace_password};
use super::notices::may_notify;
use super::office::Office;
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::sessions::SignedIn;
use crate::state::AppState;

/// Why the password stays.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    /// The present one was not given.
    #[error(transparent)]
    Present(#[from] ConfirmPasswordError),
    /// The new one won't do, with the messages for its field.
    #[error("{}", .0.join(" "))]
    New(Vec<String>),
}

impl From<sqlx::Error> for ChangePasswordError {
    fn from(error: sqlx::Error) -> Self {
        Self::Present(error.into())
    }
}

impl From<Fault> for ChangePasswordError {
    fn from(fault: Fault) -> Self {
        Self::Present(fault.into())
    }
}

/// Gives the user `new`, if `present` is his password now; all his sessions are over, this one too, and he gets a notice.
pub async fn change_password(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    present: String,
    new: String,
) -> Result<(), ChangePasswordError> {
    let purpose = ReauthenticationPurpose::ChangePassword;
    let confirmed = confirm_password(state, context, who, present, purpose).await?;
    let profile = {
        let mut connection = state.database.acquire().await?;
        store::profile(&mut connection, who.user_id).await?.ok_or(ConfirmPasswordError::UserGone)?
    };
    let faults = state.hasher.faults_of_new(&new, &profile.personal_words()).await.map_err(Fault::from)?;
    if !faults.is_empty() {
        return Err(ChangePasswordError::New(faults));
    }
    let hash = state.hasher.hash(new).await.map_err(Fault::from)?;
    let chosen = match may_notify(state, &profile, MailPurpose::PasswordChanged).await {
        Ok(notified) => Chosen::Anew { notified },
        Err(error) => return Err(ConfirmPasswordError::from(error).into()),
    };
    let office = Office::from(state);
    let mut transaction = state.database.begin().await?;
    let user = store::lock(&mut transaction, who.user_id).await?.ok_or(ConfirmPasswordError::UserGone)?;
    if !confirmed.holds(&mut transaction, user.id).await? {
        return Err(confirmed.refuse(state, context, who, transaction).await.into());
    }
    let user = (user.id, user.username.as_str());
    let ended = replace_password(office, context, &mut transaction, user, &hash, chosen).await?;
    transaction.commit().await?;
    announce(office, who.user_id, &ended);
    Ok(())
}
