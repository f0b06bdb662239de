//! The command line: which command, and one file that wires each.

mod config;
mod flush_expired_tokens;
mod healthcheck;
mod program;
mod run;
mod tick;
mod work;

use anyhow::Context;
use clap::{Parser, Subcommand};
use shared::config::Reader;

use crate::config::Config;

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

impl CommandLine {
    /// Does what it says.
    pub fn execute(self) -> anyhow::Result<()> {
        let reader = Reader::from_environment(&self.overrides);
        match self.command.unwrap_or(Command::Run) {
            Command::Run => run::execute(Config::read(reader)?),
            Command::Tick => tick::execute(Config::read(reader)?),
            Command::Work => work::execute(Config::read(reader)?),
            Command::FlushExpiredTokens => flush_expired_tokens::execute(reader),
            Command::Config { reference } => config::execute(reader, reference),
            Command::Healthcheck => healthcheck::execute(reader),
        }
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
