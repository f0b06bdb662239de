//! Registering. Rows A03 and A04 of `auth-audit.md`, section E.

use serde_json::json;

use crate::harness::Api;

#[tokio::test]
async fn a_new_account_is_answered_with_id_username_and_email_and_nothing_else() {
    let api = Api::start().await;
    let answer = api.client.register("froggly").await.expect(201);
    assert_eq!(answer.body, json!({ "id": 1, "username": "froggly", "email": "froggly@example.com" }));
    let events = api.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].0, "auth.user.registered");
    assert_eq!(events[0].1["user_agent"], "warren-tests/1.0");
}

/// Row A04.
#[tokio::test]
async fn privileges_in_the_body_are_never_bound() {
    let api = Api::start().await;
    let body = json!({
        "username": "mallory", "email": "m@example.com", "password": "correct horse", "is_staff": true,
        "is_superuser": true, "id": 99, "is_active": false, "role": "admin", "email_verified": true,
        "email_verified_at": "2026-01-01T00:00:00Z",
    });
    assert_eq!(api.client.post("/api/register/", &body).await.expect(201).body["id"], 1);
    let privileged = "SELECT count(*) FROM users WHERE is_staff OR is_superuser OR NOT is_active
        OR email_verified_at IS NOT NULL";
    assert_eq!(api.count(privileged).await, 0);
}

#[tokio::test]
async fn everything_wrong_with_the_fields_is_said_at_once() {
    let api = Api::start().await;
    let answer = api.client.post("/api/register/", &json!({})).await.expect(400);
    let required = json!(["This field is required."]);
    assert_eq!(answer.body, json!({ "username": required, "email": required, "password": required }));

    let body = json!({ "username": "a b", "email": "nowhere", "password": " short" });
    let answer = api.client.post("/api/register/", &body).await.expect(400);
    assert_eq!(answer.body["email"], json!(["Enter a valid email address."]));
    assert_eq!(answer.body["password"].as_array().unwrap().len(), 2);
    assert!(answer.body["username"][0].as_str().unwrap().starts_with("Enter a valid username."));

    let own = json!({ "username": "froggly", "email": "not.an.address", "password": "Froggly1" });
    let answer = api.client.post("/api/register/", &own).await.expect(400);
    assert_eq!(answer.body["password"], json!(["The password is too similar to the username."]));
    assert_eq!(answer.body["email"], json!(["Enter a valid email address."]));

    let long = json!({ "username": "a", "email": "a@example.com", "password": "x".repeat(1_000_000) });
    let answer = api.client.post("/api/register/", &long).await.expect(400);
    assert_eq!(answer.body, json!({ "password": ["Ensure this field has no more than 128 characters."] }));
    assert!(api.events().await.is_empty(), "nothing happened, so nothing is told");
}

#[tokio::test]
async fn a_password_that_others_would_guess_is_refused_with_the_reason() {
    let api = Api::start().await;
    for (password, reason) in [
        ("SunShine", "This password is too common."),
        ("Green.Pond", "The password is too similar to the email address."),
        ("19840612", "This password is too weak: dates are often easy to guess."),
    ] {
        let body = json!({ "username": "froggly", "email": "green@pond.example", "password": password });
        let answer = api.client.post("/api/register/", &body).await.expect(400);
        assert_eq!(answer.body, json!({ "password": [reason] }));
    }
    assert_eq!(api.count("SELECT count(*) FROM users").await, 0);
}

/// Row A03, where all want one name; where all want one address, see `who_exists`.
#[tokio::test]
async fn twenty_that_want_one_name_at_once_get_one_account() {
    let api = Api::start().await;
    let tries = (0..20).map(|_| {
        let client = api.client.clone();
        tokio::spawn(async move { client.register("froggly").await })
    });
    let mut made = 0;
    for attempt in tries.collect::<Vec<_>>() {
        let answer = attempt.await.unwrap();
        match answer.status {
            201 => made += 1,
            _ => assert_eq!(
                answer.expect(400).body,
                json!({ "username": ["A user with that username already exists."] })
            ),
        }
    }
    assert_eq!(made, 1);
    assert_eq!(api.event_types().await, ["auth.user.registered"]);
}
