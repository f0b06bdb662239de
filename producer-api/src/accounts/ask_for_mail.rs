//! Asking for a mailed link by address: to verify it, or to choose a new password.
//!
//! The answer is the same whoever has the address, and so is the work: one run of `send-mail` is enqueued in any case,
//! and for nobody it sends nothing.

use chrono::{DateTime, TimeDelta, Utc};
use shared::contracts::auth::{NoPasswordReset, PasswordResetRequested};
use shared::contracts::mail::{MailPurpose, SendMail};
use shared::ids::UserId;
use shared::runs::enqueue_mail;
use sqlx::PgConnection;

use super::mail_store::{self, Addressee};
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;

/// How many mails of one purpose a user is sent in an hour because somebody asked.
const MAILS_PER_HOUR: i64 = 5;

/// Has a link sent again with which an address is verified, if an account has it unverified.
pub async fn resend_verification(
    state: &AppState,
    context: &RequestContext,
    email: &str,
) -> Result<(), Fault> {
    let now = state.clock.now();
    let mut transaction = state.database.begin().await?;
    let addressees = mail_store::addressees(&mut transaction, email).await?;
    let unverified = addressees.iter().rfind(|addressee| !addressee.verified && addressee.is_active);
    let purpose = MailPurpose::VerifyEmail;
    let user_id = within_limit(&mut transaction, unverified, purpose, now).await?.map(|user| user.id);
    enqueue(state, context, &mut transaction, SendMail { user_id, purpose }, now).await?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(())
}

/// Has a link sent with which a new password is chosen: to the account that has proved the address, else to those that
/// have it unproved, the oldest three.
pub async fn ask_for_password_reset(
    state: &AppState,
    context: &RequestContext,
    email: &str,
) -> Result<(), Fault> {
    let now = state.clock.now();
    let mut transaction = state.database.begin().await?;
    let addressees = mail_store::addressees(&mut transaction, email).await?;
    let purpose = MailPurpose::ResetPassword;
    let asked = of_interest(&addressees);
    // For nobody, too, so that the statements tell nobody apart.
    let nobody = [None];
    for addressee in if asked.is_empty() { &nobody[..] } else { &asked } {
        let eligible = addressee.filter(|addressee| addressee.is_active);
        let mailed = within_limit(&mut transaction, eligible, purpose, now).await?;
        let reason = match (addressee, eligible, mailed) {
            (_, _, Some(_)) => None,
            (_, Some(_), None) => Some(NoPasswordReset::TooMany),
            (Some(_), None, None) => Some(NoPasswordReset::Disabled),
            (None, None, None) => Some(NoPasswordReset::UnknownAddress),
        };
        let user_id = mailed.map(|user| user.id);
        enqueue(state, context, &mut transaction, SendMail { user_id, purpose }, now).await?;
        let event = PasswordResetRequested {
            user_id: addressee.map(|user| user.id),
            username: addressee.map(|user| user.username.clone()),
            reason,
            origin: context.origin(),
        };
        state.outbox.append(&mut transaction, &context.trace, event).await?;
    }
    transaction.commit().await?;
    state.outbox.wake();
    Ok(())
}

/// Whoever has proved the address, alone; else everybody who has it.
fn of_interest(addressees: &[Addressee]) -> Vec<Option<&Addressee>> {
    match addressees.iter().find(|addressee| addressee.verified) {
        Some(owner) => vec![Some(owner)],
        None => addressees.iter().map(Some).collect(),
    }
}

/// The addressee, unless he was sent so many in the last hour. For nobody the same question is asked.
async fn within_limit<'a>(
    connection: &mut PgConnection,
    addressee: Option<&'a Addressee>,
    purpose: MailPurpose,
    now: DateTime<Utc>,
) -> Result<Option<&'a Addressee>, sqlx::Error> {
    let user = addressee.map_or(UserId(0), |addressee| addressee.id);
    let mails = mail_store::asked_since(connection, user, purpose, now - TimeDelta::hours(1)).await?;
    Ok(addressee.filter(|_| mails < MAILS_PER_HOUR))
}

/// Enqueues a mail in the caller's transaction.
async fn enqueue(
    state: &AppState,
    context: &RequestContext,
    connection: &mut PgConnection,
    mail: SendMail,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    enqueue_mail(connection, &state.outbox, &state.entropy, &context.trace, mail, now).await?;
    Ok(())
}
