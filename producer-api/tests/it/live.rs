//! The stream of tasks: who may open it, what it shows whatever the wire does, and when it ends.

use std::time::Duration;

use lapin::BasicProperties;
use producer_api::config::RealtimeConfig;
use producer_api::realtime::LiveSettings;
use serde_json::{Value, json};
use shared::entropy::Entropy;
use shared::lifecycle::{Health, Standing};
use test_support::api::Login;
use test_support::live::{Opening, Stream};
use test_support::{TestBroker, eventually};
use tokio::time::Instant;

use super::harness::{Api, signed};

pub(super) const PATH: &str = "/ws/tasks/";
pub(super) const DEADLINE: Duration = Duration::from_mins(1);

pub(super) fn bounds() -> LiveSettings {
    LiveSettings::of(&RealtimeConfig::default(), 10)
}

pub(super) fn opening(api: &Api, path: &str) -> Opening {
    Opening::at(api.client.base(), path)
}

pub(super) async fn open(api: &Api, login: &Login) -> Stream {
    Stream::at(api.client.base(), &login.access, 4).await
}

/// Lets the API hear of changes, and waits until it does.
pub(super) async fn listen(api: &Api, broker: &TestBroker) {
    let health = Health::default();
    let component = health.component("live changes", Standing::Supporting);
    let live = api.state.live.clone();
    tokio::spawn(live.run(broker.config(), "test".to_owned(), component, Entropy::system()));
    eventually(DEADLINE, "a subscription", async || (health.readiness().status == "ready").then_some(()))
        .await;
}

