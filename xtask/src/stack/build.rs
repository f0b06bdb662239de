//! Building the three programs.

use std::{env, io, process::Command};

use anyhow::ensure;

use super::{layout::Layout, programs::Program};
use crate::{console::Console, process};

/// `cargo build` of the programs, with cargo's own progress on the terminal.
pub(super) fn programs(console: &Console, layout: &Layout) -> anyhow::Result<()> {
    console.step("building the programs");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg("build").current_dir(&layout.root).stdout(io::stderr());
    for program in Program::ALL {
        cargo.args(["--package", program.name()]);
    }
    let status = process::run(&mut cargo)?;
    ensure!(status.success(), "cargo build failed");
    Ok(())
}
