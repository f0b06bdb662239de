//! Notices over a real broker: what one replica did, another knows at once.

use std::time::Duration;

use lapin::BasicProperties;
use producer_api::sessions::standing::Standings;
use serde_json::{Value, json};
use shared::entropy::Entropy;
use shared::ids::{SessionId, UserId};
use shared::lifecycle::{Health, Standing};
use test_support::{TestBroker, TestDatabase, eventually, settled};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::standings::{EVER, add_session, add_user};

const DEADLINE: Duration = Duration::from_mins(1);

/// A replica that listens, and has read what changed once and never again: what it learns, it learns from notices.
struct Listener {
    database: TestDatabase,
    broker: TestBroker,
    standings: Standings,
    health: Health,
    stop: CancellationToken,
    end: JoinHandle<anyhow::Result<()>>,
}

impl Listener {
    async fn start() -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let standings = Standings::remembering(database.pool().clone(), EVER);
        standings.follower().read_changes_once().await.unwrap();
        let (health, stop) = (Health::default(), CancellationToken::new());
        let component = health.component("notices", Standing::Supporting);
        let end = tokio::spawn(standings.clone().listen(
            broker.config(),
            "here".to_owned(),
            component,
            Entropy::system(),
            stop.clone(),
        ));
        let listener = Self { database, broker, standings, health, stop, end };
        listener.subscribed().await;
        listener
    }

    async fn subscribed(&self) {
        settled(DEADLINE, "a subscription", "up".to_owned(), async || {
            self.health.readiness().checks["notices"].clone()
        })
        .await;
    }

    /// A user with a session, both known.
    async fn warm(&self) -> (UserId, SessionId) {
        let user = add_user(self.database.pool()).await;
        let session = add_session(self.database.pool(), user).await;
        assert!(self.is_active(user, session).await);
        (user, session)
    }

    async fn is_active(&self, user: UserId, session: SessionId) -> bool {
        self.standings.of(user, Some(session)).await.unwrap().session_active
    }

    async fn publish(&self, name: &str, data: Value) {
        let event = json!({
            "specversion": "1.0", "id": Uuid::nil(), "source": "/warren/test", "type": name,
            "time": "2026-11-21T12:00:00Z", "dataschema": format!("/schemas/{name}/v1"), "data": data,
        });
        self.publish_bytes(name, event.to_string().as_bytes()).await;
    }

    async fn publish_bytes(&self, key: &str, body: &[u8]) {
        self.broker.publish_raw("auth.events", key, BasicProperties::default(), body).await;
    }

    /// The queues of this listener that the broker has.
    async fn queues(&self) -> Vec<Value> {
        let queues = self.broker.get(&format!("api/queues/{}", self.broker.virtual_host())).await;
        let queues = queues.as_array().unwrap().iter();
        queues
            .filter(|queue| queue["name"].as_str().unwrap().starts_with("revocations.here."))
            .cloned()
            .collect()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.end.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_end_and_a_change_that_another_replica_tells_are_known_at_once() {
    let listener = Listener::start().await;
    let (user, session) = listener.warm().await;
    // Rubbish first: it must not stand in the way.
    listener.publish_bytes("auth.session.ended", b"rubbish").await;
    listener.publish("auth.session.ended", json!({ "user_id": user })).await;
    listener.publish("auth.session.ended", json!({ "user_id": user, "session_id": session })).await;
    settled(DEADLINE, "the session to be over", false, async || listener.is_active(user, session).await)
        .await;

    let (user, session) = listener.warm().await;
    sqlx::query("UPDATE users SET is_active = false WHERE id = $1")
        .bind(user)
        .execute(listener.database.pool())
        .await
        .unwrap();
    let is_enabled =
        async || listener.standings.of(user, Some(session)).await.unwrap().user.unwrap().is_active;
    assert!(is_enabled().await, "nobody has told yet");
    listener.publish("auth.account.disabled", json!({ "user_id": user })).await;
    settled(DEADLINE, "the user to be known as disabled", false, is_enabled).await;
    listener.stop().await;
}

#[tokio::test]
async fn the_queue_is_bounded_and_gone_with_its_listener() {
    let listener = Listener::start().await;
    let queue = eventually(DEADLINE, "the queue", async || {
        listener.queues().await.into_iter().find(|queue| queue["arguments"].is_object())
    })
    .await;
    assert_eq!(queue["arguments"]["x-max-length"], 100_000);
    assert_eq!(queue["arguments"]["x-overflow"], "drop-head");
    assert_eq!((&queue["durable"], &queue["exclusive"]), (&json!(false), &json!(true)));
    listener.stop.cancel();
    settled(DEADLINE, "the queue to be gone", 0, async || listener.queues().await.len()).await;
    listener.stop().await;
}

#[tokio::test]
async fn a_listener_that_lost_its_queue_forgets_what_lives_and_subscribes_again() {
    let listener = Listener::start().await;
    let (user, session) = listener.warm().await;
    let first = listener.standings.database_reads();
    let queue =
        eventually(DEADLINE, "the queue", async || listener.queues().await.pop()).await["name"].clone();
    // Ended behind its back: the notice goes to a queue that is no more.
    sqlx::query("UPDATE user_sessions SET is_active = false, logout_time = now(), end_reason = 'logout'")
        .execute(listener.database.pool())
        .await
        .unwrap();
    assert!(listener.is_active(user, session).await);
    eventually(DEADLINE, "the queue or its connection to be deleted", async || {
        let deleted = listener.broker.delete_queues("revocations.here.").await;
        let closed = match deleted {
            0 => listener.broker.close_connections("listens for revocations").await,
            deleted => deleted,
        };
        (closed > 0).then_some(())
    })
    .await;
    settled(DEADLINE, "the session to be over", false, async || listener.is_active(user, session).await)
        .await;
    assert_eq!(listener.standings.database_reads(), first + 1, "asked again, once");
    let again = eventually(DEADLINE, "another queue", async || {
        listener.queues().await.into_iter().find(|other| other["name"] != queue)
    })
    .await;
    assert_ne!(again["name"], queue);
    listener.subscribed().await;
    let (user, session) = listener.warm().await;
    listener.publish("auth.session.ended", json!({ "user_id": user, "session_id": session })).await;
    settled(DEADLINE, "the session to be over", false, async || listener.is_active(user, session).await)
        .await;
    listener.stop().await;
}
