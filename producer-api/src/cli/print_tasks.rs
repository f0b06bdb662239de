//! `tasks print`: walks all tasks and displays one every interval.
//!
//! Standard output holds tasks alone, one a line, so that it can be piped; progress and everything else is on standard
//! error. However many tasks there are, no more of them are in memory than are displayed in a second.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use chrono::SecondsFormat;
use clap::Args;
use shared::config::{Reader, parse_duration};
use shared::database::{connect_for_command, is_unavailable};
use shared::entropy::Entropy;
use shared::ids::TaskId;
use shared::lifecycle::{Backoff, run_to_end};
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::read_database;
use crate::config::PROGRAM;
use crate::tasks::{WalkedTask, count_behind, walk};

/// The most tasks that are read at once, and so the most that are in memory.
const BATCH_MAX: u16 = 1_000;
/// How often progress is told at the most.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// How long what is being written may take once it is asked to stop.
const LAST_LINE: Duration = Duration::from_millis(200);

/// How to walk.
#[derive(Debug, Args)]
pub(super) struct PrintTasks {
    /// How long to wait from one task to the next, such as `10s`; `0s`: as fast as it can.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = interval)]
    interval: Duration,
    /// Begins behind the task with this id.
    #[arg(long, value_name = "ID", conflicts_with = "resume_file", value_parser = task_id)]
    after: Option<TaskId>,
    /// Keeps in this file how far it came, and begins behind that.
    #[arg(long, value_name = "PATH")]
    resume_file: Option<PathBuf>,
    /// As JSON, one object a line.
    #[arg(long)]
    json: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a duration such as 10s, 250ms or 0s".to_owned())
}

fn task_id(text: &str) -> Result<TaskId, std::num::ParseIntError> {
    text.parse()
}

/// Displays tasks until all were displayed or it is asked to stop.
pub(super) fn print_tasks(reader: Reader, arguments: PrintTasks) -> anyhow::Result<()> {
    let config = read_database(reader)?;
    let after = match &arguments.resume_file {
        Some(file) => remembered(file)?,
        None => arguments.after.unwrap_or(TaskId(0)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let database = connect_for_command(&config, PROGRAM).await?;
        let walker =
            Walker { database, entropy: Entropy::system(), arguments, last: after, shown: 0, total: 0 };
        run_to_end(PROGRAM, |stop| walker.run(stop)).await?
    });
    // A reader that reads no more must not keep us from ending.
    runtime.shutdown_background();
    result
}

