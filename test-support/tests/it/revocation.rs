//! A token is dead when its session is, on every replica: two APIs over one database and one virtual host.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use shared::role::Role;
use test_support::api::{Answer, Client, Login, send};
use test_support::faults::{Alarm, PrivateRabbitmq, Proxy};
use test_support::programs::{Program, RunningProgram};
use test_support::{TestBroker, TestDatabase, eventually, settled};
use tokio::time::Instant;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_mins(3);
/// What the README promises: no check that begins later than this after the end is accepted, by any replica.
const BOUND: Duration = Duration::from_secs(2);
/// How much later than the bound the first refusal may arrive on a busy machine: it is an answer, and answers take time.
const MARGIN: Duration = Duration::from_secs(3);

/// Two replicas of the API.
struct Replicas {
    a: RunningProgram,
    b: RunningProgram,
}

impl Replicas {
    /// Both over the same servers.
    async fn start(database: &TestDatabase, broker: &TestBroker) -> Self {
        Self::start_with(database, broker, replica(database, broker, "b")).await
    }

    /// The second as it is given.
    async fn start_with(database: &TestDatabase, broker: &TestBroker, b: Program) -> Self {
        let replicas = Self { a: replica(database, broker, "a").start().await, b: b.start().await };
        for program in [&replicas.a, &replicas.b] {
            for part in ["revocations", "revocation notices", "relay"] {
                check(program, part, "up").await;
            }
        }
        replicas
    }

    fn clients(&self) -> (Client, Client) {
        (self.a.client(), self.b.client())
    }
}

fn replica(database: &TestDatabase, broker: &TestBroker, name: &str) -> Program {
    Program::producer_api(database, broker).env("INSTANCE_NAME", name)
}

/// Waits until a part of a program says `words`, perhaps with others.
async fn check(program: &RunningProgram, part: &str, words: &str) {
    let client = program.client();
    eventually(DEADLINE, format!("the part {part:?} to be {words:?}"), async || {
        let answer = client.readyz().await;
        answer.body["checks"][part].as_str().is_some_and(|said| said.contains(words)).then_some(())
    })
    .await;
}

/// SimpleJWT's answer to an access token whose session is over.
#[track_caller]
fn assert_blacklisted(answer: Answer) {
    let answer = answer.expect(401);
    let message =
        json!({ "token_class": "AccessToken", "token_type": "access", "message": "Token is blacklisted" });
    let expected = json!({
        "detail": "Given token not valid for any token type", "code": "token_not_valid", "messages": [message],
    });
    assert_eq!(answer.body, expected);
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"api\"");
}

/// Waits until a replica refuses the login's access token; gives its answer.
async fn refused(client: &Client, login: &Login) -> Answer {
    eventually(DEADLINE, "a refusal", async || {
        let answer = client.tasks(login).await;
        (answer.status != 200).then_some(answer)
    })
    .await
}

/// A user who is logged in, and known as such to both replicas.
async fn join(a: &Client, b: &Client, username: &str) -> Login {
    let login = a.join(username).await;
    for client in [a, b, a, b] {
        client.tasks(&login).await.expect(200);
    }
    login
}

async fn make_staff(database: &TestDatabase, username: &str) {
    sqlx::query("UPDATE users SET is_staff = true WHERE username = $1")
        .bind(username)
        .execute(database.pool())
        .await
        .unwrap();
}

async fn session_of(database: &TestDatabase, login: &Login) -> Uuid {
    sqlx::query_scalar("SELECT id FROM user_sessions WHERE user_id = $1 AND is_active")
        .bind(login.user_id)
        .fetch_one(database.pool())
        .await
        .unwrap()
}

