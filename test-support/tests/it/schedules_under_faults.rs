//! Schedules under faults, in short: three schedulers for a minute. The long run is `cargo xtask faults --schedules`.

use std::time::Duration;

use test_support::fault_suite::fault::Kind;
use test_support::fault_suite::plan::{Shape, draw};
use test_support::fault_suite::schedules::run::{Settings, run, shape};

/// As the scheduler has it.
const LEASE: Duration = Duration::from_secs(30);

/// Goes red when an instant has two answers or none, when a run ends twice or is told of twice, when runs overlap that must not, and
/// when an attempt that has lost its lease writes anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_instant_is_answered_once_and_no_lease_is_outlived_while_schedulers_and_servers_break() {
    let kinds = vec![
        Kind::KilledProgram,
        Kind::RestartedProgram,
        Kind::StoppedPostgres,
        Kind::KilledRabbitmq,
        Kind::TerminatedBackends,
        Kind::StalledLink,
    ];
    let count = kinds.len();
    let shape = Shape { kinds, ..shape(count, count, Duration::from_mins(1)) };
    // One whose plan keeps a scheduler from the database for longer than a lease.
    let outlasts_a_lease =
        |seed: &u64| draw(*seed, &shape).iter().flatten().any(|planned| planned.lasts > LEASE);
    let seed = (1..1_000).find(outlasts_a_lease).expect("such a seed");
    let settings = Settings { seed, shape, is_long: false, command: "cargo xtask test".to_owned() };
    let report = run(&settings).await;
    let text = report.markdown();
    assert!(report.violations.is_empty(), "{:#?}\n{text}", report.violations);
    let figures = &report.figures;
    assert!(figures.sum(|schedule| schedule.runs) > 100, "hardly anything was run:\n{text}");
    assert!(figures.sum(|schedule| schedule.lost) > 0, "no lease was lost:\n{text}");
    assert!(figures.not_run("skipped") > 0 && figures.not_run("paused") > 0, "hardly a gap:\n{text}");
    assert!(figures.side_by_side > 0, "nothing was side by side where it may be:\n{text}");
    assert!(report.faults.len() >= 5, "{:?}\n{text}", report.left_out);
}