/// How far an earlier walk came; the beginning if there was none.
fn remembered(file: &Path) -> anyhow::Result<TaskId> {
    match fs::read_to_string(file) {
        Ok(text) => text
            .trim()
            .parse()
            .with_context(|| format!("{} holds no task id; delete it to begin anew", file.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(TaskId(0)),
        Err(error) => Err(error).with_context(|| format!("{} can't be read", file.display())),
    }
}

/// Writes beside the file and renames: whoever kills us finds the old place in it or the new one.
fn remember(file: &Path, place: TaskId) -> anyhow::Result<()> {
    let beside = file.with_added_extension("new");
    let written = fs::write(&beside, format!("{place}\n")).and_then(|()| fs::rename(&beside, file));
    written.with_context(|| format!("{} can't be written", file.display()))
}

struct Walker {
    database: PgPool,
    entropy: Entropy,
    arguments: PrintTasks,
    last: TaskId,
    shown: u64,
    total: u64,
}

/// Why the walk goes no further.
enum End {
    AllShown,
    Stopped,
    /// Nobody reads what is displayed any more.
    NoReader,
}

impl Walker {
    async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        match self.walk(&stop).await? {
            End::AllShown => tell(&format!("displayed {} task(s), the last is {}", self.shown, self.last)),
            End::Stopped => tell(&format!("displayed {} task(s); {}", self.shown, self.how_to_resume())),
            End::NoReader => {}
        }
        Ok(())
    }

    fn how_to_resume(&self) -> String {
        match &self.arguments.resume_file {
            Some(file) => format!("go on with --resume-file {}", file.display()),
            None => format!("go on with --after {}", self.last),
        }
    }

    async fn walk(&mut self, stop: &CancellationToken) -> anyhow::Result<End> {
        let database = self.database.clone();
        let counting = self.patiently(async |after| count_behind(&database, after).await);
        let Some(total) = unless(stop, counting).await else { return Ok(End::Stopped) };
        self.total = total?;
        let batch = self.batch();
        let mut due = Instant::now();
        let mut told: Option<Instant> = None;
        loop {
            // The wait comes before the reading: what is displayed is as it is then.
            let reading = async {
                tokio::time::sleep_until(due).await;
                self.patiently(async |after| walk(&database, after, batch).await).await
            };
            let Some(tasks) = unless(stop, reading).await else { return Ok(End::Stopped) };
            let tasks = tasks?;
            if tasks.is_empty() {
                return Ok(End::AllShown);
            }
            for part in tasks.chunks(self.at_once()) {
                if unless(stop, tokio::time::sleep_until(due)).await.is_none() {
                    return Ok(End::Stopped);
                }
                let now = Instant::now();
                due = now + self.arguments.interval;
                let lines = part.iter().map(|task| self.line(task)).collect::<anyhow::Result<String>>()?;
                if let Some(end) = display(lines, stop).await? {
                    return Ok(end);
                }
                self.remember(part)?;
                if told.is_none_or(|told| now - told >= PROGRESS_EVERY) {
                    tell(&format!("[{} of about {}]", self.shown, self.total.max(self.shown)));
                    told = Some(now);
                }
            }
        }
    }

    /// As many tasks as are displayed in a second: none is older than that when it is displayed.
    fn batch(&self) -> u16 {
        let a_second = 1_000_u128.checked_div(self.arguments.interval.as_millis());
        a_second.map_or(BATCH_MAX, |tasks| u16::try_from(tasks).unwrap_or(BATCH_MAX).clamp(1, BATCH_MAX))
    }

    /// How many tasks are displayed together: more than one only if nothing is to be done after each.
    fn at_once(&self) -> usize {
        let alone = !self.arguments.interval.is_zero() || self.arguments.resume_file.is_some();
        if alone { 1 } else { usize::from(BATCH_MAX) }
    }

    fn remember(&mut self, displayed: &[WalkedTask]) -> anyhow::Result<()> {
        for task in displayed {
            (self.last, self.shown) = (task.id, self.shown + 1);
        }
        self.arguments.resume_file.as_deref().map_or(Ok(()), |file| remember(file, self.last))
    }

    /// Asks the database, and again while it is away.
    async fn patiently<T>(
        &self,
        ask: impl AsyncFn(TaskId) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut backoff = Backoff::for_servers();
        let mut told = false;
        loop {
            match ask(self.last).await {
                Err(error) if is_unavailable(&error) => {
                    if !told {
                        tell(&format!("the database does not answer ({error}); trying again"));
                        told = true;
                    }
                    tokio::time::sleep(backoff.next(&self.entropy)).await;
                }
                result => return result,
            }
        }
    }

    fn line(&self, task: &WalkedTask) -> anyhow::Result<String> {
        if self.arguments.json {
            return Ok(serde_json::to_string(task)? + "\n");
        }
        // Escaped and in quotes: a title is anybody's text, and could begin a line or colour the terminal.
        let WalkedTask { id, user_id, username, title, duration, created_at, updated_at, .. } = task;
        let [created, updated] =
            [created_at, updated_at].map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
        Ok(format!(
            "task {id} of user {user_id} ({}): {title:?}, {duration}, created {created}, updated {updated}\n",
            username.escape_debug()
        ))
    }
}

/// What work gives, unless it is asked to stop before.
async fn unless<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        output = work => Some(output),
    }
}

/// Writes lines, on a thread of their own: whoever reads may stop reading without closing. Why the walk ends, if it does.
async fn display(lines: String, stop: &CancellationToken) -> anyhow::Result<Option<End>> {
    let writing = tokio::task::spawn_blocking(move || {
        let mut output = io::stdout().lock();
        output.write_all(lines.as_bytes()).and_then(|()| output.flush())
    });
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_LINE).await;
    };
    tokio::select! {
        written = writing => match written? {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Some(End::NoReader)),
            written => Ok(written.map(|()| None)?),
        },
        () = overdue => Ok(Some(End::Stopped)),
    }
}

fn tell(text: &str) {
    // Nobody can be told when standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
}
