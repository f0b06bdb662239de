//! SQL through `psql`, for the few statements that must run before anything of ours is compiled.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use url::Url;

use super::command::run_quietly;
use crate::servers::PostgresServer;

/// Runs one statement as the superuser.
pub(super) fn run(server: &PostgresServer, database: &str, statement: &str) -> Result<()> {
    run_quietly(psql(server, database)?.args(["--command", statement]))
}

/// Runs a file as the superuser, in one transaction that its first error ends.
pub(super) fn run_file(server: &PostgresServer, database: &str, file: &Path) -> Result<()> {
    run_quietly(psql(server, database)?.arg("--single-transaction").arg("--file").arg(file))
}

fn psql(server: &PostgresServer, database: &str) -> Result<Command> {
    let url = Url::parse(&server.url(database))?;
    let mut command = Command::new("psql");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name);
    }
    // By the environment, which unlike arguments isn't shown to every user of the machine.
    command.env("PGPASSWORD", url.password().unwrap_or_default());
    command.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--host", "127.0.0.1"]);
    command.arg("--port").arg(server.port().to_string());
    command.args(["--username", url.username(), "--dbname", database]);
    Ok(command)
}
