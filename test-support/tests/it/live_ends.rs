//! How soon a stream ends. On a machine that does other things, too, a single end may come late for reasons of its own: of
//! several tries the median must keep what is promised of an idle one, and each the bound that holds under any fault.

use std::time::Duration;

use shared::clock::Clock;
use shared::role::Role;
use test_support::api::{Client, Login};
use test_support::faults::{PrivateRabbitmq, Proxy};
use test_support::live::Stream;
use test_support::programs::RunningProgram;
use test_support::{TestBroker, TestDatabase};
use tokio::time::Instant;

use super::live::{Replicas, check, replica};

const TRIES: usize = 5;
/// What is promised of a session that ended on any replica.
const PROMISED: Duration = Duration::from_secs(1);
/// A replica reads once a second what ended, and a stream looks four times a second.
const BY_DATABASE: Duration = Duration::from_millis(1_500);
/// The bound under any fault: two seconds, a look, and what a busy machine may take.
const BOUND: Duration = Duration::from_millis(2_250 + 3_000);

/// How long after `end` a stream of a new login on `there` was closed, in several tries.
async fn ends(here: &Client, there: &RunningProgram, name: &str, end: impl AsyncFn(&Login)) -> Vec<Duration> {
    let mut took = Vec::new();
    for nth in 0..TRIES {
        let login = here.join(&format!("{name}{nth}")).await;
        let mut stream = Stream::of(there, &login).await;
        end(&login).await;
        let ended = Instant::now();
        assert_eq!(stream.closed().await.code, Some(4403), "{name}");
        took.push(ended.elapsed());
    }
    took
}

/// The usual one keeps the promise: a busy machine may hold up some of them.
fn assert_within(took: &[Duration], promised: Duration, what: &str) {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    assert!(sorted[sorted.len() / 2] < promised, "{what}: the median of {took:?}");
    assert!(sorted[sorted.len() - 1] < BOUND, "{what}: the worst of {took:?}");
}

/// Goes red when the word of an end takes as long as it may take in an outage, or a stream looks too seldom.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_on_another_replica_ends_a_stream_within_a_second_and_sql_not_much_later() {
    let replicas = Replicas::start().await;
    let (a, _) = replicas.clients();
    let by_logout = ends(&a, &replicas.b, "logs_out", async |login| {
        a.log_out(login).await.expect(200);
    });
    assert_within(&by_logout.await, PROMISED, "a logout elsewhere");
    let by_sql = ends(&a, &replicas.b, "by_sql", async |login| {
        let sql = "UPDATE user_sessions SET is_active = false, logout_time = now(), end_reason = 'staff_revoked' \
                   WHERE user_id = $1";
        sqlx::query(sql).bind(login.user_id).execute(replicas.database.pool()).await.unwrap();
    });
    assert_within(&by_sql.await, BY_DATABASE, "an UPDATE");
}

/// Goes red when a stream ends before its token, or looks at the clock too seldom.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_within_a_second_of_its_tokens_expiry_and_not_before() {
    let replicas = Replicas::start_with(&[("ACCESS_TOKEN_LIFETIME", "5s")]).await;
    let (a, _) = replicas.clients();
    let mut took = Vec::new();
    for nth in 0..3 {
        let login = a.join(&format!("lapses{nth}")).await;
        let mut stream = Stream::of(&replicas.b, &login).await;
        stream.authenticate(&login.access).await;
        let expires_at = stream.message().await["expires_at"].as_str().unwrap().to_owned();
        let expires_at = chrono::DateTime::parse_from_rfc3339(&expires_at).unwrap();
        assert_eq!(stream.closed().await.code, Some(4401));
        let late = Clock::system().now().signed_duration_since(expires_at);
        took.push(late.to_std().expect("it ends after its token"));
    }
    assert_within(&took, PROMISED, "a token that ran out");
}

