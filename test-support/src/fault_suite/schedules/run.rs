//! A run of schedules: the faults of the plan, a pause in the middle, quiet at the end, the verdict.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use chrono::{DateTime, Utc};
use shared::role::Role;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{Instant, sleep};

use super::diary;
use super::figures::Figures;
use super::history::{History, NOTES};
use super::report::Report;
use super::trial::PAUSED;
use super::verdict::{Observed, judge};
use crate::fault_suite::committed::{LeftOver, left_over};
use crate::fault_suite::fault::{Kind, RECORDER, SCHEDULERS};
use crate::fault_suite::notes::Notes;
use crate::fault_suite::plan::{Shape, draw};
use crate::fault_suite::play::{cores, keep_alive, keep_logs, play, tell, tried, warren};
use crate::fault_suite::stage::{Cast, Stage};
use crate::fault_suite::targets::Hits;
use crate::fault_suite::witness::Witness;
use crate::machine;
use crate::programs::Program;

/// How long it may take until nothing is under way any more: the longest run, tried as often as it may, its lease lost in between.
const QUIET_WITHIN: Duration = Duration::from_mins(8);
/// How long all may take that is read in the end.
const READ_WITHIN: Duration = Duration::from_mins(2);
/// How often it is looked whether something has come about.
const LOOK: Duration = Duration::from_millis(500);
/// More than the four of a machine that has other work: those of a scheduler that was killed keep others waiting for half a minute.
const SLOTS: &str = "6";

/// What to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the plan and the fates of attempts are drawn from.
    pub seed: u64,
    /// The plan.
    pub shape: Shape,
    /// Whether it must show what a long run is for.
    pub is_long: bool,
    /// How to repeat it.
    pub command: String,
}

/// What breaks here.
const KINDS: [Kind; 16] = [
    Kind::KilledProgram,
    Kind::RestartedProgram,
    Kind::FrozenProgram,
    Kind::StoppedRabbitmq,
    Kind::KilledRabbitmq,
    Kind::FrozenRabbitmq,
    Kind::StoppedPostgres,
    Kind::KilledPostgres,
    Kind::FrozenPostgres,
    Kind::TerminatedBackends,
    Kind::CutLink,
    Kind::StalledLink,
    Kind::HalfOpenLink,
    Kind::SlowLink,
    Kind::ResetConnections,
    Kind::MemoryAlarm,
];
/// How long it is quiet after ten faults.
const QUIET: Duration = Duration::from_secs(15);

/// The first `first` of so many faults that begin within `time`.
pub fn shape(faults: usize, first: usize, time: Duration) -> Shape {
    let (kinds, outlasts_leases, programs) = (KINDS.to_vec(), true, SCHEDULERS.to_vec());
    Shape { faults, first, time, quiet: QUIET, kinds, outlasts_leases, programs, nodes: 1 }
}

/// Runs it and gives its report.
pub async fn run(settings: &Settings) -> Report {
    let began = Instant::now();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let diary = folder.path().join("diary");
    tell("starting servers and schedulers");
    let seed = settings.seed.to_string();
    let environment = [
        (diary::FILE, diary.to_str().expect("a folder with a name")),
        (diary::SEED, seed.as_str()),
        ("WORKER_SLOTS", SLOTS),
    ];
    let [one, another, third] = SCHEDULERS;
    let cast = Cast { programs: &[one, another, third, RECORDER], environment: &environment, notes: &NOTES };
    let stage = Arc::new(Stage::set(settings.shape.nodes, &cast).await);
    let mut versions = vec![warren(), stage.versions().await];
    versions.push(format!("{} cores, load {} at the start", cores(), machine::load()));
    let witness = Arc::new(Witness::start(stage.amqp_urls().to_vec()).await);
    let notes = Arc::new(Notes::default());
    let keeper = keep_alive(stage.clone(), notes.clone());
    let faults_began = Instant::now();
    tokio::join!(
        break_things(settings, &stage, &witness, &notes),
        pause_and_resume(settings, &stage, &notes)
    );
    let under_faults = faults_began.elapsed();
    tell("the faults are over, waiting until nothing is under way");
    let owed_until = tried(QUIET_WITHIN, settle(&stage, &notes, &keeper)).await.unwrap_or_else(|words| {
        notes.broke(&format!("the end: {words}"));
        DateTime::UNIX_EPOCH
    });
    let history = read(&stage, &witness, &notes, &diary).await;
    let written = notes.read();
    let faults = Hits::of(written.took_effect(), 1).by_kind();
    let observed = Observed { owed_until, ended_by_itself: written.ended_by_itself, broke: written.broke };
    keep_logs(&stage).await;
    keep_diary(&diary);
    let mut report = Report {
        command: settings.command.clone(),
        seed: settings.seed,
        versions,
        took: began.elapsed(),
        under_faults,
        faults,
        left_out: written.left_out,
        ended_otherwise: written.ended_otherwise,
        figures: Figures::of(&history),
        violations: judge(&history, &observed),
        shortfalls: Vec::new(),
    };
    if settings.is_long {
        report.shortfalls = report.short_of_a_long_run();
    }
    report
}

