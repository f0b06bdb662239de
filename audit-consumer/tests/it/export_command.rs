//! `audit-consumer export`, as it is typed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use shared::database::Role;
use test_support::programs::{Ended, Program};
use test_support::{TestDatabase, environment};

use crate::trail::Trail;

const WHO_AND_WHY: [&str; 4] = ["--reason", "the auditor asks", "--actor", "ada@desk"];

async fn export(database: &TestDatabase, arguments: &[&str]) -> Ended {
    let mut program = Program::named("audit-consumer")
        .env("DATABASE_URL", &database.url_as(Role::AuditConsumer))
        .arg("export");
    for argument in arguments {
        program = program.arg(argument);
    }
    program.run().await
}

/// With its output on a pipe.
fn spawn(trail: &Trail) -> Child {
    Command::new(environment::programs_folder().join("audit-consumer"))
        .args(["export", "--format", "jsonl"])
        .args(WHO_AND_WHY)
        .env("DATABASE_URL", trail.database.url_as(Role::AuditConsumer))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn filled(events: i64) -> Trail {
    let trail = Trail::new().await;
    trail
        .run(&format!(
            "INSERT INTO audit.events (event_id, occurred_at, type, outcome, body)
             SELECT audit.id_at('{0}'::timestamptz + n * interval '1 ms'), '{0}', 'n', 'success', '{{}}' FROM generate_series(1, {events}) AS n",
            trail.hour
        ))
        .await;
    trail
}

#[tokio::test]
async fn lines_go_to_standard_output_and_their_number_to_standard_error() {
    let trail = filled(3).await;
    let ended = export(
        &trail.database,
        &[&["--format", "jsonl", "--since", "2020-01-01"][..], &WHO_AND_WHY].concat(),
    )
    .await;
    assert_eq!((ended.code, ended.log.trim()), (Some(0), "exported 3 event(s)"));
    assert_eq!(ended.output.lines().count(), 3, "{}", ended.output);
}

#[tokio::test]
async fn who_and_why_must_be_said_and_wrong_values_are_named() {
    let trail = filled(1).await;
    for (arguments, word) in [
        (&["--format", "jsonl", "--reason", "x"][..], "--actor"),
        (&["--format", "jsonl", "--actor", "x"], "--reason"),
        (&["--format", "jsonl", "--actor", "x", "--reason", " "], "--reason"),
        (&["--format", "xml", "--actor", "x", "--reason", "x"], "--format"),
        (&["--format", "csv", "--since", "yesterday", "--actor", "x", "--reason", "x"], "--since"),
        (&["--format", "csv", "--after", "7", "--actor", "x", "--reason", "x"], "--after"),
    ] {
        let ended = export(&trail.database, arguments).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.log);
        assert!(ended.log.contains(word) && ended.output.is_empty(), "{arguments:?}: {}", ended.log);
    }
    let told: i64 =
        sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(trail.database.pool()).await.unwrap();
    assert_eq!(told, 0);
}

/// A program that listens on both families may have logged the address so.
#[tokio::test]
async fn an_address_of_ipv4_is_found_in_its_form_of_ipv6_too() {
    let trail = Trail::new().await;
    trail.tell(0, "task.created", json!({ "user_id": 7, "username": "ada", "ip": "203.0.113.9" })).await;
    let arguments = [&["--format", "jsonl", "--ip", "::ffff:203.0.113.9"][..], &WHO_AND_WHY].concat();
    let ended = export(&trail.database, &arguments).await;
    assert_eq!((ended.code, ended.log.trim()), (Some(0), "exported 1 event(s)"));
}

/// As in `audit-consumer export … | head -1`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_who_has_enough_ends_it_without_a_word() {
    let trail = filled(20_000).await;
    let mut program = spawn(&trail);
    let mut first = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("{\"event_id\":"), "{first}");
    // The pipe is closed by now.
    let status = program.wait().unwrap();
    let mut said = String::new();
    program.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

fn ask_to_stop(program: &Child) {
    assert!(Command::new("kill").args(["-TERM", &program.id().to_string()]).status().unwrap().success());
}

/// As with Ctrl-C in `audit-consumer export … | less`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_whose_reader_does_not_read_ends_when_it_is_asked_to_stop_twice() {
    let trail = filled(20_000).await;
    let mut program = spawn(&trail);
    let mut lines = BufReader::new(program.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    ask_to_stop(&program);
    let mut said = BufReader::new(program.stderr.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    assert!(first.contains("asked to stop"), "{first}");
    ask_to_stop(&program);
    assert_eq!(program.wait().unwrap().code(), Some(1));
}

/// As with Ctrl-C: what was written are whole lines, and with the rest they are what the whole would have been.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_is_asked_to_stop_says_where_to_go_on() {
    let trail = filled(20_000).await;
    let whole = export(&trail.database, &[&["--format", "jsonl"][..], &WHO_AND_WHY].concat()).await.output;
    let mut program = spawn(&trail);
    let mut lines = BufReader::new(program.stdout.take().unwrap());
    let mut begin = String::new();
    lines.read_line(&mut begin).unwrap();
    // It can't be done: nobody has read more than the pipe holds.
    ask_to_stop(&program);
    lines.read_to_string(&mut begin).unwrap();
    let mut said = String::new();
    program.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(program.wait().unwrap().code(), Some(1), "{said}");
    let written = begin.lines().count();
    assert!(said.contains(&format!("broke off behind {written} event(s)")), "{written}: {said}");
    let after = said.split("--after ").nth(1).unwrap().split([':', '\n', ' ']).next().unwrap();
    let rest =
        export(&trail.database, &[&["--format", "jsonl", "--after", after][..], &WHO_AND_WHY].concat()).await;
    assert_eq!(begin + &rest.output, whole);
}
