//! How often a request about tasks goes to the database and back: counted on the wire, where nothing escapes, be it `BEGIN`,
//! `COMMIT` or the question whether the connection is still there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use shared::config::{DatabaseConfig, Secret};
use shared::database::connect;
use test_support::api::{Answer, send};
use test_support::{TestDatabase, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::harness::Api;
use crate::standings::EVER;

/// Goes between a pool and PostgreSQL and writes down each of the client's turns: `x` with a statement, `.` without, `?` where it asks
/// whether a transaction is open.
struct Wire {
    turns: Arc<Mutex<String>>,
    url: String,
}

impl Wire {
    async fn before(url: &str) -> Self {
        let mut url = Url::parse(url).unwrap();
        let server = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        let turns = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&turns);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, seen) = (TcpStream::connect(server.clone()).await.unwrap(), Arc::clone(&seen));
                let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                tokio::spawn(async move {
                    let (mut buffer, mut talk) = (vec![0; 64 * 1024], Talk::default());
                    while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
                        seen.lock().unwrap().push_str(&talk.turns_in(&buffer[..count]));
                        to_server.write_all(&buffer[..count]).await.unwrap();
                    }
                });
            }
        });
        Self { turns, url: url.to_string() }
    }

    fn forget(&self) {
        self.turns.lock().unwrap().clear();
    }

    /// Waits until the connection is back in the pool, for which it is tried twice: by us, and without a limit by sqlx.
    async fn wait_until_returned(&self) -> String {
        eventually(Duration::from_secs(30), "the connection to be returned", async || {
            let turns = self.turns.lock().unwrap().clone();
            turns.ends_with("?.").then_some(turns)
        })
        .await
    }
}

/// What a client says, message by message.
#[derive(Default)]
struct Talk {
    unread: Vec<u8>,
    begun: bool,
    has_statement: bool,
}

impl Talk {
    fn turns_in(&mut self, bytes: &[u8]) -> String {
        self.unread.extend_from_slice(bytes);
        let mut turns = String::new();
        loop {
            // The first message has no type; one that asks for TLS comes before it.
            let head = usize::from(self.begun);
            let Some(length) = self.unread.get(head..head + 4) else { return turns };
            let length = head + u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if self.unread.len() < length {
                return turns;
            }
            let message: Vec<u8> = self.unread.drain(..length).collect();
            if !self.begun {
                self.begun = length != 8;
                continue;
            }
            match message[0] {
                b'S' => turns.push(if std::mem::take(&mut self.has_statement) { 'x' } else { '.' }),
                b'Q' if message.ends_with(b"statement_timestamp()\0") => turns.push('?'),
                b'Q' => turns.push('x'),
                b'P' | b'D' | b'B' | b'E' => self.has_statement = true,
                _ => {}
            }
        }
    }
}

/// Goes red when a request opens a transaction, asks twice, or tries a connection that was good a moment ago.
#[tokio::test]
async fn each_request_about_tasks_is_one_round_trip_its_event_included() {
    let database = TestDatabase::create().await;
    let wire = Wire::before(&database.url_as(shared::role::Role::ProducerApi)).await;
    let config = DatabaseConfig { url: Secret::new(&wire.url), pool_max: 1 };
    let pool = connect(&config, "test").unwrap();
    let api = Api::start_over_with(database, pool, (EVER, &[])).await;
    let (login, other) = (api.client.join("froggly").await, api.client.join("other").await);
    api.state.standings.follower().read_changes_once().await.unwrap();
    let others = api.client.create_task(&other, "theirs").await.expect(201).body["id"].clone();
    let ask = async |method: Method, path: &str, body: serde_json::Value| -> Answer {
        send(api.client.request(method, path).bearer_auth(&login.access).json(&body)).await
    };
    // The first rounds teach the connection its statements.
    for round in 0..3 {
        let made =
            ask(Method::POST, "/api/tasks/", json!({ "title": "Dig", "duration": 60 })).await.expect(201);
        let (own, others) = (format!("/api/tasks/{}/", made.body["id"]), format!("/api/tasks/{others}/"));
        let next = ask(Method::GET, "/api/tasks/?limit=1", json!({})).await.header("link").to_owned();
        let next = next.trim_start_matches('<').split('>').next().unwrap().to_owned();
        wire.wait_until_returned().await;
        for (method, path, body, status) in [
            (Method::POST, "/api/tasks/", json!({ "title": "Dig", "duration": 60 }), 201),
            (Method::GET, "/api/tasks/", json!({}), 200),
            (Method::GET, if next.is_empty() { "/api/tasks/" } else { &next }, json!({}), 200),
            (Method::GET, &own, json!({}), 200),
            (Method::PATCH, &own, json!({ "title": "Rest" }), 200),
            (Method::PATCH, &own, json!({ "title": "Rest" }), 200),
            (Method::PATCH, &own, json!({}), 200),
            (Method::PATCH, &own, json!({ "title": "never", "duration": 61 }), 400),
            (Method::PUT, &own, json!({ "title": "Dig", "duration": "00:01:00" }), 200),
            (Method::PATCH, &others, json!({ "title": "mine" }), 404),
            (Method::DELETE, &others, json!({}), 404),
            (Method::PATCH, "/api/tasks/999999/", json!({ "title": "mine" }), 404),
            (Method::DELETE, "/api/tasks/999999/", json!({}), 404),
            (Method::DELETE, &own, json!({}), 204),
        ] {
            wire.forget();
            ask(method.clone(), path, body.clone()).await.expect(status);
            let turns = wire.wait_until_returned().await;
            if round == 2 {
                assert_eq!(
                    turns, "x?.",
                    "{method} {path} {body}: one with a statement, two when it was answered"
                );
            }
        }
    }
    assert_eq!(api.event_types().await.iter().filter(|name| name.starts_with("task.")).count(), 16);
}