/// Goes red when a use case answers before its replica knows, and when nobody tells the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_is_refused_at_once_where_it_ended_and_soon_elsewhere() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let replicas = Replicas::start(&database, &broker).await;
    let (a, b) = replicas.clients();

    let login = join(&a, &b, "logs_out").await;
    a.log_out(&login).await.expect(200);
    assert_blacklisted(a.tasks(&login).await);
    assert_blacklisted(refused(&b, &login).await);
    a.refresh(&login.refresh).await.expect(401);
    b.refresh(&login.refresh).await.expect(401);

    let older = join(&a, &b, "logs_in_again").await;
    let newer = a.log_in("logs_in_again").await;
    assert_blacklisted(a.tasks(&older).await);
    assert_blacklisted(refused(&b, &older).await);
    for client in [&a, &b] {
        client.tasks(&newer).await.expect(200);
    }

    let login = join(&a, &b, "is_shown_the_door").await;
    a.register("staff").await.expect(201);
    make_staff(&database, "staff").await;
    let staff = a.log_in("staff").await;
    let path = format!("/api/sessions/{}/", session_of(&database, &login).await);
    send(a.request(Method::DELETE, &path).bearer_auth(&staff.access)).await.expect(204);
    assert_blacklisted(a.tasks(&login).await);
    assert_blacklisted(refused(&b, &login).await);
    b.tasks(&staff).await.expect(200);
}

/// Goes red when a command leaves no event and no change, and when a trigger is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_does_by_command_or_sql_is_soon_in_force_on_every_replica() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let replicas = Replicas::start(&database, &broker).await;
    let (a, b) = replicas.clients();
    let users = |verb: &str, username: &str| {
        let command = Program::producer_api(&database, &broker).arg("users").arg(verb);
        command.arg("--username").arg(username)
    };

    let login = join(&a, &b, "disabled").await;
    let ended = users("disable", "disabled").run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_blacklisted(refused(&a, &login).await);
    assert_blacklisted(refused(&b, &login).await);

    let login = join(&a, &b, "given_a_password").await;
    let password = "another horse, another battery";
    let ended = users("set-password", "given_a_password").env("NEW_PASSWORD", password).run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_blacklisted(refused(&a, &login).await);
    assert_blacklisted(refused(&b, &login).await);
    a.try_log_in("given_a_password", password).await.expect(200);

    let login = join(&a, &b, "deleted").await;
    sqlx::query("DELETE FROM users WHERE username = 'deleted'").execute(database.pool()).await.unwrap();
    for client in [&a, &b] {
        let answer = refused(client, &login).await.expect(401);
        assert_eq!(answer.body, json!({ "detail": "User not found", "code": "user_not_found" }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_started_again_refuses_what_had_ended_and_serves_what_goes_on() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let mut replicas = Replicas::start(&database, &broker).await;
    let (a, b) = replicas.clients();
    let (ended, living) = (join(&a, &b, "ada").await, join(&a, &b, "grace").await);
    replicas.b.kill();
    a.log_out(&ended).await.expect(200);
    // Whatever was told, this replica did not hear it.
    settled(DEADLINE, "an empty outbox", 0_i64, async || {
        sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(database.pool()).await.unwrap()
    })
    .await;
    replicas.b.restart().await;
    assert_blacklisted(b.tasks(&ended).await);
    b.tasks(&living).await.expect(200);
    replicas.a.restart().await;
    assert_blacklisted(a.tasks(&ended).await);
    a.tasks(&living).await.expect(200);
}

/// Logs out on one replica and asks the other without a pause until it refuses.
async fn assert_cut_off_in_time(a: &Client, b: &Client, login: &Login) {
    b.tasks(login).await.expect(200);
    a.log_out(login).await.expect(200);
    let ended = Instant::now();
    loop {
        let began = ended.elapsed();
        let answer = b.tasks(login).await;
        if answer.status != 200 {
            assert_blacklisted(answer);
            break;
        }
        assert!(began <= BOUND, "accepted {began:?} after the logout had answered");
    }
    let took = ended.elapsed();
    assert!(took <= BOUND + MARGIN, "refused only {took:?} after the logout had answered");
}

/// As many tries as make it unlikely that each of them met the follower's read by luck.
async fn assert_cut_off_in_time_thrice(a: &Client, b: &Client) {
    for username in ["first", "second", "third"] {
        let login = join(a, b, username).await;
        assert_cut_off_in_time(a, b, &login).await;
    }
}

/// Goes red when the follower does not apply what it reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_holds_with_publishers_blocked_by_an_alarm_and_with_the_broker_dead() {
    let mut rabbitmq = PrivateRabbitmq::start().await;
    let (database, broker) = (TestDatabase::create().await, rabbitmq.broker().await);
    let replicas = Replicas::start(&database, &broker).await;
    let (a, b) = replicas.clients();

    rabbitmq.block_publishers(Alarm::Memory).await;
    // It is told of the alarm when it publishes.
    a.register("somebody").await.expect(201);
    check(&replicas.a, "relay", "blocks publishing").await;
    assert_cut_off_in_time_thrice(&a, &b).await;
    check(&replicas.b, "revocation notices", "up").await;

    rabbitmq.kill().await;
    for username in ["fourth", "fifth", "sixth"] {
        let login = join(&a, &b, username).await;
        assert_cut_off_in_time(&a, &b, &login).await;
    }
}

/// Goes red when the follower does not apply what it reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_holds_behind_a_backlog_of_a_hundred_thousand_events() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let replicas = Replicas::start(&database, &broker).await;
    let (a, b) = replicas.clients();
    let login = join(&a, &b, "ada").await;
    sqlx::query(
        "INSERT INTO outbox (event_id, exchange, routing_key, headers, body) \
         SELECT gen_random_uuid(), 'auth.events', 'auth.token.refreshed', \
         '{\"type\": \"auth.token.refreshed\"}', repeat('x', 600) FROM generate_series(1, 100000)",
    )
    .execute(database.pool())
    .await
    .unwrap();
    assert_cut_off_in_time(&a, &b, &login).await;
    let before_it: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM outbox WHERE routing_key = 'auth.token.refreshed' \
         AND seq < (SELECT seq FROM outbox WHERE routing_key = 'auth.session.ended')",
    )
    .fetch_one(database.pool())
    .await
    .unwrap();
    assert!(before_it > 0, "the notice had its turn: this test showed nothing");
}

