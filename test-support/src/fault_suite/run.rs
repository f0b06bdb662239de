//! A run: the load, the faults of the plan, the quiet after each burst, the end, the verdict.

use std::sync::Arc;
use std::time::Duration;

use shared::clock::Clock;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{Instant, sleep};

use super::account::Outcome;
use super::committed::{left_over, not_yet_recorded};
use super::evidence::Evidence;
use super::fault::{API, Fault, PROGRAMS, SCHEDULER};
use super::inject::inject;
use super::invariants::{Observed, judge};
use super::load::{Ledger, Load, by_status};
use super::notes::{Noted, Notes, is_excused};
use super::plan::{Planned, Shape, draw};
use super::report::Report;
use super::stage::Stage;
use super::watch::{Watch, recovery};
use super::witness::Witness;
use crate::machine;

/// How long everything may take to arrive after the last fault.
const DRAINS_WITHIN: Duration = Duration::from_mins(5);

/// What to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the plan and the load are drawn from.
    pub seed: u64,
    /// The plan.
    pub shape: Shape,
    /// How many requests a second.
    pub rate: u32,
    /// How to repeat it.
    pub command: String,
}

/// A burst in time.
#[derive(Debug, Clone, Copy)]
struct Burst {
    over: Instant,
    quiet_until: Instant,
}

/// Runs it and gives its report.
pub async fn run(settings: &Settings) -> Report {
    let began = Instant::now();
    let plan = draw(settings.seed, &settings.shape);
    tell("starting servers and programs");
    let stage = Arc::new(Stage::set(settings.shape.nodes).await);
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
    let seen = watch.seen();
    tell("the load ends, waiting until everything has arrived");
    let ledger = load.end().await;
    drain(&stage, &witness, &keeper).await;
    let evidence = Evidence::gather(stage.database.pool(), &witness, &ledger.attempts, &ledger.runs).await;
    let evidence = evidence.expect("the database answers in the end");
    let written = notes.read();
    let (observed, excused) = observed(&ledger, &written);
    let recovered = |burst: &Burst| recovery(&seen.outbox, burst.over, burst.quiet_until);
    let observed = Observed {
        recoveries: bursts.iter().map(recovered).collect(),
        memory: seen.memory.iter().map(|(replica, memory)| (replica.to_string(), memory.most)).collect(),
        ..observed
    };
    let violations = judge(&evidence, &observed);
    Report {
        command: settings.command.clone(),
        seed: settings.seed,
        versions,
        took: began.elapsed(),
        faults: written.by_kind(),
        left_out: written.left_out,
        statuses: by_status(&ledger.attempts),
        excused,
        ended_by_itself: written.ended_by_itself,
        evidence,
        observed,
        violations,
    }
}

/// Plays the faults of a burst, as many at once as can be, and then leaves everything alone.
async fn play(
    stage: &Arc<Stage>,
    witness: &Arc<Witness>,
    notes: &Arc<Notes>,
    burst: &[Planned],
    quiet: Duration,
) -> Burst {
    let mut running: Vec<(Fault, JoinHandle<()>)> = Vec::new();
    for planned in burst.iter().copied() {
        sleep(planned.pause).await;
        let (before, others): (Vec<_>, Vec<_>) =
            running.into_iter().partition(|(other, _)| planned.fault.conflicts_with(*other));
        running = others;
        for (_, one) in before {
            finished(one).await;
        }
        tell(&format!("  {}, for {:.1} s", planned.fault, planned.lasts.as_secs_f64()));
        let (stage, witness, notes) = (stage.clone(), witness.clone(), notes.clone());
        let one = tokio::task::spawn_local(async move {
            let place = notes.begins(planned.fault);
            inject(&stage, &witness, &notes, planned).await;
            notes.ends(place);
        });
        running.push((planned.fault, one));
    }
    for (_, one) in running {
        finished(one).await;
    }
    let over = Instant::now();
    sleep(quiet).await;
    Burst { over, quiet_until: Instant::now() }
}

async fn finished(fault: JoinHandle<()>) {
    if let Err(error) = fault.await {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Waits until the outbox is empty and all facts are in the trail and seen by the witness; gives up after a while, and the
/// verdict tells why. The schedulers end first: they would go on to make facts.
async fn drain(stage: &Stage, witness: &Witness, keeper: &JoinHandle<()>) {
    stage.wait_until_ready().await;
    let started = Instant::now();
    while started.elapsed() < DRAINS_WITHIN && !matches!(is_drained(stage).await, Ok(true)) {
        sleep(Duration::from_millis(500)).await;
    }
    // What is asked to end must not be started again.
    keeper.abort();
    for replica in PROGRAMS.into_iter().filter(|replica| replica.program == SCHEDULER) {
        stage.program(replica).await.terminate().await;
    }
    while started.elapsed() < DRAINS_WITHIN && !matches!(is_drained(stage).await, Ok(true)) {
        sleep(Duration::from_millis(500)).await;
    }
    // What is confirmed lies in the witness's queue; it comes as fast as it is read.
    let mut before = usize::MAX;
    while started.elapsed() < DRAINS_WITHIN {
        let seen = witness.seen().len();
        if seen == before {
            return;
        }
        before = seen;
        sleep(Duration::from_secs(3)).await;
    }
}

async fn is_drained(stage: &Stage) -> Result<bool, sqlx::Error> {
    let pool = stage.database.pool();
    let unfinished = "SELECT count(*) FROM job_runs WHERE state NOT IN ('succeeded', 'failed')";
    let unfinished: i64 = sqlx::query_scalar(unfinished).fetch_one(pool).await?;
    Ok(left_over(pool).await? == (0, 0) && not_yet_recorded(pool).await? == 0 && unfinished == 0)
}

/// Starts a program again that ended by itself, as any process manager does.
fn keep_alive(stage: Arc<Stage>, notes: Arc<Notes>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            for (replica, program) in stage.programs() {
                // One that is being killed or frozen is in somebody's hands.
                if let Ok(mut program) = program.try_lock()
                    && program.has_ended()
                {
                    notes.ended_by_itself(&replica.to_string());
                    program.start_again();
                }
            }
            sleep(Duration::from_millis(500)).await;
        }
    })
}

fn observed(ledger: &Ledger, noted: &Noted) -> (Observed, usize) {
    let (mut refused, mut unexcused, mut excused) = (Vec::new(), Vec::new(), 0);
    for attempt in &ledger.attempts {
        let words = || {
            format!("{} ({:?} at {API}-{}): {:?}", attempt.name, attempt.act, attempt.replica, attempt.status)
        };
        match attempt.outcome() {
            Outcome::Acknowledged => {}
            Outcome::Refused => refused.push(words()),
            Outcome::Unsure if is_excused(attempt, &noted.faults) => excused += 1,
            Outcome::Unsure => unexcused.push(words()),
        }
    }
    (Observed { poison: noted.poison, refused, unexcused, ..Observed::default() }, excused)
}

fn warren() -> String {
    let commit = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!("Warren {}, {}", commit.unwrap_or_default(), Clock::system().now().format("%Y-%m-%d %H:%M UTC"))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

/// For whoever waits: a run takes long.
fn tell(words: &str) {
    eprintln!("{} {words}", Clock::system().now().format("%H:%M:%S"));
}
