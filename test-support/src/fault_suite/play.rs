//! How a plan is played: its faults, as many at once as can be, each put right again whatever becomes of it; and programs that
//! ended by themselves started again meanwhile.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use shared::clock::Clock;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::fault::Fault;
use super::inject::{effect_of, inject, put_right};
use super::notes::{Effect, Notes};
use super::plan::Planned;
use super::stage::Stage;
use super::witness::Witness;

/// How long it may take to put right what a fault that failed has left behind.
const PUT_RIGHT_WITHIN: Duration = Duration::from_mins(3);

/// A burst in time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Burst {
    /// When its last fault was over.
    pub(super) over: Instant,
    /// Until when nothing was done then.
    pub(super) quiet_until: Instant,
}

/// Plays the faults of a burst, as many at once as can be, and then leaves everything alone.
pub(super) async fn play(
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
pub(super) async fn tried<T>(
    within: Duration,
    work: impl Future<Output = anyhow::Result<T>>,
) -> Result<T, String> {
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

/// Has the programs' logs stay, and says where.
pub(super) async fn keep_logs(stage: &Stage) {
    match stage.keep_logs().await {
        Ok(folder) => tell(&format!("the programs' logs are in {}", folder.display())),
        Err(error) => tell(&format!("the programs' logs can't be kept: {error}")),
    }
}

/// Starts a program again that ended by itself, as any process manager does.
pub(super) fn keep_alive(stage: Arc<Stage>, notes: Arc<Notes>) -> JoinHandle<()> {
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

/// Which Warren this is.
pub(super) fn warren() -> String {
    let git = |words: &[&str]| {
        let output = std::process::Command::new("git").args(words).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]);
    let dirty = if git(&["status", "--porcelain"]).is_empty() { "" } else { " with changes (dirty)" };
    format!("Warren {commit}{dirty}, {}", Clock::system().now().format("%Y-%m-%d %H:%M UTC"))
}

/// How many cores there are.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

/// For whoever waits: a run takes long.
pub(super) fn tell(words: &str) {
    eprintln!("{} {words}", Clock::system().now().format("%H:%M:%S"));
}
