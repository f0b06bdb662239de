//! `cargo xtask test`: everything that must hold before a change is handed in, in named lanes.
//!
//! Each lane can be repeated alone with `cargo xtask check <lane>`. What needs servers gets private, throw-away ones
//! (`test_stack`), which start while cargo compiles and are gone when the command ends, however it ends. The caller's
//! own settings (`DATABASE_URL`, `AMQP_URL` …) never reach a lane: a test must not meet a database someone needs.
//! Python with SimpleJWT, which some tests compare us with, is kept (`python`).
//!
//! # The order of the lanes, and what they share
//!
//! Cheap and telling comes first. `queries`, `clippy` and `docs` need the dependencies' metadata alone, which the
//! first of them makes for all three; clippy compiles our own crates once more, since it is another compiler.
//! `tests` needs machine code and shares nothing with them but build scripts and macros, so it comes last. All lanes
//! build the whole workspace with all its targets: with a part of them, cargo would choose other features for some
//! dependencies and compile those, and all that stands on them, once more. No lane changes `RUSTFLAGS`, for the same
//! reason; what they must not accept goes through `-D warnings` after clippy's own `--`, or `RUSTDOCFLAGS`.

mod benchmarks;
mod clippy;
mod command;
mod deny;
mod docs;
mod faults;
mod format;
mod lane;
mod promtool;
mod psql;
mod python;
mod queries;
mod report;
mod session;
mod test_stack;
mod tests_lane;
mod workspace;

use anyhow::Result;

use crate::console::Console;
use crate::servers::{ensure_installed, install::Package};
pub use faults::{Extent, FaultsArguments};
use lane::Lane;
use session::Session;

/// What `cargo xtask test` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TestArguments {
    /// Handed to `cargo test`, as in `cargo xtask test -p scheduler ticks -- --nocapture`; then the tests alone are
    /// run, without the other lanes
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub for_cargo: Vec<String>,
}

/// Runs every lane, or with arguments for `cargo test` the tests alone.
pub fn test(console: &Console, arguments: TestArguments) -> Result<()> {
    let lanes: &[Lane] = if arguments.for_cargo.is_empty() { &Lane::ALL } else { &[Lane::Tests] };
    run_lanes(console, lanes, arguments)
}

/// Runs one lane, by its name.
pub fn check(console: &Console, lane: &str) -> Result<()> {
    run_lanes(console, &[lane.parse()?], TestArguments::default())
}

/// Records the queries anew: `.sqlx/` afterwards holds what the macros find in a database migrated from empty.
pub fn prepare(console: &Console) -> Result<()> {
    queries::prepare(&mut Session::open(console, &[Lane::Queries], TestArguments::default())?)
}

/// Runs one benchmark of `test-support/benches`, by its name.
pub fn bench(console: &Console, name: &str) -> Result<()> {
    // It needs what tests need.
    benchmarks::bench(&mut Session::open(console, &[Lane::Tests], TestArguments::default())?, name)
}

/// Runs the fault suite.
pub fn faults(console: &Console, arguments: &FaultsArguments) -> Result<()> {
    // It starts its servers itself, since it must kill them.
    ensure_installed(console, &[Package::Postgresql, Package::RabbitmqServer])?;
    faults::faults(&mut Session::open(console, &[], TestArguments::default())?, arguments)
}

fn run_lanes(console: &Console, lanes: &[Lane], arguments: TestArguments) -> Result<()> {
    report::run(&mut Session::open(console, lanes, arguments)?, lanes)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: TestArguments,
    }

    #[test]
    fn cargo_test_gets_its_arguments_as_they_were_typed() {
        let typed = ["-p", "scheduler", "ticks", "--", "--nocapture"];
        let line = Line::parse_from(["test"].into_iter().chain(typed));
        assert_eq!(line.arguments.for_cargo, typed);
        assert!(Line::parse_from(["test"]).arguments.for_cargo.is_empty());
    }
}
