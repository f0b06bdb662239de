//! `print-user-tasks`: each minute, a user's tasks as a table on standard output and in the run's output.

use std::fmt::Write;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use shared::ids::UserId;
use shared::task_duration::TaskDuration;

use super::store::{self, TaskRow};
use crate::jobs::{Definition, Job, JobContext, JobError, JobResult};

/// The most tasks one run prints.
const TASKS_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
struct Args {
    user_id: UserId,
}

/// The job.
pub fn job() -> Job {
    let definition = Definition {
        verbose_name: "Print user 1's tasks",
        timetable: Some("* * * * *"),
        args: serde_json::json!({ "user_id": 1 }),
        catch_up_max: 5,
        catch_up_window: Duration::from_mins(5),
        ..Definition::new("print-user-tasks")
    };
    Job::new(definition, print_user_tasks)
}

async fn print_user_tasks(context: JobContext) -> JobResult {
    let args: Args = serde_json::from_value(context.args.clone())
        .map_err(|error| JobError::Lasting(format!("the arguments are not {{\"user_id\": …}}: {error}")))?;
    let table = read(&context, args.user_id).await?;
    context.printer.print(table.clone()).await;
    Ok(table)
}

async fn read(context: &JobContext, user_id: UserId) -> JobResult {
    let mut connection =
        context.database.acquire().await.map_err(JobError::passing("the database doesn't answer"))?;
    let username = store::username(&mut connection, user_id)
        .await
        .map_err(JobError::passing("the user can't be read"))?;
    let at = instant(context.scheduled_at);
    let Some(username) = username else {
        return Ok(format!("user {user_id} at {at}: no such user\n"));
    };
    // One more than is printed tells whether there are more.
    let limit = i64::try_from(TASKS_MAX + 1).unwrap_or(i64::MAX);
    let tasks = store::newest_tasks(&mut connection, user_id, limit)
        .await
        .map_err(JobError::passing("the tasks can't be read"))?;
    Ok(render(user_id, &username, &at, &tasks))
}

fn render(user_id: UserId, username: &str, at: &str, tasks: &[TaskRow]) -> String {
    let user = format!("user {user_id} ({})", harmless(username));
    if tasks.is_empty() {
        return format!("{user} at {at}: no tasks\n");
    }
    let shown = &tasks[..tasks.len().min(TASKS_MAX)];
    let cut = if tasks.len() > TASKS_MAX { " of more" } else { "" };
    let mut rows = vec![["TITLE", "DURATION", "CREATED", "UPDATED"].map(str::to_owned)];
    rows.extend(shown.iter().map(|task| {
        [
            harmless(&task.title),
            TaskDuration::from_microseconds(task.duration_microseconds).to_string(),
            instant(task.created_at),
            instant(task.updated_at),
        ]
    }));
    let mut text = format!("{user} at {at}: {}{cut} task(s), newest first\n", shown.len());
    text.push_str(&aligned(&rows));
    text
}

fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a String can't fail.
            let _ = write!(line, " {cell:width$} ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A title is anybody's text: what could begin a line of its own, colour the terminal or turn the reading direction is
/// escaped.
fn harmless(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || turns_the_line(character) {
            // Writing to a String can't fail.
            let _ = write!(kept, "\\u{{{:x}}}", u32::from(character));
        } else {
            kept.push(character);
        }
    }
    kept
}

/// Unicode's separators of lines, and the marks that turn the reading direction.
fn turns_the_line(character: char) -> bool {
    matches!(
        character,
        '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-11-21T09:00:00Z";

    fn task(title: &str, seconds: i64) -> TaskRow {
        let created_at = DateTime::from_timestamp(1_763_700_000, 0).unwrap();
        TaskRow {
            title: title.to_owned(),
            duration_microseconds: seconds * 1_000_000,
            created_at,
            updated_at: created_at + Duration::from_mins(1),
        }
    }

    #[test]
    fn tasks_make_a_table_whose_columns_are_aligned() {
        let table = render(UserId(1), "admin", AT, &[task("Größe messen", 90), task("Rest", 90_000)]);
        assert_eq!(
            table,
            "user 1 (admin) at 2026-11-21T09:00:00Z: 2 task(s), newest first\n  \
             TITLE         DURATION    CREATED               UPDATED\n  \
             Größe messen  00:01:30    2025-11-21T04:40:00Z  2025-11-21T04:41:00Z\n  \
             Rest          1 01:00:00  2025-11-21T04:40:00Z  2025-11-21T04:41:00Z\n"
        );
    }

    #[test]
    fn a_title_can_neither_begin_a_line_nor_colour_the_terminal() {
        let table = render(UserId(1), "a\nb", AT, &[task("one\ntwo\r\u{1b}[31m\u{202e}\u{2028}", 1)]);
        assert_eq!(table.lines().count(), 3, "{table}");
        assert!(table.contains(r"one\u{a}two\u{d}\u{1b}[31m\u{202e}\u{2028}"), "{table}");
    }

    #[test]
    fn no_tasks_and_a_cut_list_are_said_plainly() {
        assert_eq!(render(UserId(1), "admin", AT, &[]), format!("user 1 (admin) at {AT}: no tasks\n"));
        let many: Vec<TaskRow> = (0..=1_000).map(|_| task("t", 1)).collect();
        let table = render(UserId(1), "admin", AT, &many);
        assert!(table.contains("1000 of more task(s)"));
        assert_eq!(table.lines().count(), 1_002);
    }
}
