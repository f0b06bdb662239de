//! `cargo xtask faults`: the fault suite, over servers of its own, with the programs as they are released; and its run of schedules,
//! whose load is light and whose races are wider with programs as cargo builds them for tests.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::command::run;
use super::session::Session;
use crate::process;

/// What the suite must see, by name.
const CONTROLS: [&str; 4] = ["confirm-by-future", "ack-before-commit", "no-unique-key", "last-id-seen"];

/// What `cargo xtask faults` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FaultsArguments {
    /// What the faults and the load are drawn from; the same seed gives the same plan
    #[arg(long)]
    pub seed: Option<u64>,
    /// In which time all faults of the plan are to begin, quiet times included [default: 30, with --schedules 10, with --short 2
    /// or 1]
    #[arg(long)]
    pub minutes: Option<u64>,
    /// How many of the plan's faults, the first ones; after every tenth it is quiet for 30 seconds [default: all of them, 220,
    /// with --schedules 64, with --short 22 or 10]
    #[arg(long)]
    pub faults: Option<usize>,
    /// How many requests a second [default: 330, with --short 40]
    #[arg(long)]
    pub rate: Option<u32>,
    /// A run of some minutes, each kind of fault once, with the programs as `cargo build` makes them
    #[arg(long)]
    pub short: bool,
    /// Against a RabbitMQ cluster of three nodes, of which one at a time is lost
    #[arg(long)]
    pub cluster: bool,
    /// Instead: three schedulers alone, and every instant, run and attempt of theirs
    #[arg(long, conflicts_with_all = ["rate", "cluster", "control"])]
    pub schedules: bool,
    /// Instead: one of the suite's controls, which are broken on purpose and must turn red
    #[arg(long, value_name = "NAME", value_parser = CONTROLS)]
    pub control: Option<String>,
    /// Write the report to this file, too
    #[arg(long, value_name = "FILE")]
    pub report: Option<String>,
}

/// How much a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// In how many minutes all faults of the plan are to begin.
    pub minutes: u64,
    /// How many faults the whole plan has.
    pub faults: usize,
    /// How many of them are played.
    pub first: usize,
    /// How many requests a second.
    pub rate: u32,
}

impl FaultsArguments {
    /// How much of a run is asked for.
    pub fn extent(&self) -> Extent {
        // Somewhat more than the 200 of a long run: one may find nothing to break.
        let (minutes, faults, rate) = match (self.schedules, self.short) {
            (true, true) => (1, 10, 0),
            (true, false) => (10, 64, 0),
            (false, true) => (2, 22, 40),
            (false, false) => (30, 220, 330),
        };
        let first = self.faults.unwrap_or(faults);
        let (minutes, rate) = (self.minutes.unwrap_or(minutes), self.rate.unwrap_or(rate));
        Extent { minutes, faults: faults.max(first), first, rate }
    }

    /// Whether nothing makes it shorter or smaller than a long run is.
    pub fn is_long(&self) -> bool {
        let long = Self { schedules: self.schedules, ..Self::default() };
        let (asked, long) = (self.extent(), long.extent());
        asked.minutes >= long.minutes && asked.first >= long.first && asked.rate >= long.rate
    }

    /// How to repeat it.
    pub fn command(&self, seed: u64) -> String {
        let Self { minutes, faults, rate, .. } = self;
        let mut words = format!("cargo xtask faults --seed {seed}");
        let options = [
            self.short.then(|| " --short".to_owned()),
            self.cluster.then(|| " --cluster".to_owned()),
            self.schedules.then(|| " --schedules".to_owned()),
            minutes.map(|minutes| format!(" --minutes {minutes}")),
            faults.map(|faults| format!(" --faults {faults}")),
            rate.map(|rate| format!(" --rate {rate}")),
        ];
        words.extend(options.into_iter().flatten());
        words
    }

