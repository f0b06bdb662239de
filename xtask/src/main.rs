//! `cargo xtask`: reads the command line, runs the verb, gives its exit code.

use std::process::ExitCode;

use clap::Parser as _;
use xtask::cli::{self, Arguments};

fn main() -> ExitCode {
    cli::run(Arguments::parse())
}
