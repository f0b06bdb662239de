//! What operators do with dead letters, by the real program on a real broker.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicRejectOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use serde_json::json;
use shared::role::Role;
use sqlx::{Postgres, Transaction};
use test_support::faults::Proxy;
use test_support::programs::{Ended, Program};
use test_support::{Method, TestBroker, TestDatabase, eventually, settled};
use uuid::Uuid;

use crate::commands::{objects, run, told, words};
use crate::events::{fresh_id, properties, publish_undecodable, published};

const DEADLINE: Duration = Duration::from_mins(2);
const WHY: &str = "the consumer is mended";
const QUEUE: &str = "audit.events";
const DEAD: &str = "dead.letters";

fn program(database: &TestDatabase, broker: &TestBroker) -> Program {
    Program::audit_consumer(database, broker)
}

/// Whoever only looks needs no database.
async fn look(broker: &TestBroker, line: &str) -> Ended {
    let program = Program::named("audit-consumer").env("AMQP_URL", broker.amqp_url());
    run(program, &format!("dead-letters {line}"), None).await
}

async fn act(database: &TestDatabase, broker: &TestBroker, line: &str) -> Ended {
    run(program(database, broker), &format!("dead-letters {line}"), Some(WHY)).await
}

async fn channel(broker: &TestBroker) -> Channel {
    broker.connect().await.create_channel().await.unwrap()
}

/// Has messages die in `queue`, one after the other.
async fn die(broker: &TestBroker, queue: &str, messages: Vec<(BasicProperties, Vec<u8>)>) {
    let channel = channel(broker).await;
    for (properties, body) in messages {
        let before = broker.queue_depth(DEAD).await;
        broker.publish_raw("", queue, properties, &body).await;
        let got = eventually(DEADLINE, "the message", async || {
            channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap()
        })
        .await;
        got.delivery.acker.reject(BasicRejectOptions { requeue: false }).await.unwrap();
        settled(DEADLINE, "the dead letter", before + 1, async || broker.queue_depth(DEAD).await).await;
    }
}

async fn stage() -> (TestDatabase, TestBroker) {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    broker.declare_topology().await;
    (database, broker)
}

/// A queue of the test's own whose dead letters go where all do.
async fn declare_another(broker: &TestBroker, queue: &str) {
    let mut arguments = FieldTable::default();
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(DEAD.into()));
    let options = QueueDeclareOptions::durable();
    channel(broker).await.queue_declare(queue.into(), options, arguments).await.unwrap();
}

