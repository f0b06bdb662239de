//! What the document says of schedules and runs.

use serde_json::{Value, json};
use shared::control::{RunRow, Schedule, ScheduleInFull};

use super::fields::{
    BackfillFields, OverrideFields, PACE_SECONDS_MAX, REASON_CHARACTERS_MAX, TIMETABLE_CHARACTERS_MAX,
};
use super::schedules::Backfilled;
use super::{
    BACKFILL, CANCEL, OVERRIDE, PAUSE, REPLAY, RESET, RESUME, RUN, RUN_NOW, RUNS, SCHEDULE, SCHEDULES,
};
use crate::extract::Fields;
use crate::jobs::asked::{ERROR_KINDS, KINDS, LIMIT, LIMIT_MAX, STATES};
use crate::jobs::{RunsAsked, SchedulesAsked};
use crate::middleware::Endpoint;
use crate::openapi::{Field, Operation, instant, number, short_text};
use crate::problem::Problem;

const TAG: &str = "Jobs";
const NEXT: &str = "Where the next page is, if there is one.";

/// The operations of schedules and runs.
pub fn operations() -> Vec<Operation> {
    [of_schedules(), acts_on_schedules(), of_runs()].concat()
}

fn of_schedules() -> Vec<Operation> {
    let link = json!({
        "type": "string",
        "pattern": "^</api/jobs/schedules/\\?limit=[0-9]+&cursor=[^&<>]*(&retired=true)?>; rel=\"next\"$",
    });
    let text = json!({ "type": "string", "pattern": "^[^\\u0000]*$" });
    vec![
        staff_only(Operation::new((TAG, &SCHEDULES), "GET", "listSchedules", "All schedules"))
            .describe("What is due when: schedules in the order of their keys, each with its next five instants, page by page.")
            .query("retired", &json!({ "type": "boolean", "default": false }), "Those as well that no build has any more.")
            .query("limit", &limit(), "How many.")
            .query("cursor", &text, "Behind which key to begin; `Link` has it.")
            .gives_list::<Schedule>("A page of schedules.", LIMIT_MAX.into(), json!([schedule()]))
            .with_header(200, "Link", &link, NEXT)
            .refuses("a limit out of bounds", wrong_schedules("limit=0"))
            .leads_to(200, "getSchedule", &[("path.key", "$response.body#/0/schedule_key")]),
        one(&SCHEDULE, "GET", "getSchedule", "A schedule")
            .gives::<ScheduleInFull>(200, "The schedule.", in_full()),
    ]
}

fn acts_on_schedules() -> Vec<Operation> {
    vec![
        act(&PAUSE, "pauseSchedule", "Pause a schedule")
            .takes([the_reason()])
            .refuses("paused already", conflict("print-user-tasks is paused already, since 2026-11-29 10:00:00 UTC"))
            .leads_to(200, "resumeSchedule", &[("path.key", "$response.body#/schedule_key")]),
        act(&RESUME, "resumeSchedule", "Resume a schedule")
            .takes([the_reason()])
            .refuses("not paused", conflict("print-user-tasks is not paused")),
        act(&OVERRIDE, "overrideSchedule", "Give a schedule another timetable")
            .takes([
                short_text("timetable", "*/5 * * * *", TIMETABLE_CHARACTERS_MAX).optional().about(
                    "Five or six fields of cron, `@daily` and its likes, `every 90s`, or `at` a moment. As it is if none is given.",
                ),
                short_text("time_zone", "Europe/London", TIMETABLE_CHARACTERS_MAX)
                    .optional()
                    .about("The IANA name of a time zone. As it is if none is given."),
                the_reason(),
            ])
            .refuses("nothing to change", wrong_fields(OverrideFields::read))
            .refuses("never due", conflict("\"0 0 30 2 *\" would never be due"))
            .leads_to(200, "resetSchedule", &[("path.key", "$response.body#/schedule_key")]),
        act(&RESET, "resetSchedule", "Give a schedule its own timetable again")
            .takes([the_reason()])
            .refuses("not overridden", conflict("print-user-tasks is due as the registry says already")),
        one(&RUN_NOW, "POST", "runSchedule", "Run a job now")
            .takes([the_reason()])
            .gives::<RunRow>(201, "The run.", run("manual", "queued"))
            .refuses("retired", retired())
            .leads_to(201, "getRun", &[("path.id", "$response.body#/id")])
            .leads_to(201, "cancelRun", &[("path.id", "$response.body#/id")]),
        one(&BACKFILL, "POST", "backfillSchedule", "Make up for what was not run")
            .takes([
                instant("from", "2026-11-28T00:00:00Z").about("The first instant."),
                instant("until", "2026-11-28T06:00:00Z").about("The last instant; the schedule must have answered it."),
                number("pace_seconds", 1, PACE_SECONDS_MAX)
                    .optional()
                    .about("How long after one run the next may begin, in seconds; 1 if not given."),
                the_reason(),
            ])
            .gives::<Backfilled>(200, "How many runs were made.", json!({ "runs": 359, "there_already": 1 }))
            .refuses("no instants", wrong_fields(BackfillFields::read))
            .refuses("instants that are still to be answered", conflict(
                "print-user-tasks has answered its instants up to 2026-11-29 10:00:00 UTC only; choose an end that is not later",
            )),
    ]
}

