//! The stream of tasks over real programs: two replicas over one database and one virtual host.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use test_support::api::{Client, Login, PASSWORD, send};
use test_support::live::{Opening, Stream};
use test_support::programs::{Program, RunningProgram};
use test_support::{TestBroker, TestDatabase, eventually};
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_mins(3);
/// A stream ends within a second of its session, and the word of it takes its time on a busy machine.
const END: Duration = Duration::from_secs(4);

pub(super) struct Replicas {
    pub(super) database: TestDatabase,
    pub(super) a: RunningProgram,
    pub(super) b: RunningProgram,
    _broker: TestBroker,
}

pub(super) fn replica(database: &TestDatabase, broker: &TestBroker, name: &str) -> Program {
    Program::producer_api(database, broker).env("INSTANCE_NAME", name)
}

/// Waits until a part of a program says `words`, perhaps with others.
pub(super) async fn check(program: &RunningProgram, part: &str, words: &str) {
    let client = program.client();
    eventually(DEADLINE, format!("the part {part:?} to be {words:?}"), async || {
        let answer = client.readyz().await;
        answer.body["checks"][part].as_str().is_some_and(|said| said.contains(words)).then_some(())
    })
    .await;
}

impl Replicas {
    pub(super) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(super) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let start = async |name| {
            let program = replica(&database, &broker, name);
            settings.iter().fold(program, |program, (name, value)| program.env(name, value)).start().await
        };
        let (a, b) = (start("a").await, start("b").await);
        for program in [&a, &b] {
            for part in ["revocations", "revocation notices", "relay", "live changes"] {
                check(program, part, "up").await;
            }
        }
        Self { database, a, b, _broker: broker }
    }

    pub(super) fn clients(&self) -> (Client, Client) {
        (self.a.client(), self.b.client())
    }
}

async fn rename(client: &Client, login: &Login, task: i64, title: &str) {
    let path = format!("/api/tasks/{task}/");
    let request = client.request(Method::PATCH, &path).bearer_auth(&login.access);
    send(request.json(&json!({ "title": title }))).await.expect(200);
}

async fn delete(client: &Client, login: &Login, task: i64) {
    let path = format!("/api/tasks/{task}/");
    send(client.request(Method::DELETE, &path).bearer_auth(&login.access)).await.expect(204);
}

async fn create(client: &Client, login: &Login, title: &str) -> i64 {
    client.create_task(login, title).await.expect(201).body["id"].as_i64().unwrap()
}

/// Goes red when a replica hears only of its own changes, or only of others'.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_comes_first_and_then_every_change_whichever_replica_made_it() {
    let replicas = Replicas::start().await;
    let (a, b) = replicas.clients();
    let (ada, grace) = (a.join("ada").await, a.join("grace").await);
    let first = create(&a, &ada, "first").await;
    let mut streams = [Stream::of(&replicas.a, &ada).await, Stream::of(&replicas.b, &ada).await];
    let mut other = Stream::of(&replicas.a, &grace).await;
    for stream in &streams {
        assert_eq!(stream.screen.shown(), [(first, 1, "first".to_owned())]);
    }
    let second = create(&b, &ada, "second").await;
    for stream in &mut streams {
        stream.shows("a new task", |screen| screen.tasks.contains_key(&second)).await;
    }
    rename(&a, &ada, second, "renamed").await;
    delete(&b, &ada, first).await;
    for stream in &mut streams {
        stream.shows("the new title", |screen| screen.tasks[&second] == (2, "renamed".to_owned())).await;
        stream.shows("the end of the first", |screen| !screen.tasks.contains_key(&first)).await;
    }
    let hers = create(&a, &grace, "hers").await;
    other.shows("her own task", |screen| screen.tasks.contains_key(&hers)).await;
    assert_eq!(other.screen.tasks.len(), 1, "nobody sees another's tasks");
    for stream in &mut streams {
        let last = create(&a, &ada, "last").await;
        stream.shows("the last task", |screen| screen.tasks.contains_key(&last)).await;
        assert!(!stream.screen.tasks.contains_key(&hers), "nobody sees another's tasks");
    }
}

