//! Roles and tables: what `producer-api database` does before the programs start.

use super::{
    layout::Layout,
    programs::{self, Program, with_login},
    state::{Session, State},
};
use crate::console::Console;

/// The operators' login, at both servers.
pub(super) const OPERATOR: &str = "warren_operator";

/// Makes the roles, then applies the migrations, which grant to them; both as the owner.
pub(super) fn prepare(
    console: &Console,
    layout: &Layout,
    state: &State,
    session: &mut Session,
    own: bool,
) -> anyhow::Result<()> {
    console.step("preparing the database");
    match create_roles(layout, state, session, own) {
        Ok(()) => {
            let owner = session.database_url.as_deref();
            session.operator_database_url =
                owner.and_then(|owner| with_login(owner, OPERATOR, &state.operator_password));
        }
        Err(error) if own => return Err(error),
        Err(error) => {
            session.operator_database_url = None;
            console.warn(format_args!("the roles aren't made on the given server: {error:#}"));
        }
    }
    run(layout, state, session, own, (&["database", "migrate"], &[]))
}

/// On a given server the programs use the given login, so that theirs need no password there.
fn create_roles(layout: &Layout, state: &State, session: &Session, own: bool) -> anyhow::Result<()> {
    let mut passwords = vec![("OPERATOR_PASSWORD".to_owned(), state.operator_password.as_str())];
    if own {
        passwords
            .extend(Program::ALL.map(|program| (program.password_setting("DB"), state.password_of(program))));
    }
    run(layout, state, session, own, (&["database", "create-roles"], &passwords))
}

fn run(
    layout: &Layout,
    state: &State,
    session: &Session,
    own: bool,
    (arguments, passwords): (&[&str], &[(String, &str)]),
) -> anyhow::Result<()> {
    // The caller's own setting reaches the command anyhow, and may stand in a file.
    let owner = session.database_url.iter().filter(|_| own);
    let owner = owner.map(|url| ("DATABASE_URL".to_owned(), url.as_str()));
    let environment: Vec<(String, &str)> = owner.chain(passwords.iter().cloned()).collect();
    programs::run(layout, state, session, arguments, &environment)
}