#[tokio::test]
async fn letters_are_listed_and_shown_and_lie_there_as_before() {
    let (_database, broker) = stage().await;
    let ids = [fresh_id(), fresh_id()];
    let typed = |id: Uuid| {
        let (properties, body) = published(id);
        (properties.with_type("task.created".into()), body)
    };
    let nameless = (BasicProperties::default(), b"\xff\x00".to_vec());
    let sent = vec![typed(ids[0]), nameless, typed(ids[1])];
    let bodies: Vec<Vec<u8>> = sent.iter().map(|(_, body)| body.clone()).collect();
    die(&broker, QUEUE, sent).await;

    let listed = look(&broker, "list").await;
    let lines: Vec<&str> = listed.output.lines().collect();
    assert_eq!((listed.code, lines.len()), (Some(0), 5), "{}{}", listed.output, listed.log);
    assert!(lines[1].starts_with(&ids[0].to_string()), "the oldest is first: {}", listed.output);
    assert_eq!(lines[4], "3 shown, 3 match, 3 in all");
    let json = look(&broker, "list --json --newest --limit 2").await;
    let letters = objects(&json);
    assert_eq!((&letters[0]["id"], letters.len()), (&json!(ids[1]), 2), "the newest is first");
    assert_eq!(letters[0]["reason"], "rejected in audit.events");
    assert_eq!((&letters[0]["queue"], &letters[0]["event_type"]), (&json!(QUEUE), &json!("task.created")));
    assert!(letters[0]["died_at"].is_string(), "{}", letters[0]);
    assert_eq!(json.log, "2 shown, 3 match, 3 in all\n");
    assert_eq!(look(&broker, "list --json --limit 1").await.log, "1 shown, 3 match, 3 in all\n");
    for (filters, found) in [
        ("--type task.*", 2),
        ("--reason-contains audit.events", 3),
        ("--reason-contains delivery_limit", 0),
        ("--older-than 1h", 0),
        ("--newer-than 1h", 3),
    ] {
        let filtered = look(&broker, &format!("list --json {filters}")).await;
        assert_eq!(objects(&filtered).len(), found, "{filters}");
    }

    let shown = look(&broker, &format!("show {} --json", ids[1])).await;
    let letter = &objects(&shown)[0];
    assert_eq!(letter["body"], String::from_utf8(bodies[2].clone()).unwrap().as_str());
    assert_eq!(letter["headers"]["x-first-death-queue"], QUEUE);
    let nameless = letters[1]["id"].as_str().unwrap();
    assert!(nameless.starts_with("sha256:"), "{nameless}");
    let shown = look(&broker, &format!("show {nameless} --json")).await;
    assert_eq!(objects(&shown)[0]["body_base64"], "/wA=");
    let nobody = look(&broker, "show nobody").await;
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.log.contains("no dead letter has the id nobody"), "{}", nobody.log);

    settled(DEADLINE, "all letters to lie there", 3, async || broker.queue_depth(DEAD).await).await;
    let there: Vec<_> = broker.take_all(DEAD).await.into_iter().map(|letter| letter.body).collect();
    assert_eq!(there, bodies, "in the same order");
}

/// Goes red if a letter goes to its exchange, loses a property, or is not acknowledged.
#[tokio::test]
async fn a_replayed_letter_is_in_its_queue_alone_as_it_was_sent_and_a_second_replay_finds_none() {
    let (database, broker) = stage().await;
    let bystander = channel(&broker).await;
    let (options, arguments) = (QueueDeclareOptions::durable(), FieldTable::default());
    bystander.queue_declare("bystander".into(), options, arguments).await.unwrap();
    for exchange in ["task.events", DEAD] {
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        bystander
            .queue_bind("bystander".into(), exchange.into(), "#".into(), options, arguments)
            .await
            .unwrap();
    }
    let mut headers = FieldTable::default();
    headers.insert("traceparent".into(), AMQPValue::LongString("00-1-2-01".into()));
    let id = fresh_id();
    let sent = properties(&id.to_string())
        .with_type("task.created".into())
        .with_content_type("application/cloudevents+json".into())
        .with_app_id("producer-api".into())
        .with_headers(headers.clone());
    let body = published(id).1;
    die(&broker, QUEUE, vec![(sent.clone(), body.clone()), published(fresh_id())]).await;
    assert_eq!(broker.take_all("bystander").await.len(), 2, "it heard of the deaths");

    let replayed = act(&database, &broker, &format!("replay {id} nobody --json --actor ada")).await;
    assert_eq!(replayed.code, Some(1), "one id was nobody's: {}", replayed.log);
    let lines = objects(&replayed);
    assert_eq!((&lines[0]["id"], &lines[0]["outcome"]), (&json!(id), &json!("replayed")));
    assert_eq!((&lines[1]["id"], &lines[1]["outcome"]), (&json!("nobody"), &json!("failed")));
    let mut there = broker.take_all(QUEUE).await;
    assert_eq!(there.len(), 1);
    let taken = there.remove(0);
    // What a quorum queue adds to whatever it delivers.
    headers.insert("x-delivery-count".into(), AMQPValue::LongLongInt(0));
    assert_eq!((taken.properties, taken.body), (sent.with_headers(headers), body));
    assert!(broker.take_all("bystander").await.is_empty(), "no other reader gets it twice");
    settled(DEADLINE, "the other letter", 1, async || broker.queue_depth(DEAD).await).await;
    let events = told(&database, "operator.dead_letter.replayed").await;
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["message_id"], &events[0]["queue"]), (&json!(id), &json!(QUEUE)));
    assert_eq!(
        (&events[0]["event_type"], &events[0]["died_of"]),
        (&json!("task.created"), &json!("rejected"))
    );
    assert_eq!((&events[0]["actor"], &events[0]["reason"]), (&json!("ada"), &json!(WHY)));

    let again = act(&database, &broker, &format!("replay {id}")).await;
    assert_eq!(again.code, Some(1));
    assert!(again.log.contains(&format!("{id}: no dead letter has this id")), "{}", again.log);
    assert_eq!(broker.queue_depth(QUEUE).await, 0);
}

