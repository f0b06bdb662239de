//! Chooses the command; everything else is in the library.

use std::process::ExitCode;

use clap::Parser;
use scheduler::cli::CommandLine;

fn main() -> ExitCode {
    shared::lifecycle::with_deep_stacks(|| {
        shared::lifecycle::report("scheduler", CommandLine::parse().execute())
    })
}
