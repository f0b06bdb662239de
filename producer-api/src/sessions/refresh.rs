//! Refreshing: an access token for a refresh token, and with rotation another refresh token, too.

use chrono::{DateTime, Utc};
use shared::contracts::auth::{BlacklistReason, SessionEnd, TokenReuseDetected};
use shared::ids::SessionId;
use sqlx::{PgConnection, PgTransaction};

use super::end::{Ending, end_session};
use super::presented::{Lock, Presented};
use super::renewing::{RefreshError, require_renewable, tell_renewed};
use super::rotation::{SecondUse, second_use};
use super::store;
use crate::config::RefreshReuse;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;
use crate::tokens::{
    Claims, OutstandingRow, Successor, TokenFault, TokenKind, record_outstanding, record_presented,
    rotate_outstanding, successor_of, tell_blacklisted,
};

/// How often a token without a user, whose requests no lock puts in a row, may be exchanged by somebody else meanwhile.
const ROUNDS_MAX: usize = 5;

/// What a refresh gives. Never printed.
pub struct Refreshed {
    /// The access token.
    pub access: String,
    /// The new refresh token, with rotation.
    pub refresh: Option<String>,
}

/// Gives an access token, and leaves an event: in SimpleJWT's order the token is decoded, looked up on the blacklist,
/// then its expiry, id and type, then its user and the mark of his password. Without rotation the refresh token stays
/// good.
pub async fn refresh(
    state: &AppState,
    context: &RequestContext,
    token: &str,
) -> Result<Refreshed, RefreshError> {
    // Taken before the session is read: no token outlives the end of its session by more than its lifetime.
    let now = state.clock.now();
    let claims = state.judge(context, token, now).await?;
    for _ in 0..ROUNDS_MAX {
        if let Some(refreshed) = exchange(state, context, &claims, now).await? {
            return Ok(refreshed);
        }
    }
    Err(TokenFault::Blacklisted.into())
}

/// One round; none if somebody else exchanged the token between our look and our write.
async fn exchange(
    state: &AppState,
    context: &RequestContext,
    claims: &Claims,
    now: DateTime<Utc>,
) -> Result<Option<Refreshed>, RefreshError> {
    let config = state.tokens.config();
    let exchanging = config.rotate_refresh_tokens && config.blacklist_after_rotation;
    // Whoever records a token waits for those who end its session, or delete its user: it would be on no blacklist, or a row
    // of nobody.
    let lock = if config.rotate_refresh_tokens { Lock::User } else { Lock::to_renew(state, claims) };
    let mut transaction = state.database.begin().await?;
    let presented = Presented::look_up(state, &mut transaction, claims, lock).await?;
    let (second_use, successor) = judge_second_use(state, &mut transaction, &presented, now).await?;
    match second_use {
        None | Some(SecondUse::Forgiven) => {}
        Some(SecondUse::Ended) => return Err(TokenFault::Blacklisted.into()),
        Some(SecondUse::Reuse) => {
            detect_reuse(state, context, transaction, &presented, now).await?;
            return Err(TokenFault::Blacklisted.into());
        }
    }
    let jti = presented.require_kind(TokenKind::Refresh)?;
    let (mut transaction, renewable) =
        require_renewable(state, context, transaction, &presented, jti, now).await?;
    let session_end = renewable.session_end();
    let access = state.tokens.access_token(claims, now, session_end).map_err(Fault::from)?;
    let refresh = if let Some(Successor { jti, created_at, expires_at, .. }) = successor {
        Some(state.tokens.successor_again(claims, &jti, created_at, expires_at).map_err(Fault::from)?)
    } else if config.rotate_refresh_tokens {
        match rotate(state, context, &mut transaction, &presented, exchanging, (now, session_end)).await? {
            None => return Ok(None),
            rotated => rotated,
        }
    } else {
        None
    };
    tell_renewed(state, context, transaction, renewable, jti).await?;
    Ok(Some(Refreshed { access, refresh }))
}

/// What a token is worth that is on the blacklist; none if it is not there. With it goes the successor of a forgiven one.
async fn judge_second_use(
    state: &AppState,
    connection: &mut PgConnection,
    presented: &Presented<'_>,
    now: DateTime<Utc>,
) -> Result<(Option<SecondUse>, Option<Successor>), RefreshError> {
    let Some(blacklisted) = presented.blacklisted()? else { return Ok((None, None)) };
    let successor = match blacklisted.successor_id {
        Some(id) => successor_of(connection, id).await?,
        None => None,
    };
    let second_use = second_use(blacklisted, successor.as_ref(), state.sessions.grace, now);
    let successor = successor.filter(|_| second_use == SecondUse::Forgiven);
    Ok((Some(second_use), successor))
}

/// The token that takes the place of the one presented. With `exchanging` that one is blacklisted; none if somebody else
/// was faster, and then the transaction is to be given up.
async fn rotate(
    state: &AppState,
    context: &RequestContext,
    connection: &mut PgConnection,
    presented: &Presented<'_>,
    exchanging: bool,
    (now, session_end): (DateTime<Utc>, Option<DateTime<Utc>>),
) -> Result<Option<String>, RefreshError> {
    let issued = state.tokens.successor(presented.claims, now, session_end).map_err(Fault::from)?;
    let whose = presented.whose(context);
    let row = OutstandingRow {
        jti: &issued.jti,
        user: whose.user_id,
        session: whose.session_id,
        created_at: now,
        expires_at: issued.expires_at,
        kept_until: issued.kept_until,
    };
    let successor = record_outstanding(connection, &row).await?;
    if exchanging {
        let jti = presented.require_kind(TokenKind::Refresh)?;
        let old = record_presented(connection, &state.tokens, presented.claims, jti, &whose, now).await?;
        if !rotate_outstanding(connection, old, successor, now).await? {
            return Ok(None);
        }
        let jti = jti.to_owned();
        tell_blacklisted(connection, &state.outbox, jti, &whose, BlacklistReason::Rotated).await?;
    }
    Ok(Some(issued.token))
}

/// Tells of the reuse of a rotated token and, unless the settings only refuse it, ends its session.
async fn detect_reuse(
    state: &AppState,
    context: &RequestContext,
    mut transaction: PgTransaction<'_>,
    presented: &Presented<'_>,
    now: DateTime<Utc>,
) -> Result<(), RefreshError> {
    let whose = presented.whose(context);
    let jti = presented.claims.jti()?.ok_or(TokenFault::NoId)?;
    let mut ended: Option<SessionId> = None;
    if let Some((account, session)) = presented.account.as_ref().zip(whose.session_id) {
        store::lock_user(&mut transaction, account.id).await?;
        if store::active_since(&mut transaction, account.id, session).await?.is_none() {
            // Told before, when the session ended.
            return Ok(());
        }
        if state.sessions.reuse == RefreshReuse::EndSession {
            let (user, ending) =
                ((account.id, account.username.as_str()), Ending::by_rule(SessionEnd::Reuse, now));
            end_session(&mut transaction, &state.outbox, user, session, &whose, ending).await?;
            ended = Some(session);
        }
    }
    let event = TokenReuseDetected {
        user_id: whose.user_id,
        username: whose.username,
        session_id: whose.session_id,
        jti,
        origin: whose.origin,
    };
    state.outbox.append(&mut transaction, &context.trace, event).await.map_err(Fault::from)?;
    transaction.commit().await?;
    state.outbox.wake();
    if let Some(session) = ended {
        state.standings.session_ended(session);
    }
    Ok(())
}