/// Goes red when a stream does not look at its session again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_session_on_every_replica_whatever_ended_it() {
    let replicas = Replicas::start().await;
    let (a, b) = replicas.clients();
    let mut staying = Stream::of(&replicas.b, &a.join("stays").await).await;

    let login = a.join("logs_out").await;
    let streams = open_on_both(&replicas, &login).await;
    a.log_out(&login).await.expect(200);
    assert_session_over(streams).await;

    let older = a.join("logs_in_again").await;
    let streams = open_on_both(&replicas, &older).await;
    b.log_in("logs_in_again").await;
    assert_session_over(streams).await;

    let login = a.join("changes_the_password").await;
    let streams = open_on_both(&replicas, &login).await;
    let body = json!({ "current_password": PASSWORD, "new_password": "another horse, another battery" });
    let request = b.request(Method::POST, "/api/password/change/").bearer_auth(&login.access);
    let answer = send(request.json(&body)).await;
    assert!(answer.status < 300, "{}", answer.body);
    assert_session_over(streams).await;

    let login = a.join("deletes_the_account").await;
    let streams = open_on_both(&replicas, &login).await;
    let request = b.request(Method::DELETE, "/api/users/me/").bearer_auth(&login.access);
    send(request.json(&json!({ "password": PASSWORD }))).await.expect(204);
    assert_session_over(streams).await;

    for (username, sql) in [
        (
            "ended_by_sql",
            "UPDATE user_sessions SET is_active = false, logout_time = now(), end_reason = 'staff_revoked' \
             WHERE user_id = $1",
        ),
        ("disabled_by_sql", "UPDATE users SET is_active = false WHERE id = $1"),
        ("deleted_by_sql", "DELETE FROM users WHERE id = $1"),
    ] {
        let login = a.join(username).await;
        let streams = open_on_both(&replicas, &login).await;
        sqlx::query(sql).bind(login.user_id).execute(replicas.database.pool()).await.unwrap();
        assert_session_over(streams).await;
    }

    staying.quiet_for(Duration::from_millis(600)).await;
}

async fn open_on_both(replicas: &Replicas, login: &Login) -> [Stream; 2] {
    [Stream::of(&replicas.a, login).await, Stream::of(&replicas.b, login).await]
}

async fn assert_session_over(streams: [Stream; 2]) {
    let ended = Instant::now();
    for mut stream in streams {
        assert_eq!(stream.closed().await.code, Some(4403));
    }
    assert!(ended.elapsed() < END, "the streams ended only {:?} after their session", ended.elapsed());
}

/// Goes red when a stream outlives its token, and when a newer token does not count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_token_unless_a_newer_one_of_its_session_prolongs_it() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let replica = replica(&database, &broker, "a").env("ACCESS_TOKEN_LIFETIME", "3s").start().await;
    check(&replica, "live changes", "up").await;
    let a = replica.client();
    let login = a.join("ada").await;
    let mut lapsing = Stream::of(&replica, &login).await;
    let mut prolonged = Stream::of(&replica, &login).await;
    let opened = Instant::now();
    eventually(DEADLINE, "a token that is younger", async || {
        (opened.elapsed() > Duration::from_secs(1)).then_some(())
    })
    .await;
    let newer = a.refresh(&login.refresh).await.expect(200).text("access").to_owned();
    prolonged.authenticate(&newer).await;
    assert_eq!(prolonged.message().await["type"], "authenticated");
    assert_eq!(lapsing.closed().await.code, Some(4401));
    let lapsed = opened.elapsed();
    assert!(lapsed < Duration::from_secs(3) + END, "closed only after {lapsed:?}");
    assert_eq!(prolonged.closed().await.code, Some(4401));
    assert!(opened.elapsed() > lapsed, "the newer token counted for nothing");
}

/// Goes red when a stop does not wait for the farewells, or waits for more than them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stops_says_so_to_its_streams_and_ends_in_time() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let mut replica = replica(&database, &broker, "a").start().await;
    check(&replica, "live changes", "up").await;
    let login = replica.client().join("ada").await;
    let mut stream = Stream::of(&replica, &login).await;
    let silent = Opening::at(&replica.url(), "/ws/tasks").open().await.unwrap();
    let asked = Instant::now();
    replica.ask_to_stop();
    assert_eq!(stream.closed().await.code, Some(1001));
    assert!(replica.ended().await.success());
    assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?} to stop", asked.elapsed());
    drop(silent);
}
