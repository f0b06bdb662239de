//! `scheduler run`: ticks and works.

use super::program::Program;
use crate::config::Config;

pub(super) fn execute(config: Config) -> anyhow::Result<()> {
    Program::execute(config, |program| {
        program.spawn_ticker();
        program.spawn_workers();
    })
}
