//! The trail as a file.

use std::fs;
use std::path::Path;

use audit_consumer::export::{Destination, Export, ExportError, Exported};
use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::contracts::Origin;
use shared::contracts::trail::{ExportFormat, TrailExported, TrailFilters};
use shared::entropy::Entropy;
use shared::ids::{EventId, UserId};
use shared::outbox::Outbox;
use shared::telemetry::TraceContext;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::trail::{Trail, envelope, session};

fn export(format: ExportFormat, file: &Path, filters: TrailFilters) -> Export {
    Export {
        destination: Destination::File(file.to_owned()),
        told: TrailExported {
            actor: "ada@desk".to_owned(),
            reason: "the auditor asks".to_owned(),
            filters,
            after: None,
            format,
            output: file.display().to_string(),
            origin: Origin::default(),
        },
    }
}

async fn run(trail: &Trail, export: &Export) -> Result<Exported, ExportError> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let outbox = Outbox::new("test", clock.clone(), entropy.clone());
    let told = (&outbox, &TraceContext::new(&entropy));
    export.run(trail.database.pool(), told, &clock, &CancellationToken::new()).await
}

/// What was told of exports.
async fn told(trail: &Trail) -> Vec<Value> {
    let bodies: Vec<String> = sqlx::query_scalar("SELECT body FROM outbox ORDER BY seq")
        .fetch_all(trail.database.pool())
        .await
        .unwrap();
    bodies.iter().map(|body| serde_json::from_str::<Value>(body).unwrap()).collect()
}

/// So many events, a second apart, `n` in each.
async fn fill(trail: &Trail, events: i64) {
    trail
        .run(&format!(
            "INSERT INTO audit.events (event_id, occurred_at, type, outcome, user_id, body)
             SELECT audit.id_at('{0}'::timestamptz + n * interval '10 ms'), '{0}', 'n', 'success', n % 2, '{{\"n\":' || n || '}}'
             FROM generate_series(1, {events}) AS n",
            trail.hour
        ))
        .await;
}

fn lines(file: &Path) -> Vec<Value> {
    fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn json_lines_have_every_column_and_the_body_to_the_byte() {
    let (trail, folder) = (Trail::new().await, TempDir::new().unwrap());
    let at = trail.at(0);
    let id = Entropy::system().uuid_v7(at);
    let data = json!({ "user_id": 7, "username": "ädä \"x\"\n", "session_id": session(1), "ip": "2001:db8::1", "reason": "wrong_password", "n": 1 });
    let body = format!(" \t{}\r\n", envelope(id, at, 42, "auth.login.failed", &data))
        .replace("\"n\":1", "\"n\" :\n1.00");
    trail.record(&body, at).await;
    let file = folder.path().join("trail.jsonl");
    assert_eq!(
        run(&trail, &export(ExportFormat::Jsonl, &file, TrailFilters::default())).await.unwrap(),
        Exported::Whole(1)
    );
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches('\n').count(), 1, "one line, whatever is in it: {text}");
    let mut line = lines(&file).remove(0);
    assert_eq!(line["body"], body);
    assert!(line["recorded_at"].take().is_string());
    line["body"] = json!(null);
    assert_eq!(
        line,
        json!({ "event_id": id, "type": "auth.login.failed", "occurred_at": at, "recorded_at": null, "sequence": 42, "user_id": 7,
                "username": "ädä \"x\"\n", "session_id": session(1), "jti": null, "ip": "2001:db8::1", "user_agent": null,
                "outcome": "failure", "reason": "wrong_password", "request_id": null, "trace_id": null, "body": null })
    );
}

