//! Where the road of an event may end, and what operators do there, through the real programs: events that were parked, and
//! that everything an operator does is in the trail.

use std::time::Duration;

use lapin::options::{BasicGetOptions, BasicRejectOptions, QueueBindOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::contracts::jobs::RunSucceeded;
use shared::database::Role;
use shared::entropy::Entropy;
use shared::ids::RunId;
use shared::outbox::Outbox;
use shared::telemetry::TraceContext;
use test_support::programs::{Ended, Program};
use test_support::world::World;
use test_support::{TestBroker, TestDatabase, eventually, settled};
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_mins(2);
const WHY: &str = "the binding is back";

async fn run(program: Program, line: &str, because: Option<&str>) -> Ended {
    let program = line.split(' ').fold(program, Program::arg);
    let program = because.map_or(program.clone(), |reason| program.arg("--reason").arg(reason));
    program.run().await
}

async fn parked(database: &TestDatabase, line: &str, because: Option<&str>) -> Ended {
    let program = Program::named("producer-api").env("DATABASE_URL", &database.url_as(Role::ProducerApi));
    run(program, &format!("parked {line}"), because).await
}

fn objects(ended: &Ended) -> Vec<Value> {
    ended.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Commits that a run succeeded; gives the event's id.
async fn commit_a_fact(database: &TestDatabase) -> Uuid {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let data = RunSucceeded {
        run_id: RunId(entropy.uuid_v7(clock.now())),
        job_key: "a-test".to_owned(),
        scheduled_at: clock.now(),
        attempt: 1,
        duration_ms: 7,
    };
    let trace = TraceContext::new(&entropy);
    let mut connection = database.pool().acquire().await.unwrap();
    let outbox = Outbox::new("test", clock, entropy);
    outbox.append(&mut connection, &trace, data).await.unwrap().0
}

/// Parks what was just committed, as a relay does with what can't be routed.
async fn park(database: &TestDatabase, event_id: Uuid, age: &str) {
    let moved = "WITH unroutable AS (DELETE FROM outbox WHERE event_id = $1 RETURNING *)
        INSERT INTO outbox_parked
            (seq, event_id, exchange, routing_key, headers, body, created_at, attempts, parked_at, reason)
        SELECT seq, event_id, exchange, routing_key, headers, body, created_at, 3, now() - $2::interval, '312 NO_ROUTE'
        FROM unroutable";
    let moved = sqlx::query(moved).bind(event_id).bind(age).execute(database.pool()).await.unwrap();
    assert_eq!(moved.rows_affected(), 1);
}

async fn count(database: &TestDatabase, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(database.pool()).await.unwrap()
}

async fn channel(broker: &TestBroker) -> Channel {
    broker.connect().await.create_channel().await.unwrap()
}

#[tokio::test]
async fn parked_events_are_listed_shown_and_thrown_away_by_filter_or_name() {
    let database = TestDatabase::create().await;
    let mut ids = Vec::new();
    for age in ["3 hours", "2 hours", "0 hours"] {
        let id = commit_a_fact(&database).await;
        park(&database, id, age).await;
        ids.push(id);
    }
    let listed = parked(&database, "list", None).await;
    let lines: Vec<&str> = listed.output.lines().collect();
    assert_eq!((listed.code, lines.len()), (Some(0), 5), "{}{}", listed.output, listed.log);
    assert!(lines[1].starts_with(&ids[0].to_string()) && lines[1].ends_with("312 NO_ROUTE"), "{}", lines[1]);
    assert_eq!(lines[4], "3 shown, 3 match, 3 in all");
    let json = parked(&database, "list --json --newest --limit 1 --older-than 1h --type job.*", None).await;
    assert_eq!(objects(&json)[0]["event_id"], json!(ids[1]));
    assert_eq!(json.log, "1 shown, 2 match, 3 in all\n");
    for (filters, found) in [
        ("--reason-contains no_route", 3),
        ("--reason-contains nack", 0),
        ("--type job.run.succeeded", 3),
        ("--type job.run", 0),
        ("--newer-than 1h", 1),
    ] {
        let filtered = parked(&database, &format!("list --json {filters}"), None).await;
        assert_eq!(objects(&filtered).len(), found, "{filters}");
    }

    let shown = parked(&database, &format!("show {} --json", ids[0]), None).await;
    let body: String = sqlx::query_scalar("SELECT body FROM outbox_parked WHERE event_id = $1")
        .bind(ids[0])
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(objects(&shown)[0]["body"], body);
    let people = parked(&database, &format!("show {}", ids[0]), None).await;
    assert!(people.output.contains("\n    \"job_key\": \"a-test\""), "{}", people.output);
    for (line, code) in [(format!("show {}", Uuid::nil()), 1), ("show seven".to_owned(), 2)] {
        assert_eq!(parked(&database, &line, None).await.code, Some(code), "{line}");
    }

    let line = format!("discard {} {} --json", ids[2], Uuid::nil());
    let discarded = parked(&database, &line, Some("a test's")).await;
    assert_eq!(discarded.code, Some(1));
    assert!(
        discarded.log.contains(&format!("{}: no parked event has this id", Uuid::nil())),
        "{}",
        discarded.log
    );
    let outcomes: Vec<_> = objects(&discarded).iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["discarded", "failed"]);
    let discarded = parked(&database, "discard --all --older-than 150m", Some("a test's")).await;
    assert_eq!(discarded.output, format!("discarded {}\ndiscarded 1 in all\n", ids[0]));
    assert_eq!(count(&database, "SELECT count(*) FROM outbox_parked").await, 1);
    let told: Value =
        sqlx::query_scalar("SELECT body::jsonb -> 'data' FROM outbox ORDER BY seq DESC LIMIT 1")
            .fetch_one(database.pool())
            .await
            .unwrap();
    let known: String = sqlx::query_scalar("SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex')")
        .bind(&body)
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!((&told["event_id"], &told["body_sha256"]), (&json!(ids[0]), &json!(known)));
    assert_eq!(
        (&told["event_type"], &told["parked_for"]),
        (&json!("job.run.succeeded"), &json!("312 NO_ROUTE"))
    );
    assert!(!told.to_string().contains("a-test"), "never what was in it");
}

#[tokio::test]
async fn two_operators_at_once_throw_each_parked_event_away_once() {
    let database = TestDatabase::create().await;
    for _ in 0..20 {
        let id = commit_a_fact(&database).await;
        park(&database, id, "1 hour").await;
    }
    let both = [(); 2].map(|()| parked(&database, "discard --all --json", Some("a test's")));
    let mut discarded = 0;
    for ended in futures_util::future::join_all(both).await {
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        discarded += objects(&ended).len();
    }
    assert_eq!(discarded, 20);
    let told = "SELECT count(*) FROM outbox WHERE routing_key = 'operator.parked.discarded'";
    assert_eq!(count(&database, told).await, 20);
}

/// Goes red if the row is in the outbox before its event is, or out of `outbox_parked` before it is in the outbox.
#[tokio::test]
async fn a_replay_of_parked_events_killed_before_its_commit_has_done_nothing() {
    let database = TestDatabase::create().await;
    let id = commit_a_fact(&database).await;
    park(&database, id, "1 hour").await;
    let lock = database.lock_table("outbox").await;
    let program = Program::named("producer-api").env("DATABASE_URL", &database.url_as(Role::ProducerApi));
    let line = ["parked", "replay", "--all", "--reason", WHY];
    let mut command = line.iter().fold(program, |program, word| program.arg(word)).spawn();
    database.wait_for_a_blocked_writer("outbox").await;
    command.kill();
    lock.rollback().await.unwrap();
    assert_eq!(count(&database, "SELECT count(*) FROM outbox").await, 0);
    assert_eq!(count(&database, "SELECT count(*) FROM outbox_parked").await, 1);
    assert_eq!(parked(&database, "replay --all", Some(WHY)).await.code, Some(0));
    assert_eq!(count(&database, "SELECT count(*) FROM outbox_parked").await, 0);
    assert_eq!(count(&database, "SELECT count(*) FROM outbox").await, 2, "itself, and that it was replayed");
    let due = "SELECT count(*) FROM outbox WHERE attempts = 0 AND returns = 0 AND not_before <= now()";
    assert_eq!(count(&database, due).await, 2);
}

/// Goes red if a fact that could not be routed can't be brought to the trail, or is there twice; and if any of the six acts
/// is not told, or not by whom and why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_routed_comes_to_the_trail_once_and_so_does_everything_an_operator_did() {
    let world = World::start().await;
    let (database, broker) = (&world.database, &world.broker);
    // Whoever connects binds it again: so first let all be there.
    for program in [&world.producer_api, &world.scheduler, &world.audit_consumer] {
        let ready = async || program.client().readyz().await.text("status").to_owned();
        settled(DEADLINE, "every part to be up", "ready".to_owned(), ready).await;
    }
    let channel = channel(broker).await;
    let unbound =
        channel.queue_unbind("audit.events".into(), "job.events".into(), "#".into(), FieldTable::default());
    unbound.await.unwrap();
    let (replayed, discarded) = (commit_a_fact(database).await, commit_a_fact(database).await);
    settled(DEADLINE, "both to be parked", 2_i64, async || {
        sqlx::query_scalar("SELECT count(*) FROM outbox_parked WHERE event_id = ANY($1)")
            .bind(vec![replayed, discarded])
            .fetch_one(database.pool())
            .await
            .unwrap()
    })
    .await;
    // A relay may have it in hand to try it once more.
    settled(DEADLINE, "one to be thrown away", Some(0), async || {
        parked(database, &format!("discard {discarded}"), Some(WHY)).await.code
    })
    .await;
    settled(DEADLINE, "the other one to be replayed", Some(0), async || {
        parked(database, &format!("replay {replayed}"), Some(WHY)).await.code
    })
    .await;
    let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
    channel
        .queue_bind("audit.events".into(), "job.events".into(), "#".into(), options, arguments)
        .await
        .unwrap();
    eventually(DEADLINE, "the replayed fact in the trail", async || {
        let query = "SELECT event_id FROM audit.events WHERE event_id = ANY($1)";
        let both = vec![replayed, discarded];
        let there = sqlx::query_scalar::<_, Uuid>(query).bind(both).fetch_all(database.pool()).await.unwrap();
        if there.is_empty() {
            // Replayed while nothing was bound, it may have been parked once more.
            parked(database, &format!("replay {replayed}"), Some(WHY)).await;
        }
        (there == [replayed]).then_some(())
    })
    .await;
    let again = parked(database, &format!("replay {replayed}"), Some(WHY)).await;
    assert_eq!(again.code, Some(1), "it is not parked any more");

    in_quarantine(&world).await;
    dead(&world).await;
    let all = [
        "operator.dead_letter.discarded",
        "operator.dead_letter.replayed",
        "operator.parked.discarded",
        "operator.parked.replayed",
        "operator.quarantine.discarded",
        "operator.quarantine.replayed",
    ];
    settled(DEADLINE, "all six acts in the trail", all.map(str::to_owned).to_vec(), async || {
        let query = "SELECT DISTINCT type FROM audit.events
            WHERE type LIKE 'operator.%' AND reason = $1 AND body::jsonb -> 'data' ->> 'actor' = 'ada'
                OR type LIKE 'operator.parked.%' AND reason = $1
            ORDER BY type";
        sqlx::query_scalar::<_, String>(query).bind(WHY).fetch_all(database.pool()).await.unwrap()
    })
    .await;
}