/// Beside the logs: who looks for a fault needs it.
fn keep_diary(diary: &Path) {
    let kept = crate::environment::programs_folder().with_file_name("faults").join("diary");
    if let Err(error) = std::fs::copy(diary, kept) {
        tell(&format!("the diary can't be kept: {error}"));
    }
}

async fn break_things(settings: &Settings, stage: &Arc<Stage>, witness: &Arc<Witness>, notes: &Arc<Notes>) {
    let plan = draw(settings.seed, &settings.shape);
    for (number, burst) in plan.iter().enumerate() {
        tell(&format!("burst {} of {}", number + 1, plan.len()));
        LocalSet::new().run_until(play(stage, witness, notes, burst, settings.shape.quiet)).await;
    }
}

/// Pauses a schedule in the middle of all that, and has it go on, as an operator does.
async fn pause_and_resume(settings: &Settings, stage: &Stage, notes: &Notes) {
    for (word, wait) in [("pause", settings.shape.time / 3), ("resume", settings.shape.time / 4)] {
        sleep(wait).await;
        tell(&format!("  {PAUSED}: {word}"));
        if let Err(words) = tried(QUIET_WITHIN, have(stage, PAUSED, word)).await {
            notes.broke(&format!("{word} {PAUSED}: {words}"));
        }
    }
}

/// Until it is so, by the command: the database may be away, or take the deed and not say so.
async fn have(stage: &Stage, key: &str, word: &str) -> anyhow::Result<()> {
    let is_paused = "SELECT paused_at IS NOT NULL FROM job_schedules WHERE schedule_key = $1";
    loop {
        let asked = sqlx::query_scalar(is_paused).bind(key).fetch_one(stage.database.pool()).await;
        if asked.is_ok_and(|is_paused: bool| is_paused == (word == "pause")) {
            return Ok(());
        }
        let url = stage.database.url_as(Role::Scheduler);
        let command = Program::named("scheduler").env("DATABASE_URL", &url);
        let words = ["schedules", word, key, "--reason", "the fault suite"];
        let ended = words.into_iter().fold(command, Program::arg).run().await;
        if ended.code != Some(0) {
            sleep(LOOK).await;
        }
    }
}

/// Waits until every schedule has come to the present, pauses them all, waits until nothing is under way and all that was told
/// is in the trail, and has the programs end in order. Gives up to when instants are owed.
async fn settle(stage: &Stage, notes: &Notes, keeper: &JoinHandle<()>) -> anyhow::Result<DateTime<Utc>> {
    stage.wait_until_ready().await?;
    let pool = stage.database.pool();
    let now: DateTime<Utc> = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(pool).await?;
    let behind = "SELECT count(*) FROM job_schedules WHERE next_due_at <= $1";
    until(async || Ok(sqlx::query_scalar::<_, i64>(behind).bind(now).fetch_one(pool).await? == 0)).await;
    let keys = "SELECT schedule_key FROM job_schedules WHERE next_due_at IS NOT NULL ORDER BY schedule_key";
    let keys: Vec<String> = sqlx::query_scalar(keys).fetch_all(pool).await?;
    for key in keys {
        have(stage, &key, "pause").await?;
    }
    let unfinished = "SELECT count(*) FROM job_runs WHERE state NOT IN ('succeeded', 'failed')";
    until(async || {
        let LeftOver { waiting, parked, unrecorded } = left_over(pool).await?;
        let unfinished: i64 = sqlx::query_scalar(unfinished).fetch_one(pool).await?;
        Ok(waiting + parked + unrecorded == 0 && unfinished == 0)
    })
    .await;
    // What is asked to end must not be started again.
    keeper.abort();
    for (replica, program) in stage.programs() {
        let mut program = program.lock().await;
        if !program.has_ended() {
            let status = program.terminate().await;
            if !status.success() {
                notes.broke(&format!("{replica} was asked to end when nothing was under way: {status}"));
            }
        }
    }
    Ok(now)
}

/// Until a look says so; one that fails says nothing.
async fn until(mut look: impl AsyncFnMut() -> Result<bool, sqlx::Error>) {
    while !matches!(look().await, Ok(true)) {
        sleep(LOOK).await;
    }
}

/// Whatever is wrong with the tables, there is a report.
async fn read(stage: &Stage, witness: &Witness, notes: &Notes, diary: &Path) -> History {
    let reading = async {
        ensure!(!witness.has_given_up(), "the witness has given up looking");
        let pool = stage.database.pool();
        let told = "SELECT event_id FROM fault_suite.told WHERE type <> 'job.tick.due'";
        let told: Vec<uuid::Uuid> = sqlx::query_scalar(told).fetch_all(pool).await?;
        // It comes as fast as it is read; what never comes is the verdict's.
        let mut before = usize::MAX;
        while !told.iter().all(|event| witness.has_seen(event)) && before != witness.seen().len() {
            before = witness.seen().len();
            sleep(Duration::from_secs(3)).await;
        }
        History::read(pool, witness, diary).await
    };
    tried(READ_WITHIN, reading).await.unwrap_or_else(|words| {
        notes.broke(&format!("the history could not be read: {words}"));
        History::default()
    })
}
