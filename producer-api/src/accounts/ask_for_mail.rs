//! Asking for a mailed link by address: to verify it, or to choose a new password.
//!
//! The answer is the same whoever has the address, and so is the work: one run of `send-mail` is enqueued in any case,
//! and for nobody it sends nothing.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use shared::contracts::auth::{NoPasswordReset, PasswordResetRequested};
use shared::contracts::mail::{MailPurpose, SendMail};
use shared::ids::UserId;
use shared::runs::enqueue_mail;
use sqlx::PgConnection;

use super::mail_store::{self, Addressee};
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;

/// How many mails of one purpose a user is sent in an hour because somebody asked,
const MAILS_PER_HOUR: i64 = 5;
/// unless none was asked for in so long: then every link that he has for a new password has run out, and whoever asks in
/// his place again and again keeps him from nothing.
pub(super) const SPACING_SECONDS: u64 = 300;

/// Where nobody has an address the same is done for nobody, so that the statements tell nobody apart.
const NOBODY: [Option<&Addressee>; 1] = [None];

/// Has a link sent again with which an address is verified, to each of the oldest three accounts that have it unverified:
/// whoever registers a stranger's address keeps its owner from nothing.
pub async fn resend_verification(
    state: &AppState,
    context: &RequestContext,
    email: &str,
) -> Result<(), Fault> {
    let now = state.clock.now();
    let mut transaction = state.database.begin().await?;
    let addressees = mail_store::addressees(&mut transaction, email).await?;
    let purpose = MailPurpose::VerifyEmail;
    // Where somebody has proved the address nobody else can.
    let is_taken = addressees.iter().any(|addressee| addressee.verified);
    let unverified: Vec<_> =
        addressees.iter().filter(|addressee| !is_taken && addressee.is_active).map(Some).collect();
    for addressee in if unverified.is_empty() { &NOBODY[..] } else { &unverified } {
        let mailed = within_limit(&mut transaction, *addressee, purpose, now).await?;
        let mail = SendMail { user_id: mailed.map(|user| user.id), purpose };
        enqueue(state, context, &mut transaction, mail, now).await?;
    }
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
    for addressee in if asked.is_empty() { &NOBODY[..] } else { &asked } {
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

/// The addressee, unless he was sent so many in the last hour. Under his lock: of many who ask at once each counts those
/// before. For nobody the same questions are asked.
async fn within_limit<'a>(
    connection: &mut PgConnection,
    addressee: Option<&'a Addressee>,
    purpose: MailPurpose,
    now: DateTime<Utc>,
) -> Result<Option<&'a Addressee>, sqlx::Error> {
    let user = addressee.map_or(UserId(0), |addressee| addressee.id);
    store::lock(connection, user).await?;
    let may = may_ask(connection, user, purpose, now).await?;
    Ok(addressee.filter(|_| may))
}

/// Whether one more mail may be sent to a user because somebody asked. The caller holds the lock of his row.
pub(super) async fn may_ask(
    connection: &mut PgConnection,
    user: UserId,
    purpose: MailPurpose,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let in_an_hour = mail_store::asked_since(connection, user, purpose, now - TimeDelta::hours(1)).await?;
    let just_now =
        mail_store::asked_since(connection, user, purpose, now - Duration::from_secs(SPACING_SECONDS))
            .await?;
    Ok(in_an_hour < MAILS_PER_HOUR || just_now == 0)
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
