//! `Idempotency-Key` on creating tasks: a request that is sent again is answered again and done once.

use reqwest::Method;
use serde_json::{Value, json};
use shared::role::Role;
use test_support::TestDatabase;
use test_support::api::{Answer, Client, Login, send, try_send};

use crate::harness::Api;
use crate::policies::wait_for_a_waiter;

async fn create(client: &Client, login: &Login, key: &str, body: &Value) -> Answer {
    let request = client.request(Method::POST, "/api/tasks/").bearer_auth(&login.access);
    send(request.header("idempotency-key", key).json(body)).await
}

fn dig() -> Value {
    json!({ "title": "Dig", "duration": "01:00:00" })
}

#[tokio::test]
async fn the_same_request_with_the_same_key_gets_the_same_answer_and_makes_one_task() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let replica = api.replica(&[]).await;
    let first = create(&api.client, &login, "\"a-key\"", &dig()).await.expect(201);
    assert_eq!(first.header("idempotency-replayed"), "");
    let path = format!("/api/tasks/{}/", first.body["id"]);
    let rename = api.client.request(Method::PATCH, &path).bearer_auth(&login.access);
    send(rename.json(&json!({ "title": "Rest" }))).await.expect(200);
    api.advance(86_399);
    let login = api.client.log_in("froggly").await;
    // What counts is what is asked for, not how it is written, nor from where.
    for (client, body) in [
        (&api.client, dig()),
        (&replica.client, json!({ "duration": 3600, "title": " Dig " })),
        (&api.client, json!({ "title": "Dig", "duration": "PT1H", "colour": "green" })),
    ] {
        let again = create(client, &login, "a-key", &body).await.expect(201);
        assert_eq!((&again.body, again.header("idempotency-replayed")), (&first.body, "true"));
    }
    for body in [json!({ "title": "Dig", "duration": 3601 }), json!({ "title": "dig", "duration": 3600 })] {
        let other = create(&api.client, &login, "a-key", &body).await.expect(422);
        let detail = "This Idempotency-Key was used for another request. Use a new one.";
        assert_eq!(other.body, json!({ "detail": detail }));
    }
    let events = api.event_types().await.into_iter().filter(|name| name == "task.created").count();
    assert_eq!((events, api.count("SELECT count(*) FROM tasks").await), (1, 1));
    // The answer outlives its task.
    send(api.client.request(Method::DELETE, &path).bearer_auth(&login.access)).await.expect(204);
    assert_eq!(create(&api.client, &login, "a-key", &dig()).await.expect(201).body, first.body);
    assert_eq!(api.count("SELECT count(*) FROM tasks").await, 0);
    // After a day the key is as good as new, whether or not it was purged; and it is each user's own.
    api.advance(2);
    let next_day = create(&api.client, &login, "a-key", &dig()).await.expect(201);
    assert_ne!(next_day.body["id"], first.body["id"]);
    let other = api.client.join("other").await;
    assert_eq!(
        create(&api.client, &other, "a-key", &dig()).await.expect(201).header("idempotency-replayed"),
        ""
    );
    let kept: Vec<(Vec<u8>,)> =
        sqlx::query_as("SELECT key FROM idempotency_keys").fetch_all(api.database.pool()).await.unwrap();
    assert!(kept.len() == 2 && kept.iter().all(|(key,)| key.len() == 32), "digests alone");
}

#[tokio::test]
async fn a_refused_request_does_not_use_its_key_up_and_an_odd_key_is_refused() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    create(&api.client, &login, "a-key", &json!({ "title": "Dig", "duration": "soon" })).await.expect(400);
    api.execute("ALTER TABLE outbox ADD CONSTRAINT full_disk CHECK (false) NOT VALID").await;
    create(&api.client, &login, "a-key", &dig()).await.expect(500);
    api.execute("ALTER TABLE outbox DROP CONSTRAINT full_disk").await;
    assert_eq!(
        create(&api.client, &login, "a-key", &dig()).await.expect(201).header("idempotency-replayed"),
        ""
    );
    let text = "Send one key of 1 to 255 visible ASCII characters, such as a UUID, with or without quotes.";
    let refused = json!({ "Idempotency-Key": [text] });
    for key in ["", "\"\"", "a b", "a, b", "\"a", &"x".repeat(256)] {
        assert_eq!(create(&api.client, &login, key, &dig()).await.expect(400).body, refused, "{key}");
    }
    let twice = api.client.request(Method::POST, "/api/tasks/").bearer_auth(&login.access);
    let twice = twice.header("idempotency-key", "a").header("idempotency-key", "a").json(&dig());
    assert_eq!(send(twice).await.expect(400).body, refused);
    assert_eq!(api.count("SELECT count(*) FROM tasks").await, 1);
}