/// Goes red when a token, an origin or a plain request is let through that should not be.
#[tokio::test]
async fn a_handshake_is_refused_in_the_words_of_any_other_request() {
    let api = Api::start().await;
    let login = api.client.join("ada").await;
    let detail = |body: &Value| body["detail"].as_str().unwrap_or_default().to_owned();

    for path in ["/ws/tasks/?token=x", "/ws/tasks?limit=4&access_token=x"] {
        let (status, body) = opening(&api, path).bearer(&login.access).refused().await;
        assert_eq!(status, 400);
        assert!(body["non_field_errors"][0].as_str().unwrap().contains("in the URL"), "{body}");
    }
    let (status, _) = opening(&api, &format!("/ws/tasks/?x={}", login.access)).refused().await;
    assert_eq!(status, 400);
    let (status, body) = opening(&api, "/ws/tasks/?limit=0").refused().await;
    assert_eq!(
        (status, &body["limit"][0]),
        (400, &json!("Ensure this value is greater than or equal to 1."))
    );

    for token in [
        login.refresh.as_str(),
        "nonsense",
        &signed(r#"{"token_type":"access","exp":1,"jti":"a","user_id":"1"}"#),
    ] {
        let (status, body) = opening(&api, PATH).bearer(token).refused().await;
        assert_eq!((status, &body["code"]), (401, &json!("token_not_valid")), "{token}");
        let header = opening(&api, PATH).header("authorization", &format!("Bearer {token}"));
        assert_eq!(header.refused().await.0, 401);
    }
    let (status, body) = opening(&api, PATH).header("authorization", "Bearer").refused().await;
    assert_eq!((status, &body["code"]), (401, &json!("bad_authorization_header")));
    let (status, body) = opening(&api, PATH).header("sec-websocket-protocol", "graphql-ws").refused().await;
    assert_eq!(status, 400);
    assert!(body["non_field_errors"][0].as_str().unwrap().contains("warren.tasks.v1"), "{body}");

    let plain = api.client.get(PATH).await.expect(426);
    assert_eq!((plain.header("upgrade"), plain.header("sec-websocket-version")), ("websocket", "13"));
    assert!(detail(&plain.body).contains("WebSocket"), "{}", plain.body);
    api.client.post(PATH, &json!({})).await.expect(405);
}

/// Goes red when a page of any origin may open a stream.
#[tokio::test]
async fn a_page_of_a_foreign_origin_opens_no_stream() {
    let api = Api::start_with(&[("CORS_ALLOWED_ORIGINS", "https://app.example.com")]).await;
    let login = api.client.join("ada").await;
    let host = api.client.base().replacen("http://", "", 1);
    for origin in ["https://evil.example.com", "null", "https://app.example.com.evil", "http://localhost:1"] {
        let (status, _) = opening(&api, PATH).header("origin", origin).bearer(&login.access).refused().await;
        assert_eq!(status, 403, "{origin}");
    }
    let (status, _) =
        opening(&api, PATH).header("sec-fetch-site", "cross-site").bearer(&login.access).refused().await;
    assert_eq!(status, 403);
    for origin in [format!("http://{host}"), "https://app.example.com".to_owned()] {
        let stream = opening(&api, PATH).header("origin", &origin).bearer(&login.access).open().await;
        assert_eq!(stream.unwrap().protocol.as_deref(), Some("warren.tasks.v1"), "{origin}");
    }
}

/// Goes red when one of the three ways for a token is shut, or when a bad token in a message is answered as a good one.
#[tokio::test]
async fn a_token_comes_as_a_subprotocol_in_the_header_or_in_the_first_message() {
    let api = Api::start().await;
    let login = api.client.join("ada").await;
    api.client.create_task(&login, "first").await.expect(201);
    let by_protocol = opening(&api, PATH).bearer(&login.access).open().await.unwrap();
    let by_header = opening(&api, PATH).header("authorization", &format!("Bearer {}", login.access));
    let by_header = by_header.open().await.unwrap();
    let mut by_message = opening(&api, "/ws/tasks").open().await.unwrap();
    by_message.authenticate(&login.access).await;
    for mut stream in [by_protocol, by_header, by_message] {
        let welcome = stream.message().await;
        assert_eq!(welcome["type"], "authenticated");
        assert_eq!(welcome["expires_at"], "2026-11-18T11:11:40Z");
        assert_eq!(stream.message().await["tasks"], api.client.tasks(&login).await.body);
        assert_eq!(stream.message().await, json!({ "type": "stale" }), "no broker, and the client is told");
    }

    for (message, code, words) in [
        (json!({ "type": "authenticate", "token": login.refresh }), 4401, "not valid"),
        (json!({ "type": "authenticate", "token": "nonsense" }), 4401, "not valid"),
        (json!({ "type": "subscribe" }), 1008, "not understood"),
        (json!("x".repeat(9_000)), 1008, "too long"),
    ] {
        let mut stream = opening(&api, PATH).open().await.unwrap();
        stream.send(message.to_string()).await;
        let closed = stream.closed().await;
        assert_eq!(closed.code, Some(code), "{message}");
        assert!(closed.reason.contains(words), "{}", closed.reason);
    }
    let mut stream = opening(&api, PATH).open().await.unwrap();
    stream.send_bytes(vec![1, 2, 3]).await;
    assert_eq!(stream.closed().await.code, Some(1008));
}

/// Goes red when a forged token is not counted, or a stream believes another user's token.
#[tokio::test]
async fn only_a_newer_token_of_the_same_session_prolongs_a_stream() {
    let api = Api::start_with(&[("SESSION_POLICY", "unlimited")]).await;
    let login = api.client.join("ada").await;
    let (again, other) = (api.client.log_in("ada").await, api.client.join("grace").await);
    for token in [&again.access, &other.access] {
        let mut stream = open(&api, &login).await;
        stream.authenticate(token).await;
        let closed = stream.closed().await;
        assert_eq!(closed.code, Some(1008));
        assert!(closed.reason.contains("another user or session"), "{}", closed.reason);
    }
    let mut stream = open(&api, &login).await;
    stream.shows("that nothing is heard", |screen| screen.is_stale).await;
    api.advance(200);
    let newer = api.client.refresh(&login.refresh).await.expect(200).text("access").to_owned();
    stream.authenticate(&newer).await;
    assert_eq!(stream.message().await["expires_at"], "2026-11-18T11:15:00Z");
    stream.authenticate(&login.access).await;
    assert_eq!(
        stream.message().await["expires_at"],
        "2026-11-18T11:15:00Z",
        "an older one takes nothing away"
    );
    api.advance(299);
    stream.quiet_for(Duration::from_millis(700)).await;
    api.advance(1);
    assert_eq!(stream.closed().await.code, Some(4401));
}

/// Goes red when a socket without a token, a silent one or one too many keeps its place.
#[tokio::test]
async fn sockets_are_limited_in_number_and_in_patience() {
    let mut bounds = bounds();
    (bounds.sockets_max, bounds.sockets_per_user) = (3, 2);
    bounds.authenticate_within = Duration::from_millis(300);
    let api = Api::start_live(bounds, &[]).await;
    let (ada, grace) = (api.client.join("ada").await, api.client.join("grace").await);
    let first = open(&api, &ada).await;
    let _second = open(&api, &ada).await;
    let (status, _) = opening(&api, PATH).bearer(&ada.access).refused().await;
    assert_eq!(status, 429);
    let mut third = opening(&api, PATH).open().await.unwrap();
    third.authenticate(&ada.access).await;
    assert_eq!(third.closed().await.code, Some(1013));

    drop(third);

    // It says nothing, and keeps its place until its time is over.
    let mut mute =
        eventually(DEADLINE, "the place of the third", async || opening(&api, PATH).open().await.ok()).await;
    let opened = Instant::now();
    assert_eq!(opening(&api, PATH).bearer(&grace.access).refused().await.0, 503);
    assert_eq!(mute.closed().await.code, Some(1008));
    assert!(opened.elapsed() < Duration::from_secs(5), "closed only after {:?}", opened.elapsed());
    drop(mute);
    eventually(DEADLINE, "a place", async || opening(&api, PATH).bearer(&grace.access).open().await.ok())
        .await;
    drop(first);
    eventually(DEADLINE, "a place of this user", async || {
        opening(&api, PATH).bearer(&ada.access).open().await.ok()
    })
    .await;
}

/// Goes red when a client that answers no ping stays for ever.
#[tokio::test]
async fn a_client_of_which_nothing_is_heard_is_let_go() {
    let mut bounds = bounds();
    (bounds.ping_every, bounds.silence_max) = (Duration::from_millis(100), Duration::from_secs(2));
    let api = Api::start_live(bounds, &[]).await;
    let login = api.client.join("ada").await;
    let (mut awake, mut asleep) = (open(&api, &login).await, open(&api, &login).await);
    // Reading answers the pings.
    awake.quiet_for(Duration::from_secs(4)).await;
    // Whoever slept may find nothing but a connection that is gone.
    let closed = asleep.closed().await;
    assert!(closed.code.is_none_or(|code| code == 1013), "{closed:?}");
    awake.quiet_for(Duration::from_millis(200)).await;
}

/// An event of a task as the outbox writes it.
pub(super) fn event(
    login: &Login,
    (id, version): (i64, i64),
    kind: &str,
    sequence: i64,
) -> (BasicProperties, Vec<u8>) {
    let at = "2026-11-18T08:06:40.000000Z";
    let body = json!({
        "specversion": "1.0", "id": Entropy::system().uuid_v4(), "source": "/warren/test", "type": kind,
        "time": at, "dataschema": format!("/schemas/{kind}/v1"), "sequence": format!("{sequence:020}"),
        "data": {
            "user_id": login.user_id, "username": login.username,
            "task": {
                "id": id, "title": format!("version {version}"), "duration_microseconds": 1_000_000,
                "version": version, "created_at": at, "updated_at": at,
            },
        },
    });
    (BasicProperties::default(), body.to_string().into_bytes())
}

/// Goes red when a message is believed because it came last, or because nothing is known of its task.
#[tokio::test]
async fn messages_that_come_late_doubled_or_in_another_order_never_take_a_task_back() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let api = Api::start().await;
    listen(&api, &broker).await;
    let login = api.client.join("ada").await;
    let make = async |title: &str| {
        api.client.create_task(&login, title).await.expect(201).body["id"].as_i64().unwrap()
    };
    // Six tasks, of which the list shows four; the second oldest is gone already.
    let (oldest, gone) = (make("oldest").await, make("gone").await);
    let listed = [make("a").await, make("b").await, make("c").await, make("version 5").await];
    api.execute("UPDATE tasks SET version = 5, title = 'version 5' WHERE title = 'version 5'").await;
    api.execute("UPDATE tasks SET version = 2, title = 'the truth' WHERE title = 'oldest'").await;
    api.execute("DELETE FROM tasks WHERE title = 'gone'").await;
    let mut stream = open(&api, &login).await;
    let newest = listed[3];
    assert_eq!(stream.screen.tasks[&newest], (5, "version 5".to_owned()));

    let last: i64 =
        sqlx::query_scalar("SELECT max(seq) FROM outbox").fetch_one(api.database.pool()).await.unwrap();
    let (updated, created, deleted) = ("task.updated", "task.created", "task.deleted");
    let messages = [
        event(&login, (newest, 4), updated, last - 1),
        event(&login, (gone, 1), created, 1),
        event(&login, (oldest, 1), created, 1),
        event(&login, (newest, 7), updated, last + 2),
        event(&login, (newest, 6), updated, last + 1),
        event(&login, (newest, 7), updated, last + 2),
        event(&login, (900, 2), deleted, last + 4),
        event(&login, (900, 1), created, last + 3),
        event(&login, (listed[0], 2), deleted, last + 6),
        event(&login, (listed[0], 1), created, 3),
        event(&login, (901, 1), created, last + 7),
    ];
    broker.publish_all_raw("task.events", "task.updated", messages).await;
    stream.shows("the last of the messages", |screen| screen.tasks.contains_key(&901)).await;
    stream.quiet_for(Duration::from_millis(300)).await;
    let shown: Vec<(i64, i64)> =
        stream.screen.tasks.iter().map(|(id, (version, _))| (*id, *version)).collect();
    let expected = [(oldest, 2), (listed[1], 1), (listed[2], 1), (newest, 7), (901, 1)];
    assert_eq!(shown, expected, "by id, with versions");
    assert_eq!(stream.screen.tasks[&oldest].1, "the truth", "a message in doubt asks the database");
}