async fn in_quarantine(world: &World) {
    let (garbage, other) = (b"\xff garbage".as_slice(), b"\xff other garbage".as_slice());
    for body in [garbage, other] {
        world.broker.publish_raw("task.events", "task.created", BasicProperties::default(), body).await;
    }
    settled(DEADLINE, "both in quarantine", 2, async || {
        count(&world.database, "SELECT count(*) FROM audit.quarantine").await
    })
    .await;
    // As if a newer build could read it: what it says is readable, what it was set aside for is not.
    let readable = "UPDATE audit.quarantine
        SET raw = convert_to(replace(one.body, one.event_id, $1), 'UTF8')
        FROM (SELECT body, event_id::text AS event_id FROM audit.events LIMIT 1) AS one
        WHERE id = (SELECT min(id) FROM audit.quarantine)";
    let id = Entropy::system().uuid_v7(Clock::system().now());
    sqlx::query(readable).bind(id.to_string()).execute(world.database.pool()).await.unwrap();
    for (verb, code) in [("replay", 1), ("discard", 0)] {
        let program = Program::audit_consumer(&world.database, &world.broker);
        let done = run(program, &format!("quarantine {verb} --all --actor ada"), Some(WHY)).await;
        assert_eq!(done.code, Some(code), "{}{}", done.output, done.log);
    }
    assert_eq!(count(&world.database, "SELECT count(*) FROM audit.quarantine").await, 0);
    let recorded: i64 = sqlx::query_scalar("SELECT count(*) FROM audit.events WHERE event_id = $1")
        .bind(id)
        .fetch_one(world.database.pool())
        .await
        .unwrap();
    assert_eq!(recorded, 1);
}

