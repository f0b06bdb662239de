//! Logging in: a password for a session and its tokens.

use shared::contracts::auth::{LoginFailed, LoginFailure, PasswordRehashed};
use shared::ids::UserId;
use sqlx::PgConnection;
use tokio::time::Instant;

use super::begin::{Begun, Tokens, Wanted, begin_session};
use super::store::{self, Account};
use crate::credentials::{algorithm_name, imported_hashes_remain};
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;

/// How much of a tried name the audit trail keeps: no username is longer.
const TRIED_NAME_CHARACTERS_MAX: usize = 150;

/// A name and a password, trimmed.
#[derive(Clone)]
pub struct Credentials {
    /// The name, compared exactly.
    pub username: String,
    /// The password.
    pub password: String,
}

/// A session that has begun.
#[derive(Debug)]
pub struct LoggedIn {
    /// Whose.
    pub user_id: UserId,
    /// His name.
    pub username: String,
    /// His address.
    pub email: String,
    /// His tokens.
    pub tokens: Tokens,
}

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum LogInError {
    /// Name, password or account won't do; which of them is the audit trail's business alone.
    #[error("no active account has these credentials")]
    Refused,
    /// Name and password are right; the policy lets the session that is there go first.
    #[error("the user has an active session")]
    SessionActive,
    /// An outage, an overload or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for LogInError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Checks the password outside any transaction, then, under the lock of the user's row, that nothing has changed
/// since, and begins a session as the policy has it.
pub async fn log_in(
    state: &AppState,
    context: &RequestContext,
    credentials: Credentials,
    wanted: Wanted,
) -> Result<LoggedIn, LogInError> {
    let started = Instant::now();
    let account = {
        let mut connection = state.database.acquire().await?;
        store::find_by_username(&mut connection, &credentials.username).await?
    };
    let stored = account.as_ref().map(|account| account.password.clone());
    let Credentials { username, password } = credentials;
    let checked = state.hasher.verify(password.clone(), stored).await.map_err(Fault::from)?;
    // A hash that was imported, or made with less than today's cost, is made anew while the password is at hand.
    let worth_it =
        checked.matches && checked.outdated && account.as_ref().is_some_and(|account| account.is_active);
    let rehashed =
        if worth_it { Some(state.hasher.hash(password).await.map_err(Fault::from)?) } else { None };

    let mut transaction = state.database.begin().await?;
    let locked = match &account {
        Some(account) => store::lock_user(&mut transaction, account.id).await?,
        None => None,
    };
    let judged = judge(account.as_ref(), locked, checked.matches);
    let account = match judged {
        Ok(account) => account,
        Err((user, reason)) => {
            let refusal = Refusal { user, username: &username, reason };
            let floor = refuse(state, context, &mut transaction, refusal).await?;
            transaction.commit().await?;
            state.outbox.wake();
            if floor {
                tokio::time::sleep_until(started + state.sessions.failure_floor).await;
            }
            return Err(LogInError::Refused);
        }
    };
    if let Some(rehashed) = rehashed {
        rehash(state, context, &mut transaction, &account, &rehashed).await?;
    }
    let begun = begin_session(state, context, &mut transaction, &account, wanted).await?;
    let Begun { tokens, ended } = begun.ok_or(LogInError::SessionActive)?;
    transaction.commit().await?;
    state.outbox.wake();
    state.standings.sessions_ended(&ended);
    let Account { id: user_id, username, email, .. } = account;
    Ok(LoggedIn { user_id, username, email, tokens })
}

/// Whether the user may log in, by what was verified and what the locked row says now.
fn judge(
    verified: Option<&Account>,
    locked: Option<Account>,
    matches: bool,
) -> Result<Account, (Option<UserId>, LoginFailure)> {
    let (Some(verified), Some(locked)) = (verified, locked) else {
        return Err((None, LoginFailure::UnknownUser));
    };
    let user = Some(locked.id);
    if !matches || locked.password != verified.password {
        // A password changed between the check and the lock is no longer this one.
        return Err((user, LoginFailure::WrongPassword));
    }
    if !locked.is_active {
        return Err((user, LoginFailure::Disabled));
    }
    Ok(locked)
}

struct Refusal<'a> {
    user: Option<UserId>,
    username: &'a str,
    reason: LoginFailure,
}

/// Records a refused login; whether the answer must wait, because the time would tell an imported hash from ours.
async fn refuse(
    state: &AppState,
    context: &RequestContext,
    connection: &mut PgConnection,
    refusal: Refusal<'_>,
) -> Result<bool, Fault> {
    if let Some(user) = refusal.user {
        store::count_failure(connection, user).await?;
    }
    let username = refusal.username.chars().take(TRIED_NAME_CHARACTERS_MAX).collect();
    let (user_id, reason, origin) = (refusal.user, refusal.reason, context.origin());
    let event = LoginFailed { user_id, username, reason, origin };
    state.outbox.append(connection, &context.trace, event).await?;
    Ok(imported_hashes_remain(connection).await?)
}

async fn rehash(
    state: &AppState,
    context: &RequestContext,
    connection: &mut PgConnection,
    account: &Account,
    rehashed: &str,
) -> Result<(), Fault> {
    store::replace_hash(connection, account.id, rehashed).await?;
    let event = PasswordRehashed {
        user_id: account.id,
        username: account.username.clone(),
        from_algorithm: algorithm_name(&account.password).to_owned(),
        to_algorithm: algorithm_name(rehashed).to_owned(),
        origin: context.origin(),
    };
    state.outbox.append(connection, &context.trace, event).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn account(password: &str, is_active: bool) -> Account {
        Account {
            id: UserId(7),
            username: "froggly".to_owned(),
            email: "froggly@example.com".to_owned(),
            password: password.to_owned(),
            password_stamp: Uuid::nil(),
            imported_mark: None,
            is_active,
            login_failures: 0,
        }
    }

    #[test]
    fn a_login_needs_the_verified_hash_still_to_be_there_and_the_account_active() {
        let verified = account("a", true);
        let judged = |locked, matches| judge(Some(&verified), locked, matches).map(|account| account.id);
        let refused = |reason| Err((Some(UserId(7)), reason));
        assert_eq!(judged(Some(account("a", true)), true), Ok(UserId(7)));
        assert_eq!(judged(Some(account("a", true)), false), refused(LoginFailure::WrongPassword));
        assert_eq!(judged(Some(account("b", true)), true), refused(LoginFailure::WrongPassword));
        assert_eq!(judged(Some(account("a", false)), true), refused(LoginFailure::Disabled));
        assert_eq!(judged(None, true), Err((None, LoginFailure::UnknownUser)), "deleted in between");
        let unknown = judge(None, None, false).map(|account| account.id);
        assert_eq!(unknown, Err((None, LoginFailure::UnknownUser)));
    }
}
