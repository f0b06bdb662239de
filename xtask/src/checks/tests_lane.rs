//! The lane `tests`: builds everything, prepares what tests share, and runs them all.

use anyhow::{Context, Result, bail};
use url::Url;

use super::command::{run, run_quietly};
use super::promtool::promtool;
use super::psql;
use super::session::Session;
use crate::servers::install::chromium;
use crate::servers::{postgres, rabbitmq};

/// The database that tests clone: migrated once, by the command that operators use.
const TEMPLATE: &str = "warren_template";

/// Builds, then tests.
pub(super) fn check(session: &mut Session) -> Result<()> {
    // With all targets, as `cargo test` chooses them itself: the same features everywhere, and so one build of each
    // dependency, and the programs that tests start are there and fresh.
    run(&mut session.workspace.cargo(["build", "--workspace", "--all-targets", "--locked"]))?;
    make_template(session)?;

    let mut command = session.workspace.cargo(["test", "--locked"]);
    if !names_a_package(&session.arguments.for_cargo) {
        command.arg("--workspace");
    }
    command
        .args(&session.arguments.for_cargo)
        .envs(server_urls(session)?)
        .env("WARREN_TEST_TEMPLATE", TEMPLATE)
        .env("WARREN_TEST_BIN_DIR", session.workspace.programs())
        .env("WARREN_TEST_PYTHON", session.python.interpreter()?)
        .env("WARREN_TEST_CHROMIUM", chromium().context("Chromium is missing")?)
        .env("WARREN_TEST_PROMTOOL", promtool(&session.console, &session.workspace.target)?)
        .env("WARREN_TEST_SCREENSHOTS", session.workspace.target.join("screenshots"));
    run(&mut command)
}

/// Where the private servers are, as tests and benchmarks read it.
pub(super) fn server_urls(session: &mut Session) -> Result<[(&'static str, String); 3]> {
    let database_url = session.stack.postgres()?.url(postgres::DATABASE);
    let node = session.stack.rabbitmq()?;
    let amqp_url = node.amqp_url(rabbitmq::VIRTUAL_HOST);
    let mut management_url = Url::parse(&node.management_url())?;
    let named = management_url.set_username(node.user());
    if named.and_then(|()| management_url.set_password(Some(node.password()))).is_err() {
        bail!("{management_url} cannot carry a login");
    }
    Ok([
        ("WARREN_TEST_DATABASE_URL", database_url),
        ("WARREN_TEST_AMQP_URL", amqp_url),
        ("WARREN_TEST_MANAGEMENT_URL", management_url.to_string()),
    ])
}

fn make_template(session: &mut Session) -> Result<()> {
    let server = session.stack.postgres()?;
    psql::run(server, postgres::DATABASE, &format!("CREATE DATABASE {TEMPLATE}"))?;
    let url = server.url(TEMPLATE);
    for step in ["create-roles", "migrate"] {
        let mut command = session.workspace.program("producer-api");
        command.args(["database", step]).env("DATABASE_URL", &url);
        run_quietly(&mut command).context("cannot make the database that tests clone")?;
    }
    Ok(())
}

/// Cargo would take `--workspace` for more than a named package.
fn names_a_package(arguments: &[String]) -> bool {
    let for_cargo = arguments.iter().take_while(|argument| *argument != "--");
    for_cargo.into_iter().any(|argument| {
        argument == "--package"
            || argument.starts_with("--package=")
            || (argument.starts_with("-p") && !argument.starts_with("--"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_recognised_in_every_spelling() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(names_a_package(&words("-p scheduler")));
        assert!(names_a_package(&words("-pscheduler ticks")));
        assert!(names_a_package(&words("ticks --package=scheduler")));
        assert!(!names_a_package(&words("ticks -- -p")));
        assert!(!names_a_package(&words("--profile dev")));
    }
}
