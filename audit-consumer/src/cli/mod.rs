//! The command line: one file for each command with wiring.

mod run;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shared::config::{Reader, effective_values, reference};

use crate::config::{PROGRAM, SETTINGS, read_process};

/// Warren's audit consumer: every event becomes one row of the audit trail.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version)]
pub struct CommandLine {
    /// Sets a setting, before the environment; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE", global = true)]
    set: Vec<String>,

    /// What to do; `run` if nothing is said.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Consumes events until it is told to stop.
    Run,
    /// Prints the settings in force, secrets masked.
    Config {
        /// Prints what each setting means instead, as Markdown.
        #[arg(long)]
        reference: bool,
    },
    /// Asks the consumer on `LISTEN_ADDRESS` whether it is ready.
    Healthcheck,
}

/// Runs a command to its exit code: 0 fine, 1 failed, 2 wrong settings or command line.
pub fn run(line: CommandLine) -> ExitCode {
    let reader = Reader::from_environment(&line.set);
    let result = match line.command.unwrap_or(Command::Run) {
        Command::Run => run::run(reader),
        Command::Config { reference: false } => print(&effective_values(&reader, SETTINGS)),
        Command::Config { reference: true } => print(&reference(PROGRAM, SETTINGS)),
        Command::Healthcheck => healthcheck(reader),
    };
    shared::lifecycle::report(PROGRAM, result)
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(write!(std::io::stdout().lock(), "{text}")?)
}

fn healthcheck(mut reader: Reader) -> anyhow::Result<()> {
    let process = read_process(&mut reader);
    shared::lifecycle::healthcheck(reader.finish(process)?.listen_address)
}
