//! `scheduler runs …`.

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::Value;
use shared::config::Reader;
use shared::control::{Cancel, Replay, RunFilter, RunRow, act_on_runs, find_run, list_runs};
use shared::lifecycle::UsageError;
use shared::operator::{Report, WhoArguments, cell, columns, harmless, instant, json_lines, print};
use uuid::Uuid;

use super::{Desk, block_on, parse_instant};

/// The most runs that `--all` acts upon.
const ALL_MAX: i64 = 10_000;
/// How many are acted upon in one transaction.
const BATCH: usize = 50;

#[derive(Debug, Subcommand)]
pub(super) enum RunsCommand {
    /// Lists runs, the newest instant first.
    List {
        #[command(flatten)]
        filter: FilterArguments,
        /// How many at the most.
        #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// As JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Shows everything about one, its output included.
    Show {
        /// Its id, as it is listed.
        #[arg(value_name = "ID")]
        id: Uuid,
        /// As JSON, one object.
        #[arg(long)]
        json: bool,
    },
    /// Has failed runs tried again, with as many attempts as they had. Exit code 1: some could not be replayed.
    Replay(ActArguments),
    /// Ends runs without success: waiting ones at once, running ones within seconds. Exit code 1: some were over.
    Cancel(ActArguments),
}

/// Which.
#[derive(Debug, Args)]
pub(super) struct FilterArguments {
    /// Only those of this job.
    #[arg(long, value_name = "KEY")]
    job: Option<String>,
    /// Only those of this schedule.
    #[arg(long, value_name = "KEY")]
    schedule: Option<String>,
    /// Only those that are there for this reason.
    #[arg(long, value_parser = ["scheduled", "enqueued", "manual", "backfill"])]
    kind: Option<String>,
    /// Only those in this state.
    #[arg(long, value_parser = ["queued", "running", "retrying", "succeeded", "failed"])]
    state: Option<String>,
    /// Only those whose last error was of this kind.
    #[arg(long, value_parser = ["passing", "lasting", "panicked", "timed_out", "unknown_job", "lease_lost", "canceled"])]
    error_kind: Option<String>,
    /// Only those in this queue.
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Only those that were due then or later.
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
    from: Option<DateTime<Utc>>,
    /// Only those that were due then or earlier.
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
    until: Option<DateTime<Utc>>,
}

/// On which to act, by whom and why.
#[derive(Debug, Args)]
pub(super) struct ActArguments {
    /// Which, as they are listed.
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<Uuid>,
    /// All that the filters leave, 10000 at the most: to replay those that have failed and were not canceled, to cancel those
    /// that wait or run.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    filter: FilterArguments,
    #[command(flatten)]
    who: WhoArguments,
    /// As JSON, one object a line.
    #[arg(long)]
    json: bool,
}

impl FilterArguments {
    fn filter(&self) -> RunFilter {
        RunFilter {
            job_key: self.job.clone(),
            schedule_key: self.schedule.clone(),
            kind: self.kind.clone(),
            is_not_canceled: false,
            state: self.state.clone(),
            error_kind: self.error_kind.clone(),
            queue: self.queue.clone(),
            from: self.from,
            until: self.until,
            before: None,
        }
    }
}

pub(super) fn execute(reader: Reader, command: RunsCommand) -> anyhow::Result<()> {
    block_on(async {
        let desk = Desk::open(reader).await?;
        match command {
            RunsCommand::List { filter, limit, json } => {
                let rows = list_runs(&desk.database, &filter.filter(), limit.into()).await?;
                if json {
                    return print(&json_lines(&rows)?);
                }
                print(&columns(TITLES, &rows.iter().map(cells).collect::<Vec<_>>()))
            }
            RunsCommand::Show { id, json } => show(&desk, id, json).await,
            RunsCommand::Replay(arguments) => replay(&desk, &arguments).await,
            RunsCommand::Cancel(arguments) => cancel(&desk, &arguments).await,
        }
    })
}

/// Of the columns of a list of runs.
pub(super) const TITLES: [&str; 8] =
    ["ID", "SCHEDULE", "KIND", "DUE", "STATE", "ATTEMPT", "FINISHED", "ERROR"];

pub(super) fn cells(run: &RunRow) -> [String; 8] {
    let kind = run.error_kind.as_ref().map(|kind| format!("{kind}: ")).unwrap_or_default();
    let error = run.error.as_ref().map(|error| cell(&format!("{kind}{error}"))).unwrap_or_default();
    [
        run.id.to_string(),
        cell(&run.schedule_key),
        run.kind.clone(),
        instant(run.scheduled_at),
        run.state.clone(),
        format!("{} of {}", run.attempt, run.attempts_max),
        run.finished_at.map(instant).unwrap_or_default(),
        error,
    ]
}

async fn show(desk: &Desk, id: Uuid, json: bool) -> anyhow::Result<()> {
    let mut run = find_run(&desk.database, id).await?.with_context(|| format!("there is no run {id}"))?;
    if json {
        return print(&(serde_json::to_string(&run)? + "\n"));
    }
    let output = run.output.take();
    let Value::Object(facts) = serde_json::to_value(&run)? else { return Ok(()) };
    let width = facts.keys().map(String::len).max().unwrap_or_default();
    let facts = facts.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| {
        let words = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name:width$}  {}\n", harmless(&words))
    });
    let output = output.unwrap_or_default();
    let output: Vec<_> = output.lines().map(|line| harmless(line) + "\n").collect();
    print(&(facts.collect::<String>() + "\n" + &output.concat()))
}

