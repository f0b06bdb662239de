//! What streams may cost each other: strangers their places, a talkative wire its client's word, and each its queries.

use std::time::Duration;

use serde_json::json;
use shared::ids::UserId;
use test_support::{TestBroker, eventually};
use tokio::time::Instant;

use super::harness::{Api, signed};
use super::live::{DEADLINE, PATH, bounds, event, listen, open, opening};
use super::statements::Statements;

/// Goes red when whoever sends no token can take the places of those who bring one.
#[tokio::test]
async fn strangers_leave_room_for_whoever_brings_a_token() {
    let mut bounds = bounds();
    (bounds.sockets_max, bounds.strangers_max, bounds.strangers_per_address) = (10, 3, 2);
    bounds.authenticate_within = DEADLINE;
    let api = Api::start_live(bounds, &[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let login = api.client.join("ada").await;
    let from = |address: &str| opening(&api, PATH).header("x-forwarded-for", address);
    let mut first = from("2001:db8::1").open().await.unwrap();
    let _second = from("2001:db8::2").open().await.unwrap();
    assert_eq!(from("2001:db8::3").refused().await.0, 503, "a third stranger of one network");
    let third = from("192.0.2.1").open().await.unwrap();
    assert_eq!(from("192.0.2.2").refused().await.0, 503, "a fourth stranger");
    let _bearer = from("2001:db8::3").bearer(&login.access).open().await.unwrap();

    first.authenticate(&login.access).await;
    first.shows("the list", |screen| screen.lists > 0).await;
    let _next = from("2001:db8::3").open().await.unwrap();
    assert_eq!(from("2001:db8::4").refused().await.0, 503, "who sent his token is no stranger any more");
    drop(third);
    eventually(DEADLINE, "the place of a stranger that left", async || from("192.0.2.1").open().await.ok())
        .await;
}

/// Goes red when a change waits for something else to wake its stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_told_at_once() {
    let mut bounds = bounds();
    // Nothing else wakes it within this test.
    (bounds.ping_every, bounds.silence_max) = (Duration::from_hours(1), Duration::from_hours(1));
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let api = Api::start_live(bounds, &[]).await;
    listen(&api, &broker).await;
    let login = api.client.join("ada").await;
    let mut stream = open(&api, &login).await;
    let mut took = Vec::new();
    for nth in 1..=5 {
        let message = event(&login, (1_000, nth), "task.updated", 1_000 + nth);
        broker.publish_all_raw("task.events", "task.updated", [message]).await;
        let confirmed = Instant::now();
        stream.shows("the change", |screen| screen.tasks.get(&1_000).is_some_and(|task| task.0 == nth)).await;
        took.push(confirmed.elapsed());
    }
    took.sort_unstable();
    assert!(took[took.len() / 2] < Duration::from_secs(1), "the median of {took:?}");
}

/// Goes red when the list does not say that there is more than it shows.
#[tokio::test]
async fn a_list_says_whether_there_is_more() {
    let api = Api::start_live(bounds(), &[]).await;
    let login = api.client.join("ada").await;
    for more in [false, true] {
        api.client.create_task(&login, "a task").await.expect(201);
        let mut stream = opening(&api, "/ws/tasks/?limit=1").bearer(&login.access).open().await.unwrap();
        assert_eq!(stream.message().await["type"], "authenticated");
        let list = stream.message().await;
        assert_eq!((&list["more"], list["tasks"].as_array().unwrap().len()), (&json!(more), 1));
    }
}

/// Goes red when a message that can't be read is passed over, though a task of its owner changed.
#[tokio::test]
async fn a_message_that_can_not_be_read_makes_its_owners_streams_begin_anew() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let api = Api::start_live(bounds(), &[]).await;
    listen(&api, &broker).await;
    let (ada, grace) = (api.client.join("ada").await, api.client.join("grace").await);
    let (mut stream, mut other) = (open(&api, &ada).await, open(&api, &grace).await);
    let (properties, body) = event(&ada, (1_000, 1), "task.created", 1_000);
    let later = String::from_utf8(body).unwrap().replace("/v1", "/v2").into_bytes();
    broker.publish_all_raw("task.events", "task.created", [(properties, later)]).await;
    stream.shows("another list", |screen| screen.lists == 2).await;
    other.quiet_for(Duration::from_millis(200)).await;
    assert_eq!(other.screen.lists, 1);
}