#[tokio::test]
async fn csv_quotes_what_must_be_quoted_and_lets_nothing_be_a_formula() {
    let (trail, folder) = (Trail::new().await, TempDir::new().unwrap());
    trail
        .run(
            r#"INSERT INTO audit.events (event_id, type, occurred_at, recorded_at, username, user_agent, outcome, reason, ip, body) VALUES
               (audit.id_at('2026-05-01Z'), 'task.created', '2026-05-01Z', '2026-05-01 00:00:00.5Z', 'a "b", ü', E'=cmd|x\ny', 'success', '', '192.0.2.1', '{"a":1}')"#,
        )
        .await;
    let file = folder.path().join("trail.csv");
    run(&trail, &export(ExportFormat::Csv, &file, TrailFilters::default())).await.unwrap();
    let id = EventId::first_at("2026-05-01T00:00:00Z".parse().unwrap());
    let expected = format!(
        "event_id,type,occurred_at,recorded_at,sequence,user_id,username,session_id,jti,ip,user_agent,outcome,reason,request_id,trace_id,body\r\n\
         {id},task.created,2026-05-01T00:00:00.000000Z,2026-05-01T00:00:00.500000Z,,,\"a \"\"b\"\", ü\",,,192.0.2.1,\"'=cmd|x\ny\",success,\"\",,,\"{{\"\"a\"\":1}}\"\r\n"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
}

/// More than two pages. Goes red when a page begins at the wrong event, or the order is not always the same.
#[tokio::test]
async fn an_export_is_all_of_a_stretch_in_order_and_the_same_again() {
    let (trail, folder) = (Trail::new().await, TempDir::new().unwrap());
    fill(&trail, 10_001).await;
    let file = |name: &str| folder.path().join(name);
    for name in ["one", "other"] {
        let exported = run(&trail, &export(ExportFormat::Jsonl, &file(name), TrailFilters::default())).await;
        assert_eq!(exported.unwrap(), Exported::Whole(10_001));
    }
    assert_eq!(fs::read(file("one")).unwrap(), fs::read(file("other")).unwrap());
    let numbers: Vec<Value> = lines(&file("one"))
        .iter()
        .map(|line| serde_json::from_str::<Value>(line["body"].as_str().unwrap()).unwrap()["n"].clone())
        .collect();
    assert_eq!(numbers, (1..=10_001).map(|n| json!(n)).collect::<Vec<_>>());
}

#[tokio::test]
async fn filters_and_bounds_choose_and_what_is_asked_is_told_before_it_is_given() {
    let (trail, folder) = (Trail::new().await, TempDir::new().unwrap());
    fill(&trail, 20).await;
    let at = |n: i64| trail.hour + TimeDelta::milliseconds(10 * n);
    let filters = TrailFilters {
        user_id: Some(UserId(1)),
        since: Some(at(5)),
        until: Some(at(11)),
        ..TrailFilters::default()
    };
    let file = folder.path().join("some.jsonl");
    assert_eq!(run(&trail, &export(ExportFormat::Jsonl, &file, filters)).await.unwrap(), Exported::Whole(3));
    let told = told(&trail).await;
    assert_eq!((told.len(), &told[0]["type"]), (1, &json!("operator.trail.exported")));
    let expected = json!({ "actor": "ada@desk", "reason": "the auditor asks", "format": "jsonl", "output": file,
                           "filters": { "user_id": 1, "since": at(5), "until": at(11) } });
    assert_eq!(told[0]["data"], expected);
}

#[tokio::test]
async fn an_export_goes_on_behind_the_event_that_it_is_told() {
    let (trail, folder) = (Trail::new().await, TempDir::new().unwrap());
    fill(&trail, 9).await;
    let file = |name: &str| folder.path().join(name);
    let whole = export(ExportFormat::Csv, &file("whole"), TrailFilters::default());
    run(&trail, &whole).await.unwrap();
    let until =
        TrailFilters { until: Some(trail.hour + TimeDelta::milliseconds(50)), ..TrailFilters::default() };
    assert_eq!(
        run(&trail, &export(ExportFormat::Csv, &file("first"), until)).await.unwrap(),
        Exported::Whole(4)
    );
    let mut rest = export(ExportFormat::Csv, &file("rest"), TrailFilters::default());
    rest.told.after = Some(EventId::first_at(trail.hour + TimeDelta::milliseconds(40)));
    assert_eq!(run(&trail, &rest).await.unwrap(), Exported::Whole(5));
    let parts =
        [fs::read_to_string(file("first")).unwrap(), fs::read_to_string(file("rest")).unwrap()].concat();
    assert_eq!(parts, fs::read_to_string(file("whole")).unwrap());
}

/// The database breaks amid the second 500. Goes red when a half file gets the name of a whole one, and when
/// whoever goes on as he is told gets a line twice or misses one.
#[tokio::test]
async fn an_export_that_breaks_off_leaves_whole_lines_beside_its_name_and_says_how_to_go_on() {
    let (trail, folder) = (Trail::new().await, TempDir::new().unwrap());
    fill(&trail, 509).await;
    let file = |name: &str| folder.path().join(name);
    run(&trail, &export(ExportFormat::Jsonl, &file("whole"), TrailFilters::default())).await.unwrap();
    trail
        .run(
            "ALTER TABLE audit.events RENAME TO events_kept;
             CREATE FUNCTION broken(body text) RETURNS text LANGUAGE plpgsql STABLE COST 100000 AS $$
             BEGIN IF body = '{\"n\":507}' THEN RAISE 'the disk is broken'; END IF; RETURN body; END $$;
             CREATE VIEW audit.events AS SELECT event_id, type, occurred_at, recorded_at, sequence, user_id, username,
                 session_id, jti, ip, user_agent, outcome, reason, request_id, trace_id, broken(body) AS body
             FROM audit.events_kept",
        )
        .await;
    let error = run(&trail, &export(ExportFormat::Jsonl, &file("broken"), TrailFilters::default()))
        .await
        .unwrap_err();
    let last = EventId::first_at(trail.hour + TimeDelta::milliseconds(5_000));
    let said = error.to_string();
    assert!(
        said.contains(" 500 event(s)")
            && said.contains(&format!("--after {last}"))
            && said.contains("broken.part"),
        "{said}"
    );
    assert!(!file("broken").exists());
    trail.run("DROP VIEW audit.events; ALTER TABLE audit.events_kept RENAME TO events").await;
    let mut rest = export(ExportFormat::Jsonl, &file("rest"), TrailFilters::default());
    rest.told.after = Some(last);
    assert_eq!(run(&trail, &rest).await.unwrap(), Exported::Whole(9));
    let parts = [fs::read(file("broken.part")).unwrap(), fs::read(file("rest")).unwrap()].concat();
    assert_eq!(parts, fs::read(file("whole")).unwrap());
}

/// A name that hardly any event carries, and no index on names. Goes red when one statement looks for it through the whole
/// trail, however long that takes, and when an export ends where it looked in vain for a while.
#[tokio::test]
async fn a_rare_event_is_found_without_a_statement_that_looks_at_the_whole_trail() {
    let (trail, folder) = (Trail::new().await, TempDir::new().unwrap());
    fill(&trail, 20_001).await;
    let rare = trail.tell(3600, "task.created", json!({ "user_id": 7, "username": "ada" })).await;
    trail
        .run(
            "ALTER TABLE audit.events RENAME TO events_kept;
             CREATE FUNCTION looked_at(name text) RETURNS text LANGUAGE plpgsql STABLE COST 100000 AS $$
             DECLARE times integer := coalesce(nullif(current_setting('test.looked_at', true), ''), '0')::integer + 1;
             BEGIN
                 -- Each month gives its first row before it is known whether that is wanted.
                 IF times > 10100 THEN RAISE 'too much for one transaction'; END IF;
                 PERFORM set_config('test.looked_at', times::text, true);
                 RETURN name;
             END $$;
             CREATE VIEW audit.events AS SELECT event_id, type, occurred_at, recorded_at, sequence, user_id,
                 looked_at(username) AS username, session_id, jti, ip, user_agent, outcome, reason, request_id, trace_id, body
             FROM audit.events_kept",
        )
        .await;
    let file = folder.path().join("rare");
    let filters = TrailFilters { username: Some("ada".to_owned()), ..TrailFilters::default() };
    assert_eq!(run(&trail, &export(ExportFormat::Jsonl, &file, filters)).await.unwrap(), Exported::Whole(1));
    assert_eq!(lines(&file)[0]["event_id"], json!(rare));
}

/// The database breaks at the first row. Goes red when an empty file stays, which is in the way of the next try.
#[tokio::test]
async fn an_export_that_breaks_off_before_its_first_event_leaves_nothing_behind() {
    let (trail, folder) = (Trail::new().await, TempDir::new().unwrap());
    fill(&trail, 3).await;
    trail.run("ALTER TABLE audit.events RENAME COLUMN body TO gone").await;
    for format in [ExportFormat::Jsonl, ExportFormat::Csv] {
        let file = folder.path().join("trail");
        let error = run(&trail, &export(format, &file, TrailFilters::default())).await.unwrap_err();
        assert!(error.to_string().ends_with("before its first event"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_file_that_is_there_stays_as_it_is_and_nothing_is_told() {
    let (trail, folder) = (Trail::new().await, TempDir::new().unwrap());
    for (there, name) in [("trail", "trail"), ("other.part", "other")] {
        fs::write(folder.path().join(there), "somebody's").unwrap();
        let error =
            run(&trail, &export(ExportFormat::Csv, &folder.path().join(name), TrailFilters::default())).await;
        assert!(matches!(error, Err(ExportError::Open(..))), "{error:?}");
        assert_eq!(fs::read_to_string(folder.path().join(there)).unwrap(), "somebody's");
    }
    assert_eq!(told(&trail).await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_export_that_can_not_be_told_gives_nothing() {
    let (trail, folder) = (Trail::new().await, TempDir::new().unwrap());
    fill(&trail, 3).await;
    trail
        .run("ALTER TABLE outbox ADD CONSTRAINT mute CHECK (routing_key <> 'operator.trail.exported')")
        .await;
    let file = folder.path().join("trail");
    let error = run(&trail, &export(ExportFormat::Jsonl, &file, TrailFilters::default())).await.unwrap_err();
    assert!(error.to_string().contains("nothing was exported"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
