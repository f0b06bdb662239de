//! The fault suite as a command: `cargo xtask faults` builds the programs and starts it. `docs/FAULTS.md` tells of it.

#![expect(clippy::print_stdout, reason = "it is started by hand, and prints its report")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use shared::clock::Clock;
use test_support::fault_suite::controls::{self, Control};
use test_support::fault_suite::fault::{Kind, PROGRAMS};
use test_support::fault_suite::plan::Shape;
use test_support::fault_suite::run::{Settings, run};
use test_support::fault_suite::schedules;
use test_support::faults::{PrivatePostgres, PrivateRabbitmq};
use xtask::checks::{Extent, FaultsArguments};
use xtask::{exit, interrupt};

const QUIET: Duration = Duration::from_secs(30);
const CLUSTER: usize = 3;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    faults: FaultsArguments,
    /// Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// How often it is looked whether somebody wants it to end.
const LOOK: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse().faults;
    if let Err(error) = interrupt::listen() {
        println!("{error:#}");
        return ExitCode::FAILURE;
    }
    // What it has started ends with the runtime, after this.
    tokio::select! {
        code = play(&arguments) => code,
        () = interrupted() => {
            println!("interrupted: servers and programs end");
            ExitCode::from(exit::INTERRUPTED)
        }
    }
}

async fn interrupted() {
    while !interrupt::requested() {
        tokio::time::sleep(LOOK).await;
    }
}

async fn play(arguments: &FaultsArguments) -> ExitCode {
    if let Some(name) = &arguments.control {
        return control(name).await;
    }
    let (text, is_well) = if arguments.schedules {
        let report = schedules::run::run(&settings_of_schedules(arguments)).await;
        (report.markdown(), report.is_well())
    } else {
        let report = run(&settings(arguments)).await;
        (report.markdown(), report.is_well())
    };
    println!("{text}");
    if let Some(file) = arguments.report.as_ref().map(PathBuf::from)
        && let Err(error) = std::fs::write(&file, &text)
    {
        println!("the report can't be written to {}: {error}", file.display());
        return ExitCode::FAILURE;
    }
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seed(arguments: &FaultsArguments) -> u64 {
    arguments.seed.unwrap_or_else(|| Clock::system().now().timestamp().unsigned_abs())
}

fn settings_of_schedules(arguments: &FaultsArguments) -> schedules::run::Settings {
    let (seed, Extent { minutes, faults, first, .. }) = (seed(arguments), arguments.extent());
    let shape = schedules::run::shape(faults, first, Duration::from_secs(minutes * 60));
    let (is_long, command) = (arguments.is_long(), arguments.command(seed));
    schedules::run::Settings { seed, shape, is_long, command }
}

fn settings(arguments: &FaultsArguments) -> Settings {
    let seed = seed(arguments);
    let Extent { minutes, faults, first, rate } = arguments.extent();
    let shape = Shape {
        faults,
        first,
        time: Duration::from_secs(minutes * 60),
        quiet: QUIET,
        kinds: Kind::ALL.to_vec(),
        outlasts_leases: false,
        programs: PROGRAMS.to_vec(),
        nodes: if arguments.cluster { CLUSTER } else { 1 },
    };
    let command = arguments.command(seed);
    Settings { seed, shape, rate, is_long: arguments.is_long(), command }
}

/// A control is right when it is red.
async fn control(name: &str) -> ExitCode {
    let Some(control) = Control::ALL.into_iter().find(|control| control.name() == name) else {
        println!("there is no control {name}; they are {}", Control::ALL.map(Control::name).join(", "));
        return ExitCode::from(2);
    };
    let (postgres, rabbitmq) = (PrivatePostgres::start().await, PrivateRabbitmq::start().await);
    let (database, broker) = (postgres.database().await, rabbitmq.broker().await);
    let violations = controls::run(control, database, broker, true).await;
    for violation in &violations {
        println!("{:?}: {}", violation.invariant, violation.words);
    }
    let is_red = violations.iter().any(|violation| violation.invariant == control.breaks());
    println!("{name}: {}", if is_red { "red, as it must be" } else { "NOT SEEN: the suite has no teeth" });
    if is_red { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