/// Goes red when what waits for a slow reader grows without bound, or when something is lost on it.
#[tokio::test]
async fn a_slow_reader_gets_the_list_instead_of_everything_it_missed() {
    let mut bounds = bounds();
    bounds.waiting_max = 8;
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let api = Api::start_live(bounds, &[]).await;
    listen(&api, &broker).await;
    let login = api.client.join("ada").await;
    let mut stream = open(&api, &login).await;
    let lists = stream.screen.lists;
    api.client.create_task(&login, "the truth").await.expect(201);
    let task: i64 = sqlx::query_scalar("SELECT id FROM tasks").fetch_one(api.database.pool()).await.unwrap();
    // Far more than the buffers of two kernels hold, of tasks that only the messages know.
    let title = "x".repeat(200);
    let messages = (0..60_000).map(|nth| {
        let (properties, body) =
            event(&login, (1_000 + nth % 500, nth / 500 + 1), "task.updated", 1_000 + nth);
        let body = String::from_utf8(body).unwrap().replace("\"version ", &format!("\"{title} "));
        (properties, body.into_bytes())
    });
    broker.publish_all_raw("task.events", "task.updated", messages).await;
    stream.shows("a list", |screen| screen.lists > lists).await;
    stream.quiet_for(Duration::from_secs(1)).await;
    assert_eq!(stream.screen.tasks.get(&task).map(|(version, _)| *version), Some(1));
}

