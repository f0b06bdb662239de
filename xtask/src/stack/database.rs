//! Roles and tables: what `producer-api database` does before the programs start.

use anyhow::{Context as _, ensure};
use url::Url;

use super::{
    layout::Layout,
    programs::{self, Program},
    state::{Session, State},
};
use crate::{console::Console, process};

/// The read-only login role for operators.
const OPERATOR: &str = "warren_operator";

/// Makes the roles, then applies the migrations, which grant to them.
pub(super) fn prepare(
    console: &Console,
    layout: &Layout,
    state: &State,
    session: &mut Session,
    own: bool,
) -> anyhow::Result<()> {
    console.step("preparing the database");
    match create_roles(layout, state, session) {
        Ok(()) => session.operator_database_url = operator_url(session, &state.operator_password),
        Err(error) if own => return Err(error),
        Err(error) => {
            session.operator_database_url = None;
            console.warn(format_args!("the operators' role isn't made on the given server: {error:#}"));
        }
    }
    run(layout, state, session, &["database", "migrate"], &[])
}

fn create_roles(layout: &Layout, state: &State, session: &Session) -> anyhow::Result<()> {
    let password = [("OPERATOR_PASSWORD", state.operator_password.as_str())];
    run(layout, state, session, &["database", "create-roles"], &password)
}

fn run(
    layout: &Layout,
    state: &State,
    session: &Session,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> anyhow::Result<()> {
    let mut command = programs::command(layout, state, session, Program::ProducerApi);
    command.args(arguments).envs(environment.iter().copied());
    let shown = || format!("producer-api {}", arguments.join(" "));
    let (status, output) = process::run_to_string(&mut command).with_context(shown)?;
    ensure!(status.success(), "{} failed ({status}):\n{output}", shown());
    Ok(())
}

/// The session's database as the operators' role sees it.
fn operator_url(session: &Session, password: &str) -> Option<String> {
    let mut url = Url::parse(session.database_url.as_ref()?).ok()?;
    url.set_username(OPERATOR).ok()?;
    url.set_password(Some(password)).ok()?;
    Some(url.into())
}
