//! The scheduler as it is, with the jobs of the fault suite (`cargo xtask faults --schedules`): they take long, fail, panic and
//! overrun, and write what they do into a file that needs no server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use scheduler::cli::CommandLine;
use scheduler::jobs::{Definition, Job, JobContext, JobError, JobResult, Mailer};
use shared::entropy::Entropy;
use shared::schedules::Overlap;
use test_support::fault_suite::schedules::diary::{BEAT, Diary, FILE, SEED, Word};
use test_support::fault_suite::schedules::trial::{self, Fate, TRIALS, Trial};
use tokio::time::{Instant, sleep};

fn main() -> ExitCode {
    shared::lifecycle::report("suite-scheduler", CommandLine::parse().execute_with(jobs))
}

fn jobs(_: Mailer, _: Entropy) -> Vec<Job> {
    let path = PathBuf::from(std::env::var_os(FILE).unwrap_or_default());
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let job = |trial: &'static Trial| {
        let path = path.clone();
        Job::new(definition(trial), move |context| attempt(trial, path.clone(), seed, context))
    };
    TRIALS.iter().map(job).collect()
}

fn definition(trial: &Trial) -> Definition {
    Definition {
        timetable: Some(trial.timetable),
        jitter: trial.jitter,
        catch_up_max: trial.catch_up_max,
        catch_up_window: trial.catch_up_window,
        overlap: match trial.overlap {
            trial::Overlap::Allow => Overlap::Allow,
            trial::Overlap::Skip => Overlap::Skip,
            trial::Overlap::Queue => Overlap::Queue,
        },
        timeout: trial.timeout,
        attempts_max: trial.attempts_max,
        backoff: std::time::Duration::from_secs(1),
        backoff_max: std::time::Duration::from_secs(4),
        ..Definition::new(trial.key)
    }
}

/// Goes on for a while, and says so all the time; then what was drawn for it becomes of it.
#[expect(clippy::panic, reason = "it is drawn to")]
async fn attempt(trial: &Trial, path: PathBuf, seed: u64, context: JobContext) -> JobResult {
    let (fate, takes) = trial.fate(seed, context.run_id.0, context.attempt);
    let over_at = Instant::now() + takes;
    let unwritten = || JobError::passing::<std::io::Error>("the diary can't be written");
    let attempt = (trial.key, context.run_id.0, context.attempt);
    let mut diary = Diary::begin(&path, attempt, context.clock).map_err(unwritten())?;
    while Instant::now() < over_at {
        sleep(BEAT).await;
        diary.beat().map_err(unwritten())?;
    }
    match fate {
        Fate::Succeeds | Fate::Overruns => {
            diary.end(Word::Done).map_err(unwritten())?;
            Ok(format!("{fate:?}\n"))
        }
        Fate::Fails => {
            diary.end(Word::Failed).map_err(unwritten())?;
            Err(JobError::passing("it was to fail")("as the suite has drawn"))
        }
        Fate::Panics => {
            diary.end(Word::Panicked).map_err(unwritten())?;
            panic!("it was to panic");
        }
    }
}