async fn dead(world: &World) {
    let channel = channel(&world.broker).await;
    // A queue that nobody reads: what is rejected there is a dead letter as any other.
    let mut arguments = FieldTable::default();
    arguments
        .insert("x-dead-letter-exchange".into(), lapin::types::AMQPValue::LongString("dead.letters".into()));
    let options = lapin::options::QueueDeclareOptions::durable();
    channel.queue_declare("deadly".into(), options, arguments).await.unwrap();
    for id in ["m-1", "m-2"] {
        let properties = BasicProperties::default().with_message_id(id.into());
        world.broker.publish_raw("", "deadly", properties, b"a letter").await;
        let got = eventually(DEADLINE, "the message", async || {
            channel.basic_get("deadly".into(), BasicGetOptions::default()).await.unwrap()
        })
        .await;
        got.delivery.acker.reject(BasicRejectOptions { requeue: false }).await.unwrap();
    }
    settled(DEADLINE, "both letters", 2, async || world.broker.queue_depth("dead.letters").await).await;
    for (verb, id) in [("replay", "m-1"), ("discard", "m-2")] {
        let program = Program::audit_consumer(&world.database, &world.broker);
        // The letter behind or before it is given back a moment later.
        settled(DEADLINE, "a letter to act upon", Some(0), async || {
            run(program.clone(), &format!("dead-letters {verb} {id} --actor ada"), Some(WHY)).await.code
        })
        .await;
    }
    assert_eq!(world.broker.queue_depth("dead.letters").await, 0);
    assert_eq!(world.broker.take("deadly").await.unwrap().body, b"a letter");
}
