//! What a token says and what the database knows of it: for operators who ask why it opens, or does not.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::presented::{LiveSession, Lock, Presented};
use super::store;
use crate::fault::Fault;
use crate::state::AppState;
use crate::tokens::{Claims, Outstanding, TokenFault, TokenKind, decode_unproven};

/// The findings, as one JSON object, and whether the token is good for its own purpose.
#[derive(Debug)]
pub struct Inspection {
    /// `header` and `claims` as they stand in the token, `verdict`, and what is recorded.
    pub findings: Value,
    /// Whether it is good.
    pub good: bool,
}

/// Reads a token without trusting it, judges it as a request would be judged, and adds what is recorded of it, of its
/// session and of its user.
pub async fn inspect(state: &AppState, token: &str) -> Result<Inspection, Fault> {
    let now = state.clock.now();
    let mut findings = Map::new();
    if let Some((header, claims)) = decode_unproven(token) {
        findings.insert("header".to_owned(), header);
        findings.insert("claims".to_owned(), claims);
    }
    let verdict = match state.tokens.judge(token, now).await {
        Ok(claims) => look_up(state, &claims, now, &mut findings).await?,
        Err(fault) => Err(fault.to_string()),
    };
    let good = verdict.is_ok();
    let text = verdict.err().unwrap_or_else(|| "good".to_owned());
    findings.insert("verdict".to_owned(), text.into());
    Ok(Inspection { findings: Value::Object(findings), good })
}

async fn look_up(
    state: &AppState,
    claims: &Claims,
    now: DateTime<Utc>,
    findings: &mut Map<String, Value>,
) -> Result<Result<(), String>, Fault> {
    let mut connection = state.database.acquire().await?;
    let presented = Presented::look_up(state, &mut connection, claims, Lock::Nothing).await?;
    if let Some(Outstanding { blacklisted, .. }) = &presented.outstanding {
        let blacklisted =
            blacklisted.as_ref().map(|found| json!({ "reason": found.reason, "since": found.at }));
        findings.insert("recorded".to_owned(), json!({ "blacklisted": blacklisted }));
    }
    if let Some(account) = &presented.account {
        let user = json!({ "id": account.id, "username": account.username, "is_active": account.is_active });
        findings.insert("user".to_owned(), user);
    }
    let session = presented.session();
    if let (Some(account), Ok(Some(session))) = (&presented.account, &session) {
        let since = store::active_since(&mut connection, account.id, *session).await?;
        let ends_at = since.and_then(|since| state.sessions.ends_at(since));
        let found =
            json!({ "id": session, "is_active": since.is_some(), "since": since, "ends_at": ends_at });
        findings.insert("session".to_owned(), found);
    }
    if let Some(seconds) = claims.issued_at() {
        findings.insert("age_seconds".to_owned(), now.timestamp().saturating_sub(seconds).into());
    }
    findings
        .insert("expires_in_seconds".to_owned(), claims.expires_at().saturating_sub(now.timestamp()).into());
    Ok(verdict(state, &presented, &mut connection, now).await?)
}

async fn verdict(
    state: &AppState,
    presented: &Presented<'_>,
    connection: &mut sqlx::PgConnection,
    now: DateTime<Utc>,
) -> Result<Result<(), String>, sqlx::Error> {
    let said = |fault: TokenFault| fault.to_string();
    if let Err(fault) = presented.claims.require_expiry_and_id() {
        return Ok(Err(said(fault)));
    }
    match presented.blacklisted() {
        Err(fault) => return Ok(Err(said(fault))),
        Ok(Some(_)) => return Ok(Err(said(TokenFault::Blacklisted))),
        Ok(None) => {}
    }
    if let Err(fault) = presented.require_user(state.tokens.config()) {
        return Ok(Err(fault.to_string()));
    }
    match presented.require_session(connection).await? {
        Err(fault) if state.sessions.tokens_carry_session() => {
            return Ok(Err(format!("{fault}: its session is over")));
        }
        // An access token that was given before the limit was set is good until it expires.
        Ok(Some(LiveSession { ends_at: Some(ends_at), .. }))
            if presented.require_kind(TokenKind::Access).is_err()
                && state.tokens.is_over(ends_at.timestamp(), now) =>
        {
            return Ok(Err(format!("{}: its session has lasted as long as it may", TokenFault::Expired)));
        }
        _ => {}
    }
    Ok(Ok(()))
}