fn of_runs() -> Vec<Operation> {
    let link = json!({
        "type": "string",
        "pattern": "^</api/jobs/runs/\\?limit=[0-9]+&cursor=-?[0-9]+_[0-9a-f-]{36}(&[a-z_]+=[^&<>]*)*>; rel=\"next\"$",
    });
    let cursor =
        json!({ "type": "string", "pattern": "^-?[0-9]{1,16}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" });
    let list = staff_only(Operation::new((TAG, &RUNS), "GET", "listRuns", "Runs"))
        .describe("Runs of jobs, the newest instant first, page by page, without their outputs. Filters leave out what doesn't fit.");
    let list =
        filters().into_iter().fold(list, |list, (name, schema, words)| list.query(name, &schema, words));
    vec![
        list.query("limit", &limit(), "How many.")
            .query("cursor", &cursor, "Behind which run to begin; `Link` has it.")
            .gives_list::<RunRow>("A page of runs.", LIMIT_MAX.into(), json!([run("scheduled", "failed")]))
            .with_header(200, "Link", &link, NEXT)
            .refuses("a limit out of bounds", wrong_runs("limit=0"))
            .refuses("filters that can't be read", wrong_runs("state=lost&from=yesterday"))
            .leads_to(200, "getRun", &[("path.id", "$response.body#/0/id")])
            .leads_to(200, "replayRun", &[("path.id", "$response.body#/0/id")]),
        one_run(&RUN, "GET", "getRun", "A run").gives::<RunRow>(200, "The run.", with_output()),
        one_run(&REPLAY, "POST", "replayRun", "Try a failed run again")
            .takes([the_reason()])
            .gives::<RunRow>(200, "The run as it is then.", run("scheduled", "queued"))
            .refuses("not failed", conflict("it is succeeded; only what has failed is replayed")),
        one_run(&CANCEL, "POST", "cancelRun", "End a run")
            .takes([the_reason()])
            .gives::<RunRow>(200, "The run as it is then.", run("scheduled", "failed"))
            .refuses("over", conflict("it is over: succeeded")),
    ]
}

fn filters() -> Vec<(&'static str, Value, &'static str)> {
    let text = || json!({ "type": "string", "pattern": "^[^\\u0000]*$" });
    let instant = || json!({ "type": "string", "format": "date-time" });
    vec![
        ("job_key", text(), "Of this job."),
        ("schedule_key", text(), "Of this schedule."),
        ("kind", json!({ "enum": KINDS }), "There for this reason."),
        ("state", json!({ "enum": STATES }), "In this state."),
        ("error_kind", json!({ "enum": ERROR_KINDS }), "Whose last error was of this kind."),
        ("queue", text(), "In this queue."),
        ("from", instant(), "Due not before this instant."),
        ("until", instant(), "Due not after this instant."),
    ]
}

fn limit() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT })
}

fn one(
    endpoint: &'static Endpoint,
    method: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    let key = json!({ "type": "string", "minLength": 1 });
    staff_only(Operation::new((TAG, endpoint), method, id, summary))
        .path("key", &key, "The schedule's key.")
        .refuses("no such schedule", Problem::not_found())
}