/// Goes red when the follower does not apply what it reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_holds_over_a_subscription_that_is_only_half_open() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let network = Proxy::before(broker.amqp_url()).await;
    let b = replica(&database, &broker, "b").env("AMQP_URL", &network.instead_of(broker.amqp_url()));
    let replicas = Replicas::start_with(&database, &broker, b).await;
    let (a, b) = replicas.clients();
    let login = join(&a, &b, "ada").await;
    network.cut();
    assert_cut_off_in_time(&a, &b, &login).await;
    // Only the heartbeat tells it, and that takes longer.
    assert_eq!(b.readyz().await.body["checks"]["revocation notices"], "up");
}

/// Goes red when what a replica remembers is believed for ever: it hears nothing and reads nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_holds_while_neither_notices_nor_reads_of_changes_come_through() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let notices = Proxy::before(broker.amqp_url()).await;
    // The connection that reads what changed differs from all others by this option.
    let changes = Proxy::cutting(&database.url_as(Role::ProducerApi), "statement_timeout=1000ms").await;
    let b = replica(&database, &broker, "b")
        .env("AMQP_URL", &notices.instead_of(broker.amqp_url()))
        .env("DATABASE_URL", &changes.instead_of(&database.url_as(Role::ProducerApi)));
    let replicas = Replicas::start_with(&database, &broker, b).await;
    let (a, b) = replicas.clients();
    let (first, second) = (join(&a, &b, "ada").await, join(&a, &b, "grace").await);
    notices.cut();
    changes.cut();
    assert_cut_off_in_time(&a, &b, &first).await;
    check(&replicas.b, "revocations", "every request asks the database").await;
    b.tasks(&second).await.expect(200);
    a.log_out(&second).await.expect(200);
    assert_blacklisted(b.tasks(&second).await);
}

/// When a check began, and whether it was accepted.
type Check = (Instant, bool);

async fn check_often(
    client: Client,
    login: Login,
    count: usize,
    done: std::sync::Arc<tokio::sync::Semaphore>,
) -> Vec<Check> {
    let mut checks = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        let answer = client.tasks(&login).await;
        assert!([200, 401].contains(&answer.status), "{}", answer.body);
        checks.push((began, answer.status == 200));
        done.add_permits(1);
    }
    checks
}

