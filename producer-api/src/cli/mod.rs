//! The command line: one file for each command.

mod command_state;
mod create_superuser;
mod database;
mod import_users;
mod inspect_token;
mod limits;
mod list_users;
mod mint_tokens;
mod parked;
mod print_tasks;
mod rotate_keys;
mod serve;
mod topology;
mod users;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shared::config::{ConfigError, DatabaseConfig, Reader, effective_values, reference};
use shared::operator::{EndCommand, print};

use crate::config::{PROGRAM, SETTINGS, lay_simple_jwt_json_over, read_process};

/// Warren's HTTP API.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version)]
pub struct CommandLine {
    /// Sets a setting, before the environment; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE", global = true)]
    set: Vec<String>,

    /// What to do; `serve` if nothing is said.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the API until it is told to stop.
    #[command(visible_alias = "run")]
    Serve,
    /// The database's schema and roles.
    #[command(subcommand)]
    Database(DatabaseCommand),
    /// Accounts.
    #[command(subcommand)]
    Users(UsersCommand),
    /// Who has to wait because of wrong passwords.
    #[command(subcommand)]
    Limits(LimitsCommand),
    /// Events that the broker could not route: they are committed, and nobody has been told of them.
    #[command(subcommand)]
    Parked(EndCommand),
    /// The keys that sign tokens.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Makes and explains tokens.
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// Tasks of all users.
    #[command(subcommand)]
    Tasks(TasksCommand),
    /// The broker's exchanges, queues, bindings and users.
    #[command(subcommand)]
    Topology(topology::TopologyCommand),
    /// Prints the settings in force, secrets masked.
    Config {
        /// Prints what each setting means instead, as Markdown.
        #[arg(long)]
        reference: bool,
    },
    /// Asks the API on `LISTEN_ADDRESS` whether it is ready.
    Healthcheck,
}