fn act(endpoint: &'static Endpoint, id: &'static str, summary: &'static str) -> Operation {
    one(endpoint, "POST", id, summary)
        .gives::<ScheduleInFull>(200, "The schedule as it is then.", in_full())
        .refuses("retired", retired())
}

fn one_run(
    endpoint: &'static Endpoint,
    method: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    staff_only(Operation::new((TAG, endpoint), method, id, summary))
        .path("id", &json!({ "type": "string", "format": "uuid" }), "The run's id.")
        .refuses("no such run", Problem::not_found())
}

fn staff_only(operation: Operation) -> Operation {
    operation.refuses("not staff", Problem::permission_denied())
}

fn the_reason() -> Field {
    short_text("reason", "The printer is out of paper.", REASON_CHARACTERS_MAX)
        .about("Why, in your own words: 1 to 500 characters. The audit trail keeps it.")
}

fn conflict(words: &str) -> Problem {
    Problem::conflict(words)
}

fn retired() -> Problem {
    conflict("print-user-tasks is retired since 2026-11-29 10:00:00 UTC: no build that runs has it")
}

fn wrong_schedules(query: &str) -> Problem {
    SchedulesAsked::of(Some(query)).err().unwrap_or_else(Problem::internal)
}

fn wrong_runs(query: &str) -> Problem {
    RunsAsked::of(Some(query)).err().unwrap_or_else(Problem::internal)
}

fn wrong_fields<T>(read: impl FnOnce(&Fields) -> Result<T, Problem>) -> Problem {
    read(&Fields::none()).err().unwrap_or_else(Problem::internal)
}

fn schedule() -> Value {
    json!({
        "schedule_key": "print-user-tasks",
        "job_key": "print-user-tasks",
        "verbose_name": "Print user 1's tasks",
        "timetable": "* * * * *",
        "time_zone": "UTC",
        "is_override": false,
        "starts_at": null,
        "ends_at": null,
        "jitter_seconds": 0,
        "queue": "default",
        "priority": 0,
        "args": {},
        "overlap": "allow",
        "catch_up_max": 1,
        "catch_up_window_seconds": 86_400,
        "timeout_seconds": 30,
        "attempts_max": 3,
        "backoff_seconds": 5,
        "backoff_max_seconds": 600,
        "creator": null,
        "watermark": "2026-11-29T10:00:00Z",
        "paused_at": null,
        "paused_by": null,
        "paused_reason": null,
        "retired_at": null,
        "next": ["2026-11-29T10:01:00Z", "2026-11-29T10:02:00Z"],
    })
}

fn in_full() -> Value {
    let mut shown = schedule();
    shown["runs"] = json!([run("scheduled", "succeeded")]);
    shown["gaps"] = json!([{
        "first_at": "2026-11-29T03:00:00Z",
        "last_at": "2026-11-29T03:09:00Z",
        "instants": 10,
        "reason": "missed",
    }]);
    shown
}

fn run(kind: &str, state: &str) -> Value {
    let is_over = ["succeeded", "failed"].contains(&state);
    let (error_kind, error) =
        if state == "failed" { ("timed_out", "it took longer than 30s") } else { ("", "") };
    let or_null = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    json!({
        "id": "01a22ca1-5f40-7d31-8a1e-6f0cf3a1b2c3",
        "schedule_key": "print-user-tasks",
        "job_key": "print-user-tasks",
        "kind": kind,
        "scheduled_at": "2026-11-29T10:00:00Z",
        "state": state,
        "attempt": i32::from(is_over),
        "attempts_max": 3,
        "queue": "default",
        "priority": 0,
        "creator": null,
        "worker": or_null(if is_over { "scheduler-1/4711" } else { "" }),
        "run_after": "2026-11-29T10:00:00Z",
        "started_at": or_null(if is_over { "2026-11-29T10:00:00.123456Z" } else { "" }),
        "finished_at": or_null(if is_over { "2026-11-29T10:00:00.234567Z" } else { "" }),
        "error_kind": or_null(error_kind),
        "error": or_null(error),
    })
}

fn with_output() -> Value {
    let mut shown = run("scheduled", "succeeded");
    shown["output"] = json!("ID  TITLE  DURATION\n");
    shown
}
