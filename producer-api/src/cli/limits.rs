//! `limits list`, `limits clear` and `users unlock`.

use std::net::{AddrParseError, IpAddr};

use clap::Args;
use shared::clock::Clock;
use shared::config::{DatabaseConfig, Reader};
use shared::database::connect_for_command;
use shared::entropy::Entropy;
use shared::operator::{columns, instant, json_lines};
use shared::outbox::Outbox;
use sqlx::PgPool;

use super::{block_on, print, read_database};
use crate::config::PROGRAM;
use crate::limits::{self, Cleared, Limit};
use crate::middleware::{RequestContext, RequestContextSources};

/// What is to be forgotten.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Clear {
    /// Wrong passwords of this name, whether or not anybody has it.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Wrong passwords from this address and the mails asked for from there; of an IPv6 address its /64.
    #[arg(long, value_name = "IP", value_parser = address)]
    address: Option<IpAddr>,
    /// All of them.
    #[arg(long)]
    all: bool,
}

/// As it is listed, too.
fn address(text: &str) -> Result<IpAddr, AddrParseError> {
    text.strip_suffix("/64").unwrap_or(text).parse()
}

/// Lists who has wrong passwords or asked for too many mails, and until when he has to wait.
pub(super) fn list(reader: Reader, json: bool) -> anyhow::Result<()> {
    let config = read_database(reader)?;
    block_on(async {
        let database = connect_for_command(&config, PROGRAM).await?;
        let limits = limits::list(&database, Clock::system().now()).await?;
        if json {
            return print(&json_lines(&limits)?);
        }
        let rows: Vec<_> = limits.iter().map(row).collect();
        print(&columns(["SCOPE", "OF", "FAILURES", "SINCE", "LAST TRY", "WAITS UNTIL"], &rows))
    })
}

fn row(limit: &Limit) -> [String; 6] {
    [
        limit.scope.clone(),
        limit.subject.clone().unwrap_or_else(|| "(a name of nobody)".to_owned()),
        limit.failures.to_string(),
        instant(limit.counted_from),
        instant(limit.tried_at),
        limit.locked_until.map(instant).unwrap_or_default(),
    ]
}

/// Forgets what is counted of a name, of an address, or all.
pub(super) fn clear(reader: Reader, what: Clear) -> anyhow::Result<()> {
    let config = read_database(reader)?;
    block_on(async {
        let program = Program::open(&config, "limits clear").await?;
        let answer = match (what.user, what.address) {
            (Some(name), _) => {
                cleared(limits::clear_name(program.parts(), &program.context, &name).await?, &name)
            }
            (_, Some(address)) => {
                cleared(limits::clear_address(&program.database, address).await?, &address.to_string())
            }
            (None, None) => {
                let keys = limits::clear_all(program.parts(), &program.context).await?;
                format!(
                    "forgot the wrong passwords of {keys} name(s) and address(es), and who asked for mails\n"
                )
            }
        };
        print(&answer)
    })
}

/// Forgets the wrong passwords of an account.
pub(super) fn unlock(reader: Reader, username: &str) -> anyhow::Result<()> {
    let config = read_database(reader)?;
    block_on(async {
        let program = Program::open(&config, "users unlock").await?;
        let unlocked = limits::unlock(program.parts(), &program.context, username).await?;
        print(&match unlocked {
            Cleared::Done => format!("unlocked {username}\n"),
            Cleared::Nothing => format!("{username} has no wrong passwords; nothing was changed\n"),
        })
    })
}

fn cleared(cleared: Cleared, what: &str) -> String {
    match cleared {
        Cleared::Done => format!("forgot what was counted of {what}\n"),
        Cleared::Nothing => format!("nothing is counted of {what}; nothing was changed\n"),
    }
}

/// What these commands need. Events wait in the outbox for a program with a relay.
struct Program {
    database: PgPool,
    outbox: Outbox,
    context: RequestContext,
}

impl Program {
    async fn open(config: &DatabaseConfig, command: &str) -> anyhow::Result<Self> {
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let database = connect_for_command(config, PROGRAM).await?;
        let sources = RequestContextSources { clock: clock.clone(), entropy: entropy.clone() };
        let context = RequestContext::of_command(&format!("{PROGRAM} {command}"), &sources);
        Ok(Self { database, outbox: Outbox::new(PROGRAM, clock, entropy), context })
    }

    fn parts(&self) -> (&PgPool, &Outbox) {
        (&self.database, &self.outbox)
    }
}
