//! `users disable`, `users enable` and `users set-password`.

use shared::clock::Clock;
use shared::config::{ConfigError, DatabaseConfig, Reader};
use shared::database::connect_for_command;
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use sqlx::PgPool;

use super::{block_on, print};
use crate::accounts::{self, Office, SetActive, SetPasswordError};
use crate::config::{HashingConfig, PROGRAM, SessionsConfig, read_new_password, read_sessions};
use crate::credentials::PasswordHasher;
use crate::middleware::{RequestContext, RequestContextSources};
use crate::sessions::Standings;

/// Switches an account off or on.
pub(super) fn set_active(reader: Reader, username: &str, active: bool) -> anyhow::Result<()> {
    let config = AccountsConfig::read(reader)?;
    let verb = if active { "enable" } else { "disable" };
    block_on(async {
        let (program, context) = config.open(&format!("users {verb}")).await?;
        let text = match accounts::set_active(&program, &context, username, active).await? {
            SetActive::Unchanged => format!("{username} is {verb}d already; nothing was changed\n"),
            SetActive::Done { .. } if active => format!("enabled {username}\n"),
            SetActive::Done { sessions_ended } => {
                format!("disabled {username}; ended {sessions_ended} session(s)\n")
            }
        };
        print(&text)
    })
}

/// Gives an account the password in `NEW_PASSWORD`.
pub(super) fn set_password(mut reader: Reader, username: &str) -> anyhow::Result<()> {
    let password = read_new_password(&mut reader);
    let config = AccountsConfig::read(reader)?;
    block_on(async {
        let (program, context) = config.open("users set-password").await?;
        let password = password.expose().to_owned();
        let ended = match accounts::set_password(&program, &context, username, password).await {
            // Judged this late, because the rules ask for the owner's address, too.
            Err(refused @ SetPasswordError::Refused(_)) => {
                return Err(ConfigError::of(format!("NEW_PASSWORD: {refused}")).into());
            }
            ended => ended?,
        };
        print(&format!("{username} has a new password; ended {ended} session(s)\n"))
    })
}

/// What these commands need; no key, because they sign nothing.
#[derive(Debug)]
struct AccountsConfig {
    sessions: SessionsConfig,
    hashing: HashingConfig,
    database: DatabaseConfig,
}

#[derive(Debug)]
struct Program {
    database: PgPool,
    outbox: Outbox,
    clock: Clock,
    entropy: Entropy,
    hasher: PasswordHasher,
    sessions: SessionsConfig,
    standings: Standings,
}

impl AccountsConfig {
    fn read(mut reader: Reader) -> Result<Self, ConfigError> {
        let config = Self {
            sessions: read_sessions(&mut reader),
            hashing: HashingConfig::read(&mut reader),
            database: DatabaseConfig::read(&mut reader),
        };
        reader.finish(config)
    }

    /// Once the database has answered and is of this version. Events wait in the outbox for a program with a relay.
    async fn open(self, command: &str) -> anyhow::Result<(Program, RequestContext)> {
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let pool = connect_for_command(&self.database, PROGRAM).await?;
        let sources = RequestContextSources { clock: clock.clone(), entropy: entropy.clone() };
        let context = RequestContext::of_command(&format!("{PROGRAM} {command}"), &sources);
        let program = Program {
            outbox: Outbox::new(PROGRAM, clock.clone(), entropy.clone()),
            hasher: PasswordHasher::new(&self.hashing, entropy.clone())?,
            standings: Standings::reading_each_time(pool.clone()),
            sessions: self.sessions,
            database: pool,
            clock,
            entropy,
        };
        Ok((program, context))
    }
}

impl<'a> From<&'a Program> for Office<'a> {
    fn from(program: &'a Program) -> Self {
        Self {
            database: &program.database,
            outbox: &program.outbox,
            clock: &program.clock,
            entropy: &program.entropy,
            hasher: &program.hasher,
            sessions: &program.sessions,
            standings: &program.standings,
        }
    }
}
