//! The API is what its document says: schemathesis reads `/api/schema/` and sends what the document allows and what it
//! forbids, in chains, too. `python/schemathesis.toml` has what a schema can't say.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use test_support::programs::{Program, RunningProgram};
use test_support::{TestBroker, TestDatabase, environment};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python");
const STAFF: &str = "the-office";

/// An API that lets anybody log in and register as often as he likes, over servers of its own.
struct Api {
    program: RunningProgram,
    database: TestDatabase,
    _broker: TestBroker,
}

impl Api {
    async fn start() -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let mut program = Program::producer_api(&database, &broker);
        for (name, value) in [
            // What limits do is for other tests: here they would answer everything with 429.
            ("LOGIN_FAILURES_PER_ACCOUNT", "0"),
            ("LOGIN_FAILURES_PER_ADDRESS", "0"),
            ("MAIL_REQUESTS_PER_ADDRESS", "0"),
            ("MAIL_REQUESTS_PER_RECIPIENT", "0"),
            // A login must not end the session of the requests around it.
            ("SESSION_POLICY", "unlimited"),
            ("ACCESS_TOKEN_LIFETIME", "1h"),
        ] {
            program = program.env(name, value);
        }
        let program = program.start().await;
        // Who logs in in the document's examples.
        program.client().register("ada").await.expect(201);
        Self { program, database, _broker: broker }
    }

    /// Runs schemathesis with these arguments, as this member of staff or as somebody; it must find nothing. Gives what it
    /// printed, and the folder it was run in.
    async fn hold_against_the_document(&self, arguments: &[&str], staff: Option<&str>) -> (String, TempDir) {
        let mut command = Command::new(environment::python());
        command.args(["-m", "schemathesis.cli", "--config-file"]).arg(format!("{FOLDER}/schemathesis.toml"));
        command.arg("run").arg(format!("{}/api/schema/", self.program.url())).args(["--checks", "all"]);
        command.args(arguments);
        command.env_clear().env("PYTHONUTF8", "1").env("PYTHONDONTWRITEBYTECODE", "1").env("NO_COLOR", "1");
        command.env("PYTHONPATH", FOLDER).env("SCHEMATHESIS_HOOKS", "schemathesis_hooks");
        command.env("WARREN_URL", self.program.url()).envs(staff.map(|name| ("WARREN_STAFF", name)));
        let folder = tempfile::tempdir().unwrap();
        command.current_dir(folder.path());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let (text, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "schemathesis found something:\n{text}\n{log}");
        (text.into_owned(), folder)
    }
}

/// Red if the phases were not run, or had nothing to run on.
fn assert_every_phase(text: &str) {
    for phase in ["Examples", "Coverage", "Fuzzing", "Stateful"] {
        // Of a phase that is left out the name stands there, too.
        let passed = text.lines().any(|line| line.contains('✅') && line.contains(phase));
        assert!(passed, "{phase} was not run:\n{text}");
    }
}

// Red if a status, a header, a media type or a member is answered that the document does not tell of, if something that it
// allows is refused or something that it forbids is taken, or if anything is answered with 500.
#[tokio::test]
async fn the_api_is_to_its_users_what_its_document_says() {
    let api = Api::start().await;
    let (text, _) = api.hold_against_the_document(&[], None).await;
    assert_every_phase(&text);
}

// Red if no chain of links makes a task, deletes it, and reads it again; or if that is answered with anything but 404.
#[tokio::test]
async fn what_becomes_of_tasks_along_the_links_is_what_the_document_says() {
    let api = Api::start().await;
    // Of all chains that there may be, few end so; of these three operations most do.
    let mut along_links = vec!["--phases", "stateful"];
    for operation in ["createTask", "deleteTask", "getTask"] {
        along_links.extend(["--include-operation-id", operation]);
    }
    let (text, folder) = api.hold_against_the_document(&along_links, None).await;
    assert!(
        folder.path().join("read-after-deletion").exists(),
        "no task was read after its deletion:\n{text}"
    );
}

#[tokio::test]
async fn the_api_is_to_staff_what_its_document_says() {
    let api = Api::start().await;
    api.program.client().register(STAFF).await.expect(201);
    sqlx::query("UPDATE users SET is_staff = true, is_superuser = true WHERE username = $1")
        .bind(STAFF)
        .execute(api.database.pool())
        .await
        .unwrap();
    // Schedules and runs that the links between operations lead to.
    for statement in [
        "INSERT INTO job_schedules (schedule_key, job_key, timetable, catch_up_max, catch_up_window_seconds, timeout_seconds,
             attempts_max, watermark, next_due_at, created_at, updated_at)
         SELECT 'job ' || n, 'job', '@hourly', 1, 86400, 30, 3, date_trunc('hour', now()),
             date_trunc('hour', now()) + interval '1 hour', now(), now()
         FROM generate_series(1, 30) AS n",
        "INSERT INTO job_runs (id, schedule_key, job_key, scheduled_at, queue, args, attempts_max, timeout_seconds, run_after, queued_at,
             state, finished_at, error, error_kind)
         SELECT gen_random_uuid(), 'job 1', 'job', date_trunc('hour', now()) - n * interval '1 hour', 'default', '{}', 3, 30, now(), now(),
             'failed', now(), 'no paper', 'lasting'
         FROM generate_series(1, 300) AS n",
    ] {
        sqlx::query(statement).execute(api.database.pool()).await.unwrap();
    }
    // Where it matters who asks; the rest is the same for everybody.
    let of_staff = ["--include-tag", "Staff", "--include-tag", "Sessions", "--include-tag", "Jobs"];
    let (text, _) = api.hold_against_the_document(&of_staff, Some(STAFF)).await;
    assert_every_phase(&text);
}

// Red if the document that is served is not the one that is committed, or is sent again to whoever has it.
#[tokio::test]
async fn the_document_that_is_served_is_the_committed_one() {
    let api = Api::start().await;
    let answer = api.program.client().get("/api/schema/").await.expect(200);
    let committed = std::fs::read_to_string(format!("{FOLDER}/../../docs/openapi.json")).unwrap();
    assert_eq!(answer.body, serde_json::from_str::<Value>(&committed).unwrap());
    let tag = answer.header("etag").to_owned();
    let again =
        api.program.client().request(reqwest::Method::GET, "/api/schema/").header("If-None-Match", tag);
    test_support::api::send(again).await.expect(304);
}