#[tokio::test]
async fn twenty_at_once_with_one_key_make_one_task() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let replica = api.replica(&[]).await;
    let tries = (0..20).map(|turn| {
        let (client, login) =
            (if turn % 2 == 0 { &api.client } else { &replica.client }.clone(), login.clone());
        tokio::spawn(async move { create(&client, &login, "a-key", &dig()).await })
    });
    let (mut bodies, mut replayed) = (Vec::new(), 0);
    for one in tries.collect::<Vec<_>>() {
        let answer = one.await.unwrap().expect(201);
        replayed += usize::from(answer.header("idempotency-replayed") == "true");
        bodies.push(answer.body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    let events = api.event_types().await.into_iter().filter(|name| name == "task.created").count();
    assert_eq!((replayed, events, api.count("SELECT count(*) FROM tasks").await), (19, 1, 1));
}

/// Goes red when the account of somebody who was there a moment ago is taken for granted.
#[tokio::test]
async fn a_key_of_an_account_that_is_deleted_meanwhile_is_refused_as_a_token_of_nobody() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let mut holder = api.database.pool().begin().await.unwrap();
    sqlx::query("DELETE FROM users").execute(&mut *holder).await.unwrap();
    let (client, froggly) = (api.client.clone(), login.clone());
    let making = tokio::spawn(async move { create(&client, &froggly, "a-key", &dig()).await });
    wait_for_a_waiter(api.database.pool()).await;
    holder.commit().await.unwrap();
    assert_eq!(making.await.unwrap().expect(401).text("code"), "user_not_found");
}

/// Goes red when a request waits for another one without end, or when a key is used up by what came to nothing.
#[tokio::test]
async fn who_finds_his_key_in_use_is_told_so_after_a_while_and_may_use_it_when_the_other_gave_up() {
    let database = TestDatabase::create().await;
    let pool = shared::database::connect(&database.config_as(Role::ProducerApi), "producer-api").unwrap();
    let api = Api::start_over(database, pool).await;
    let login = api.client.join("froggly").await;
    create(&api.client, &login, "a-key", &dig()).await.expect(201);
    // As if its day were over: the next request claims it anew.
    api.execute("UPDATE idempotency_keys SET created_at = created_at - interval '2 days'").await;
    let mut under_way = api.database.pool().begin().await.unwrap();
    sqlx::query("UPDATE idempotency_keys SET created_at = $1")
        .bind(api.now())
        .execute(&mut *under_way)
        .await
        .unwrap();
    let answer = create(&api.client, &login, "a-key", &dig()).await.expect(409);
    let detail = "A request with this Idempotency-Key is still being processed. Try again.";
    assert_eq!(answer.body, json!({ "detail": detail }));
    // Another key, and the same key of another user, wait for nobody.
    create(&api.client, &login, "b-key", &dig()).await.expect(201);
    let other = api.client.join("other").await;
    create(&api.client, &other, "a-key", &dig()).await.expect(201);
    under_way.rollback().await.unwrap();
    assert_eq!(
        create(&api.client, &login, "a-key", &dig()).await.expect(201).header("idempotency-replayed"),
        ""
    );
    assert_eq!(api.count("SELECT count(*) FROM tasks").await, 4);
}

#[tokio::test]
async fn a_key_without_a_good_token_is_not_used_up_and_its_letters_and_its_length_count() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let stranger = Login { access: format!("{}x", login.access), ..login.clone() };
    create(&api.client, &stranger, "a-key", &dig()).await.expect(401);
    let ended = api.client.log_in("froggly").await;
    api.client.log_out(&ended).await.expect(200);
    create(&api.client, &ended, "a-key", &dig()).await.expect(401);
    let login = api.client.log_in("froggly").await;
    for key in ["a-key", "A-KEY", "a-key ", "A-Key"] {
        let answer = create(&api.client, &login, key, &dig()).await.expect(201);
        // White space around a header's value is not part of it.
        assert_eq!(answer.header("idempotency-replayed"), if key == "a-key " { "true" } else { "" }, "{key}");
    }
    // One that no server reads is refused before any of ours sees it.
    for length in [300, 60_000, 1_000_000] {
        let request = api.client.request(Method::POST, "/api/tasks/").bearer_auth(&login.access);
        let request = request.header("idempotency-key", "x".repeat(length)).json(&dig());
        // The connection may be cut off while it is still being sent.
        if let Ok(answer) = try_send(request).await {
            assert!([400, 431].contains(&answer.status), "{length}: {}", answer.status);
        }
    }
    assert_eq!(api.count("SELECT count(*) FROM tasks").await, 3);
    // With its user, his keys go: whoever comes by the name later is not answered with them.
    api.execute("DELETE FROM users").await;
    assert_eq!(api.count("SELECT count(*) FROM idempotency_keys").await, 0);
    create(&api.client, &login, "a-key", &dig()).await.expect(401);
}
