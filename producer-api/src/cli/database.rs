//! `database migrate` and `database create-roles`.

use shared::config::{DatabaseConfig, Reader};
use shared::database::{self, connect_before_migrating};

use super::{block_on, print, read_database};
use crate::config::{PROGRAM, read_operator_password};

/// Makes the operators' role if it is missing, because migrations grant to it, and applies what is missing.
pub(super) fn migrate(reader: Reader) -> anyhow::Result<()> {
    let config = read_database(reader)?;
    block_on(async {
        let pool = connect_before_migrating(&config, PROGRAM).await?;
        database::create_roles(&pool, None).await?;
        let applied = database::migrate(&pool).await?;
        print(&format!("{applied} migration(s) applied, the schema is up to date\n"))
    })
}

/// Makes the operators' role; with a password it may log in.
pub(super) fn create_roles(mut reader: Reader) -> anyhow::Result<()> {
    let password = read_operator_password(&mut reader);
    let config = DatabaseConfig::read(&mut reader);
    let (config, password) = reader.finish((config, password))?;
    block_on(async {
        let pool = connect_before_migrating(&config, PROGRAM).await?;
        database::create_roles(&pool, password.as_ref()).await?;
        let login =
            if password.is_some() { "may log in" } else { "has no password yet, and so can't log in" };
        print(&format!("the role {} is there and {login}\n", database::OPERATOR_ROLE))
    })
}
