//! Logging in: a password for a session and its tokens.

use shared::contracts::auth::{LoginFailed, LoginFailure, PasswordRehashed};
use shared::ids::UserId;
use sqlx::PgConnection;

use super::begin::{Begun, Tokens, Wanted, begin_session};
use super::store::{self, Account};
use crate::config::SessionsConfig;
use crate::credentials::{HashingError, algorithm_name, imported_hashes_remain};
use crate::fault::Fault;
use crate::limits::{self, Asked, LimitError, Reservation, Tried, Verdict, tried_name};
use crate::middleware::RequestContext;
use crate::state::AppState;

/// A name and a password, trimmed.
#[derive(Clone)]
pub struct Credentials {
    /// The name, compared exactly.
    pub username: String,
    /// The password.
    pub password: String,
}

/// A session that has begun.
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
    /// Too many passwords were wrong before: none is looked at.
    #[error("too many wrong passwords; wait {retry_after_seconds} s")]
    Limited {
        /// When it is worth trying again.
        retry_after_seconds: u64,
    },
    /// An outage, an overload or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<LimitError> for LogInError {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::Limited { retry_after_seconds } => Self::Limited { retry_after_seconds },
            LimitError::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<sqlx::Error> for LogInError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Counts the try, checks the password outside any transaction, then, under the lock of the user's row, that nothing has
/// changed since, and begins a session as the policy has it.
pub async fn log_in(
    state: &AppState,
    context: &RequestContext,
    credentials: Credentials,
    wanted: Wanted,
) -> Result<LoggedIn, LogInError> {
    let result = limited(state, context, credentials, wanted).await;
    state.metrics.login(&result);
    result
}

async fn limited(
    state: &AppState,
    context: &RequestContext,
    credentials: Credentials,
    wanted: Wanted,
) -> Result<LoggedIn, LogInError> {
    let account = {
        let mut connection = state.database.acquire().await?;
        store::find_by_username(&mut connection, &credentials.username).await?
    };
    let user_id = account.as_ref().map(|account| account.id);
    let tried = Tried { username: &credentials.username, user_id, asked: Asked::ToLogIn };
    let mut reservation = limits::reserve(state, context, tried).await?;
    let result = check_and_begin(state, context, (&credentials, account), wanted, &mut reservation).await;
    if let Err(LogInError::Fault(fault)) = &result {
        if matches!(fault, Fault::Hashing(HashingError::Overloaded)) {
            limits::note_refused(state, context, tried);
        }
        reservation.give_back(state).await;
    }
    result
}

async fn check_and_begin(
    state: &AppState,
    context: &RequestContext,
    (credentials, mut account): (&Credentials, Option<Account>),
    wanted: Wanted,
    reservation: &mut Reservation,
) -> Result<LoggedIn, LogInError> {
    let mut rounds = 1..=ROUNDS_MAX;
    loop {
        let last = rounds.next().is_none_or(|round| round == ROUNDS_MAX);
        let attempt = Attempt { credentials, account: account.as_ref(), last };
        match try_log_in(state, context, attempt, wanted, reservation).await? {
            Attempted::LoggedIn(logged_in) => return Ok(*logged_in),
            Attempted::Rehashed(present) => account = Some(*present),
        }
    }
}

/// How often a password is checked again because another login has rehashed it meanwhile.
const ROUNDS_MAX: usize = 3;

struct Attempt<'a> {
    credentials: &'a Credentials,
    /// The user as he was read, with the hash to check.
    account: Option<&'a Account>,
    last: bool,
}

enum Attempted {
    LoggedIn(Box<LoggedIn>),
    /// The same password has another hash by now, which is to be checked in its turn.
    Rehashed(Box<Account>),
}

