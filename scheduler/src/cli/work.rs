//! `scheduler work`: executes runs.

use super::program::Program;
use crate::config::Config;

pub(super) fn execute(config: Config) -> anyhow::Result<()> {
    Program::execute(config, Program::spawn_workers)
}