/// Goes red when a stream goes on though nobody can say whether its session does.
#[tokio::test]
async fn a_stream_ends_when_the_database_can_not_be_asked() {
    let database = test_support::TestDatabase::create().await;
    let pool = database.pool_as(shared::role::Role::ProducerApi);
    let api = Api::start_over(database, pool.clone()).await;
    let login = api.client.join("ada").await;
    let mut stream = open(&api, &login).await;
    let began = Instant::now();
    pool.close().await;
    assert_eq!(stream.closed().await.code, Some(1013));
    assert!(began.elapsed() < Duration::from_secs(5), "closed only after {:?}", began.elapsed());
}

/// Goes red when a stream asks for a session where none counts, or never looks at the account.
#[tokio::test]
async fn without_revocation_a_stream_ends_with_its_account_and_its_token_but_not_with_its_session() {
    let api = Api::start_with(&[("ACCESS_TOKEN_REVOCATION", "none")]).await;
    let login = api.client.join("ada").await;
    let mut stream = open(&api, &login).await;
    api.client.log_out(&login).await.expect(200);
    stream.quiet_for(Duration::from_secs(1)).await;
    api.execute("UPDATE users SET is_active = false").await;
    assert_eq!(stream.closed().await.code, Some(4403));
}

/// Goes red when a client that takes nothing keeps its place, and what waits for it its memory.
#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let mut bounds = bounds();
    (bounds.sockets_per_user, bounds.take_within) = (1, Duration::from_millis(500));
    (bounds.waiting_max, bounds.known_max) = (1_000_000, 1_000_000);
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let api = Api::start_live(bounds, &[]).await;
    listen(&api, &broker).await;
    let login = api.client.join("ada").await;
    let mut stream = open(&api, &login).await;
    assert_eq!(opening(&api, PATH).bearer(&login.access).refused().await.0, 429);
    let title = "x".repeat(200);
    let messages = (0..60_000).map(|nth| {
        let (properties, body) = event(&login, (1_000 + nth, 1), "task.created", 1_000 + nth);
        let body = String::from_utf8(body).unwrap().replace("\"version ", &format!("\"{title} "));
        (properties, body.into_bytes())
    });
    broker.publish_all_raw("task.events", "task.created", messages).await;
    eventually(DEADLINE, "its place", async || opening(&api, PATH).bearer(&login.access).open().await.ok())
        .await;
    assert_eq!(stream.closed().await.code, None);
    assert!(stream.screen.tasks.len() < 60_000, "it took everything");
}