/// The ids that are meant: those that are named, or those in one of `states` that the filters leave.
async fn chosen(desk: &Desk, arguments: &ActArguments, states: &[&str]) -> anyhow::Result<Vec<Uuid>> {
    let filter = arguments.filter.filter();
    if !arguments.all {
        if filter != RunFilter::default() {
            return Err(UsageError("a filter goes with --all, not with ids".to_owned()).into());
        }
        let mut ids = arguments.ids.clone();
        ids.sort_unstable();
        ids.dedup();
        return Ok(ids);
    }
    let mut ids = Vec::new();
    for state in states.iter().filter(|state| filter.state.as_ref().is_none_or(|wanted| wanted == *state)) {
        // What somebody has canceled is meant only by those who say so; what waits or runs has been replayed since.
        let is_not_canceled = *state == "failed" && filter.error_kind.is_none();
        let filter = RunFilter { state: Some((*state).to_owned()), is_not_canceled, ..filter.clone() };
        ids.extend(list_runs(&desk.database, &filter, ALL_MAX).await?.into_iter().map(|run| run.id));
    }
    // One may have gone from one state to another meanwhile.
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

async fn replay(desk: &Desk, arguments: &ActArguments) -> anyhow::Result<()> {
    let operation = desk.operation("runs replay", &arguments.who);
    let mut report = Report::new("replayed", arguments.json);
    for ids in chosen(desk, arguments, &["failed"]).await?.chunks(BATCH) {
        let deeds = act_on_runs(&desk.database, &desk.outbox, &operation, ids, Replay).await?;
        print(&report.lines(&deeds)?)?;
    }
    print(&report.summary())?;
    Ok(report.finish()?)
}

async fn cancel(desk: &Desk, arguments: &ActArguments) -> anyhow::Result<()> {
    let operation = desk.operation("runs cancel", &arguments.who);
    let mut report = Report::new("canceled", arguments.json);
    for ids in chosen(desk, arguments, &["queued", "retrying", "running"]).await?.chunks(BATCH) {
        let deeds = act_on_runs(&desk.database, &desk.outbox, &operation, ids, Cancel).await?;
        print(&report.lines(&deeds)?)?;
    }
    print(&report.summary())?;
    Ok(report.finish()?)
}
