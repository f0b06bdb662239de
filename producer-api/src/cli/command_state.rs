//! The API's state for a command: the same settings and the same use cases, without a listener and without loops.

use std::sync::Arc;

use shared::clock::Clock;
use shared::config::{ConfigError, DatabaseConfig, Reader};
use shared::database::connect_for_command;
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use tokio_util::sync::CancellationToken;

use crate::config::{
    HashingConfig, LimitsConfig, PROGRAM, RealtimeConfig, SessionsConfig, TokensConfig, open_keys,
    read_sessions, read_tokens,
};
use crate::credentials::PasswordHasher;
use crate::limits::Limits;
use crate::metrics::ApiMetrics;
use crate::middleware::{RequestContext, RequestContextSources};
use crate::realtime::page::RefreshCookie;
use crate::realtime::{Live, LiveSettings};
use crate::sessions::{DeniedObjects, ForgedTokens, Standings};
use crate::state::AppState;
use crate::tokens::TokenIssuer;
use crate::tokens::keys::Keys;

/// The settings of a command that changes sessions or tokens.
#[derive(Debug)]
pub(super) struct CommandConfig {
    tokens: TokensConfig,
    keys: Keys,
    sessions: SessionsConfig,
    hashing: HashingConfig,
    limits: LimitsConfig,
    database: DatabaseConfig,
}

impl CommandConfig {
    /// Reads them and opens the keys, or says everything that is wrong.
    pub(super) fn read(mut reader: Reader) -> Result<Self, ConfigError> {
        let tokens = read_tokens(&mut reader);
        let sessions = read_sessions(&mut reader);
        let hashing = HashingConfig::read(&mut reader);
        let limits = LimitsConfig::read(&mut reader);
        let database = DatabaseConfig::read(&mut reader);
        let keys = open_keys(&mut reader, &tokens);
        reader.finish(())?;
        Ok(Self { tokens, keys: keys?, sessions, hashing, limits, database })
    }

    /// The state, once the database has answered and is of this version; and how `command` is told of in events, which
    /// wait in the outbox for a program with a relay.
    pub(super) async fn open(self, command: &str) -> anyhow::Result<(AppState, RequestContext)> {
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let pool = connect_for_command(&self.database, PROGRAM).await?;
        let state = AppState {
            outbox: Outbox::new(PROGRAM, clock.clone(), entropy.clone()),
            hasher: PasswordHasher::new(&self.hashing, entropy.clone())?,
            tokens: Arc::new(TokenIssuer::new(self.tokens, self.keys, entropy.clone())),
            sessions: Arc::new(self.sessions),
            standings: Standings::reading_each_time(pool.clone()),
            forged_tokens: ForgedTokens::default(),
            denied_objects: DeniedObjects::default(),
            limits: Limits::new(&self.limits),
            live: Live::new(
                LiveSettings::of(&RealtimeConfig::default(), self.database.pool_max),
                CancellationToken::new(),
            ),
            refresh_cookie: RefreshCookie::default(),
            metrics: ApiMetrics::default(),
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
