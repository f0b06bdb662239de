//! The command line: which command, and one file that wires each.

mod config;
mod flush_expired_tokens;
mod healthcheck;
mod new_schedule;
mod process;
mod program;
mod run;
mod runs;
mod schedules;
mod tick;
mod work;

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use shared::clock::Clock;
use shared::config::{DatabaseConfig, Reader};
use shared::database::connect_for_command;
use shared::entropy::Entropy;
use shared::operator::{Operation, WhoArguments};
use shared::outbox::Outbox;
use sqlx::PgPool;

use crate::config::{Config, PROGRAM};
use crate::jobs::{self, Job, Mailer};
use process::ProcessArguments;
use runs::RunsCommand;
use schedules::SchedulesCommand;

/// Runs jobs on schedule: writes what becomes due and executes it.
#[derive(Debug, Parser)]
#[command(name = "scheduler", version)]
pub struct CommandLine {
    /// Sets a setting, before the environment; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", global = true)]
    overrides: Vec<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ticks and works (the default).
    Run,
    /// Writes everything that becomes due; executes nothing.
    Tick,
    /// Executes runs; writes nothing that becomes due.
    Work,
    /// Writes what becomes due and executes it here, one run after another, without a broker; for a while or until it is
    /// asked to stop. Beside other schedulers or alone. What is told waits in the outbox for a program with a relay.
    Process(ProcessArguments),
    /// What is due when: lists and shows schedules, adds and removes some for programs of others, pauses them, has them go on, due at other times, and run now or for
    /// instants that have passed. Each deed is told in the audit trail.
    #[command(subcommand)]
    Schedules(SchedulesCommand),
    /// What became of it: lists and shows runs, has failed ones tried again, and ends others. Each deed is told in the audit
    /// trail.
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Does at once what the job `purge-expired-tokens` does each hour, and prints what that was. Needs the database
    /// alone.
    #[command(name = "flushexpiredtokens")]
    FlushExpiredTokens,
    /// Prints every setting in force, secrets masked.
    Config {
        /// Prints what each setting means instead, as Markdown.
        #[arg(long)]
        reference: bool,
    },
    /// Asks the scheduler that runs here whether it is ready; exit code 0 if so.
    Healthcheck,
}

/// What makes a build's jobs; mails leave by the mailer, secrets come from the entropy.
pub type Jobs = fn(Mailer, Entropy) -> Vec<Job>;

impl CommandLine {
    /// Does what it says, with the jobs of this build.
    pub fn execute(self) -> anyhow::Result<()> {
        self.execute_with(jobs::all)
    }

    /// Does what it says, with other jobs: for a scheduler that is this one in all else, as that of the fault suite.
    pub fn execute_with(self, jobs: Jobs) -> anyhow::Result<()> {
        let reader = Reader::from_environment(&self.overrides);
        match self.command.unwrap_or(Command::Run) {
            Command::Run => run::execute(Config::read(reader)?, jobs),
            Command::Tick => tick::execute(Config::read(reader)?, jobs),
            Command::Work => work::execute(Config::read(reader)?, jobs),
            Command::Process(arguments) => process::execute(reader, &arguments, jobs),
            Command::Schedules(command) => schedules::execute(reader, command),
            Command::Runs(command) => runs::execute(reader, command),
            Command::FlushExpiredTokens => flush_expired_tokens::execute(reader),
            Command::Config { reference } => config::execute(reader, reference),
            Command::Healthcheck => healthcheck::execute(reader),
        }
    }
}

/// An instant, as RFC 3339 writes it.
fn parse_instant(text: &str) -> Result<DateTime<Utc>, &'static str> {
    let instant =
        DateTime::parse_from_rfc3339(text).map_err(|_| "must be an instant such as 2026-12-01T09:00:00Z")?;
    Ok(instant.to_utc())
}

/// What commands that change something need.
struct Desk {
    database: PgPool,
    outbox: Outbox,
    clock: Clock,
    entropy: Entropy,
}

impl Desk {
    /// Connects, with the rights of this program. What is told waits in the outbox for a program with a relay.
    async fn open(mut reader: Reader) -> anyhow::Result<Self> {
        let config = DatabaseConfig::read(&mut reader);
        let database = connect_for_command(&reader.finish(config)?, PROGRAM).await?;
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let outbox = Outbox::new(PROGRAM, clock.clone(), entropy.clone());
        Ok(Self { database, outbox, clock, entropy })
    }

    fn operation(&self, command: &str, who: &WhoArguments) -> Operation {
        who.operation(&format!("{PROGRAM} {command}"), &self.clock, &self.entropy)
    }
}

/// Runs a command's asynchronous part.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the asynchronous runtime can't start")?
        .block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn settings_may_stand_before_and_behind_the_command() {
        for line in [["scheduler", "--set", "A=1", "work"], ["scheduler", "work", "--set", "A=1"]] {
            let parsed = CommandLine::try_parse_from(line).unwrap();
            assert_eq!(parsed.overrides, ["A=1"]);
            assert!(matches!(parsed.command, Some(Command::Work)));
        }
        assert!(CommandLine::try_parse_from(["scheduler"]).unwrap().command.is_none());
    }
}
