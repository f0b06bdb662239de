//! `users import`.

use std::path::PathBuf;

use clap::Args;
use shared::clock::Clock;
use shared::config::{DatabaseConfig, Reader, Secret};
use shared::database::connect_for_command;
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use shared::telemetry::TraceContext;

use super::{block_on, print};
use crate::accounts::import::{Importer, Model, Report, Source, import_users};
use crate::config::{PROGRAM, read_django_database_url};

/// The command line of `users import`.
#[derive(Debug, Args)]
pub(super) struct ImportUsers {
    /// Reads the PostgreSQL database of a Django project, tokens included. Without a URL `DJANGO_DATABASE_URL` counts,
    /// which other users of the machine can't see.
    #[arg(
        long,
        value_name = "URL",
        num_args = 0..=1,
        value_parser = secret,
        required_unless_present = "from_file",
        conflicts_with = "from_file"
    )]
    #[expect(
        clippy::option_option,
        reason = "how clap says: not given, given without a value, given with one"
    )]
    from_database: Option<Option<Secret>>,
    /// Reads a file: CSV with a header, what `manage.py dumpdata` writes, or JSON lines.
    #[arg(long, value_name = "PATH")]
    from_file: Option<PathBuf>,
    /// The project's user model.
    #[arg(long, value_name = "APP.MODEL", default_value = "auth.user")]
    model: Model,
    /// The project had its users prove their addresses: those of active accounts count as verified, also of accounts that
    /// an earlier import made. Of several accounts with one address the first alone; the others are listed.
    #[arg(long)]
    emails_verified: bool,
    /// Says what would be done and changes nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Imports accounts and prints what it did; `false` if any row was refused. Events wait in the outbox for a program with
/// a relay.
pub(super) fn import(mut reader: Reader, arguments: ImportUsers) -> anyhow::Result<bool> {
    let ImportUsers { from_database, from_file, model, emails_verified, dry_run } = arguments;
    let source = match from_file {
        Some(path) => Source::File(path),
        None => Source::Database(read_django_database_url(&mut reader, from_database.flatten())),
    };
    let database = DatabaseConfig::read(&mut reader);
    let (database, source) = reader.finish((database, source))?;
    block_on(async {
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let pool = connect_for_command(&database, PROGRAM).await?;
        let outbox = Outbox::new(PROGRAM, clock.clone(), entropy.clone());
        let trace = TraceContext::new(&entropy);
        let importer = Importer {
            database: &pool,
            outbox: &outbox,
            clock: &clock,
            trace: &trace,
            emails_verified,
            dry_run,
        };
        let mut report = Report::default();
        let result = import_users(importer, source, model, &mut report).await;
        print(&report.to_string())?;
        result?;
        Ok(report.refused() == 0)
    })
}

/// The URL holds a password, so it is not printed with the command line.
#[expect(clippy::unnecessary_wraps, reason = "clap asks for a result")]
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}
