//! The table by which the API's durations are tested is what Django REST framework itself says.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use test_support::environment;

/// Goes red when the table says of a value what the installed Django doesn't.
#[test]
fn drf_reads_and_refuses_durations_as_the_table_says() {
    let table: Value =
        serde_json::from_str(include_str!("../../../producer-api/tests/durations.json")).unwrap();
    let sent: Vec<&Value> = table.as_array().unwrap().iter().map(|row| &row["sent"]).collect();
    let mut python = Command::new(environment::python())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/durations.py"))
        .env_clear()
        .env("PYTHONUTF8", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(serde_json::to_string(&sent).unwrap().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let outcomes: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (row, outcome) in table.as_array().unwrap().iter().zip(outcomes.as_array().unwrap()) {
        assert_eq!(row, outcome);
    }
    assert_eq!(table, outcomes);
}
