//! Logging in: a password for a session and a pair of tokens.

use shared::contracts::auth::{LoginFailed, LoginFailure, LoginSucceeded, SessionEnd};
use shared::ids::{SessionId, UserId};
use sqlx::PgConnection;

use super::end::end_session;
use super::store::{self, Account};
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;
use crate::tokens::{Holder, record_outstanding};

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
    /// The refresh token.
    pub refresh: String,
    /// The access token.
    pub access: String,
}

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum LogInError {
    /// Name, password or account won't do; which of them is the audit trail's business alone.
    #[error("no active account has these credentials")]
    Refused,
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
/// since, and begins a session in the place of the one before.
pub async fn log_in(
    state: &AppState,
    context: &RequestContext,
    credentials: Credentials,
) -> Result<LoggedIn, LogInError> {
    let account = {
        let mut connection = state.database.acquire().await?;
        store::find_by_username(&mut connection, &credentials.username).await?
    };
    let stored = account.as_ref().map(|account| account.password.clone());
    let matches = state.hasher.verify(credentials.password, stored).await.map_err(Fault::from)?;

    let mut transaction = state.database.begin().await?;
    let locked = match &account {
        Some(account) => store::lock_user(&mut transaction, account.id).await?,
        None => None,
    };
    match judge(account.as_ref(), locked, matches) {
        Ok(account) => {
            let logged_in = begin(state, context, &mut transaction, account).await?;
            transaction.commit().await?;
            state.outbox.wake();
            Ok(logged_in)
        }
        Err((user, reason)) => {
            if let Some(user) = user {
                store::count_failure(&mut transaction, user).await?;
            }
            let username = credentials.username.chars().take(TRIED_NAME_CHARACTERS_MAX).collect();
            let event = LoginFailed { user_id: user, username, reason, origin: context.origin() };
            state.outbox.append(&mut transaction, &context.trace, event).await.map_err(Fault::from)?;
            transaction.commit().await?;
            state.outbox.wake();
            Err(LogInError::Refused)
        }
    }
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

async fn begin(
    state: &AppState,
    context: &RequestContext,
    connection: &mut PgConnection,
    account: Account,
) -> Result<LoggedIn, Fault> {
    // After the lock: a later login has a later time.
    let now = state.clock.now();
    for session in store::active_sessions(connection, account.id).await? {
        let holder = holder(context, &account, session);
        let user = (account.id, account.username.as_str());
        end_session(connection, &state.outbox, user, session, &holder, now, SessionEnd::Replaced).await?;
    }
    let session = SessionId(state.entropy.uuid_v7(now));
    store::insert(connection, session, account.id, now, &context.origin()).await?;
    let refresh = state.tokens.refresh_token(account.id, session, now)?;
    let access = state.tokens.access_token(&refresh.claims, now)?;
    record_outstanding(connection, &refresh.jti, Some(account.id), Some(session), now, refresh.expires_at)
        .await?;
    let event = LoginSucceeded {
        user_id: account.id,
        username: account.username.clone(),
        session_id: session,
        jti: refresh.jti,
        failures_before: u32::try_from(account.login_failures).unwrap_or(0),
        origin: context.origin(),
    };
    state.outbox.append(connection, &context.trace, event).await?;
    if account.login_failures > 0 {
        store::forget_failures(connection, account.id).await?;
    }
    let Account { id: user_id, username, email, .. } = account;
    Ok(LoggedIn { user_id, username, email, refresh: refresh.token, access })
}

fn holder(context: &RequestContext, account: &Account, session: SessionId) -> Holder {
    Holder {
        user_id: Some(account.id),
        username: Some(account.username.clone()),
        session_id: Some(session),
        origin: context.origin(),
        trace: context.trace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(password: &str, is_active: bool) -> Account {
        Account {
            id: UserId(7),
            username: "froggly".to_owned(),
            email: "froggly@example.com".to_owned(),
            password: password.to_owned(),
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
