//! A token that a client presents in a body, with what the database knows of it, and the checks that follow decoding.

use chrono::{DateTime, Utc};
use shared::ids::{SessionId, UserId};
use sqlx::PgConnection;

use super::store::{self, Account};
use crate::config::{SessionsConfig, TokensConfig};
use crate::middleware::RequestContext;
use crate::state::AppState;
use crate::tokens::{
    Blacklisted, Claims, Outstanding, TokenFault, TokenKind, UserClaim, Whose, find_outstanding,
    password_mark,
};

/// Whether the user's row is to be locked, because a session or a token may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// Until the transaction ends.
    User,
    /// Not at all.
    Nothing,
}

impl Lock {
    /// For renewing a token. What a session allows is judged by its row whenever a token of it comes back. A token
    /// without a session is refused only if it is older than its user's password: renewed while a new password is about
    /// to be committed, it would be younger.
    pub(super) fn to_renew(state: &AppState, claims: &Claims) -> Self {
        let has_session = state.claimed_session(claims) != Ok(None);
        if state.sessions.tokens_carry_session() && !has_session { Self::User } else { Self::Nothing }
    }
}

/// A token and what is known of it.
pub(super) struct Presented<'a> {
    pub(super) claims: &'a Claims,
    pub(super) account: Option<Account>,
    pub(super) outstanding: Option<Outstanding>,
    jti: Result<Option<String>, TokenFault>,
    claimed_session: Result<Option<SessionId>, TokenFault>,
    sessions: &'a SessionsConfig,
    /// Whether tokens carry a mark of the password.
    marks_decide: bool,
}

/// A session that has not ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct LiveSession {
    pub(super) id: SessionId,
    /// When it is over, whatever its tokens say.
    pub(super) ends_at: Option<DateTime<Utc>>,
}

/// Why a token's user keeps it from being renewed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UserFault {
    /// No user can have this id.
    #[error("no user can have the id in this token")]
    Unusable,
    /// There is none such, or he is inactive.
    #[error("its user does not exist or is inactive")]
    NoActiveAccount,
    /// He has another password by now.
    #[error("its user has another password")]
    PasswordChanged,
}

impl<'a> Presented<'a> {
    /// Looks up the user, the token and its place on the blacklist. The user first: under his lock nobody else ends his
    /// sessions or exchanges his tokens.
    pub(super) async fn look_up(
        state: &'a AppState,
        connection: &mut PgConnection,
        claims: &'a Claims,
        lock: Lock,
    ) -> Result<Self, sqlx::Error> {
        let user = match claims.user() {
            UserClaim::Id(user) => Some(user),
            UserClaim::Name(name) => store::id_of(connection, &name).await?,
            UserClaim::Absent | UserClaim::Null | UserClaim::Unusable => None,
        };
        let account = match (user, lock) {
            (None, _) => None,
            (Some(user), Lock::User) => store::lock_user(connection, user).await?,
            (Some(user), Lock::Nothing) => store::find(connection, user).await?,
        };
        let jti = claims.jti();
        let outstanding = match &jti {
            Ok(Some(jti)) => find_outstanding(connection, jti).await?,
            _ => None,
        };
        let claimed_session = state.claimed_session(claims);
        let sessions = &state.sessions;
        let marks_decide = state.tokens.config().check_revoke_token;
        Ok(Self { claims, account, outstanding, jti, claimed_session, sessions, marks_decide })
    }

    /// Why and since when it is on the blacklist. A token without an id can't be on it; that it has none is said later.
    pub(super) fn blacklisted(&self) -> Result<Option<&Blacklisted>, TokenFault> {
        self.jti.clone()?;
        Ok(self.outstanding.as_ref().and_then(|outstanding| outstanding.blacklisted.as_ref()))
    }

    /// The blacklist, the expiry, the id and the type, in this order. Gives the id.
    pub(super) fn require(&self, kind: TokenKind) -> Result<&str, TokenFault> {
        if self.blacklisted()?.is_some() {
            return Err(TokenFault::Blacklisted);
        }
        self.require_kind(kind)
    }

