//! What the document says of tasks.

use serde_json::{Value, json};

use super::body::TaskBody;
use super::create::IN_FLIGHT;
use super::fields::{NO_DURATION, SECONDS_MAX};
use super::list::LIMIT_MAX;
use super::one::other_duration;
use super::{TASK, TASKS};
use crate::extract::PageAsked;
use crate::openapi::{Field, Operation, duration, short_text};
use crate::problem::{FieldErrors, Problem};
use crate::tasks::{Place, RECENT, title};

const TAG: &str = "Tasks";

/// The operations of tasks.
pub fn operations() -> Vec<Operation> {
    [of_the_list(), of_one()].concat()
}

fn of_the_list() -> Vec<Operation> {
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": RECENT });
    let cursor = json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{22}$" });
    let link = json!({ "type": "string", "pattern": "^</api/tasks/\\?limit=[0-9]+&cursor=[A-Za-z0-9_-]{22}>; rel=\"next\"$" });
    let key =
        json!({ "type": "string", "pattern": r#"^(?:[!#-+\--\[\]-~]{1,255}|"[!#-+\--\[\]-~]{1,255}")$"# });
    vec![
        Operation::new((TAG, &TASKS), "GET", "listTasks", "One's tasks")
            .describe("The caller's last four tasks, newest first, or page by page.")
            .query("limit", &limit, "How many.")
            .query("cursor", &cursor, "Where to begin; `Link` has it.")
            .gives_list::<TaskBody>("A page of tasks.", LIMIT_MAX.into(), json!([task()]))
            .with_header(200, "Link", &link, "Where the next page is, if there is one.")
            .refuses("a limit out of bounds", wrong_page("limit=0"))
            .refuses("no cursor", wrong_page("cursor=1"))
            .leads_to(200, "getTask", &[("path.id", "$response.body#/0/id")]),
        Operation::new((TAG, &TASKS), "POST", "createTask", "Make a task")
            .describe("Makes a task. With an `Idempotency-Key` the same request gets the same answer for a day, and makes one task.")
            .request_header("Idempotency-Key", &key, "A text of the client's own, for this creation alone.")
            .with_header(201, "Idempotency-Replayed", &json!({ "const": "true" }), "Where the answer was given before.")
            .refuses("the key was used for another task", Problem::idempotency_key_reused())
            .refuses("the first request is still under way", Problem::conflict(IN_FLIGHT))
            .takes([the_title(), the_duration()])
            .gives::<TaskBody>(201, "The task.", task())
            .leads_to(201, "getTask", &[("path.id", "$response.body#/id")])
            .leads_to(201, "updateTask", &[("path.id", "$response.body#/id")])
            .leads_to(201, "replaceTask", &[("path.id", "$response.body#/id")])
            .leads_to(201, "deleteTask", &[("path.id", "$response.body#/id")])
            .refuses("no duration", no_duration()),
    ]
}

fn of_one() -> Vec<Operation> {
    let unchanged =
        || the_duration().or_left_out().about("The task's own, or left out: it can't be changed.");
    vec![
        one("GET", "getTask", "A task").describe("One of the caller's tasks.").gives::<TaskBody>(
            200,
            "The task.",
            task(),
        ),
        one("PUT", "replaceTask", "Rename a task")
            .describe("Gives a task another title.")
            .takes([the_title(), unchanged()])
            .gives::<TaskBody>(200, "The task as it is then.", task())
            .leads_to(200, "getTask", &[("path.id", "$response.body#/id")])
            .refuses("another duration", other_duration()),
        one("PATCH", "updateTask", "Rename a task")
            .describe("Gives a task another title, if one is sent.")
            .takes([the_title().or_left_out(), unchanged()])
            .gives::<TaskBody>(200, "The task as it is then.", task())
            .leads_to(200, "getTask", &[("path.id", "$response.body#/id")])
            .leads_to(200, "deleteTask", &[("path.id", "$response.body#/id")])
            .refuses("another duration", other_duration()),
        // The link says where it was: whoever follows it finds nothing.
        one("DELETE", "deleteTask", "Delete a task")
            .describe("Deletes a task.")
            .gives_nothing(204, "It is gone.")
            .leads_to(204, "getTask", &[("path.id", "$request.path.id")]),
    ]
}

fn one(method: &'static str, id: &'static str, summary: &'static str) -> Operation {
    let schema = json!({ "type": "integer", "format": "int64", "minimum": 1 });
    Operation::new((TAG, &TASK), method, id, summary)
        .path("id", &schema, "The task's id.")
        .refuses("no such task of this user", Problem::not_found())
}

fn the_title() -> Field {
    short_text("title", "Water the plants", title::CHARACTERS_MAX)
        .about("1 to 200 characters, outer white space not counted.")
}

fn the_duration() -> Field {
    duration("duration", "00:30:00", SECONDS_MAX)
}

fn wrong_page(query: &str) -> Problem {
    PageAsked::<Place>::of(Some(query), RECENT, LIMIT_MAX).err().unwrap_or_else(Problem::internal)
}

fn no_duration() -> Problem {
    let mut errors = FieldErrors::new();
    errors.add("duration", NO_DURATION);
    Problem::field_errors(errors)
}

fn task() -> Value {
    json!({
        "id": 7,
        "title": "Water the plants",
        "duration": "00:30:00",
        "created_at": "2026-11-21T20:15:30.123456Z",
        "updated_at": "2026-11-21T20:15:30.123456Z",
        "version": 1,
    })
}
