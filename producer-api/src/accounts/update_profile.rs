//! What a user says of himself, and changing it.

use shared::contracts::auth::{AccountChange, ReauthenticationPurpose, UserUpdated};
use shared::contracts::mail::{MailPurpose, SendMail};
use shared::ids::UserId;
use shared::runs::enqueue_mails;
use sqlx::PgConnection;

use super::confirm_password::{ConfirmPasswordError, confirm_password};
use super::email_address::EmailAddress;
use super::mail_store;
use super::notices::may_notify;
use super::store::{self, Profile};
use super::username::Username;
use crate::config::UserIdField;
use crate::fault::Fault;
use crate::limits::{Asker, LimitError, MailRequest};
use crate::middleware::RequestContext;
use crate::sessions::SignedIn;
use crate::state::AppState;

/// What is to be another value. What is `None` stays.
#[derive(Default)]
pub struct ProfileChange {
    /// The name.
    pub username: Option<Username>,
    /// The first name.
    pub first_name: Option<String>,
    /// The last name.
    pub last_name: Option<String>,
    /// The address that he wants; it takes the place of the present one when it is verified.
    pub email: Option<EmailAddress>,
    /// His password, which another address needs.
    pub password: Option<String>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateProfileError {
    /// Somebody else has this name.
    #[error("the username is taken")]
    UsernameTaken,
    /// The settings put names into tokens: a name that was given up would open its next owner's account.
    #[error("usernames stand in tokens here and can't be changed")]
    NamesStandInTokens,
    /// So many addresses were asked for just now.
    #[error("another address was asked for too often; wait {retry_after_seconds} s")]
    TooOften {
        /// When it is worth trying again.
        retry_after_seconds: u64,
    },
    /// Another address needs the password.
    #[error("another address needs the password")]
    PasswordMissing,
    /// It was not confirmed.
    #[error(transparent)]
    Password(#[from] ConfirmPasswordError),
    /// The user is gone meanwhile.
    #[error("the user is gone")]
    Gone,
}

impl From<sqlx::Error> for UpdateProfileError {
    fn from(error: sqlx::Error) -> Self {
        Self::Password(error.into())
    }
}

impl From<Fault> for UpdateProfileError {
    fn from(fault: Fault) -> Self {
        Self::Password(fault.into())
    }
}

impl From<LimitError> for UpdateProfileError {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::Limited { retry_after_seconds } => Self::TooOften { retry_after_seconds },
            LimitError::Fault(fault) => fault.into(),
        }
    }
}

/// The profile of a user; none if he is gone.
pub async fn profile(state: &AppState, user: UserId) -> Result<Option<Profile>, Fault> {
    let mut connection = state.database.acquire().await?;
    Ok(store::profile(&mut connection, user).await?)
}

/// Changes a profile, all of it or nothing; gives it as it is then. Another address is kept as the one wanted, a link to
/// prove it goes there, and a notice to the present one.
pub async fn update_profile(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    change: ProfileChange,
) -> Result<Profile, UpdateProfileError> {
    let ProfileChange { username, first_name, last_name, email, password } = change;
    let user = who.user_id;
    let before = profile(state, user).await?.ok_or(UpdateProfileError::Gone)?;
    // Whoever asks for the address that he has wants no other one any more.
    let stays = email.as_ref().is_some_and(|email| email.as_str() == before.email);
    let email = email.filter(|_| !stays);
    let email = match (email, password) {
        (None, _) => None,
        (Some(_), None) => return Err(UpdateProfileError::PasswordMissing),
        (Some(email), Some(password)) => {
            let purpose = ReauthenticationPurpose::ChangeEmail;
            Some((email, confirm_password(state, context, who, password, purpose).await?))
        }
    };
    let sent = match &email {
        Some((email, _)) => Sent {
            link: count_mail(state, user, email).await?,
            notice: may_notify(state, &before, MailPurpose::EmailChangeRequested).await?,
        },
        None => Sent::default(),
    };
    let mut transaction = state.database.begin().await?;
    let mut after = store::lock(&mut transaction, user).await?.ok_or(UpdateProfileError::Gone)?;
    let mut fields = Vec::new();
    let mut change = |name: &str, present: &mut String, new: Option<String>| {
        if let Some(new) = new.filter(|new| new != present) {
            *present = new;
            fields.push(name.to_owned());
        }
    };
    change("username", &mut after.username, username.map(|username| username.as_str().to_owned()));
    change("first_name", &mut after.first_name, first_name);
    change("last_name", &mut after.last_name, last_name);
    let renamed = fields.iter().any(|field| field == "username");
    if renamed && state.tokens.config().user_id_field == UserIdField::Username {
        return Err(UpdateProfileError::NamesStandInTokens);
    }
    if !fields.is_empty() && !store::update_profile(&mut transaction, &after).await? {
        return Err(UpdateProfileError::UsernameTaken);
    }
    if let Some((email, confirmed)) = email {
        if !confirmed.holds(&mut transaction, user).await? {
            return Err(confirmed.refuse(state, context, who, transaction).await.into());
        }
        want_email(state, context, &mut transaction, &mut after, (&email, sent)).await?;
        fields.push("pending_email".to_owned());
    }
    if stays && after.pending_email.take().is_some() {
        mail_store::withdraw(&mut transaction, user, MailPurpose::ChangeEmail, state.clock.now()).await?;
        store::set_pending_email(&mut transaction, user, None).await?;
        fields.push("pending_email".to_owned());
    }
    if fields.is_empty() {
        return Ok(after);
    }
    let change = AccountChange {
        user_id: user,
        username: after.username.clone(),
        actor_id: None,
        origin: context.origin(),
    };
    let event = UserUpdated { change, fields };
    state.outbox.append(&mut transaction, &context.trace, event).await.map_err(Fault::from)?;
    transaction.commit().await?;
    state.outbox.wake();
    state.standings.user_changed(user);
    Ok(after)
}

/// Which mails are sent because of a new address.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    /// To the address wanted.
    link: bool,
    /// To the present one.
    notice: bool,
}

/// Whether a link may be sent to the address wanted. It is not for the user to know, who may have chosen anybody's.
async fn count_mail(state: &AppState, user: UserId, email: &EmailAddress) -> Result<bool, LimitError> {
    let purpose = MailPurpose::ChangeEmail;
    let request = MailRequest { asker: Asker::User(user), recipient: email.as_str(), purpose };
    state.limits.count_mail((&state.database, &state.clock), request).await
}

async fn want_email(
    state: &AppState,
    context: &RequestContext,
    connection: &mut PgConnection,
    profile: &mut Profile,
    (email, sent): (&EmailAddress, Sent),
) -> Result<(), UpdateProfileError> {
    let (user, now) = (profile.id, state.clock.now());
    // Links to an address that was wanted before prove nothing that is wanted now.
    mail_store::withdraw(connection, user, MailPurpose::ChangeEmail, now).await?;
    store::set_pending_email(connection, user, Some(email.as_str())).await?;
    profile.pending_email = Some(email.as_str().to_owned());
    let mails = [
        SendMail { user_id: sent.link.then_some(user), purpose: MailPurpose::ChangeEmail },
        // Proved or not: most imported users never proved theirs.
        SendMail { user_id: sent.notice.then_some(user), purpose: MailPurpose::EmailChangeRequested },
    ];
    enqueue_mails(connection, &state.outbox, &state.entropy, &context.trace, &mails, now)
        .await
        .map_err(Fault::from)?;
    Ok(())
}
