//! A run: the load, the faults of the plan, the quiet after each burst, the end, the verdict.

use std::sync::Arc;
use std::time::Duration;

use chrono::Timelike;
use shared::clock::Clock;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{Instant, sleep};

use super::committed::{LeftOver, left_over, not_yet_recorded};
use super::evidence::Evidence;
use super::fault::{API, PROGRAMS, SCHEDULER};
use super::invariants::{Observed, judge};
use super::load::{Ledger, Load, by_status};
use super::notes::Notes;
use super::plan::{Shape, draw};
use super::play::{Burst, cores, keep_alive, keep_logs, play, tell, tried, warren};
use super::report::Report;
use super::requests::Requests;
use super::stage::{Cast, Stage};
use super::targets::Hits;
use super::watch::{Watch, longest_behind, recovery};
use super::witness::Witness;
use crate::machine;

/// How long everything may take to arrive after the last fault.
const DRAINS_WITHIN: Duration = Duration::from_mins(5);
/// How long that and the end of the schedulers may take at most.
const ENDS_WITHIN: Duration = Duration::from_mins(15);
/// How long all may take that is read in the end.
const READ_WITHIN: Duration = Duration::from_mins(5);

/// What to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the plan and the load are drawn from.
    pub seed: u64,
    /// The plan.
    pub shape: Shape,
    /// How many requests a second.
    pub rate: u32,
    /// Whether it must show what a long run is for.
    pub is_long: bool,
    /// How to repeat it.
    pub command: String,
}

/// Runs it and gives its report.
pub async fn run(settings: &Settings) -> Report {
    let began = Instant::now();
    let plan = draw(settings.seed, &settings.shape);
    tell("starting servers and programs");
    let stage = Arc::new(Stage::set(settings.shape.nodes, &Cast::of(&PROGRAMS)).await);
    let mut versions = vec![warren(), stage.versions().await];
    versions.push(format!("{} cores, load {} at the start", cores(), machine::load()));
    let witness = Arc::new(Witness::start(stage.amqp_urls().to_vec()).await);
    let (notes, watch) = (Arc::new(Notes::default()), Watch::begin(stage.clone()));
    let mut clients = Vec::new();
    for replica in PROGRAMS.into_iter().filter(|replica| replica.program == API) {
        clients.push(stage.program(replica).await.client());
    }
    let pool = stage.database.pool().clone();
    let load = Load::begin(clients, settings.rate, settings.seed, pool).await;
    let keeper = keep_alive(stage.clone(), notes.clone());
    let mut bursts = Vec::new();
    for (number, burst) in plan.iter().enumerate() {
        tell(&format!("burst {} of {}, {} requests so far", number + 1, plan.len(), load.attempts()));
        let playing = play(&stage, &witness, &notes, burst, settings.shape.quiet);
        bursts.push(LocalSet::new().run_until(playing).await);
    }
    tell("the load ends, waiting until everything has arrived");
    let ledger = load.end().await;
    if let Err(words) = tried(ENDS_WITHIN, drain(&stage, &witness, &keeper)).await {
        notes.broke(&format!("the end: {words}"));
    }
    let seen = watch.seen();
    let evidence = gather(&stage, &witness, &ledger, &notes).await;
    let written = notes.read();
    let requests = Requests::of(&ledger, &written, began);
    let recovered = |burst: &Burst| recovery(&seen.samples, burst.over, burst.quiet_until);
    let observed = Observed {
        poison: written.poison,
        poison_unsure: written.poison_unsure,
        refused: requests.refused,
        unexcused: requests.unexcused,
        internal_errors: requests.internal_errors,
        ended_by_itself: written.ended_by_itself.clone(),
        broke: written.broke.clone(),
        recoveries: bursts.iter().map(recovered).collect(),
        memory: seen.memory.iter().map(|(replica, memory)| (replica.to_string(), memory.most)).collect(),
    };
    let violations = judge(&evidence, &observed);
    keep_logs(&stage).await;
    let mut report = Report {
        command: settings.command.clone(),
        seed: settings.seed,
        versions,
        took: began.elapsed(),
        faults: Hits::of(written.took_effect(), settings.shape.nodes),
        left_out: written.left_out,
        ended_otherwise: written.ended_otherwise,
        deleted: written.deleted,
        given_again: seen.again.values().map(|count| count.total()).sum(),
        statuses: by_status(&ledger.attempts),
        excused: requests.excused,
        longest_behind: longest_behind(&seen.samples),
        without_broker: requests.without_broker,
        longest_without_broker: requests.longest_without_broker,
        evidence,
        observed,
        violations,
        shortfalls: Vec::new(),
    };
    if settings.is_long {
        report.shortfalls = report.short_of_a_long_run();
    }
    report
}

/// Whatever is wrong with the tables, there is a report.
async fn gather(stage: &Stage, witness: &Witness, ledger: &Ledger, notes: &Notes) -> Evidence {
    if ledger.broken > 0 {
        notes.broke(&format!("{} of those who make the load", ledger.broken));
    }
    if witness.has_given_up() {
        notes.broke("the witness has given up looking");
    }
    let gathering = async { Ok(Evidence::gather(stage.database.pool(), witness, ledger).await?) };
    tried(READ_WITHIN, gathering).await.unwrap_or_else(|words| {
        notes.broke(&format!("the evidence could not be read: {words}"));
        Evidence::default()
    })
}

/// Waits until nothing waits and all facts are in the trail and seen by the witness; gives up after a while, and the verdict
/// tells why. The schedulers end last: what the trail did not get is sent again only once it has got something later, and
/// their ticks are that.
async fn drain(stage: &Stage, witness: &Witness, keeper: &JoinHandle<()>) -> anyhow::Result<()> {
    let are_ready = stage.wait_until_ready().await;
    let started = Instant::now();
    while started.elapsed() < DRAINS_WITHIN && !matches!(is_drained(stage).await, Ok(true)) {
        sleep(Duration::from_millis(500)).await;
    }
    // Not at the turn of a minute: a tick that is still queued when they end would have no outcome.
    while !(5..50).contains(&Clock::system().now().second()) {
        sleep(Duration::from_millis(500)).await;
    }
    // What is asked to end must not be started again.
    keeper.abort();
    for replica in PROGRAMS.into_iter().filter(|replica| replica.program == SCHEDULER) {
        let mut program = stage.program(replica).await;
        if !program.has_ended() {
            program.terminate().await;
        }
    }
    while started.elapsed() < DRAINS_WITHIN && !matches!(is_drained(stage).await, Ok(true)) {
        sleep(Duration::from_millis(500)).await;
    }
    // What is confirmed lies in the witness's queue; it comes as fast as it is read.
    let mut before = usize::MAX;
    while started.elapsed() < DRAINS_WITHIN {
        let seen = witness.seen().len();
        if seen == before {
            break;
        }
        before = seen;
        sleep(Duration::from_secs(3)).await;
    }
    are_ready
}

async fn is_drained(stage: &Stage) -> Result<bool, sqlx::Error> {
    let pool = stage.database.pool();
    let unfinished = "SELECT count(*) FROM job_runs WHERE state NOT IN ('succeeded', 'failed')";
    let unfinished: i64 = sqlx::query_scalar(unfinished).fetch_one(pool).await?;
    Ok(left_over(pool).await? == LeftOver::default() && not_yet_recorded(pool).await? == 0 && unfinished == 0)
}
