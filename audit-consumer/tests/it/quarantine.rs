//! What operators do with the quarantine, by the real program.

use audit_consumer::audit::{Batch, Message, SetAside, record};
use serde_json::{Value, json};
use shared::database::Role;
use sqlx::PgPool;
use test_support::TestDatabase;
use test_support::programs::{Ended, Program};
use uuid::Uuid;

use crate::commands::{objects, run, told, words};
use crate::events::{event, fresh_id};

const WHY: &str = "the new build can read them";

/// Sets bodies aside with a reason, as an older build did; gives their rows.
async fn set_aside(database: &PgPool, bodies: &[&[u8]], reason: &str) -> Vec<i64> {
    let mut ids = Vec::new();
    for body in bodies {
        let message = Message { message_id: None, body, delivery: None };
        let set_aside = vec![SetAside { message, reason: reason.to_owned() }];
        record(database, Batch { candidates: vec![], set_aside }).await.unwrap();
        ids.push(
            sqlx::query_scalar("SELECT max(id) FROM audit.quarantine").fetch_one(database).await.unwrap(),
        );
    }
    ids
}

fn program(database: &TestDatabase) -> Program {
    Program::named("audit-consumer").env("DATABASE_URL", &database.url_as(Role::AuditConsumer))
}

async fn quarantine(database: &TestDatabase, line: &str, because: Option<&str>) -> Ended {
    run(program(database), &format!("quarantine {line}"), because).await
}

async fn reasons(database: &TestDatabase) -> Vec<(i64, String)> {
    let query = "SELECT id, reason FROM audit.quarantine ORDER BY id";
    sqlx::query_as(query).fetch_all(database.pool()).await.unwrap()
}

/// Each with its place: a row that was written anew has another one.
async fn whole_rows(database: &TestDatabase) -> Vec<String> {
    let query =
        "SELECT format('%s %s', quarantine.ctid, quarantine) FROM audit.quarantine AS quarantine ORDER BY id";
    sqlx::query_scalar(query).fetch_all(database.pool()).await.unwrap()
}

async fn recorded(database: &TestDatabase) -> Vec<Uuid> {
    let query = "SELECT event_id FROM audit.events ORDER BY recorded_at, event_id";
    sqlx::query_scalar(query).fetch_all(database.pool()).await.unwrap()
}

