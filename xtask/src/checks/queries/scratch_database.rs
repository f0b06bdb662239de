//! A database that has seen nothing but the migrations.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::checks::psql;
use crate::servers::PostgresServer;

const NAME: &str = "warren_queries";

/// Migrations grant to these roles, which in life are made by a command of its own.
const MAKE_ROLES: &str = "\
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['warren_producer_api', 'warren_audit_consumer', 'warren_scheduler', 'warren_operator'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
    END LOOP;
END $$";

/// Makes it anew and applies every migration in order; returns its URL.
///
/// With `psql` and not with our own migrator, because that one has queries of its own and must be compiled first.
pub(super) fn migrate(postgres: &PostgresServer, migrations: &Path) -> Result<String> {
    psql::run(postgres, "postgres", &format!("DROP DATABASE IF EXISTS {NAME} WITH (FORCE)"))?;
    psql::run(postgres, "postgres", &format!("CREATE DATABASE {NAME}"))?;
    psql::run(postgres, "postgres", MAKE_ROLES)?;
    for file in in_order(migrations)? {
        psql::run_file(postgres, NAME, &file)?;
    }
    Ok(postgres.url(NAME))
}

fn in_order(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    Ok(files)
}
