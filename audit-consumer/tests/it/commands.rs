//! The program's commands, run to their end, and what they told.

use serde_json::Value;
use test_support::TestDatabase;
use test_support::programs::{Ended, Program};

/// Runs `line`, whose words are parted by blanks; `because` is the reason, if it is to have one.
pub(crate) async fn run(program: Program, line: &str, because: Option<&str>) -> Ended {
    words(program, line, because).run().await
}

/// The same, not run yet.
pub(crate) fn words(program: Program, line: &str, because: Option<&str>) -> Program {
    let program = line.split(' ').fold(program, Program::arg);
    because.map_or(program.clone(), |reason| program.arg("--reason").arg(reason))
}

/// The objects of an output that is one object a line.
#[track_caller]
pub(crate) fn objects(ended: &Ended) -> Vec<Value> {
    let object = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(value.is_object(), "{line}");
        value
    };
    ended.output.lines().map(object).collect()
}

/// The payloads of the events of one type that wait in the outbox, in their order.
pub(crate) async fn told(database: &TestDatabase, event_type: &str) -> Vec<Value> {
    let query = "SELECT body::jsonb -> 'data' FROM outbox WHERE routing_key = $1 ORDER BY seq";
    sqlx::query_scalar(query).bind(event_type).fetch_all(database.pool()).await.unwrap()
}