#[tokio::test]
async fn what_lies_in_quarantine_is_listed_for_people_and_for_programs_and_shown_to_the_byte() {
    let database = TestDatabase::create().await;
    let ids = set_aside(database.pool(), &[b"\xff\x00\x1b[31m"], "the body is not UTF-8").await;
    let more = set_aside(database.pool(), &[br#"{"b":1}"#, b"plain \x1b[31mtext"], "not an envelope").await;

    let listed = quarantine(&database, "list", None).await;
    let lines: Vec<&str> = listed.output.lines().collect();
    assert_eq!((listed.code, lines.len()), (Some(0), 5), "{}{}", listed.output, listed.log);
    assert!(lines[0].starts_with("ID ") && lines[1].starts_with(&ids[0].to_string()), "the oldest is first");
    assert_eq!(lines[4], "3 shown, 3 match, 3 in all");

    let json = quarantine(&database, "list --json --newest --limit 2", None).await;
    let rows = objects(&json);
    assert_eq!((&rows[0]["id"], &rows[1]["id"]), (&json!(more[1]), &json!(more[0])), "the newest is first");
    assert_eq!(json.log, "2 shown, 3 match, 3 in all\n");
    for (filters, found) in [
        ("--reason-contains utf", 1),
        ("--older-than 1h", 0),
        ("--newer-than 1h", 3),
        ("--type task.*", 0),
        ("--newer-than 1h --reason-contains ENVELOPE", 2),
    ] {
        let filtered = quarantine(&database, &format!("list --json {filters}"), None).await;
        assert_eq!(objects(&filtered).len(), found, "{filters}");
        assert!(filtered.log.ends_with(&format!("{found} match, 3 in all\n")), "{}", filtered.log);
    }

    let shown = quarantine(&database, &format!("show {} --json", ids[0]), None).await;
    let row = &objects(&shown)[0];
    assert_eq!((&row["body_base64"], &row["body"]), (&json!("/wAbWzMxbQ=="), &Value::Null));
    assert_eq!((&row["reason"], &row["body_bytes"]), (&json!("the body is not UTF-8"), &json!(7)));
    let people = quarantine(&database, &format!("show {}", more[0]), None).await;
    assert!(people.output.ends_with("\n\n{\n  \"b\": 1\n}\n"), "{}", people.output);
    let text = quarantine(&database, &format!("show {}", more[1]), None).await;
    assert!(text.output.ends_with("plain \\u{1b}[31mtext\n"), "no terminal obeys it: {}", text.output);
    let nobody = quarantine(&database, "show 4711", None).await;
    assert_eq!((nobody.code, nobody.output.as_str()), (Some(1), ""));
    assert!(nobody.log.contains("no message of the quarantine has the id 4711"), "{}", nobody.log);
    let wrong = quarantine(&database, "show seven", None).await;
    assert_eq!(wrong.code, Some(2), "{}", wrong.log);
}

/// Goes red if what became readable is not recorded, or twice, or if what is not readable is lost or changed without a word in
/// the trail.
#[tokio::test]
async fn replayed_what_can_be_read_by_now_is_recorded_once_and_the_rest_stays_untouched() {
    let database = TestDatabase::create().await;
    let (fresh, known) = (fresh_id(), fresh_id());
    let bodies = [fresh, known].map(|id| event(id).to_string());
    let mut poison = event(fresh_id());
    // Too long for an index, which only the database knows; random, so that it can't be compressed below the limit.
    poison["type"] = json!((0..400).map(|_| fresh_id().to_string()).collect::<String>());
    let poison = poison.to_string();
    let stale = "major version 1 of \"task.created\" is unknown, this program knows 0";
    let messages = [b"\xff\x00".as_slice(), bodies[0].as_bytes(), poison.as_bytes(), bodies[1].as_bytes()];
    let ids = set_aside(database.pool(), &messages, stale).await;
    let before = whole_rows(&database).await;
    sqlx::query("INSERT INTO audit.events (event_id, type, occurred_at, outcome, body) VALUES ($1, 'x', now(), 'success', $2)")
        .bind(known)
        .bind(&bodies[1])
        .execute(database.pool())
        .await
        .unwrap();

    let replayed = quarantine(&database, "replay --all --json --actor ada", Some(WHY)).await;
    assert_eq!(replayed.code, Some(1), "two could not be replayed");
    let outcomes: Vec<_> = objects(&replayed).iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["failed", "replayed", "failed", "replayed"]);
    assert!(replayed.log.contains("2 of 4 could not be replayed"), "{}", replayed.log);
    // Today's reason is the operator's; the rows keep the one with which they came.
    let notes: Vec<_> = objects(&replayed).iter().map(|line| line["note"].to_string()).collect();
    assert_eq!(notes[0], r#""the body is not UTF-8""#);
    assert!(notes[2].contains("the database refuses the row"), "{notes:?}");
    assert_eq!(whole_rows(&database).await, [before[0].clone(), before[2].clone()]);
    let mut both = [fresh, known];
    both.sort();
    let mut there = recorded(&database).await;
    there.sort();
    assert_eq!(there, both);

    let events = told(&database, "operator.quarantine.replayed").await;
    let facts: Vec<_> =
        events.iter().map(|event| (event["event_id"].clone(), event["recorded"].clone())).collect();
    assert_eq!(facts, [(json!(fresh), json!(true)), (json!(known), json!(false))]);
    for event in &events {
        assert_eq!((&event["actor"], &event["reason"]), (&json!("ada"), &json!(WHY)));
        assert_eq!(event["user_agent"], "audit-consumer quarantine replay");
    }

    let again = quarantine(&database, &format!("replay {} {}", ids[1], ids[3]), Some(WHY)).await;
    assert_eq!(again.code, Some(1));
    assert!(again.log.contains("no message of the quarantine has this id"), "{}", again.log);
    assert_eq!(recorded(&database).await.len(), 2, "a second replay does nothing");
    assert_eq!(told(&database, "operator.quarantine.replayed").await.len(), 2);
}

/// Two messages under one id: one of them is a forgery, and which it is a machine can't say.
#[tokio::test]
async fn a_message_that_is_not_the_one_recorded_under_its_id_stays() {
    let database = TestDatabase::create().await;
    let body = event(fresh_id()).to_string();
    let other = body.replace("ada", "eve");
    let ids = set_aside(database.pool(), &[body.as_bytes(), other.as_bytes()], "stale").await;
    let replayed = quarantine(&database, &format!("replay {} {} 99", ids[0], ids[1]), Some(WHY)).await;
    assert_eq!(replayed.code, Some(1));
    let lines: Vec<&str> = replayed.output.lines().collect();
    assert!(lines[0].starts_with(&format!("replayed {}: recorded as ", ids[0])), "{lines:?}");
    assert!(lines[1].starts_with(&format!("failed {}: the trail has another message", ids[1])), "{lines:?}");
    assert_eq!(lines[2], "failed 99: no message of the quarantine has this id");
    assert_eq!(reasons(&database).await.len(), 1);
}

/// Goes red if the row leaves the quarantine, or enters the trail, in another transaction than its event.
#[tokio::test]
async fn a_replay_killed_before_it_was_told_has_done_nothing() {
    let database = TestDatabase::create().await;
    let id = fresh_id();
    let rows = set_aside(database.pool(), &[event(id).to_string().as_bytes()], "stale").await;
    let line = format!("quarantine replay {}", rows[0]);
    let lock = database.lock_table("outbox").await;
    let mut command = words(program(&database), &line, Some(WHY)).spawn();
    database.wait_for_a_blocked_writer("outbox").await;
    command.kill();
    lock.rollback().await.unwrap();
    assert_eq!((reasons(&database).await.len(), recorded(&database).await.len()), (1, 0));
    let again = run(program(&database), &line, Some(WHY)).await;
    assert_eq!(again.code, Some(0), "{}", again.log);
    assert_eq!((reasons(&database).await.len(), recorded(&database).await), (0, vec![id]));
    assert_eq!(told(&database, "operator.quarantine.replayed").await.len(), 1);
}

#[tokio::test]
async fn two_operators_at_once_discard_each_message_once() {
    let database = TestDatabase::create().await;
    let bodies: Vec<String> = (0..20).map(|number| format!("garbage {number}")).collect();
    let bodies: Vec<&[u8]> = bodies.iter().map(String::as_bytes).collect();
    set_aside(database.pool(), &bodies, "garbage").await;
    let both = [(); 2].map(|()| quarantine(&database, "discard --all --json", Some(WHY)));
    let mut discarded = 0;
    for ended in futures_util::future::join_all(both).await {
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        discarded += objects(&ended).len();
    }
    assert_eq!((discarded, reasons(&database).await.len()), (20, 0));
    assert_eq!(told(&database, "operator.quarantine.discarded").await.len(), 20);
}

#[tokio::test]
async fn discarded_by_a_filter_only_what_it_means_is_gone_and_the_trail_knows_which_it_was() {
    let database = TestDatabase::create().await;
    let ids = set_aside(database.pool(), &[b"abc"], "garbage").await;
    let kept = set_aside(database.pool(), &[b"abcd"], "evidence").await;
    let discarded =
        quarantine(&database, "discard --all --reason-contains garbage", Some("a port scan")).await;
    assert_eq!(discarded.code, Some(0), "{}", discarded.log);
    assert_eq!(discarded.output, format!("discarded {}\ndiscarded 1 in all\n", ids[0]));
    assert_eq!(reasons(&database).await, [(kept[0], "evidence".to_owned())]);
    let told = told(&database, "operator.quarantine.discarded").await;
    assert_eq!(told.len(), 1);
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((&told[0]["quarantine_id"], &told[0]["body_bytes"]), (&json!(ids[0]), &json!(3)));
    assert_eq!((&told[0]["body_sha256"], &told[0]["digest"]), (&json!(sha256), &json!(sha256)));
    assert_eq!(told[0]["reason"], "a port scan");
    assert!(told[0]["actor"].as_str().unwrap().contains('@'), "the system's user: {}", told[0]);
    assert!(!told[0].to_string().contains("abc"), "never what was in it");
    for wrong in ["discard --all", "discard", "discard 1 --type x"] {
        let reason = wrong.ends_with('x').then_some("why");
        assert_eq!(quarantine(&database, wrong, reason).await.code, Some(2), "{wrong}");
    }
}
