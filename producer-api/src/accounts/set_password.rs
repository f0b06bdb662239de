//! Giving an account another password without asking for the one it has: what an operator's command does.

use super::new_password::{Chosen, announce, replace_password};
use super::office::Office;
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;

/// Why an account has no new password.
#[derive(Debug, thiserror::Error)]
pub enum SetPasswordError {
    /// There is no such user.
    #[error("there is no user {0:?}")]
    UnknownUser(String),
    /// The policy refuses it, with the messages for its field.
    #[error("{}", .0.join(" "))]
    Refused(Vec<String>),
    /// An outage, an overload or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for SetPasswordError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Gives the account that has this name now the password, if the policy lets it, and ends all its sessions; gives how many those were.
pub async fn set_password(
    office: impl Into<Office<'_>>,
    context: &RequestContext,
    username: &str,
    password: String,
) -> Result<usize, SetPasswordError> {
    let office = office.into();
    let unknown = || SetPasswordError::UnknownUser(username.to_owned());
    let found = {
        // Nothing is held while the password is judged and hashed.
        let mut connection = office.database.acquire().await?;
        store::profile_by_username(&mut connection, username).await?.ok_or_else(unknown)?
    };
    let faults =
        office.hasher.faults_of_new(&password, &found.personal_words()).await.map_err(Fault::from)?;
    if !faults.is_empty() {
        return Err(SetPasswordError::Refused(faults));
    }
    let hash = office.hasher.hash(password).await.map_err(Fault::from)?;
    let mut transaction = office.database.begin().await?;
    // By its id: the password was judged by this account's owner, and the name may be another's by now.
    let account = store::lock(&mut transaction, found.id).await?.ok_or_else(unknown)?;
    let (user, chosen) = ((account.id, account.username.as_str()), Chosen::Anew { notified: true });
    let ended = replace_password(office, context, &mut transaction, user, &hash, chosen).await?;
    transaction.commit().await?;
    announce(office, account.id, &ended);
    Ok(ended.len())
}
