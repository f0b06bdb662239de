//! What every handler may reach.

use std::sync::Arc;

use shared::clock::Clock;
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use sqlx::PgPool;

use crate::credentials::PasswordHasher;
use crate::tokens::TokenIssuer;

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
}
