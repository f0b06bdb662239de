//! Asking for a mailed link by address: to verify it, or to choose a new password.
//!
//! The answer is the same whoever has the address, and so is the work: the same statements, whether nobody has it, one account
//! or several. A run of `send-mail` is enqueued in any case, and for nobody it sends nothing.

use shared::contracts::auth::{NoPasswordReset, PasswordResetRequested};
use shared::contracts::mail::{MailPurpose, SendMail};
use shared::ids::UserId;
use shared::runs::enqueue_mails;
use sqlx::PgConnection;

use super::mail_store::{self, Addressee};
use crate::fault::Fault;
use crate::limits::{Asker, LimitError, MailRequest};
use crate::middleware::RequestContext;
use crate::state::AppState;

/// What a link is asked for by.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The address.
    pub email: &'a str,
    /// The account that is meant, if more have the address than are written to. It decides nothing else.
    pub username: Option<&'a str>,
}

/// Has a link sent again with which an address is verified, to each of the oldest three accounts that have it unverified, that
/// of the name first: whoever registers a stranger's address, however often, keeps its owner from nothing.
pub async fn resend_verification(
    state: &AppState,
    context: &RequestContext,
    Asked { email, username }: Asked<'_>,
) -> Result<(), LimitError> {
    let purpose = MailPurpose::VerifyEmail;
    let may_send = count(state, context, email, purpose).await?;
    let mut transaction = state.database.begin().await?;
    let addressees = mail_store::addressees(&mut transaction, email, username).await?;
    // Where somebody has proved the address nobody else can.
    let is_taken = addressees.iter().any(|addressee| addressee.verified);
    let mailed = addressees.iter().filter(|user| !is_taken && user.is_active && may_send).map(|user| user.id);
    enqueue(state, context, &mut transaction, purpose, mailed).await?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(())
}

/// Has a link sent with which a new password is chosen: to the account that has proved the address, else to those that
/// have it unproved, that of the name and the oldest, three together.
pub async fn ask_for_password_reset(
    state: &AppState,
    context: &RequestContext,
    Asked { email, username }: Asked<'_>,
) -> Result<(), LimitError> {
    let purpose = MailPurpose::ResetPassword;
    let may_send = count(state, context, email, purpose).await?;
    let mut transaction = state.database.begin().await?;
    let addressees = mail_store::addressees(&mut transaction, email, username).await?;
    let asked = of_interest(&addressees);
    let mailed = asked.iter().filter(|user| user.is_active && may_send).map(|user| user.id);
    enqueue(state, context, &mut transaction, purpose, mailed).await?;
    let event = |user: Option<&Addressee>, reason| PasswordResetRequested {
        user_id: user.map(|user| user.id),
        username: user.map(|user| user.username.clone()),
        reason,
        origin: context.origin(),
    };
    let mut events: Vec<_> = asked
        .iter()
        .map(|user| {
            let refused = if user.is_active { NoPasswordReset::TooMany } else { NoPasswordReset::Disabled };
            event(Some(user), (!user.is_active || !may_send).then_some(refused))
        })
        .collect();
    if events.is_empty() {
        events.push(event(None, Some(NoPasswordReset::UnknownAddress)));
    }
    state.outbox.append_all(&mut transaction, &context.trace, events).await.map_err(Fault::from)?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(())
}

/// Counts the request before anything is looked up; whether a mail may be sent because of it.
async fn count(
    state: &AppState,
    context: &RequestContext,
    email: &str,
    purpose: MailPurpose,
) -> Result<bool, LimitError> {
    let request = MailRequest { asker: Asker::Stranger(context.ip), recipient: email, purpose };
    state.limits.count_mail((&state.database, &state.clock), request).await
}

/// Whoever has proved the address, alone; else everybody who has it.
fn of_interest(addressees: &[Addressee]) -> &[Addressee] {
    // He comes first.
    if addressees.first().is_some_and(|first| first.verified) { &addressees[..1] } else { addressees }
}

/// A mail to each of these users, in one statement; to nobody, if there is none.
async fn enqueue(
    state: &AppState,
    context: &RequestContext,
    connection: &mut PgConnection,
    purpose: MailPurpose,
    users: impl Iterator<Item = UserId>,
) -> Result<(), Fault> {
    let mut mails: Vec<_> = users.map(|user| SendMail { user_id: Some(user), purpose }).collect();
    if mails.is_empty() {
        mails.push(SendMail { user_id: None, purpose });
    }
    let now = state.clock.now();
    enqueue_mails(connection, &state.outbox, &state.entropy, &context.trace, &mails, now).await?;
    Ok(())
}