/// Whoever commits to the outbox waits, with everything done that comes before, until the transaction ends.
async fn hold_commits(database: &TestDatabase) -> Transaction<'static, Postgres> {
    let statements = "CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER wait_at_commit AFTER INSERT ON outbox
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_commit()";
    sqlx::raw_sql(statements).execute(database.pool()).await.unwrap();
    let mut holder = database.pool().begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(7)").execute(&mut *holder).await.unwrap();
    holder
}

/// The process of PostgreSQL that [`hold_commits`] holds.
async fn who_waits_at_commit(database: &TestDatabase) -> i32 {
    eventually(DEADLINE, "somebody who commits", async || {
        let query = "SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database
            WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()";
        sqlx::query_scalar(query).fetch_optional(database.pool()).await.unwrap()
    })
    .await
}

/// Goes red if a letter is acknowledged before its event is committed, or before it was confirmed.
#[tokio::test]
async fn a_replay_killed_between_confirm_and_acknowledgement_loses_nothing_and_doubles_no_row() {
    let (database, broker) = stage().await;
    let ids = [fresh_id(), fresh_id(), fresh_id()];
    die(&broker, QUEUE, ids.map(published).into()).await;
    let holder = hold_commits(&database).await;
    let mut command = words(program(&database, &broker), "dead-letters replay --all", Some(WHY)).spawn();
    let server = who_waits_at_commit(&database).await;
    command.kill();
    sqlx::query("SELECT pg_terminate_backend($1)").bind(server).execute(database.pool()).await.unwrap();
    holder.rollback().await.unwrap();
    settled(DEADLINE, "all to be among the dead still", 3, async || broker.queue_depth(DEAD).await).await;
    assert_eq!(broker.queue_depth(QUEUE).await, 3, "and in their queue");
    assert_eq!(told(&database, "operator.dead_letter.replayed").await.len(), 0);

    let again = act(&database, &broker, "replay --all").await;
    assert_eq!(again.code, Some(0), "{}", again.log);
    assert_eq!((broker.queue_depth(DEAD).await, broker.queue_depth(QUEUE).await), (0, 6));
    let _consumer = program(&database, &broker).start().await;
    settled(DEADLINE, "an empty queue", 0, async || broker.queue_depth(QUEUE).await).await;
    settled(DEADLINE, "one row each", sorted(&ids), async || recorded(&database).await).await;
}

fn sorted(ids: &[Uuid]) -> Vec<Uuid> {
    let mut ids = ids.to_vec();
    ids.sort();
    ids
}

async fn recorded(database: &TestDatabase) -> Vec<Uuid> {
    let query = "SELECT event_id FROM audit.events ORDER BY event_id";
    sqlx::query_scalar(query).fetch_all(database.pool()).await.unwrap()
}

