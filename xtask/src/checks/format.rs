//! The lane `format`.

use anyhow::{Context, Result};

use super::command::run;
use super::session::Session;

/// Shows what rustfmt would change.
pub(super) fn check(session: &Session) -> Result<()> {
    run(&mut session.workspace.cargo(["fmt", "--all", "--check"])).context("`cargo fmt --all` puts it right")
}
