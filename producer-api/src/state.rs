//! What every handler may reach.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use shared::clock::Clock;
use shared::entropy::Entropy;
use shared::ids::SessionId;
use shared::outbox::Outbox;
use sqlx::PgPool;

use crate::config::SessionsConfig;
use crate::credentials::PasswordHasher;
use crate::limits::Limits;
use crate::metrics::ApiMetrics;
use crate::middleware::RequestContext;
use crate::realtime::Live;
use crate::realtime::page::RefreshCookie;
use crate::sessions::{DeniedObjects, ForgedToken, ForgedTokens, Standings};
use crate::tokens::{Claims, TokenFault, TokenIssuer};

/// The application's state; cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState {
    /// PostgreSQL.
    pub database: PgPool,
    /// Where events go.
    pub outbox: Outbox,
    /// What time it is.
    pub clock: Clock,
    /// Chance.
    pub entropy: Entropy,
    /// The bounded pool that hashes passwords.
    pub hasher: PasswordHasher,
    /// Mints and judges tokens.
    pub tokens: Arc<TokenIssuer>,
    /// How many sessions, and what their end means.
    pub sessions: Arc<SessionsConfig>,
    /// Whether sessions and users are still good.
    pub standings: Standings,
    /// Counts tokens that are none of ours.
    pub forged_tokens: ForgedTokens,
    /// Counts tries at objects of others.
    pub denied_objects: DeniedObjects,
    /// How often secrets may be guessed.
    pub limits: Limits,
    /// The open live streams.
    pub live: Live,
    /// The refresh token of a browser that uses the page.
    pub refresh_cookie: RefreshCookie,
    /// What is counted beside requests.
    pub metrics: ApiMetrics,
}

impl AppState {
    /// The claims of a token, if it is one of ours and within its times; one that is not is counted.
    pub async fn judge(
        &self,
        context: &RequestContext,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<Claims, TokenFault> {
        let verdict = self.tokens.judge(token, now).await;
        if matches!(verdict, Err(TokenFault::Invalid)) {
            self.note_forged_token(context, now);
        }
        verdict
    }

    /// Counts a token, or the link of a mail, that is none of ours.
    pub fn note_forged_token(&self, context: &RequestContext, now: DateTime<Utc>) {
        self.forged_tokens.note(ForgedToken::of(context), context.trace, now);
    }

    /// The session that a token claims. Where tokens don't carry one, such a claim is another service's business.
    ///
    /// # Errors
    /// When the claim is no session id.
    pub fn claimed_session(&self, claims: &Claims) -> Result<Option<SessionId>, TokenFault> {
        if self.sessions.tokens_carry_session() { claims.session() } else { Ok(None) }
    }
}
