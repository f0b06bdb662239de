//! The stream of tasks while something breaks: the network, the broker, the order of messages.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use test_support::api::{Client, Login, send, try_send};
use test_support::faults::{PrivateRabbitmq, Proxy};
use test_support::live::{Closed, Opening, Stream};
use test_support::{TestBroker, TestDatabase, eventually};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::live::{check, replica};

const DEADLINE: Duration = Duration::from_mins(2);

/// The user's tasks: id, version, title.
type Tasks = BTreeMap<i64, (i64, String)>;

async fn tasks_of(database: &TestDatabase, login: &Login) -> Tasks {
    let rows: Vec<(i64, i64, String)> =
        sqlx::query_as("SELECT id, version, title FROM tasks WHERE user_id = $1")
            .bind(login.user_id)
            .fetch_all(database.pool())
            .await
            .unwrap();
    rows.into_iter().map(|(id, version, title)| (id, (version, title))).collect()
}

/// Creates some tasks, renames each a few times, and deletes every third; several of it at once.
async fn change_much(clients: [Client; 2], login: Login, count: usize) {
    let mut changing = JoinSet::new();
    for nth in 0..count {
        let (client, other, login) =
            (clients[nth % 2].clone(), clients[(nth + 1) % 2].clone(), login.clone());
        changing.spawn(async move {
            let id = client.create_task(&login, "new").await.expect(201).body["id"].as_i64().unwrap();
            let path = format!("/api/tasks/{id}/");
            for title in ["one", "two", "three"] {
                let client = if title == "two" { &other } else { &client };
                let request = client.request(Method::PATCH, &path).bearer_auth(&login.access);
                send(request.json(&json!({ "title": format!("{title} of {id}") }))).await.expect(200);
            }
            if nth % 3 == 0 {
                send(other.request(Method::DELETE, &path).bearer_auth(&login.access)).await.expect(204);
            }
        });
    }
    changing.join_all().await;
}

/// Goes red when an older state is shown after a newer one, and when a change is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn among_changes_on_both_replicas_each_screen_ends_with_what_the_database_has() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let a = replica(&database, &broker, "a").start().await;
    let b = replica(&database, &broker, "b").start().await;
    for program in [&a, &b] {
        check(program, "live changes", "up").await;
    }
    let login = a.client().join("ada").await;
    let mut streams = Vec::new();
    for program in [&a, &b, &a, &b] {
        streams.push(Stream::at(&program.url(), &login.access, 100).await);
    }
    let changing = tokio::spawn(change_much([a.client(), b.client()], login.clone(), 60));
    let mut late = Stream::at(&b.url(), &login.access, 100).await;
    changing.await.unwrap();
    let truth = tasks_of(&database, &login).await;
    assert_eq!(truth.len(), 40);
    late.shows("the truth", |screen| screen.tasks == truth).await;
    for mut stream in streams {
        stream.shows("the truth", |screen| screen.tasks == truth).await;
        stream.quiet_for(Duration::from_millis(100)).await;
        assert_eq!(stream.screen.tasks, truth);
    }
}

/// Goes red when a stream that is opened anew does not begin with everything that was missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_connects_again_and_again_misses_nothing() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let a = replica(&database, &broker, "a").start().await;
    check(&a, "live changes", "up").await;
    let login = a.client().join("ada").await;
    let changing = tokio::spawn(change_much([a.client(), a.client()], login.clone(), 60));
    let mut cuts = 0;
    // Opened at any moment of all this: what changes while a list is read is told by nothing but the stream.
    let mut staying = Vec::new();
    while !changing.is_finished() {
        let network = Proxy::before(&a.url()).await;
        let base = network.instead_of(&a.url());
        let mut stream = Stream::at(base.trim_end_matches('/'), &login.access, 100).await;
        // A user may have twenty, and those that were cut off count until it is noticed.
        if staying.len() < 8 {
            staying.push(Stream::at(&a.url(), &login.access, 100).await);
        }
        if changing.is_finished() {
            break;
        }
        stream.message().await;
        network.cut();
        cuts += 1;
        if cuts == 8 {
            break;
        }
    }
    changing.await.unwrap();
    assert!(cuts > 1, "the network was not cut while something changed");
    let truth = tasks_of(&database, &login).await;
    staying.push(Stream::at(&a.url(), &login.access, 100).await);
    for mut stream in staying {
        stream.shows("the truth", |screen| screen.tasks == truth).await;
        stream.quiet_for(Duration::from_millis(100)).await;
        assert_eq!(stream.screen.tasks, truth);
    }
}

