//! What goes with a new password, whoever chose it: the old one's sessions and links are over, and its user is told.

use shared::contracts::auth::{AccountChange, PasswordChanged, PasswordResetCompleted, SessionEnd};
use shared::contracts::mail::{MailPurpose, SendMail};
use shared::ids::{SessionId, UserId};
use shared::runs::enqueue_mails;
use sqlx::PgConnection;

use super::mail_store;
use super::office::Office;
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::sessions::{Ending, end_all_sessions};
use crate::tokens::Whose;

/// How an account came to a new password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    /// By its user, who knew the one before, or by an operator.
    Anew {
        /// Whether he is told by mail.
        notified: bool,
    },
    /// By a mailed link.
    ByLink,
}

/// Gives a user whose row the caller has locked the password behind `hash`, in the caller's transaction. Gives the
/// sessions that ended, for [`announce`] after the commit. Where tokens don't carry their session none ends, as in
/// SimpleJWT; `CHECK_REVOKE_TOKEN` refuses them.
pub(super) async fn replace_password(
    office: Office<'_>,
    context: &RequestContext,
    connection: &mut PgConnection,
    (user_id, username): (UserId, &str),
    hash: &str,
    chosen: Chosen,
) -> Result<Vec<SessionId>, Fault> {
    let now = office.clock.now();
    store::set_password(connection, user_id, hash, office.entropy.uuid_v4(), now).await?;
    // Whoever knew the old password may have asked for them.
    mail_store::withdraw(connection, user_id, MailPurpose::ResetPassword, now).await?;
    mail_store::withdraw(connection, user_id, MailPurpose::ChangeEmail, now).await?;
    store::set_pending_email(connection, user_id, None).await?;
    let change =
        AccountChange { user_id, username: username.to_owned(), actor_id: None, origin: context.origin() };
    let reason = match chosen {
        Chosen::Anew { .. } => {
            office.outbox.append(connection, &context.trace, PasswordChanged(change)).await?;
            SessionEnd::PasswordChanged
        }
        Chosen::ByLink => {
            office.outbox.append(connection, &context.trace, PasswordResetCompleted(change)).await?;
            SessionEnd::PasswordReset
        }
    };
    let mut ended = Vec::new();
    if office.sessions.tokens_carry_session() {
        let whose = Whose::of_user(user_id, username, context);
        let ending = Ending::by_rule(reason, now);
        ended = end_all_sessions(connection, office.outbox, (user_id, username), &whose, ending).await?;
    }
    let notified = chosen != Chosen::Anew { notified: false };
    let notice = SendMail { user_id: notified.then_some(user_id), purpose: MailPurpose::PasswordChanged };
    enqueue_mails(connection, office.outbox, office.entropy, &context.trace, &[notice], now).await?;
    Ok(ended)
}

/// Has this replica refuse what has ended, and the relay look: after the commit, before the answer.
pub(super) fn announce(office: Office<'_>, user: UserId, ended: &[SessionId]) {
    office.outbox.wake();
    office.standings.user_changed(user);
    office.standings.sessions_ended(ended);
}
