//! Choosing a new password by a mailed link.

use shared::contracts::auth::MailTokenFault;
use shared::contracts::mail::MailPurpose;

use super::mail_links::{LinkError, Presented, Refusal, tell_refused};
use super::mail_store;
use super::new_password::{Chosen, announce, replace_password};
use super::office::Office;
use super::store;
use crate::fault::Fault;
use crate::limits;
use crate::middleware::RequestContext;
use crate::state::AppState;

const PURPOSES: &[MailPurpose] = &[MailPurpose::ResetPassword];

/// Why there is no new password.
#[derive(Debug, thiserror::Error)]
pub enum ResetPasswordError {
    /// The link is no good.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The password won't do, with the messages for its field; the link stays good.
    #[error("{}", .0.join(" "))]
    Password(Vec<String>),
}

impl From<sqlx::Error> for ResetPasswordError {
    fn from(error: sqlx::Error) -> Self {
        Self::Link(error.into())
    }
}

impl From<Fault> for ResetPasswordError {
    fn from(fault: Fault) -> Self {
        Self::Link(fault.into())
    }
}

/// Uses a link: the account has `password`, all its sessions and links are over, a change of address that was asked for
/// is off, and its user gets a notice. Of several uses one succeeds.
pub async fn reset_password(
    state: &AppState,
    context: &RequestContext,
    token: &str,
    password: String,
) -> Result<(), ResetPasswordError> {
    let refusal = match try_reset(state, context, token, password).await? {
        Ok(()) => return Ok(()),
        Err(refusal) => refusal,
    };
    tell_refused(state, context, &refusal).await?;
    Err(LinkError::Refused.into())
}

async fn try_reset(
    state: &AppState,
    context: &RequestContext,
    token: &str,
    password: String,
) -> Result<Result<(), Refusal>, ResetPasswordError> {
    let Some(presented) = Presented::read(token) else { return Ok(Err(Refusal::unknown())) };
    let profile = {
        // A link that is no good costs no hash.
        let mut connection = state.database.acquire().await?;
        let Some(found) = presented.look_up(&mut connection).await? else {
            return Ok(Err(Refusal::unknown()));
        };
        if let Err(fault) = found.judge(PURPOSES, state.clock.now()) {
            return Ok(Err(found.refused(fault)));
        }
        let profile = store::profile(&mut connection, found.user_id).await?;
        let Some(profile) = profile else { return Ok(Err(found.refused(MailTokenFault::Withdrawn))) };
        profile
    };
    let faults =
        state.hasher.faults_of_new(&password, &profile.personal_words()).await.map_err(Fault::from)?;
    if !faults.is_empty() {
        return Err(ResetPasswordError::Password(faults));
    }
    let hash = state.hasher.hash(password).await.map_err(Fault::from)?;

    let office = Office::from(state);
    let mut transaction = state.database.begin().await?;
    let (found, user) = match presented.look_up_locked(&mut transaction).await? {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let now = state.clock.now();
    if let Err(fault) = found.judge(PURPOSES, now) {
        return Ok(Err(found.refused(fault)));
    }
    if found.email != user.email {
        // Whoever reads the mail of an address that was given up is not the account's owner any more.
        return Ok(Err(found.refused(MailTokenFault::Withdrawn)));
    }
    if !user.is_active {
        return Ok(Err(found.refused(MailTokenFault::Disabled)));
    }
    mail_store::mark_used(&mut transaction, found.id, now).await?;
    let who = (user.id, user.username.as_str());
    let ended = replace_password(office, context, &mut transaction, who, &hash, Chosen::ByLink).await?;
    // Whoever holds the mailbox need not wait for guesses at a password that is gone. Last, as it locks counts.
    limits::unlock_locked((&mut transaction, &state.outbox), context, None, who).await?;
    transaction.commit().await?;
    announce(office, user.id, &ended);
    Ok(Ok(()))
}