/// Goes red when a logout answers before its replica knows, and when a late look at the database is remembered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_thousand_checks_during_a_logout_none_that_began_after_its_answer_is_accepted() {
    const TASKS: usize = 8;
    const CHECKS: usize = 10_000;
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    // Without a broker nobody but the logout itself tells this replica in time.
    let replica =
        replica(&database, &broker, "a").env("AMQP_URL", "amqp://127.0.0.1:1/nowhere").start().await;
    check(&replica, "revocations", "up").await;
    let a = replica.client();
    let login = a.join("ada").await;
    let done = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let checking: Vec<_> = (0..TASKS)
        .map(|_| tokio::spawn(check_often(a.clone(), login.clone(), CHECKS / TASKS, done.clone())))
        .collect();
    let half = u32::try_from(CHECKS / 2).unwrap();
    done.acquire_many(half).await.unwrap().forget();
    a.log_out(&login).await.expect(200);
    let ended = Instant::now();
    let mut checks = Vec::new();
    for task in checking {
        checks.extend(task.await.unwrap());
    }
    assert_eq!(checks.len(), CHECKS);
    let late = checks.iter().filter(|(began, accepted)| *accepted && *began > ended).count();
    assert_eq!(late, 0, "{late} checks were accepted that began after the logout had answered");
    let accepted = checks.iter().filter(|(_, accepted)| *accepted).count();
    assert!(
        (CHECKS / 2..CHECKS * 9 / 10).contains(&accepted),
        "{accepted} accepted: the logout was not amid them"
    );
}

/// How often each table was read, as PostgreSQL counts it.
#[derive(Debug, PartialEq)]
struct Reads {
    for_authentication: i64,
    tasks: i64,
}

/// Asks over a connection of its own once every other one has gone: what a connection did is surely counted when it ends.
async fn reads(database: &TestDatabase) -> Reads {
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(database.url()).await.unwrap();
    settled(DEADLINE, "all other connections to be gone", 0_i64, async || {
        let others = "SELECT count(*) FROM pg_stat_activity \
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sqlx::query_scalar(others).fetch_one(&mut connection).await.unwrap()
    })
    .await;
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT relname::text, seq_scan + COALESCE(idx_scan, 0) FROM pg_stat_user_tables WHERE schemaname = 'public'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let of = |names: &[&str]| {
        rows.iter().filter(|(name, _)| names.contains(&name.as_str())).map(|(_, count)| count).sum()
    };
    let asked = ["users", "user_sessions", "outstanding_tokens", "blacklisted_tokens"];
    Reads { for_authentication: of(&asked), tasks: of(&["tasks"]) }
}

/// Starts the replica again, asks it `count` times, ends it; says how often the database was read for it.
async fn reads_by(
    replica: &mut RunningProgram,
    database: &TestDatabase,
    login: &Login,
    count: usize,
) -> Reads {
    let before = reads(database).await;
    replica.restart().await;
    check(replica, "revocations", "up").await;
    let client = replica.client();
    for _ in 0..count {
        client.tasks(login).await.expect(200);
    }
    assert!(replica.terminate().await.success());
    let after = reads(database).await;
    Reads {
        for_authentication: after.for_authentication - before.for_authentication,
        tasks: after.tasks - before.tasks,
    }
}

/// Goes red when a request looks at users, sessions or tokens though they are known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_to_a_warm_replica_read_nothing_for_authentication() {
    const REQUESTS: i64 = 1_000;
    // How often it is tried: on a busy machine a replica may read changes too late, and then it must ask.
    const TRIES: usize = 5;
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let mut replica = replica(&database, &broker, "a").start().await;
    let login = replica.client().join("ada").await;
    assert!(replica.terminate().await.success());
    database.pool().close().await;

    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let one = reads_by(&mut replica, &database, &login, 1).await;
        let many = reads_by(&mut replica, &database, &login, usize::try_from(REQUESTS).unwrap() + 1).await;
        assert!(
            one.for_authentication > 0 && many.tasks >= REQUESTS,
            "nothing is counted: {one:?}, {many:?}"
        );
        if one.for_authentication == many.for_authentication {
            return;
        }
        seen.push((one, many));
    }
    panic!("a replica that knew the session asked for it: {seen:?}");
}
