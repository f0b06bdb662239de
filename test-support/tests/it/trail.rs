//! What a user does is in the audit trail, at once and complete.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::json;
use shared::clock::Clock;
use sqlx::Row;
use sqlx::postgres::PgRow;
use test_support::api::{Client, PASSWORD, send};
use test_support::world::World;
use test_support::{TestDatabase, eventually};
use uuid::Uuid;

/// What the README promises.
const PROMISED: Duration = Duration::from_secs(1);
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const USER_AGENT: &str = "a browser of 2026";

/// The rows of a view about a user, oldest first.
async fn rows(database: &TestDatabase, view: &str, username: &str) -> Vec<PgRow> {
    let query = format!("SELECT * FROM audit.{view} WHERE username = $1 ORDER BY occurred_at, event_id");
    sqlx::query(sqlx::AssertSqlSafe(query)).bind(username).fetch_all(database.pool()).await.unwrap()
}

/// The one row of a view about a user, awaited as long as is promised.
async fn promised_row(world: &World, view: &str, username: &str) -> PgRow {
    let awaited = format!("a row of {username} in audit.{view}");
    let mut found = eventually(PROMISED, awaited, async || {
        let rows = rows(&world.database, view, username).await;
        (!rows.is_empty()).then_some(rows)
    })
    .await;
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[tokio::test]
async fn a_login_is_in_the_trail_within_a_second_with_all_that_is_known_of_it() {
    let world = World::start().await;
    world.client.register("ada").await.expect(201);
    let browser = Client::with_user_agent(&world.producer_api.url(), USER_AGENT);
    let before = Clock::system().now();
    let request = browser
        .request(Method::POST, "/api/login/")
        .header("traceparent", format!("00-{TRACE_ID}-b7ad6b7169203331-01"))
        .json(&json!({ "username": "ada", "password": PASSWORD }));
    let answer = send(request).await.expect(200);
    let row = promised_row(&world, "logins", "ada").await;

    let (session, user_id): (Uuid, i64) = sqlx::query_as("SELECT id, user_id FROM user_sessions")
        .fetch_one(world.database.pool())
        .await
        .unwrap();
    assert_eq!(row.get::<i64, _>("user_id"), user_id);
    assert_eq!(answer.body["id"], user_id);
    assert_eq!(row.get::<Uuid, _>("session_id"), session);
    assert_eq!(row.get::<String, _>("user_agent"), USER_AGENT);
    assert_eq!(row.get::<String, _>("trace_id"), TRACE_ID);
    assert_eq!(row.get::<String, _>("outcome"), "success");
    let event_id: Uuid = row.get("event_id");
    let (ip, request_id): (String, Uuid) =
        sqlx::query_as("SELECT host(ip), request_id FROM audit.events WHERE event_id = $1")
            .bind(event_id)
            .fetch_one(world.database.pool())
            .await
            .unwrap();
    assert_eq!(ip, "127.0.0.1");
    assert_eq!(answer.header("x-request-id"), request_id.to_string());
    let at: DateTime<Utc> = row.get("occurred_at");
    assert!(at >= before && at <= before + TimeDelta::seconds(30), "{at}");
}

#[tokio::test]
async fn a_logout_is_in_the_trail_and_so_is_the_token_it_blacklisted() {
    let world = World::start().await;
    let login = world.client.join("ada").await;
    world.client.log_out(&login).await.expect(200);
    let logout = promised_row(&world, "logouts", "ada").await;
    let token = promised_row(&world, "blacklisted_tokens", "ada").await;
    let (session, jti): (Uuid, String) = sqlx::query_as("SELECT session_id, jti FROM outstanding_tokens")
        .fetch_one(world.database.pool())
        .await
        .unwrap();
    for row in [&logout, &token] {
        assert_eq!(row.get::<i64, _>("user_id"), login.user_id);
        assert_eq!(row.get::<Uuid, _>("session_id"), session);
        assert_eq!(row.get::<String, _>("reason"), "logout");
    }
    assert_eq!(token.get::<String, _>("jti"), jti);
    assert_eq!(
        logout.get::<String, _>("trace_id"),
        token.get::<String, _>("trace_id"),
        "one request, one trace"
    );
}

#[tokio::test]
async fn a_failed_login_is_in_the_trail_with_the_reason_that_the_client_is_not_told() {
    let world = World::start().await;
    world.client.register("ada").await.expect(201);
    let wrong = world.client.try_log_in("ada", "not her password").await.expect(401);
    let unknown = world.client.try_log_in("nobody", PASSWORD).await.expect(401);
    assert_eq!(wrong.body, unknown.body);
    for (username, reason, has_user) in [("ada", "wrong_password", true), ("nobody", "unknown_user", false)] {
        let row = promised_row(&world, "logins", username).await;
        assert_eq!(row.get::<String, _>("outcome"), "failure");
        assert_eq!(row.get::<String, _>("reason"), reason);
        assert_eq!(row.get::<Option<i64>, _>("user_id").is_some(), has_user);
    }
}

#[tokio::test]
async fn a_second_login_replaces_the_first_and_the_trail_says_so() {
    let world = World::start().await;
    let first = world.client.join("ada").await;
    world.client.log_in("ada").await;
    world.client.tasks(&first).await.expect(401);
    assert_eq!(promised_row(&world, "logouts", "ada").await.get::<String, _>("reason"), "replaced");
    assert_eq!(
        promised_row(&world, "blacklisted_tokens", "ada").await.get::<String, _>("reason"),
        "replaced"
    );
}

/// No password and no token may be found anywhere in the trail, whatever was sent.
#[tokio::test]
async fn the_trail_holds_no_password_and_no_token() {
    let world = World::start().await;
    let login = world.client.join("ada").await;
    world.client.try_log_in("ada", "another secret").await.expect(401);
    world.client.refresh(&login.refresh).await.expect(200);
    world.client.create_task(&login, "write a test").await.expect(201);
    world.client.log_out(&login).await.expect(200);
    promised_row(&world, "logouts", "ada").await;
    let bodies: Vec<String> =
        sqlx::query_scalar("SELECT body FROM audit.events").fetch_all(world.database.pool()).await.unwrap();
    assert!(bodies.len() >= 6);
    let mut secrets = vec![PASSWORD.to_owned(), "another secret".to_owned()];
    for token in [&login.access, &login.refresh] {
        secrets.extend(token.split('.').map(str::to_owned));
    }
    // The header of a token is the same for all and no secret, but has no business in the trail either.
    for secret in secrets {
        assert!(bodies.iter().all(|body| !body.contains(&secret)), "{secret} is in the trail");
    }
}

/// The measured time, for whoever wonders: the promise is a second.
#[tokio::test]
async fn the_way_into_the_trail_takes_no_longer_than_promised_under_load() {
    let world = World::start().await;
    let login = world.client.join("ada").await;
    let tasks = (0..100).map(|number| {
        let (client, login) = (world.client.clone(), login.clone());
        tokio::spawn(async move { client.create_task(&login, &format!("task {number}")).await.status })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap(), 201);
    }
    let answered = Instant::now();
    eventually(PROMISED, "a hundred tasks in the trail", async || {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM audit.events WHERE type = 'task.created'")
            .fetch_one(world.database.pool())
            .await
            .unwrap();
        (count == 100).then_some(())
    })
    .await;
    println!("the last row came {} ms after the last answer", answered.elapsed().as_millis());
}

#[tokio::test]
async fn what_becomes_of_a_task_is_in_the_trail_change_by_change() {
    let world = World::start().await;
    let login = world.client.join("ada").await;
    let made = world.client.create_task(&login, "Dig").await.expect(201);
    let path = format!("/api/tasks/{}/", made.body["id"]);
    let rename = world.client.request(Method::PATCH, &path).bearer_auth(&login.access);
    send(rename.json(&json!({ "title": "Rest" }))).await.expect(200);
    send(world.client.request(Method::DELETE, &path).bearer_auth(&login.access)).await.expect(204);
    let told = eventually(Duration::from_secs(10), "three rows about the task", async || {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT type, body::jsonb->'data'->'task'->>'title', (body::jsonb->'data'->'task'->>'version')::bigint
             FROM audit.events WHERE type LIKE 'task.%' AND username = 'ada' AND session_id IS NOT NULL ORDER BY sequence",
        )
        .fetch_all(world.database.pool())
        .await
        .unwrap();
        (rows.len() == 3).then_some(rows)
    })
    .await;
    let row = |name: &str, title: &str, version| (name.to_owned(), title.to_owned(), version);
    let expected =
        [row("task.created", "Dig", 1), row("task.updated", "Rest", 2), row("task.deleted", "Rest", 3)];
    assert_eq!(told, expected);
}