/// Goes red when a stream tells something before it looks at its session.
#[tokio::test]
async fn nothing_is_told_once_the_end_of_the_session_was_answered() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let mut bounds = bounds();
    // Nothing but a message to be told makes it look.
    bounds.look_every = Duration::from_secs(5);
    let api = Api::start_live(bounds, &[]).await;
    listen(&api, &broker).await;
    let login = api.client.join("ada").await;
    let mut stream = open(&api, &login).await;
    api.client.log_out(&login).await.expect(200);
    let message = event(&login, (900, 1), "task.created", 1_000);
    broker.publish_all_raw("task.events", "task.created", [message]).await;
    let ended = Instant::now();
    assert_eq!(stream.closed().await.code, Some(4403));
    assert!(ended.elapsed() < Duration::from_secs(4), "the message did not make it look");
    assert!(!stream.screen.tasks.contains_key(&900), "it was told after the end");
}

/// Goes red when an open stream asks the database again and again for a session that is remembered.
#[tokio::test]
async fn a_stream_that_is_open_costs_no_query() {
    let api = Api::start_believing_for(Duration::from_hours(1), &[]).await;
    api.state.standings.follower().read_changes_once().await.unwrap();
    let login = api.client.join("ada").await;
    let mut stream = open(&api, &login).await;
    let reads = api.state.standings.database_reads();
    // Six looks.
    stream.quiet_for(Duration::from_millis(1_600)).await;
    assert_eq!(api.state.standings.database_reads(), reads);
    api.client.log_out(&login).await.expect(200);
    assert_eq!(stream.closed().await.code, Some(4403));
}
