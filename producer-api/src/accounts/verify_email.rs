//! Proving an address by a mailed link: the first of an account, or one that is to take its place.

use shared::contracts::auth::{AccountChange, EmailChanged, EmailVerified, MailTokenFault};
use shared::contracts::mail::MailPurpose;

use super::mail_links::{LinkError, MailToken, Presented, Refusal, tell_refused};
use super::mail_store;
use super::store::{self, Profile, Proved};
use crate::fault::Fault;
use crate::limits;
use crate::middleware::RequestContext;
use crate::state::AppState;

const PURPOSES: &[MailPurpose] = &[MailPurpose::VerifyEmail, MailPurpose::ChangeEmail];

/// Uses a link. Of several uses one succeeds; an address that another account has proved is refused.
pub async fn verify_email(state: &AppState, context: &RequestContext, token: &str) -> Result<(), LinkError> {
    let refusal = match use_link(state, context, token).await? {
        Ok(()) => return Ok(()),
        Err(refusal) => refusal,
    };
    tell_refused(state, context, &refusal).await?;
    Err(LinkError::Refused)
}

async fn use_link(
    state: &AppState,
    context: &RequestContext,
    token: &str,
) -> Result<Result<(), Refusal>, LinkError> {
    let Some(presented) = Presented::read(token) else { return Ok(Err(Refusal::unknown())) };
    let mut transaction = state.database.begin().await?;
    let (found, user) = match presented.look_up_locked(&mut transaction).await? {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let now = state.clock.now();
    let purpose = match found.judge(PURPOSES, now).and_then(|purpose| still_wanted(purpose, &found, &user)) {
        Ok(purpose) => purpose,
        Err(fault) => return Ok(Err(found.refused(fault))),
    };
    let proved = match purpose {
        MailPurpose::ChangeEmail => store::change_email(&mut transaction, user.id, &found.email, now).await?,
        _ => store::prove_email(&mut transaction, user.id, now).await?,
    };
    if proved == Proved::TakenByAnother {
        return Ok(Err(found.refused(MailTokenFault::AddressTaken)));
    }
    mail_store::mark_used(&mut transaction, found.id, now).await?;
    mail_store::withdraw(&mut transaction, user.id, purpose, now).await?;
    if purpose == MailPurpose::ChangeEmail {
        // What went to the address that was given up is worth nothing any more.
        for of_former in [MailPurpose::VerifyEmail, MailPurpose::ResetPassword] {
            mail_store::withdraw(&mut transaction, user.id, of_former, now).await?;
        }
    }
    let change = AccountChange {
        user_id: user.id,
        username: user.username.clone(),
        actor_id: None,
        origin: context.origin(),
    };
    let outbox = &state.outbox;
    let appended = match purpose {
        MailPurpose::ChangeEmail => {
            outbox.append(&mut transaction, &context.trace, EmailChanged(change)).await
        }
        _ => outbox.append(&mut transaction, &context.trace, EmailVerified(change)).await,
    };
    appended.map_err(Fault::from)?;
    if purpose == MailPurpose::VerifyEmail {
        // Where that is required his own password was refused until now, and counted. Last, as it locks counts.
        let who = (user.id, user.username.as_str());
        limits::unlock_locked((&mut transaction, outbox), context, None, who).await?;
    }
    transaction.commit().await?;
    outbox.wake();
    Ok(Ok(()))
}

/// Whether the address that the link proves is the one that the account has, or wants, now.
fn still_wanted(
    purpose: MailPurpose,
    token: &MailToken,
    user: &Profile,
) -> Result<MailPurpose, MailTokenFault> {
    let wanted = match purpose {
        MailPurpose::ChangeEmail => user.pending_email.as_ref(),
        _ => Some(&user.email),
    };
    if wanted != Some(&token.email) {
        return Err(MailTokenFault::Withdrawn);
    }
    if user.is_active { Ok(purpose) } else { Err(MailTokenFault::Disabled) }
}
