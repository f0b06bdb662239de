//! `database migrate` and `database create-roles`.

use shared::config::{DatabaseConfig, Reader};
use shared::database::{self, connect_before_migrating};
use shared::role::Role;

use super::{block_on, print, read_database};
use crate::config::{PROGRAM, read_database_passwords};

/// Makes the roles that are missing, because migrations grant to them, and applies what is missing.
pub(super) fn migrate(reader: Reader) -> anyhow::Result<()> {
    let config = read_database(reader)?;
    block_on(async {
        let pool = connect_before_migrating(&config, PROGRAM).await?;
        database::create_roles(&pool, &[]).await?;
        let applied = database::migrate(&pool).await?;
        print(&format!("{applied} migration(s) applied, the schema is up to date\n"))
    })
}

/// Makes the roles; those with a password may log in.
pub(super) fn create_roles(mut reader: Reader) -> anyhow::Result<()> {
    let passwords = read_database_passwords(&mut reader);
    let config = DatabaseConfig::read(&mut reader);
    let (config, passwords) = reader.finish((config, passwords))?;
    block_on(async {
        let pool = connect_before_migrating(&config, PROGRAM).await?;
        database::create_roles(&pool, &passwords).await?;
        let lines = Role::ALL.map(|role| {
            let login = if passwords.iter().any(|(given, _)| *given == role) {
                "may log in with the password that was given"
            } else {
                "no password was given, so that its login is as it was"
            };
            format!("the role {} is there: {login}\n", role.name())
        });
        print(&lines.concat())
    })
}
