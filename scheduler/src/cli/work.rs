//! `scheduler work`: executes runs.

use super::Jobs;
use super::program::Program;
use crate::config::Config;

pub(super) fn execute(config: Config, jobs: Jobs) -> anyhow::Result<()> {
    Program::execute(config, jobs, Program::spawn_workers)
}