    /// As the suite takes them.
    fn words(&self) -> Result<Vec<String>> {
        let mut words = Vec::new();
        words.extend(self.minutes.map(|minutes| format!("--minutes={minutes}")));
        words.extend(self.faults.map(|faults| format!("--faults={faults}")));
        words.extend(self.rate.map(|rate| format!("--rate={rate}")));
        words.extend(self.seed.map(|seed| format!("--seed={seed}")));
        words.extend(self.short.then(|| "--short".to_owned()));
        words.extend(self.cluster.then(|| "--cluster".to_owned()));
        words.extend(self.schedules.then(|| "--schedules".to_owned()));
        words.extend(self.control.as_ref().map(|name| format!("--control={name}")));
        if let Some(file) = &self.report {
            // Meant from where the command was given, and not from where cargo starts the suite.
            words.push(format!("--report={}", std::path::absolute(file)?.display()));
        }
        Ok(words)
    }
}

/// Builds the programs and the suite, and runs it; it prints its report.
pub(super) fn faults(session: &mut Session, arguments: &FaultsArguments) -> Result<()> {
    let is_light = arguments.short || arguments.schedules || arguments.control.is_some();
    let profile = if is_light { "dev" } else { "release" };
    let folder = if profile == "dev" { "debug" } else { "release" };
    // Both for the whole workspace, as in the lane `tests`: the same features, and so one build of each dependency.
    let build = ["build", "--profile", profile, "--workspace", "--bins", "--bench", "faults", "--locked"];
    let mut build = session.workspace.cargo(build);
    if arguments.schedules {
        build.args(["--example", "suite-scheduler"]);
    }
    run(&mut build)?;
    // Started by us and not by cargo, which would die of a Ctrl-C and let nobody wait until the suite has tidied up. An absolute
    // path stays what it is.
    let mut command = session.workspace.program(&executable(session, profile)?);
    command.args(arguments.words()?).env("WARREN_TEST_BIN_DIR", session.workspace.target.join(folder));
    let status = process::run_unhurried(&mut command)?;
    ensure!(status.success(), "the fault suite ended with {status}");
    Ok(())
}

/// Where the suite is, which is built already.
fn executable(session: &Session, profile: &str) -> Result<String> {
    let words = ["bench", "--profile", profile, "--workspace", "--locked", "--bench", "faults", "--no-run"];
    let built = process::capture(session.workspace.cargo(words).arg("--message-format=json"))?;
    let messages = String::from_utf8_lossy(&built.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut suites = messages.filter(|message| message["target"]["name"] == "faults");
    let suite = suites.find_map(|message| message["executable"].as_str().map(str::to_owned));
    suite.with_context(|| {
        format!("cargo tells of no fault suite:\n{}", String::from_utf8_lossy(&built.stderr))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_chosen_by_the_kind_of_run() {
        let short = FaultsArguments { short: true, faults: Some(5), ..FaultsArguments::default() };
        assert_eq!(short.extent(), Extent { minutes: 2, faults: 22, first: 5, rate: 40 });
        let long = FaultsArguments { faults: Some(300), ..FaultsArguments::default() };
        assert_eq!(long.extent(), Extent { minutes: 30, faults: 300, first: 300, rate: 330 });
        assert!(long.is_long() && !short.is_long());
        let schedules = FaultsArguments { schedules: true, ..FaultsArguments::default() };
        assert_eq!(schedules.extent(), Extent { minutes: 10, faults: 64, first: 64, rate: 0 });
        assert!(schedules.is_long() && !FaultsArguments { minutes: Some(9), ..schedules }.is_long());
    }

    #[test]
    fn a_run_is_repeated_with_what_it_was_started_with() {
        let cluster = FaultsArguments { cluster: true, seed: Some(7), ..FaultsArguments::default() };
        assert_eq!(cluster.words().unwrap(), ["--seed=7", "--cluster"]);
        assert_eq!(cluster.command(7), "cargo xtask faults --seed 7 --cluster");
        let schedules = FaultsArguments { schedules: true, minutes: Some(3), ..FaultsArguments::default() };
        assert_eq!(schedules.words().unwrap(), ["--minutes=3", "--schedules"]);
        assert_eq!(schedules.command(7), "cargo xtask faults --seed 7 --schedules --minutes 3");
        let short = FaultsArguments { short: true, faults: Some(5), ..FaultsArguments::default() };
        assert_eq!(short.words().unwrap(), ["--faults=5", "--short"]);
        assert_eq!(short.command(3), "cargo xtask faults --seed 3 --short --faults 5");
    }
}
