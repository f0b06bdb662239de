//! The verbs of `cargo xtask`, and how their outcome becomes an exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    checks,
    console::Console,
    exit, interrupt,
    stack::{self, LogsArguments, StatusArguments, UpArguments},
};

/// Warren's developer commands.
///
/// `up` gives you the whole system on this machine, `test` says whether a change may be handed in.
#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo xtask",
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 fine, 1 failed, 2 wrong usage or setting, 130 ended by Ctrl-C."
)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start the whole system: PostgreSQL, RabbitMQ and the three programs, and follow their logs until Ctrl-C
    Up(UpArguments),
    /// Stop everything that `up` started; the data is kept
    Down,
    /// Show what runs, and where
    Status(StatusArguments),
    /// Show the programs' logs
    Logs(LogsArguments),
    /// Run every check and every test, as it must pass before a change is handed in
    Test(checks::TestArguments),
    /// Run a single lane of `test`
    Check {
        /// Its name; a wrong one lists them all
        lane: String,
    },
    /// Build for release and run one benchmark, which prints what it measured
    Bench {
        /// Its name: `pipeline`, `ticks`, `revocation`, `live`, `refused_logins`, `login_flood` or `who_exists`
        name: String,
    },
    /// Kill, freeze and cut everything while requests come in, and account for every event; exit code 1 if one is missing
    Faults(checks::FaultsArguments),
    /// Record the queries anew (`.sqlx/`), after a query or a migration has changed
    Prepare,
}

/// Runs the chosen verb.
pub fn run(arguments: Arguments) -> ExitCode {
    let console = Console::new();
    let outcome = interrupt::listen().and_then(|()| choose(&console, arguments.verb));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            if !interrupt::is_interrupted(&error) {
                console.fail(&error);
            }
            exit::code(&error).into()
        }
    }
}

fn choose(console: &Console, verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Up(arguments) => stack::up(console, &arguments)?,
        Verb::Down => stack::down(console)?,
        Verb::Status(arguments) => return stack::status(console, arguments),
        Verb::Logs(arguments) => stack::logs(console, &arguments)?,
        Verb::Test(arguments) => checks::test(console, arguments)?,
        Verb::Check { lane } => checks::check(console, &lane)?,
        Verb::Bench { name } => checks::bench(console, &name)?,
        Verb::Faults(arguments) => checks::faults(console, &arguments)?,
        Verb::Prepare => checks::prepare(console)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Arguments::command().debug_assert();
    }
}