/// Goes red if anything is published before the database has taken the event.
#[tokio::test]
async fn a_replay_killed_before_its_events_are_written_has_published_nothing() {
    let (database, broker) = stage().await;
    die(&broker, QUEUE, vec![published(fresh_id())]).await;
    let lock = database.lock_table("outbox").await;
    let mut command = words(program(&database, &broker), "dead-letters replay --all", Some(WHY)).spawn();
    database.wait_for_a_blocked_writer("outbox").await;
    command.kill();
    lock.rollback().await.unwrap();
    settled(DEADLINE, "it to be among the dead still", 1, async || broker.queue_depth(DEAD).await).await;
    assert_eq!(broker.queue_depth(QUEUE).await, 0);
}

/// Operators who read have a login for the database, too. Goes red if with it anything is done that nobody hears of.
#[tokio::test]
async fn who_may_not_tell_the_trail_replays_and_discards_nothing() {
    let (database, broker) = stage().await;
    die(&broker, QUEUE, vec![published(fresh_id()), published(fresh_id())]).await;
    for verb in ["replay", "discard"] {
        let program = program(&database, &broker).env("DATABASE_URL", &database.url_as(Role::Operator));
        let refused = run(program, &format!("dead-letters {verb} --all"), Some(WHY)).await;
        assert_eq!(refused.code, Some(1), "{}", refused.output);
        assert!(refused.log.contains("permission denied for table outbox"), "{}", refused.log);
        assert!(refused.log.contains("warren_audit_consumer"), "{}", refused.log);
        settled(DEADLINE, "both to lie there", 2, async || broker.queue_depth(DEAD).await).await;
        assert_eq!(broker.queue_depth(QUEUE).await, 0, "{verb}");
    }
}

/// Goes red if a deed that was told but maybe not acknowledged passes for done, or is not told of at all.
#[tokio::test]
async fn a_command_whose_acknowledgements_are_lost_says_what_it_did_and_that_the_letters_may_be_there() {
    let (database, broker) = stage().await;
    let id = fresh_id();
    die(&broker, QUEUE, vec![published(id)]).await;
    let holder = hold_commits(&database).await;
    let proxy = Proxy::before(broker.amqp_url()).await;
    let url = format!("{}?connection_timeout=2000", proxy.instead_of(broker.amqp_url()));
    let program = program(&database, &broker).env("AMQP_URL", &url);
    let command = words(program, "dead-letters replay --all --json", Some(WHY));
    let cut = async {
        who_waits_at_commit(&database).await;
        // The acknowledgement is written, and arrives nowhere.
        proxy.cut();
        holder.rollback().await.unwrap();
    };
    let (ended, ()) = tokio::join!(command.run(), cut);
    proxy.reset_connections();
    settled(DEADLINE, "the letter to be given back", 1, async || broker.queue_depth(DEAD).await).await;
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    let lines = objects(&ended);
    assert_eq!((&lines[0]["id"], &lines[0]["outcome"]), (&json!(id), &json!("failed")), "{}", ended.output);
    let note = lines[0]["note"].as_str().unwrap();
    assert!(note.contains("it is in audit.events") && note.contains("may be among the dead"), "{note}");
    assert_eq!(told(&database, "operator.dead_letter.replayed").await.len(), 1);
    assert_eq!((broker.queue_depth(QUEUE).await, broker.queue_depth(DEAD).await), (1, 1));
}

#[tokio::test]
async fn two_operators_at_once_replay_each_letter_once() {
    let (database, broker) = stage().await;
    let ids: Vec<Uuid> = (0..20).map(|_| fresh_id()).collect();
    die(&broker, QUEUE, ids.iter().map(|id| published(*id)).collect()).await;
    let both =
        [act(&database, &broker, "replay --all --json"), act(&database, &broker, "replay --all --json")];
    let mut replayed = 0;
    for ended in futures_util::future::join_all(both).await {
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        replayed += objects(&ended).len();
    }
    assert_eq!(replayed, 20);
    assert_eq!((broker.queue_depth(DEAD).await, broker.queue_depth(QUEUE).await), (0, 20));
    assert_eq!(told(&database, "operator.dead_letter.replayed").await.len(), 20);
}