/// Goes red when a stream needs the broker to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_broker_a_stream_ends_by_what_the_database_says() {
    let mut rabbitmq = PrivateRabbitmq::start().await;
    let (database, broker) = (TestDatabase::create().await, rabbitmq.broker().await);
    let a = replica(&database, &broker, "a").start().await;
    let b = replica(&database, &broker, "b").start().await;
    for program in [&a, &b] {
        check(program, "live changes", "up").await;
        check(program, "revocations", "up").await;
    }
    rabbitmq.kill().await;
    let client = a.client();
    let by_logout = ends(&client, &b, "logs_out", async |login| {
        client.log_out(login).await.expect(200);
    });
    assert_within(&by_logout.await, BY_DATABASE, "a logout without a broker");
}

/// Goes red when a stream goes on though the database does not answer whether it may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_says_nothing_ends_a_stream() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let network = Proxy::before(&database.url_as(Role::ProducerApi)).await;
    let through = network.instead_of(&database.url_as(Role::ProducerApi));
    let a = replica(&database, &broker, "a").env("DATABASE_URL", &through).start().await;
    check(&a, "revocations", "up").await;
    let login = a.client().join("ada").await;
    let mut stream = Stream::of(&a, &login).await;
    network.cut();
    let cut = Instant::now();
    assert_eq!(stream.closed().await.code, Some(1013));
    println!("a stream ended {:?} after its database", cut.elapsed());
    assert!(cut.elapsed() < BOUND + PROMISED * 3, "closed only after {:?}", cut.elapsed());
}

/// Goes red when a subscription through which nothing comes is believed in for longer than its heartbeat says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_is_only_half_open_is_noticed_by_its_heartbeat_and_ends_are_not_held_up() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let network = Proxy::before(broker.amqp_url()).await;
    let a = replica(&database, &broker, "a").start().await;
    let through = network.instead_of(broker.amqp_url());
    let b = replica(&database, &broker, "b").env("AMQP_URL", &through).start().await;
    for program in [&a, &b] {
        for part in ["live changes", "revocation notices", "revocations"] {
            check(program, part, "up").await;
        }
    }
    let (ada, grace) = (a.client().join("ada").await, a.client().join("grace").await);
    let (mut stream, mut ending) = (Stream::of(&b, &ada).await, Stream::of(&b, &grace).await);
    network.cut();
    let cut = Instant::now();
    a.client().log_out(&grace).await.expect(200);
    let ended = Instant::now();
    assert_eq!(ending.closed().await.code, Some(4403));
    assert!(ended.elapsed() < BOUND, "the stream ended only after {:?}", ended.elapsed());
    a.client().create_task(&ada, "made meanwhile").await.expect(201);
    stream.shows("that it is stale", |screen| screen.is_stale).await;
    println!("a half-open subscription was noticed after {:?}", cut.elapsed());
    assert!(cut.elapsed() < Duration::from_secs(40), "stale only after {:?}", cut.elapsed());
}

/// Goes red when what was missed by a replica that stood still is missed for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stood_still_begins_anew_and_tells_nothing_of_sessions_that_ended_meanwhile() {
    let replicas = Replicas::start().await;
    let (a, _) = replicas.clients();
    let (ada, grace) = (a.join("ada").await, a.join("grace").await);
    let (mut stream, mut ending) =
        (Stream::of(&replicas.b, &ada).await, Stream::of(&replicas.b, &grace).await);
    let lists = stream.screen.lists;
    replicas.b.stand_still();
    let still_since = Instant::now();
    a.log_out(&grace).await.expect(200);
    for login in [&ada, &grace] {
        sqlx::query(
            "INSERT INTO tasks (user_id, title, duration, created_at, updated_at) \
             VALUES ($1, 'nobody was told', interval '1 minute', now(), now())",
        )
        .bind(login.user_id)
        .execute(replicas.database.pool())
        .await
        .unwrap();
    }
    let told = a.create_task(&ada, "told").await.expect(201).body["id"].as_i64().unwrap();
    test_support::eventually(Duration::from_mins(1), "six seconds of standing still", async || {
        (still_since.elapsed() > Duration::from_secs(6)).then_some(())
    })
    .await;
    replicas.b.go_on();
    stream.shows("the list", |screen| screen.lists > lists).await;
    assert!(stream.screen.tasks.contains_key(&told));
    assert_eq!(stream.screen.tasks.len(), 2, "the list has what no message told");
    assert_eq!(ending.closed().await.code, Some(4403));
    assert!(ending.screen.tasks.is_empty(), "something was told after the end of the session");
}
