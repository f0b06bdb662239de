//! Exchanges, queues and users: what `producer-api topology apply` does before the programs start.

use super::{
    layout::Layout,
    programs::{self, Program, with_login},
    state::{Management, Session, State},
};
use crate::{console::Console, servers::rabbitmq::VIRTUAL_HOST};

/// Declares the topology on a broker of ours, and makes the logins of the programs and of operators. A given broker is left
/// to the programs, which declare with the given login.
pub(super) fn prepare(
    console: &Console,
    layout: &Layout,
    state: &State,
    session: &Session,
) -> anyhow::Result<()> {
    let Some(Management { url, login: Some((user, password)) }) = &session.management else { return Ok(()) };
    console.step("preparing the broker");
    let administrator = with_login(url, user, password).unwrap_or_default();
    let mut environment = vec![
        ("MANAGEMENT_URL".to_owned(), administrator.as_str()),
        ("OPERATOR_AMQP_PASSWORD".to_owned(), state.operator_password.as_str()),
    ];
    environment
        .extend(Program::ALL.map(|program| (program.password_setting("AMQP"), state.password_of(program))));
    let arguments = ["topology", "apply", "--virtual-host", VIRTUAL_HOST];
    programs::run(layout, state, session, &arguments, &environment)
}
