//! The lane `queries`, and `cargo xtask prepare`: what sqlx's macros recorded in `.sqlx/` fits the migrations.
//!
//! Given a database, each macro writes what it learned about its query into `SQLX_OFFLINE_DIR` while the compiler
//! expands it. So: migrate a scratch database from empty, let the compiler expand every macro against it, and
//! compare. This is what `cargo sqlx prepare` does; we need neither that tool nor a database of the developer's.

mod difference;
mod expand_again;
mod scratch_database;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::command::run;
use super::session::Session;
use difference::{Difference, recorded_in};
use expand_again::ExpandAgain;

/// Compares `.sqlx/` with what the macros find now.
pub(super) fn check(session: &mut Session) -> Result<()> {
    let found = record(session)?;
    let difference = Difference::between(&folder(session), found.path())?;
    if difference.is_empty() {
        return Ok(());
    }
    bail!("the recorded queries are stale; run `cargo xtask prepare`\n{difference}");
}

/// Makes `.sqlx/` what the macros find now, touching only what differs.
pub(super) fn prepare(session: &mut Session) -> Result<()> {
    let folder = folder(session);
    let found = record(session)?;
    let difference = Difference::between(&folder, found.path())?;
    fs::create_dir_all(&folder)?;
    for name in difference.missing.iter().chain(&difference.differing) {
        let content = fs::read(found.path().join(&name.file))?;
        fs::write(folder.join(&name.file), content).with_context(|| format!("cannot write {}", name.file))?;
    }
    for name in &difference.orphaned {
        fs::remove_file(folder.join(&name.file)).with_context(|| format!("cannot remove {}", name.file))?;
    }
    session.console.line(format_args!(
        ".sqlx/ holds {} queries: {} new, {} changed, {} removed",
        recorded_in(&folder)?.len(),
        difference.missing.len(),
        difference.differing.len(),
        difference.orphaned.len()
    ));
    Ok(())
}

fn folder(session: &Session) -> PathBuf {
    session.root().join(".sqlx")
}

/// Expands every macro against a scratch database; the folder holds what they wrote.
fn record(session: &mut Session) -> Result<TempDir> {
    let found = tempfile::Builder::new().prefix("queries-").tempdir_in(&session.workspace.target)?;
    let migrations = session.root().join("migrations");
    let database_url = scratch_database::migrate(session.stack.postgres()?, &migrations)?;
    let mut command = session.workspace.cargo(["check", "--workspace", "--all-targets", "--locked"]);
    // Set here they win over `.cargo/config.toml`, which never forces its own.
    command
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", found.path())
        .env("DATABASE_URL", database_url);
    let expand_again = ExpandAgain::everywhere_in(session.root())?;
    let compiled = run(&mut command);
    drop(expand_again);
    compiled.context("the queries do not compile against a database migrated from empty")?;
    Ok(found)
}
