//! `cargo xtask bench`: a benchmark over private servers and the programs as they are released.

use anyhow::Result;

use super::command::run;
use super::session::Session;
use super::tests_lane::server_urls;

/// Builds the programs and the benchmark, and runs it; it prints what it measured.
pub(super) fn bench(session: &mut Session, name: &str) -> Result<()> {
    // Both for the whole workspace, as in the lane `tests`: the same features, and so one build of each dependency.
    let build = ["build", "--release", "--workspace", "--bins", "--bench", name, "--locked"];
    run(&mut session.workspace.cargo(build))?;
    let mut command = session.workspace.cargo(["bench", "--workspace", "--locked", "--bench", name]);
    command.envs(server_urls(session)?).env("WARREN_TEST_BIN_DIR", session.workspace.target.join("release"));
    run(&mut command)
}
