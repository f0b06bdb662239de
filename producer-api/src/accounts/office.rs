//! What changing an account needs of its program: the API's state, or less, in a command that signs no token.

use shared::clock::Clock;
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use sqlx::PgPool;

use crate::config::SessionsConfig;
use crate::credentials::PasswordHasher;
use crate::sessions::Standings;
use crate::state::AppState;

/// What changing an account needs.
#[derive(Debug, Clone, Copy)]
pub struct Office<'a> {
    /// PostgreSQL.
    pub database: &'a PgPool,
    /// Where events go.
    pub outbox: &'a Outbox,
    /// What time it is.
    pub clock: &'a Clock,
    /// Chance.
    pub entropy: &'a Entropy,
    /// Hashes passwords.
    pub hasher: &'a PasswordHasher,
    /// What the end of a session means.
    pub sessions: &'a SessionsConfig,
    /// Who is to refuse ended sessions before the answer.
    pub standings: &'a Standings,
}

impl<'a> From<&'a AppState> for Office<'a> {
    fn from(state: &'a AppState) -> Self {
        Self {
            database: &state.database,
            outbox: &state.outbox,
            clock: &state.clock,
            entropy: &state.entropy,
            hasher: &state.hasher,
            sessions: &state.sessions,
            standings: &state.standings,
        }
    }
}