#[tokio::test]
async fn who_finds_nothing_hears_that_another_command_may_have_some_in_hand() {
    let (database, broker) = stage().await;
    die(&broker, QUEUE, vec![published(fresh_id())]).await;
    let other = channel(&broker).await;
    let held = other.basic_get(DEAD.into(), BasicGetOptions::default()).await.unwrap();
    assert!(held.is_some());
    let words = "those that another command has in hand are not seen";
    let people = act(&database, &broker, "replay --all").await;
    assert_eq!(people.code, Some(0), "{}", people.log);
    assert!(
        people.output.starts_with("replayed 0 in all") && people.output.contains(words),
        "{}",
        people.output
    );
    let programs = act(&database, &broker, "discard --all --json").await;
    assert_eq!((programs.code, programs.output.as_str()), (Some(0), ""));
    assert!(programs.log.contains(words), "{}", programs.log);
}

#[tokio::test]
async fn letters_are_replayed_to_a_consumer_that_works_meanwhile() {
    let (database, broker) = stage().await;
    let ids: Vec<Uuid> = (0..60).map(|_| fresh_id()).collect();
    die(&broker, QUEUE, ids.iter().map(|id| published(*id)).collect()).await;
    let _consumer = program(&database, &broker).start().await;
    let replayed = act(&database, &broker, "replay --all").await;
    assert_eq!(replayed.code, Some(0), "{}", replayed.log);
    settled(DEADLINE, "one row each", sorted(&ids), async || recorded(&database).await).await;
    assert_eq!((broker.queue_depth(DEAD).await, broker.queue_depth(QUEUE).await), (0, 0));
}

/// The relay keeps what it sent until the trail has it.
#[tokio::test]
async fn who_discards_an_event_hears_that_it_may_come_again_and_what_ends_that() {
    let (database, broker) = stage().await;
    let id = fresh_id();
    die(&broker, QUEUE, vec![published(id)]).await;
    let discarded = act(&database, &broker, &format!("discard {id}")).await;
    assert_eq!(discarded.code, Some(0), "{}", discarded.log);
    assert!(discarded.output.contains(&format!("producer-api parked discard {id}")), "{}", discarded.output);
}

/// Goes red if publishing is not mandatory.
#[tokio::test]
async fn a_letter_whose_queue_is_gone_stays_and_is_named_while_the_others_go() {
    let (database, broker) = stage().await;
    declare_another(&broker, "gone").await;
    let (homeless, fine) = (fresh_id(), fresh_id());
    die(&broker, "gone", vec![published(homeless)]).await;
    die(&broker, QUEUE, vec![published(fine)]).await;
    broker.publish_raw("", DEAD, properties("no story"), b"published to the dead letters").await;
    channel(&broker).await.queue_delete("gone".into(), QueueDeleteOptions::default()).await.unwrap();

    let replayed = act(&database, &broker, "replay --all").await;
    assert_eq!(replayed.code, Some(1));
    let failed: Vec<&str> = replayed.output.lines().filter(|line| line.starts_with("failed")).collect();
    assert!(failed[0].starts_with(&format!("failed {homeless}: there is no queue gone")), "{failed:?}");
    assert!(failed[1].starts_with("failed no story: it does not say in which queue it died"), "{failed:?}");
    assert!(replayed.log.contains("2 of 3 could not be replayed"), "{}", replayed.log);
    assert_eq!(broker.queue_depth(QUEUE).await, 1);
    settled(DEADLINE, "both to stay", 2, async || broker.queue_depth(DEAD).await).await;
    assert_eq!(told(&database, "operator.dead_letter.replayed").await.len(), 1);
}

