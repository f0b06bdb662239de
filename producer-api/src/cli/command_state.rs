//! The API's state for a command: the same settings and the same use cases, without a listener and without loops.

use std::sync::Arc;

use shared::clock::Clock;
use shared::config::{ConfigError, DatabaseConfig, Reader};
use shared::database::connect_for_command;
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use shared::telemetry::error_chain;

use crate::config::{
    HashingConfig, PROGRAM, SessionsConfig, TokensConfig, check_keys, read_sessions, read_tokens,
};
use crate::credentials::PasswordHasher;
use crate::middleware::{RequestContext, RequestContextSources};
use crate::sessions::{ForgedTokens, Standings};
use crate::state::AppState;
use crate::tokens::TokenIssuer;
use crate::tokens::keys::{Keys, KeysConfig};

/// The keys that the settings name; what is wrong with them is a mistake in the settings.
pub(super) fn open_keys(config: &KeysConfig, clock: &Clock) -> Result<Keys, ConfigError> {
    Keys::open(config, clock.clone()).map_err(|error| ConfigError::of(error_chain(&error)))
}

/// The settings of a command that changes sessions or tokens.
#[derive(Debug)]
pub(super) struct CommandConfig {
    tokens: TokensConfig,
    sessions: SessionsConfig,
    hashing: HashingConfig,
    database: DatabaseConfig,
}

impl CommandConfig {
    /// Reads them, or says everything that is wrong.
    pub(super) fn read(mut reader: Reader) -> Result<Self, ConfigError> {
        let config = Self {
            tokens: read_tokens(&mut reader),
            sessions: read_sessions(&mut reader),
            hashing: HashingConfig::read(&mut reader),
            database: DatabaseConfig::read(&mut reader),
        };
        check_keys(&mut reader, &config.tokens);
        reader.finish(config)
    }

    /// The state, once the database has answered and is of this version; and how `command` is told of in events, which
    /// wait in the outbox for a program with a relay.
    pub(super) async fn open(self, command: &str) -> anyhow::Result<(AppState, RequestContext)> {
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let keys = open_keys(&self.tokens.keys, &clock)?;
        let pool = connect_for_command(&self.database, PROGRAM).await?;
        let state = AppState {
            outbox: Outbox::new(PROGRAM, clock.clone(), entropy.clone()),
            hasher: PasswordHasher::new(&self.hashing, entropy.clone())?,
            tokens: Arc::new(TokenIssuer::new(self.tokens, keys, entropy.clone())),
            sessions: Arc::new(self.sessions),
            standings: Standings::reading_each_time(pool.clone()),
            forged_tokens: ForgedTokens::default(),
            database: pool,
            clock: clock.clone(),
            entropy: entropy.clone(),
        };
        let context = RequestContext::of_command(
            &format!("{PROGRAM} {command}"),
            &RequestContextSources { clock, entropy },
        );
        Ok((state, context))
    }
}
