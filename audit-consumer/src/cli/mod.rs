//! The command line: one file for each command with wiring.

mod dead_letters;
mod export;
mod quarantine;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shared::config::{Reader, effective_values, reference};
use shared::operator::{EndCommand, print};

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
    /// Messages that could not be read. Replayed, they are judged by this build's rules, without a broker.
    #[command(subcommand)]
    Quarantine(EndCommand),
    /// Messages that a queue gave up on. Replayed, they go straight to that queue. Those that a command has in hand, others
    /// don't see. A discarded event that the trail doesn't have is sent again by relays, until `producer-api parked discard`
    /// throws it away, too.
    #[command(subcommand)]
    DeadLetters(EndCommand),
    /// Writes events of the audit trail to a file or to standard output, the oldest first. The trail itself tells of it.
    Export(Box<export::Arguments>),
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
        Command::Quarantine(command) => quarantine::quarantine(reader, command),
        Command::DeadLetters(command) => dead_letters::dead_letters(reader, command),
        Command::Export(arguments) => export::run(*arguments, reader),
        Command::Config { reference: false } => print(&effective_values(&reader, SETTINGS)),
        Command::Config { reference: true } => print(&reference(PROGRAM, SETTINGS)),
        Command::Healthcheck => healthcheck(reader),
    };
    shared::lifecycle::report(PROGRAM, result)
}

/// Runs a command's asynchronous part.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

fn healthcheck(mut reader: Reader) -> anyhow::Result<()> {
    let process = read_process(&mut reader);
    shared::lifecycle::healthcheck(reader.finish(process)?.listen_address)
}
