//! The lane `clippy`.

use anyhow::Result;

use super::command::run;
use super::session::Session;

/// The compiler's and clippy's warnings, all of them errors.
pub(super) fn check(session: &Session) -> Result<()> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    run(&mut session.workspace.cargo(arguments))
}