    /// The expiry, the id and the type. Gives the id.
    pub(super) fn require_kind(&self, kind: TokenKind) -> Result<&str, TokenFault> {
        self.claims.require(kind)?;
        self.claims.require_copyable()?;
        match &self.jti {
            Ok(Some(jti)) => Ok(jti),
            Ok(None) => Err(TokenFault::NoId),
            Err(fault) => Err(fault.clone()),
        }
    }

    /// The token's user; none if it names none, which SimpleJWT answers all the same.
    pub(super) fn require_user(&self, config: &TokensConfig) -> Result<Option<&Account>, UserFault> {
        match self.claims.user() {
            UserClaim::Absent | UserClaim::Null => return Ok(None),
            UserClaim::Unusable => return Err(UserFault::Unusable),
            UserClaim::Id(_) | UserClaim::Name(_) => {}
        }
        let account = self.account.as_ref().ok_or(UserFault::NoActiveAccount)?;
        if config.check_user_is_active && !account.is_active {
            return Err(UserFault::NoActiveAccount);
        }
        if config.check_revoke_token && !account.has_mark(self.claims) {
            return Err(UserFault::PasswordChanged);
        }
        Ok(Some(account))
    }

    /// Its session: that of its row, else that of its claim. A token minted elsewhere with the shared key has none.
    pub(super) fn session(&self) -> Result<Option<SessionId>, TokenFault> {
        let claimed = self.claimed_session.clone()?;
        Ok(self.outstanding.as_ref().and_then(|outstanding| outstanding.session_id).or(claimed))
    }

    /// Refuses a token whose session is over, or another user's. Without a user there is no session either.
    pub(super) async fn require_session(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Result<Option<LiveSession>, TokenFault>, sqlx::Error> {
        let session = match self.session() {
            Ok(session) => session,
            Err(fault) => return Ok(Err(fault)),
        };
        let Some(account) = &self.account else { return Ok(Ok(None)) };
        let Some(session) = session else {
            // With a mark of the password the mark decides.
            let changed_at = account.password_changed_at.filter(|_| !self.marks_decide);
            let outlived = self.sessions.tokens_carry_session()
                && is_outlived(self.claims, account.date_joined, changed_at);
            return Ok(if outlived { Err(TokenFault::Blacklisted) } else { Ok(None) });
        };
        let since = store::active_since(connection, account.id, session).await?;
        let live = since.map(|since| LiveSession { id: session, ends_at: self.sessions.ends_at(since) });
        Ok(live.map(Some).ok_or(TokenFault::Blacklisted))
    }

    /// Whose it is, for events.
    pub(super) fn whose(&self, context: &RequestContext) -> Whose {
        let (user_id, username): (Option<UserId>, _) =
            self.account.as_ref().map(|account| (account.id, account.username.clone())).unzip();
        let session_id = self.session().ok().flatten();
        Whose { user_id, username, session_id, origin: context.origin(), trace: context.trace }
    }
}

impl Account {
    /// Whether a token carries the mark of the password that the user has now: ours, or that of a Django service whose
    /// hash was imported.
    fn has_mark(&self, claims: &Claims) -> bool {
        mark_fits(claims, &password_mark(self.password_stamp), self.imported_mark.as_deref())
    }
}

/// Whether a token without a session was given to somebody else, since it is older than the account, or for another
/// password, since it is no younger than the present one. Nothing else ends such a token, which another service minted. One
/// that doesn't say when it was issued is believed, until the password changes.
pub(super) fn is_outlived(
    claims: &Claims,
    date_joined: DateTime<Utc>,
    password_changed_at: Option<DateTime<Utc>>,
) -> bool {
    let issued_at = claims.issued_at();
    issued_at.is_some_and(|issued_at| issued_at < date_joined.timestamp())
        || password_changed_at
            .is_some_and(|changed| issued_at.is_none_or(|issued_at| issued_at <= changed.timestamp()))
}

/// Whether a token carries one of the marks of a password.
pub(super) fn mark_fits(claims: &Claims, ours: &str, imported: Option<&str>) -> bool {
    claims.password_mark().is_some_and(|mark| mark == ours || Some(mark.as_str()) == imported)
}
