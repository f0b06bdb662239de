//! `scheduler schedules …`.

use std::fmt::Write;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shared::config::{Reader, parse_duration};
use shared::control::{
    Override, Range, Schedule, ScheduleInFull, add, backfill, find_schedule, list_schedules,
    override_timetable, pause, remove, reset, resume, run_now,
};
use shared::operator::{WhoArguments, cell, columns, harmless, instant, json_lines, print};

use super::new_schedule::AddArguments;
use super::{Desk, block_on, parse_instant};

#[derive(Debug, Subcommand)]
pub(super) enum SchedulesCommand {
    /// Lists what is in force, each with its next five instants, in UTC.
    List {
        /// Those as well that no build has any more.
        #[arg(long)]
        retired: bool,
        /// As JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Shows everything about one, with its newest runs and gaps.
    Show {
        #[command(flatten)]
        which: Which,
        /// As JSON, one object.
        #[arg(long)]
        json: bool,
    },
    /// Adds one, in most cases for a job that a program of others does in a queue of its own. It is no build's, and stays until it
    /// is removed.
    Add(Box<AddArguments>),
    /// Ends one that is not declared in code: what it owes is answered, runs that are there go on, its history stays.
    Remove(ActArguments),
    /// Has its job run once, now, whatever its timetable says and though it may be paused.
    Run(ActArguments),
    /// Has none of its instants run from now on; they are recorded as paused. Runs that are there go on.
    Pause(ActArguments),
    /// Has it go on with its next instant.
    Resume(ActArguments),
    /// Has it due at other times, whatever builds say, until it is reset.
    Override {
        #[command(flatten)]
        act: ActArguments,
        /// When: a cron line, `@daily`, `every 90s` or `at 2026-12-01 09:00`.
        #[arg(long, value_name = "LINE", required_unless_present = "time_zone")]
        timetable: Option<String>,
        /// By the clocks of which time zone, such as Europe/London.
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<String>,
    },
    /// Has it due again as the registry says.
    Reset(ActArguments),
    /// Runs its job for each instant of a range that has passed and has no run.
    Backfill {
        #[command(flatten)]
        act: ActArguments,
        /// The first instant.
        #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
        from: DateTime<Utc>,
        /// The last instant.
        #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
        until: DateTime<Utc>,
        /// How long after one run the next may begin.
        #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = pace)]
        pace: Duration,
    },
}

/// One schedule.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Its key, as it is listed.
    #[arg(value_name = "KEY")]
    key: String,
}

/// One schedule, by whom and why.
#[derive(Debug, Args)]
pub(super) struct ActArguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    who: WhoArguments,
    /// As JSON, one object.
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(reader: Reader, command: SchedulesCommand) -> anyhow::Result<()> {
    block_on(async {
        let desk = Desk::open(reader).await?;
        match command {
            SchedulesCommand::List { retired, json } => list(&desk, retired, json).await,
            SchedulesCommand::Show { which, json } => show(&desk, &which.key, json).await,
            other => act(&desk, other).await,
        }
    })
}

async fn list(desk: &Desk, retired: bool, json: bool) -> anyhow::Result<()> {
    let schedules = list_schedules(&desk.database, retired, (None, i64::MAX)).await?;
    if json {
        return print(&json_lines(&schedules)?);
    }
    let titles = ["KEY", "DUE", "ZONE", "STATE", "NEXT (UTC)"];
    let rows: Vec<_> = schedules.iter().map(cells).collect();
    print(&columns(titles, &rows))
}

fn cells(schedule: &Schedule) -> [String; 5] {
    let next: Vec<_> = schedule.next.iter().map(|next| next.format("%m-%d %H:%M:%S").to_string()).collect();
    let own = if schedule.is_override { " (overridden)" } else { "" };
    [
        cell(&schedule.schedule_key),
        cell(&schedule.timetable) + own,
        cell(&schedule.time_zone),
        state(schedule).to_owned(),
        next.join(", "),
    ]
}

fn state(schedule: &Schedule) -> &'static str {
    match (schedule.retired_at, schedule.paused_at) {
        (Some(_), _) => "retired",
        (_, Some(_)) => "paused",
        _ if schedule.next.is_empty() => "ended",
        _ => "active",
    }
}

async fn show(desk: &Desk, key: &str, json: bool) -> anyhow::Result<()> {
    let found = find_schedule(&desk.database, key).await?.with_context(|| {
        format!("there is no schedule {key:?}; `scheduler schedules list --retired` shows all")
    })?;
    if json {
        return print(&(serde_json::to_string(&found)? + "\n"));
    }
    print(&in_full(&found)?)
}

