//! The lane `docs`.

use anyhow::Result;

use super::command::run;
use super::session::Session;

/// Private items are documented, too: the rooms of a program are private, and their pages are for its developers.
pub(super) fn check(session: &Session) -> Result<()> {
    let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
    run(session.workspace.cargo(arguments).env("RUSTDOCFLAGS", "-D warnings"))
}
