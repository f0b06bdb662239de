//! `cargo xtask faults`: the fault suite, over servers of its own, with the programs as they are released.

use anyhow::Result;

use super::command::run;
use super::session::Session;

/// What the suite must see, by name.
const CONTROLS: [&str; 4] = ["confirm-by-future", "ack-before-commit", "no-unique-key", "last-id-seen"];

/// What `cargo xtask faults` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FaultsArguments {
    /// What the faults and the load are drawn from; the same seed gives the same plan
    #[arg(long)]
    pub seed: Option<u64>,
    /// How long it breaks things, quiet times included [default: 30, with --short 2]
    #[arg(long)]
    pub minutes: Option<u64>,
    /// How many faults; after every tenth it is quiet for 30 seconds [default: 200, with --short 21]
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
    /// Instead: one of the suite's controls, which are broken on purpose and must turn red
    #[arg(long, value_name = "NAME", value_parser = CONTROLS)]
    pub control: Option<String>,
    /// Write the report to this file, too
    #[arg(long, value_name = "FILE")]
    pub report: Option<String>,
}

impl FaultsArguments {
    /// Minutes, faults and requests a second.
    pub fn extent(&self) -> (u64, usize, u32) {
        let (minutes, faults, rate) = if self.short { (2, 21, 40) } else { (30, 200, 330) };
        (self.minutes.unwrap_or(minutes), self.faults.unwrap_or(faults), self.rate.unwrap_or(rate))
    }

    /// As the suite takes them.
    fn words(&self) -> Result<Vec<String>> {
        let (minutes, faults, rate) = self.extent();
        let mut words =
            vec![format!("--minutes={minutes}"), format!("--faults={faults}"), format!("--rate={rate}")];
        words.extend(self.seed.map(|seed| format!("--seed={seed}")));
        words.extend(self.cluster.then(|| "--cluster".to_owned()));
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
    let profile = if arguments.short || arguments.control.is_some() { "dev" } else { "release" };
    let folder = if profile == "dev" { "debug" } else { "release" };
    // Both for the whole workspace, as in the lane `tests`: the same features, and so one build of each dependency.
    let build = ["build", "--profile", profile, "--workspace", "--bins", "--benches", "--locked"];
    run(&mut session.workspace.cargo(build))?;
    let words = ["bench", "--profile", profile, "--workspace", "--locked", "--bench", "faults", "--"];
    let mut command = session.workspace.cargo(words);
    command.args(arguments.words()?).env("WARREN_TEST_BIN_DIR", session.workspace.target.join(folder));
    run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_chosen_by_the_kind_of_run() {
        let short = FaultsArguments { short: true, faults: Some(5), ..FaultsArguments::default() };
        assert_eq!(short.extent(), (2, 5, 40));
        let cluster = FaultsArguments { cluster: true, seed: Some(7), ..FaultsArguments::default() };
        assert_eq!(
            cluster.words().unwrap(),
            ["--minutes=30", "--faults=200", "--rate=330", "--seed=7", "--cluster"]
        );
    }
}