/// Its facts, then its runs and gaps as tables.
fn in_full(found: &ScheduleInFull) -> anyhow::Result<String> {
    let Value::Object(facts) = serde_json::to_value(&found.schedule)? else { return Ok(String::new()) };
    let width = facts.keys().map(String::len).max().unwrap_or_default();
    let mut text = String::new();
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_null()) {
        let words = match value {
            Value::String(words) => harmless(words),
            other => harmless(&other.to_string()),
        };
        // Writing to a String can't fail.
        let _ = writeln!(text, "{name:width$}  {words}");
    }
    let runs: Vec<_> = found.runs.iter().map(super::runs::cells).collect();
    text.push('\n');
    text.push_str(&columns(super::runs::TITLES, &runs));
    let gaps: Vec<_> = found
        .gaps
        .iter()
        .map(|gap| {
            [instant(gap.first_at), instant(gap.last_at), gap.instants.to_string(), gap.reason.clone()]
        })
        .collect();
    text.push('\n');
    text.push_str(&columns(["NOT RUN FROM", "UNTIL", "INSTANTS", "REASON"], &gaps));
    Ok(text)
}

async fn act(desk: &Desk, command: SchedulesCommand) -> anyhow::Result<()> {
    let Desk { database, outbox, entropy, .. } = desk;
    let operation = |verb: &str, who: &WhoArguments| desk.operation(&format!("schedules {verb}"), who);
    let (done, key, json, more) = match &command {
        SchedulesCommand::List { .. } | SchedulesCommand::Show { .. } => return Ok(()),
        SchedulesCommand::Add(arguments) => {
            let operation = operation("add", &arguments.who);
            let added = add(database, outbox, &operation, &arguments.schedule()).await?;
            ("added", &arguments.key, arguments.json, json!({ "next_due_at": added.next_due_at }))
        }
        SchedulesCommand::Remove(ActArguments { which, who, json }) => {
            remove(database, outbox, &operation("remove", who), entropy, &which.key).await?;
            ("removed", &which.key, *json, json!({}))
        }
        SchedulesCommand::Run(ActArguments { which, who, json }) => {
            let run = run_now(database, outbox, &operation("run", who), entropy, &which.key).await?;
            ("queued", &which.key, *json, json!({ "run_id": run.id }))
        }
        SchedulesCommand::Pause(ActArguments { which, who, json }) => {
            pause(database, outbox, &operation("pause", who), &which.key).await?;
            ("paused", &which.key, *json, json!({}))
        }
        SchedulesCommand::Resume(ActArguments { which, who, json }) => {
            resume(database, outbox, &operation("resume", who), entropy, &which.key).await?;
            ("resumed", &which.key, *json, json!({}))
        }
        SchedulesCommand::Override { act: ActArguments { which, who, json }, timetable, time_zone } => {
            let word = Override { timetable: timetable.clone(), time_zone: time_zone.clone() };
            override_timetable(database, outbox, &operation("override", who), entropy, (&which.key, &word))
                .await?;
            ("overridden", &which.key, *json, json!({}))
        }
        SchedulesCommand::Reset(ActArguments { which, who, json }) => {
            reset(database, outbox, &operation("reset", who), entropy, &which.key).await?;
            ("reset", &which.key, *json, json!({}))
        }
        SchedulesCommand::Backfill { act: ActArguments { which, who, json }, from, until, pace } => {
            let range = Range { from: *from, until: *until, pace: *pace };
            let operation = operation("backfill", who);
            let made = backfill(database, outbox, &operation, entropy, (&which.key, range)).await?;
            let told = json!({ "runs": made.runs, "there_already": made.there });
            ("backfilled", &which.key, *json, told)
        }
    };
    let Value::Object(more) = more else { return Ok(()) };
    if json {
        let mut object = serde_json::Map::new();
        object.insert("schedule_key".to_owned(), json!(key));
        object.insert("outcome".to_owned(), json!(done));
        object.extend(more);
        return print(&(serde_json::to_string(&object)? + "\n"));
    }
    let more: Vec<_> = more
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{} {value}", name.replace('_', " "))
        })
        .collect();
    let more = if more.is_empty() { String::new() } else { format!(": {}", more.join(", ")) };
    print(&format!("{done} {key}{more}\n"))
}

fn pace(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("must be a duration such as 1s or 15m")
}
