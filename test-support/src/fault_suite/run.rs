//! A run: the load, the faults of the plan, the quiet after each burst, the end, the verdict.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::Timelike;
use futures_util::FutureExt;
use shared::clock::Clock;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{Instant, sleep, timeout};

use super::committed::{LeftOver, left_over, not_yet_recorded};
use super::evidence::Evidence;
use super::fault::{API, Fault, PROGRAMS, SCHEDULER};
use super::inject::{effect_of, inject, put_right};
use super::invariants::{Observed, judge};
use super::load::{Ledger, Load, by_status};
use super::notes::{Effect, Notes};
use super::plan::{Planned, Shape, draw};
use super::report::Report;
use super::requests::Requests;
use super::stage::Stage;
use super::targets::Hits;
use super::watch::{Watch, longest_behind, recovery};
use super::witness::Witness;
use crate::machine;

/// How long everything may take to arrive after the last fault.
const DRAINS_WITHIN: Duration = Duration::from_mins(5);
/// How long that and the end of the schedulers may take at most.
const ENDS_WITHIN: Duration = Duration::from_mins(15);
/// How long it may take to put right what a fault that failed has left behind.
const PUT_RIGHT_WITHIN: Duration = Duration::from_mins(3);
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

async fn keep_logs(stage: &Stage) {
    match stage.keep_logs().await {
        Ok(folder) => tell(&format!("the programs' logs are in {}", folder.display())),
        Err(error) => tell(&format!("the programs' logs can't be kept: {error}")),
    }
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
            let injected = AssertUnwindSafe(inject(&stage, &witness, &notes, planned)).catch_unwind().await;
            let (effect, failure) = match injected {
                Ok(Ok(())) => (Effect::Whole, None),
                Ok(Err(error)) => (effect_of(&error), Some(format!("{error:#}"))),
                Err(panic) => {
                    let words = words_of(panic.as_ref());
                    notes.broke(&format!("{}: {words}", planned.fault));
                    (Effect::Part, Some(words))
                }
            };
            notes.came_of(place, effect);
            if let Some(words) = failure {
                notes.left_out(&format!("{}: {words}", planned.fault));
                if effect != Effect::Nothing {
                    tend(&stage, &witness, &notes, planned.fault).await;
                }
            }
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

/// It catches its own panics.
async fn finished(fault: JoinHandle<()>) {
    let _ = fault.await;
}

/// Puts right what a fault that failed has left behind.
async fn tend(stage: &Stage, witness: &Witness, notes: &Notes, fault: Fault) {
    if let Err(words) = tried(PUT_RIGHT_WITHIN, put_right(stage, witness, fault)).await {
        notes.broke(&format!("{fault}, and could not be put right: {words}"));
    }
}

/// What a piece of work gives, or in words why it came to no good end.
async fn tried<T>(within: Duration, work: impl Future<Output = anyhow::Result<T>>) -> Result<T, String> {
    match timeout(within, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(error))) => Err(format!("{error:#}")),
        Ok(Err(panic)) => Err(words_of(panic.as_ref())),
        Err(_) => Err("it took too long".to_owned()),
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
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

/// Starts a program again that ended by itself, as any process manager does.
fn keep_alive(stage: Arc<Stage>, notes: Arc<Notes>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            for (replica, program) in stage.programs() {
                // One that is being killed or frozen is in somebody's hands.
                if let Ok(mut program) = program.try_lock()
                    && program.has_ended()
                {
                    notes.ended_by_itself(&replica.to_string(), &program.log());
                    program.start_again();
                }
            }
            sleep(Duration::from_millis(500)).await;
        }
    })
}

fn warren() -> String {
    let git = |words: &[&str]| {
        let output = std::process::Command::new("git").args(words).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]);
    let dirty = if git(&["status", "--porcelain"]).is_empty() { "" } else { " with changes (dirty)" };
    format!("Warren {commit}{dirty}, {}", Clock::system().now().format("%Y-%m-%d %H:%M UTC"))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

/// For whoever waits: a run takes long.
pub(super) fn tell(words: &str) {
    eprintln!("{} {words}", Clock::system().now().format("%H:%M:%S"));
}