/// More than one batch of them. Goes red, by never ending, if a command goes on as long as there are letters.
#[tokio::test]
async fn a_letter_that_dies_again_at_once_is_for_the_next_time() {
    let (database, broker) = stage().await;
    declare_another(&broker, "deadly").await;
    die(&broker, "deadly", (0..120).map(|_| published(fresh_id())).collect()).await;
    let deadly = channel(&broker).await;
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = deadly.basic_consume("deadly".into(), "".into(), options, arguments).await.unwrap();
    let rejecting = tokio::spawn(async move {
        while let Some(Ok(delivery)) = consumer.next().await {
            delivery.acker.reject(BasicRejectOptions { requeue: false }).await.unwrap();
        }
    });
    let replayed = act(&database, &broker, "replay --all").await;
    assert_eq!(replayed.code, Some(0), "{}", replayed.log);
    assert!(replayed.output.ends_with("replayed 120 in all\n"), "{}", replayed.output);
    settled(DEADLINE, "all to be dead again", 120, async || broker.queue_depth(DEAD).await).await;
    rejecting.abort();
}

#[tokio::test]
async fn a_discarded_letter_is_gone_and_the_trail_knows_which_it_was() {
    let (database, broker) = stage().await;
    let kept = fresh_id();
    die(&broker, QUEUE, vec![(properties("m-1").with_type("x.y".into()), b"abc".to_vec()), published(kept)])
        .await;
    let discarded = act(&database, &broker, "discard --all --type x.*").await;
    assert_eq!(discarded.code, Some(0), "{}", discarded.log);
    assert_eq!(discarded.output, "discarded m-1\ndiscarded 1 in all\n");
    settled(DEADLINE, "the other one", 1, async || broker.queue_depth(DEAD).await).await;
    assert_eq!(broker.take(DEAD).await.unwrap().message_id(), kept);
    assert_eq!(broker.queue_depth(QUEUE).await, 0);
    let told = told(&database, "operator.dead_letter.discarded").await;
    assert_eq!(told.len(), 1);
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((&told[0]["body_sha256"], &told[0]["body_bytes"]), (&json!(sha256), &json!(3)));
    assert_eq!((&told[0]["message_id"], &told[0]["event_type"]), (&json!("m-1"), &json!("x.y")));
    assert!(told[0]["actor"].as_str().unwrap().contains('@'), "the system's user: {}", told[0]);
    assert!(!told[0].to_string().contains("abc\""), "never what was in it");
}

/// Red if commands wait in vain for a letter that breaks their connection, or act on some before they say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_cannot_be_decoded_is_told_and_taken_off_by_the_broker_s_own_tools() {
    let (database, broker) = stage().await;
    let (front, behind) = (fresh_id(), fresh_id());
    die(&broker, QUEUE, vec![published(front)]).await;
    publish_undecodable(&broker, "", DEAD);
    die(&broker, QUEUE, vec![published(behind)]).await;
    let told = [look(&broker, "list").await, act(&database, &broker, "replay --all").await];
    for ended in told {
        assert_eq!(ended.code, Some(1), "{}", ended.log);
        assert!(
            ended.log.contains("can't be decoded") && ended.log.contains("OPERATIONS.md"),
            "{}",
            ended.log
        );
    }
    assert_eq!(broker.queue_depth(QUEUE).await, 0);
    // As the management UI does, until the commands work again.
    let path = format!("api/queues/{}/{DEAD}/get", broker.virtual_host());
    let first = json!({ "count": 1, "ackmode": "ack_requeue_false", "encoding": "auto" });
    eventually(DEADLINE, "a list of letters", async || {
        settled(DEADLINE, "those in hand to be back", true, async || broker.queue_depth(DEAD).await > 0)
            .await;
        assert_eq!(broker.manage(Method::POST, &path, &first).await, 200);
        (look(&broker, "list").await.code == Some(0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_a_queue_of_dead_letters_the_broker_s_words_are_told() {
    let broker = TestBroker::create().await;
    let listed = look(&broker, "list").await;
    assert_eq!(listed.code, Some(1));
    assert!(
        listed.log.contains("the queue dead.letters can't be read") && listed.log.contains("NOT_FOUND"),
        "{}",
        listed.log
    );
}
