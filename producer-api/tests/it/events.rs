//! What an event carries besides its own data, and that fact and event are one.

use serde_json::Value;
use test_support::api::send;

use crate::harness::Api;

#[tokio::test]
async fn a_requests_trace_and_id_address_and_agent_travel_with_its_event() {
    let api = Api::start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let id = "01a1fd71-f0a9-7230-bc37-bd84c41cf468";
    let body =
        serde_json::json!({ "username": "froggly", "email": "f@example.com", "password": "correct horse" });
    let request = api
        .client
        .request(reqwest::Method::POST, "/api/register/")
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))
        .header("x-request-id", id)
        .header("user-agent", "curl/8")
        .json(&body);
    let answer = send(request).await.expect(201);
    assert_eq!(answer.header("x-request-id"), id);
    let (body, headers): (String, Value) =
        sqlx::query_as("SELECT body, headers FROM outbox WHERE exchange = 'auth.events'")
            .fetch_one(api.database.pool())
            .await
            .unwrap();
    let event: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(&event["traceparent"].as_str().unwrap()[3..35], trace);
    assert_eq!(headers["traceparent"], event["traceparent"]);
    assert_eq!(event["data"]["request_id"], id);
    assert_eq!(event["data"]["ip"], "127.0.0.1");
    assert_eq!(event["data"]["user_agent"], "curl/8");
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["source"], "/warren/producer-api");
    assert_eq!(event["dataschema"], "/schemas/auth.user.registered/v1");
    assert_eq!(event["sequence"].as_str().unwrap().len(), 20);
}

#[tokio::test]
async fn an_action_whose_event_cannot_be_written_does_not_happen() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    sqlx::query("ALTER TABLE outbox ADD CONSTRAINT full_disk CHECK (false) NOT VALID")
        .execute(api.database.pool())
        .await
        .unwrap();
    assert_eq!(api.client.register("other").await.expect(500).text("detail"), "A server error occurred.");
    api.client.create_task(&login, "never").await.expect(500);
    api.client.log_out(&login).await.expect(500);
    assert_eq!(api.count("SELECT count(*) FROM users").await, 1);
    assert_eq!(api.count("SELECT count(*) FROM tasks").await, 0);
    assert_eq!(api.count("SELECT count(*) FROM user_sessions WHERE is_active").await, 1);
}

#[tokio::test]
async fn the_sequences_of_one_users_facts_are_in_the_order_in_which_they_happened() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    let logins = (0..8).map(|_| {
        let client = api.client.clone();
        tokio::spawn(async move { client.log_in("froggly").await })
    });
    for login in logins.collect::<Vec<_>>() {
        login.await.unwrap();
    }
    // By sequence, a session ends only after it began, and a new one begins only when the one before has ended.
    let mut active: Option<String> = None;
    for (name, data) in api.events().await {
        let session = data["session_id"].as_str().unwrap_or_default().to_owned();
        match name.as_str() {
            "auth.login.succeeded" => assert_eq!(active.replace(session), None),
            "auth.session.ended" => assert_eq!(active.take(), Some(session)),
            _ => {}
        }
    }
    assert!(active.is_some());
}