/// Goes red when a replica believes that it still hears, and when it does not read again what it may have missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_broker_is_dead_a_stream_is_stale_and_ends_with_its_session_and_then_it_is_right_again() {
    let mut rabbitmq = PrivateRabbitmq::start().await;
    let (database, broker) = (TestDatabase::create().await, rabbitmq.broker().await);
    let a = replica(&database, &broker, "a").start().await;
    let b = replica(&database, &broker, "b").start().await;
    for program in [&a, &b] {
        check(program, "live changes", "up").await;
    }
    let (ada, grace) = (a.client().join("ada").await, a.client().join("grace").await);
    let mut stream = Stream::of(&b, &ada).await;
    let mut ending = Stream::of(&b, &grace).await;
    rabbitmq.kill().await;
    stream.shows("that it is stale", |screen| screen.is_stale).await;
    let task = a.client().create_task(&ada, "made meanwhile").await.expect(201).body["id"].as_i64().unwrap();
    let mut opened = Stream::of(&b, &ada).await;
    assert!(opened.screen.tasks.contains_key(&task), "the list is right without a broker");
    opened.shows("that it is stale", |screen| screen.is_stale).await;

    a.client().log_out(&grace).await.expect(200);
    let ended = Instant::now();
    assert_eq!(ending.closed().await.code, Some(4403));
    assert!(ended.elapsed() < Duration::from_secs(6), "the stream ended only after {:?}", ended.elapsed());

    rabbitmq.start_again().await;
    for stream in [&mut stream, &mut opened] {
        stream.shows("the list", |screen| !screen.is_stale && screen.tasks.contains_key(&task)).await;
    }
}

/// Goes red when a subscription that the broker took away is not missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_is_taken_away_is_made_anew_and_the_list_comes_again() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let a = replica(&database, &broker, "a").start().await;
    check(&a, "live changes", "up").await;
    let login = a.client().join("ada").await;
    let mut stream = Stream::of(&a, &login).await;
    let lists = stream.screen.lists;
    let closing = eventually(DEADLINE, "the connection to be closed", async || {
        (broker.close_connections("listens for realtime").await > 0).then_some(())
    });
    tokio::select! {
        () = closing => {}
        () = stream.quiet_for(DEADLINE) => {}
    }
    let task =
        a.client().create_task(&login, "made meanwhile").await.expect(201).body["id"].as_i64().unwrap();
    stream.shows("another list", |screen| screen.lists > lists && screen.tasks.contains_key(&task)).await;
}

/// Goes red when a token is written to the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_of_a_handshake_is_in_the_log() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let a = replica(&database, &broker, "a").env("RUST_LOG", "debug").start().await;
    let login = a.client().join("ada").await;
    let (status, _) = Opening::at(&a.url(), &format!("/ws/tasks/?token={}", login.access)).refused().await;
    assert_eq!(status, 400);
    let mut stream = Opening::at(&a.url(), "/ws/tasks/").bearer(&login.access).open().await.unwrap();
    stream.message().await;
    stream.authenticate(&login.access).await;
    stream.shows("a list", |screen| screen.lists > 0).await;
    stream.send(json!({ "type": "authenticate", "token": "nonsense" }).to_string()).await;
    assert_eq!(stream.closed().await.code, Some(4401));
    eventually(DEADLINE, "the line of the end", async || {
        a.log().contains("a live stream ended").then_some(())
    })
    .await;
    let signature = login.access.rsplit('.').next().unwrap();
    assert!(!a.log().contains(signature), "a token is in the log");
    assert!(a.log().contains("/ws/tasks/"), "the requests are in the log");
}

/// Goes red when a stream keeps a connection from answering the next one, or a request limit ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_program_is_killed_just_ends() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let mut a = replica(&database, &broker, "a").start().await;
    let login = a.client().join("ada").await;
    let mut stream = Stream::of(&a, &login).await;
    let client = a.client();
    a.kill();
    assert_eq!(stream.closed().await, Closed { code: None, reason: String::new() });
    assert!(try_send(client.request(Method::GET, "/readyz")).await.is_err());
    a.restart().await;
    Stream::of(&a, &login).await;
}