#[derive(Debug, Subcommand)]
enum DatabaseCommand {
    /// Makes the roles that are missing, then applies the migrations that are missing; as the owner of the tables.
    Migrate,
    /// Makes the roles of the programs and of operators; those whose password is set (`OPERATOR_PASSWORD` and so on, see
    /// `config --reference`) may log in with it from now on.
    CreateRoles,
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Makes an account that may do everything, with the password in `SUPERUSER_PASSWORD`. Exit code 3: the name is
    /// taken.
    CreateSuperuser {
        /// Its name.
        #[arg(long)]
        username: String,
        /// Its address.
        #[arg(long)]
        email: String,
    },
    /// Switches an account off: it can't log in, and all its sessions end.
    Disable {
        /// Its name.
        #[arg(long)]
        username: String,
    },
    /// Switches an account on again.
    Enable {
        /// Its name.
        #[arg(long)]
        username: String,
    },
    /// Lists all accounts.
    List {
        /// As JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Forgets the wrong passwords of an account: it may log in at once.
    Unlock {
        /// Its name.
        #[arg(long)]
        username: String,
    },
    /// Gives an account the password in `NEW_PASSWORD`, and ends all its sessions.
    SetPassword {
        /// Its name.
        #[arg(long)]
        username: String,
    },
    /// Makes accounts of a Django project's users, with their ids and password hashes. May be run again: what is there
    /// is left as it is. Exit code 1: some were refused.
    Import(import_users::ImportUsers),
}

#[derive(Debug, Subcommand)]
enum LimitsCommand {
    /// Lists the accounts and addresses with wrong passwords, those that wait longest first; a thousand at the most.
    List {
        /// As JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Forgets wrong passwords: whoever has to wait for them may log in at once.
    Clear(limits::Clear),
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Adds a key to `SIGNING_KEYS_DIR`: shown at once, it signs a minute later, and the one before goes on verifying until
    /// its last token has run out.
    Rotate,
}

#[derive(Debug, Subcommand)]
enum TokensCommand {
    /// Begins a session of a user without his password and prints its tokens; under `SESSION_POLICY=replace` his present
    /// session ends.
    Mint {
        /// His name.
        #[arg(long)]
        user: String,
        /// A sliding token in the place of a pair.
        #[arg(long)]
        sliding: bool,
    },
    /// Reads a token from standard input and prints what it says, what is recorded of it, and whether it is good. Exit
    /// code 4: it is not.
    Inspect,
}

#[derive(Debug, Subcommand)]
enum TasksCommand {
    /// Walks all tasks in the order of their ids and displays one every interval, on standard output; how far it is
    /// stands on standard error. SIGTERM and Ctrl-C end it, and it says how to go on. While the database is away it waits.
    Print(print_tasks::PrintTasks),
}

/// The token asked about is not good.
const NOT_GOOD: u8 = 4;

/// The name asked for is taken.
const ALREADY_THERE: u8 = 3;

/// Runs a command to its exit code: 0 fine, 1 failed, 2 wrong settings or command line, 3 already there, 4 not good.
pub fn run(line: CommandLine) -> ExitCode {
    let reader = Reader::from_environment(&line.set);
    let result = match line.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::serve(reader),
        Command::Database(DatabaseCommand::Migrate) => database::migrate(reader),
        Command::Database(DatabaseCommand::CreateRoles) => database::create_roles(reader),
        Command::Users(UsersCommand::CreateSuperuser { username, email }) => {
            let result = create_superuser::create_superuser(reader, &username, &email);
            if matches!(result, Ok(false)) {
                return ExitCode::from(ALREADY_THERE);
            }
            result.map(|_| ())
        }
        Command::Users(UsersCommand::Disable { username }) => users::set_active(reader, &username, false),
        Command::Users(UsersCommand::Enable { username }) => users::set_active(reader, &username, true),
        Command::Users(UsersCommand::List { json }) => list_users::list_users(reader, json),
        Command::Users(UsersCommand::Unlock { username }) => limits::unlock(reader, &username),
        Command::Limits(LimitsCommand::List { json }) => limits::list(reader, json),
        Command::Limits(LimitsCommand::Clear(what)) => limits::clear(reader, what),
        Command::Users(UsersCommand::SetPassword { username }) => users::set_password(reader, &username),
        Command::Parked(command) => parked::parked(reader, command),
        Command::Keys(KeysCommand::Rotate) => rotate_keys::rotate_keys(reader),
        Command::Tokens(TokensCommand::Mint { user, sliding }) => mint_tokens::mint(reader, &user, sliding),
        Command::Tokens(TokensCommand::Inspect) => {
            let result = inspect_token::inspect_token(reader);
            if matches!(result, Ok(false)) {
                return ExitCode::from(NOT_GOOD);
            }
            result.map(|_| ())
        }
        Command::Users(UsersCommand::Import(arguments)) => {
            let result = import_users::import(reader, arguments);
            if matches!(result, Ok(false)) {
                return ExitCode::FAILURE;
            }
            result.map(|_| ())
        }
        Command::Tasks(TasksCommand::Print(arguments)) => print_tasks::print_tasks(reader, arguments),
        Command::Topology(command) => {
            let result = topology::topology(reader, command);
            if matches!(result, Ok(false)) {
                return ExitCode::FAILURE;
            }
            result.map(|_| ())
        }
        Command::Config { reference: false } => effective(reader),
        Command::Config { reference: true } => print(&reference(PROGRAM, SETTINGS)),
        Command::Healthcheck => healthcheck(reader),
    };
    shared::lifecycle::report(PROGRAM, result)
}

fn effective(mut reader: Reader) -> anyhow::Result<()> {
    lay_simple_jwt_json_over(&mut reader);
    print(&effective_values(&reader, SETTINGS))
}

fn healthcheck(mut reader: Reader) -> anyhow::Result<()> {
    let process = read_process(&mut reader);
    shared::lifecycle::healthcheck(reader.finish(process)?.listen_address)
}

/// The database section alone, for commands that need no broker.
fn read_database(mut reader: Reader) -> Result<DatabaseConfig, ConfigError> {
    let config = DatabaseConfig::read(&mut reader);
    reader.finish(config)
}

/// Runs a command's asynchronous part.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
