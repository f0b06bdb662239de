//! Beginning a session: room for it by the policy, the row, its tokens and the events, in the caller's transaction.

use chrono::{DateTime, Utc};
use shared::contracts::auth::{LoginSucceeded, SessionEnd};
use shared::ids::SessionId;
use sqlx::PgConnection;

use super::end::{self, Ending};
use super::policy::{ActiveSession, Room, make_room};
use super::store::{self, Account};
use crate::config::SessionPolicy;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;
use crate::tokens::{Holder, Issued, Whose, record_outstanding};

/// Which tokens a login wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// An access and a refresh token.
    Pair,
    /// One that is both.
    Sliding,
}

/// The tokens of a session that has begun. Never printed.
pub struct Tokens {
    /// The refresh token, or the sliding one.
    pub refresh: String,
    /// The access token; none with a sliding one.
    pub access: Option<String>,
}

/// A session that has begun, if the transaction commits.
pub(super) struct Begun {
    pub(super) tokens: Tokens,
    /// The sessions that ended to make room; to be told to the standings after the commit.
    pub(super) ended: Vec<SessionId>,
}

/// Begins a session of a user whose row the caller has locked; none if the policy lets the one that is there go first.
pub(super) async fn begin_session(
    state: &AppState,
    context: &RequestContext,
    connection: &mut PgConnection,
    account: &Account,
    wanted: Wanted,
) -> Result<Option<Begun>, Fault> {
    // After the lock: a later login has a later time.
    let now = state.clock.now();
    let active = match state.sessions.policy {
        // However many there are, they are nothing to this login; the purge ends those that have run out.
        SessionPolicy::Unlimited => Vec::new(),
        _ => store::active_sessions(connection, account.id, now, state.sessions.outlived_since(now)).await?,
    };
    let Room::For { ended, slot } = make_room(state.sessions.policy, &active) else { return Ok(None) };
    let ended = make_way(state, context, connection, account, (&active, &ended), now).await?;
    let session = SessionId(state.entropy.uuid_v7(now));
    store::insert(connection, session, account.id, slot, now, &context.origin()).await?;
    let holder = Holder {
        user_id: account.id,
        username: &account.username,
        password_stamp: account.password_stamp,
        session: state.sessions.tokens_carry_session().then_some(session),
        session_end: state.sessions.ends_at(now),
    };
    let (issued, access) = match wanted {
        Wanted::Pair => {
            let refresh = state.tokens.refresh_token(holder, now)?;
            let access = state.tokens.access_token(&refresh.claims, now, holder.session_end)?;
            (refresh, Some(access))
        }
        Wanted::Sliding => (state.tokens.sliding_token(holder, now)?, None),
    };
    let Issued { token: refresh, jti, expires_at, kept_until, .. } = issued;
    let row = crate::tokens::OutstandingRow {
        jti: &jti,
        user: Some(account.id),
        session: Some(session),
        created_at: now,
        expires_at,
        kept_until,
    };
    record_outstanding(connection, &row).await?;
    let event = LoginSucceeded {
        user_id: account.id,
        username: account.username.clone(),
        session_id: session,
        jti,
        failures_before: u32::try_from(account.login_failures).unwrap_or(0),
        origin: context.origin(),
    };
    state.outbox.append(connection, &context.trace, event).await?;
    store::note_login(connection, account.id, now, state.tokens.config().update_last_login).await?;
    Ok(Some(Begun { tokens: Tokens { refresh, access }, ended }))
}

/// Ends those that make room, and those that no token keeps alive.
async fn make_way(
    state: &AppState,
    context: &RequestContext,
    connection: &mut PgConnection,
    account: &Account,
    (active, making_room): (&[ActiveSession], &[SessionId]),
    now: DateTime<Utc>,
) -> Result<Vec<SessionId>, Fault> {
    let whose = Whose::of_user(account.id, &account.username, context);
    let user = (account.id, account.username.as_str());
    let expired: Vec<SessionId> =
        active.iter().filter(|session| !session.alive).map(|session| session.id).collect();
    let mut ended = Vec::new();
    for (reason, sessions) in [(SessionEnd::Expired, expired.as_slice()), (SessionEnd::Replaced, making_room)]
    {
        let ending = Ending::by_rule(reason, now);
        ended.extend(end::end_sessions(connection, &state.outbox, user, sessions, &whose, ending).await?);
    }
    Ok(ended)
}
