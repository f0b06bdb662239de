//! Making an account.

use shared::clock::Clock;
use shared::contracts::Origin;
use shared::contracts::auth::UserRegistered;
use shared::contracts::mail::{MailPurpose, SendMail};
use shared::entropy::Entropy;
use shared::ids::UserId;
use shared::outbox::Outbox;
use shared::runs::enqueue_mails;
use shared::telemetry::TraceContext;
use sqlx::PgPool;

use super::email_address::EmailAddress;
use super::store::{self, Row};
use super::username::Username;
use crate::credentials::PasswordHasher;
use crate::fault::Fault;
use crate::limits::{Asker, LimitError, Limits, MailRequest};
use crate::state::AppState;

/// What an account is made of; every part is checked already. It holds a password, so it is never printed.
pub struct NewAccount {
    /// Its name.
    pub username: Username,
    /// Its address, not verified.
    pub email: EmailAddress,
    /// Its password, in the clear: not longer than this call.
    pub password: String,
    /// Whether it may do everything. Never bound from a request.
    pub is_superuser: bool,
}

/// What making an account needs of its program: the API's state, or a command's.
#[derive(Debug)]
pub struct Registry<'a> {
    /// PostgreSQL.
    pub database: &'a PgPool,
    /// Where the event goes.
    pub outbox: &'a Outbox,
    /// Hashes the password.
    pub hasher: &'a PasswordHasher,
    /// What time it is.
    pub clock: &'a Clock,
    /// Chance.
    pub entropy: &'a Entropy,
    /// How many mails strangers may have sent; none for an operator.
    pub limits: Option<&'a Limits>,
}

impl<'a> From<&'a AppState> for Registry<'a> {
    fn from(state: &'a AppState) -> Self {
        Self {
            database: &state.database,
            outbox: &state.outbox,
            hasher: &state.hasher,
            clock: &state.clock,
            entropy: &state.entropy,
            limits: Some(&state.limits),
        }
    }
}

/// An account that was made.
#[derive(Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub user_id: UserId,
    /// Its name.
    pub username: String,
    /// Its address.
    pub email: String,
}

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Somebody has this name.
    #[error("the username is taken")]
    UsernameTaken,
    /// So many were made from there, or asked for mails.
    #[error("too many accounts or mails were asked for; wait {retry_after_seconds} s")]
    Limited {
        /// When it is worth trying again.
        retry_after_seconds: u64,
    },
    /// An outage, an overload or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for RegisterError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl From<LimitError> for RegisterError {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::Limited { retry_after_seconds } => Self::Limited { retry_after_seconds },
            LimitError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// Makes an account and its event, and has a link sent with which its user proves his address. An address that another
/// account has proved makes no difference here: the worker that sends finds it out, and tells its owner instead. Nor does one
/// that was written to too often: its account is made, and no mail is sent. Of two accounts that want one name at once, the
/// unique key lets one through.
///
/// An operator vouches for the address of the superuser that he makes, if nobody else has proved it.
pub async fn register(
    registry: Registry<'_>,
    origin: Origin,
    trace: &TraceContext,
    account: NewAccount,
) -> Result<Registered, RegisterError> {
    let NewAccount { username, email, password, is_superuser } = account;
    {
        // A taken name is told before the password costs anything.
        let mut connection = registry.database.acquire().await?;
        if store::username_exists(&mut connection, username.as_str()).await? {
            return Err(RegisterError::UsernameTaken);
        }
    }
    let purpose = MailPurpose::VerifyEmail;
    let may_send = match registry.limits {
        Some(limits) => {
            let request =
                MailRequest { asker: Asker::Stranger(origin.ip), recipient: email.as_str(), purpose };
            limits.count_mail((registry.database, registry.clock), request).await?
        }
        None => true,
    };
    let password = registry.hasher.hash(password).await.map_err(Fault::from)?;
    let row = Row {
        username: username.as_str(),
        email: email.as_str(),
        password: &password,
        is_superuser,
        at: registry.clock.now(),
    };
    let mut transaction = registry.database.begin().await?;
    let user_id = store::insert(&mut transaction, &row).await?.ok_or(RegisterError::UsernameTaken)?;
    let event = UserRegistered { user_id, username: username.as_str().to_owned(), origin };
    registry.outbox.append(&mut transaction, trace, event).await.map_err(Fault::from)?;
    if !is_superuser {
        let mail = SendMail { user_id: may_send.then_some(user_id), purpose };
        enqueue_mails(&mut transaction, registry.outbox, registry.entropy, trace, &[mail], row.at)
            .await
            .map_err(Fault::from)?;
    }
    transaction.commit().await?;
    registry.outbox.wake();
    Ok(Registered { user_id, username: username.as_str().to_owned(), email: email.as_str().to_owned() })
}
