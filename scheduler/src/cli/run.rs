//! `scheduler run`: ticks and works.

use super::Jobs;
use super::program::Program;
use crate::config::Config;

pub(super) fn execute(config: Config, jobs: Jobs) -> anyhow::Result<()> {
    Program::execute(config, jobs, |program| {
        program.spawn_ticker();
        program.spawn_workers();
    })
}