async fn try_log_in(
    state: &AppState,
    context: &RequestContext,
    attempt: Attempt<'_>,
    wanted: Wanted,
    reservation: &mut Reservation,
) -> Result<Attempted, LogInError> {
    let Attempt { credentials: Credentials { username, password }, account: verified, last } = attempt;
    let stored = verified.map(|account| account.password.clone());
    let checked = state.hasher.verify(password.clone(), stored).await.map_err(Fault::from)?;
    // A hash that was imported, or made with less than today's cost, is made anew while the password is at hand.
    let worth_it = checked.matches
        && checked.outdated
        && verified.is_some_and(|account| refusal_of(account, &state.sessions).is_none());
    let rehashed =
        if worth_it { Some(state.hasher.hash(password.clone()).await.map_err(Fault::from)?) } else { None };

    let mut transaction = state.database.begin().await?;
    // For nobody, too, so that the statements tell nobody apart.
    let id = verified.map_or(UserId(0), |account| account.id);
    let locked = store::lock_user(&mut transaction, id).await?;
    if let Some(present) =
        locked.as_ref().filter(|locked| checked.matches && !last && was_rehashed(verified, locked))
    {
        return Ok(Attempted::Rehashed(Box::new(present.clone())));
    }
    let account = match judge(verified, locked, checked.matches, &state.sessions) {
        Ok(account) => account,
        Err((user, reason)) => {
            let floor = refuse(state, context, &mut transaction, Refusal { user, username, reason }).await?;
            // Also with the right password of an account that is off: if such tries didn't count, a row of them would
            // tell that it is right.
            reservation.settle(state, context, &mut transaction, Verdict::Wrong).await?;
            transaction.commit().await?;
            state.metrics.login_refused(reason);
            state.outbox.wake();
            if floor {
                tokio::time::sleep_until(checked.began + state.sessions.failure_floor).await;
            }
            return Err(LogInError::Refused);
        }
    };
    if let Some(rehashed) = rehashed {
        rehash(state, context, &mut transaction, &account, &rehashed).await?;
    }
    let begun = begin_session(state, context, &mut transaction, &account, wanted).await?;
    reservation.settle(state, context, &mut transaction, Verdict::Right).await?;
    // Also if there is no room for a session: the new hash stays.
    transaction.commit().await?;
    state.outbox.wake();
    let Some(Begun { tokens, ended }) = begun else {
        tracing::info!(
            user.id = account.id.0,
            "a login is refused: the user has an active session, which stays"
        );
        return Err(LogInError::SessionActive);
    };
    state.standings.sessions_ended(&ended);
    let Account { id: user_id, username, email, .. } = account;
    Ok(Attempted::LoggedIn(Box::new(LoggedIn { user_id, username, email, tokens })))
}

/// Whether the user has the same password under another hash than the one that was checked: another login of his made
/// it anew. His stamp tells it from a new password.
fn was_rehashed(verified: Option<&Account>, locked: &Account) -> bool {
    verified.is_some_and(|verified| {
        verified.password != locked.password && verified.password_stamp == locked.password_stamp
    })
}

/// Whether the user may log in, by what was verified and what the locked row says now.
fn judge(
    verified: Option<&Account>,
    locked: Option<Account>,
    matches: bool,
    config: &SessionsConfig,
) -> Result<Account, (Option<UserId>, LoginFailure)> {
    let (Some(verified), Some(locked)) = (verified, locked) else {
        return Err((None, LoginFailure::UnknownUser));
    };
    let user = Some(locked.id);
    if !matches || locked.password != verified.password {
        // A password changed between the check and the lock is no longer this one.
        return Err((user, LoginFailure::WrongPassword));
    }
    match refusal_of(&locked, config) {
        Some(reason) => Err((user, reason)),
        None => Ok(locked),
    }
}

/// Why somebody may not log in whose password is right; none if he may.
fn refusal_of(account: &Account, config: &SessionsConfig) -> Option<LoginFailure> {
    if !account.is_active {
        Some(LoginFailure::Disabled)
    } else if config.require_verified_email && !account.email_verified {
        Some(LoginFailure::Unverified)
    } else {
        None
    }
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
    store::count_failure(connection, refusal.user.unwrap_or(UserId(0))).await?;
    let username = tried_name(refusal.username);
    let (user_id, reason, origin) = (refusal.user, refusal.reason, context.origin());
    let event = LoginFailed { user_id, username, reason, tally: None, origin };
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
    use chrono::DateTime;
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
            date_joined: DateTime::UNIX_EPOCH,
            password_changed_at: None,
            is_active,
            email_verified: false,
            login_failures: 0,
        }
    }

    #[test]
    fn a_login_needs_the_verified_hash_still_to_be_there_and_the_account_active() {
        let verified = account("a", true);
        let config = SessionsConfig::default();
        let judged =
            |locked, matches| judge(Some(&verified), locked, matches, &config).map(|account| account.id);
        let refused = |reason| Err((Some(UserId(7)), reason));
        assert_eq!(judged(Some(account("a", true)), true), Ok(UserId(7)));
        assert_eq!(judged(Some(account("a", true)), false), refused(LoginFailure::WrongPassword));
        assert_eq!(judged(Some(account("b", true)), true), refused(LoginFailure::WrongPassword));
        assert_eq!(judged(Some(account("a", false)), true), refused(LoginFailure::Disabled));
        assert_eq!(judged(None, true), Err((None, LoginFailure::UnknownUser)), "deleted in between");
        let unknown = judge(None, None, false, &config).map(|account| account.id);
        assert_eq!(unknown, Err((None, LoginFailure::UnknownUser)));
        let strict = SessionsConfig { require_verified_email: true, ..config };
        let judged = |locked, matches| {
            judge(Some(&verified), Some(locked), matches, &strict).map(|account| account.id)
        };
        assert_eq!(judged(account("a", true), true), refused(LoginFailure::Unverified));
        assert_eq!(judged(account("a", false), true), refused(LoginFailure::Disabled));
        assert_eq!(judged(account("a", true), false), refused(LoginFailure::WrongPassword));
        assert_eq!(judged(Account { email_verified: true, ..account("a", true) }, true), Ok(UserId(7)));
    }
}