/// Goes red when the messages of a client wait until there is nothing to tell any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_token_is_heard_while_there_is_much_to_tell() {
    const MESSAGES: usize = 40_000;
    let mut bounds = bounds();
    (bounds.waiting_max, bounds.known_max) = (1_000_000, 1_000_000);
    // However long publishing takes: the client reads nothing meanwhile.
    (bounds.take_within, bounds.silence_max) = (Duration::from_hours(1), Duration::from_hours(1));
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let api = Api::start_live(bounds, &[]).await;
    listen(&api, &broker).await;
    let login = api.client.join("ada").await;
    let mut stream = open(&api, &login).await;
    let title = "x".repeat(200);
    let messages = (0..i64::try_from(MESSAGES).unwrap()).map(|nth| {
        let (properties, body) = event(&login, (1_000 + nth, 1), "task.created", 1_000 + nth);
        let body = String::from_utf8(body).unwrap().replace("\"version ", &format!("\"{title} "));
        (properties, body.into_bytes())
    });
    broker.publish_all_raw("task.events", "task.created", messages).await;
    stream.authenticate(&login.access).await;
    let mut before = 0;
    while stream.message().await["type"] != "authenticated" {
        before += 1;
    }
    assert!(before < MESSAGES - 5_000, "it was heard only after {before} messages");
}

/// Goes red when streams end because there are many of them that have to ask at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_wait_for_their_turn_to_ask_as_long_as_the_database_answers() {
    const STREAMS: u64 = 52;
    let api = Api::start_live(bounds(), &[]).await;
    let (mut logins, mut streams) = (Vec::new(), Vec::new());
    for nth in 0..STREAMS {
        let login = api.client.join(&format!("user{nth}")).await;
        streams.push(open(&api, &login).await);
        logins.push(login);
    }
    // Three at a time, they take 3.5 s for it; each waits far less than a second for its answer.
    api.execute("ALTER TABLE user_sessions RENAME TO kept_sessions").await;
    api.execute("CREATE VIEW user_sessions AS SELECT kept_sessions.* FROM kept_sessions, pg_sleep(0.2)")
        .await;
    api.execute("GRANT SELECT ON user_sessions TO PUBLIC").await;
    let reads = api.state.standings.database_reads();
    for login in &logins {
        api.state.standings.user_changed(UserId(login.user_id));
    }
    eventually(DEADLINE, "every stream to have asked", async || {
        (api.state.standings.database_reads() >= reads + STREAMS).then_some(())
    })
    .await;
    for mut stream in streams {
        stream.quiet_for(Duration::from_millis(10)).await;
    }
}

/// Goes red when a token without a session is looked at less often than one with a session, though that costs no query; the
/// blacklist, which does, is asked now and then.
#[tokio::test]
async fn a_token_without_a_session_ends_with_its_account_as_soon_as_any_other() {
    let statements = Statements::watch();
    for (classes, token_type) in [
        ("AccessToken", "access"),
        ("AccessToken,SlidingToken", "access"),
        ("SlidingToken,AccessToken", "access"),
        ("SlidingToken", "sliding"),
    ] {
        let api = Api::start_live(bounds(), &[("AUTH_TOKEN_CLASSES", classes)]).await;
        let user_id = api.client.register("ada").await.expect(201).body["id"].as_i64().unwrap();
        let (iat, exp) = (api.now().timestamp(), api.now().timestamp() + 300);
        let token = json!({
            "token_type": token_type, "exp": exp, "refresh_exp": exp, "iat": iat, "jti": "a", "user_id": user_id.to_string(),
        });
        let mut stream = opening(&api, PATH).bearer(&signed(&token.to_string())).open().await.unwrap();
        stream.shows("the list", |screen| screen.lists > 0).await;
        let asked = |statements: &Statements| {
            let seen = statements.take();
            seen.iter().filter(|sql| sql.contains("blacklisted_tokens")).count()
        };
        assert_eq!(
            asked(&statements) > 0,
            classes.starts_with("SlidingToken"),
            "{classes}: a stream that opens"
        );
        let reads = api.state.standings.database_reads();
        let began = Instant::now();
        stream.quiet_for(Duration::from_millis(700)).await;
        assert_eq!(api.state.standings.database_reads(), reads, "{classes}: a look costs a query");
        // It looks four times a second, and asks once in five.
        let (asked, most) = (asked(&statements), 1 + began.elapsed().as_secs() / 5);
        assert!(u64::try_from(asked).unwrap() <= most, "{classes}: it asked for the blacklist {asked} times");
        api.execute("UPDATE users SET is_active = false").await;
        api.state.standings.follower().read_changes_once().await.unwrap();
        let ended = Instant::now();
        assert_eq!(stream.closed().await.code, Some(4403), "{classes}");
        assert!(
            ended.elapsed() < Duration::from_secs(3),
            "{classes}: closed only after {:?}",
            ended.elapsed()
        );
    }
}

/// Goes red when a client's idle chatter is answered for ever.
#[tokio::test]
async fn a_client_that_says_too_much_is_shown_out() {
    let api = Api::start_live(bounds(), &[]).await;
    let login = api.client.join("ada").await;
    let mut stream = open(&api, &login).await;
    for _ in 0..31 {
        stream.authenticate(&login.access).await;
    }
    let mut welcomes = 0;
    let closed = loop {
        match stream.heard().await {
            test_support::live::Heard::Message(message) => {
                welcomes += usize::from(message["type"] == "authenticated");
            }
            test_support::live::Heard::Closed(closed) => break closed,
        }
    };
    assert_eq!((closed.code, closed.reason.as_str(), welcomes), (Some(1008), "too many messages", 30));
}
