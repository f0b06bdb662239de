//! The fault suite, in short: a run of some faults of different kinds, and its controls, which must turn red.

use std::time::Duration;

use test_support::fault_suite::controls::{self, Control};
use test_support::fault_suite::fault::{Kind, PROGRAMS};
use test_support::fault_suite::invariants::{Invariant, Violation};
use test_support::fault_suite::plan::Shape;
use test_support::fault_suite::run::{Settings, run};
use test_support::{TestBroker, TestDatabase};

/// What depends on how fast the machine is, and so is judged by `cargo xtask faults` alone: other tests run beside this one.
const OF_A_QUIET_MACHINE: [Invariant; 2] =
    [Invariant::EverythingStaysBounded, Invariant::RequestsDoNotNeedTheBroker];

/// Goes red when anything is lost, doubled or made up under faults. The same seed gives the same faults; the long run, of all
/// kinds, is `cargo xtask faults`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_programs_servers_and_network_break() {
    let kinds = vec![
        Kind::KilledProgram,
        Kind::KilledRabbitmq,
        Kind::TerminatedBackends,
        Kind::HalfOpenLink,
        Kind::FullQueue,
        Kind::DeletedQueue,
        Kind::RemovedBinding,
        Kind::DuplicatePublish,
        Kind::PoisonMessage,
    ];
    let (time, quiet, count) = (Duration::from_secs(25), Duration::from_secs(5), kinds.len());
    let (outlasts_leases, programs) = (false, PROGRAMS.to_vec());
    let shape =
        Shape { faults: count, first: count, time, quiet, kinds, outlasts_leases, programs, nodes: 1 };
    let command = "cargo xtask test".to_owned();
    let settings = Settings { seed: 1, shape, rate: 40, is_long: false, command };
    let report = run(&settings).await;
    let text = report.markdown();
    let broken = |violation: &Violation| !OF_A_QUIET_MACHINE.contains(&violation.invariant);
    let broken: Vec<_> = report.violations.iter().filter(|violation| broken(violation)).collect();
    assert!(broken.is_empty(), "{broken:#?}\n{text}");
    let messages = report.evidence.messages.counts;
    assert!(messages.attempted > 500, "the load was too light:\n{text}");
    assert!(
        report.left_out.is_empty() && report.faults.by_kind().len() == count,
        "{:?}\n{text}",
        report.left_out
    );
    assert!(report.without_broker > 50, "the broker was hardly ever hit alone:\n{text}");
    let evidence = &report.evidence;
    assert!(evidence.own_copies > 0, "nothing was published once more:\n{text}");
    assert!(evidence.quarantined > 0, "nothing was unreadable:\n{text}");
    assert!(evidence.retried > 0, "the broker refused nothing though a queue was full:\n{text}");
    assert!(evidence.sent_again > 0, "all came to the trail though its binding was missing:\n{text}");
}

async fn verdict(control: Control, is_broken: bool) -> Vec<Violation> {
    controls::run(control, TestDatabase::create().await, TestBroker::create().await, is_broken).await
}

async fn assert_that_only_the_fault_is_red(control: Control) {
    let right = verdict(control, false).await;
    assert!(right.is_empty(), "without its fault {control:?} is red: {right:?}");
    let broken = verdict(control, true).await;
    assert!(!broken.is_empty(), "{control:?} is not seen");
    assert!(broken.iter().all(|violation| violation.invariant == control.breaks()), "{broken:?}");
}

/// Goes red when the account does not see a message that the broker returned and the relay took for delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_believes_each_messages_own_confirm_is_seen_to_lose() {
    assert_that_only_the_fault_is_red(Control::ConfirmByFuture).await;
}

/// Goes red when the account does not see a batch that died between its acknowledgement and its commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_acknowledges_before_it_commits_is_seen_to_lose() {
    assert_that_only_the_fault_is_red(Control::AckBeforeCommit).await;
}

/// Goes red when the account does not see an event that is two rows of the trail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trail_without_a_unique_key_is_seen_to_double() {
    assert_that_only_the_fault_is_red(Control::NoUniqueKey).await;
}

/// Goes red when the account does not see a row that was committed behind the relay's back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_goes_by_the_last_sequence_seen_is_seen_to_lose() {
    assert_that_only_the_fault_is_red(Control::LastIdSeen).await;
}
