//! A refused login does not tell why it was refused: the same bytes, whatever the reason.

use reqwest::Method;
use serde_json::json;
use test_support::api::{Client, PASSWORD};
use test_support::programs::Program;
use test_support::{TestBroker, TestDatabase};

/// What Django 5.2 makes of "the password in Django".
const DJANGO_HASH: &str =
    "pbkdf2_sha256$1000000$O9t4wUUrWmtbjPzV8UdMaP$dbPA87Zq7sWug1EJGfiLhbakAoU7U4VBnkPQ+wa0HGk=";

/// Status, headers and body as they came, but for what is new in each answer.
async fn refusal(client: &Client, path: &str, username: &str, password: &str) -> String {
    let body = json!({ "username": username, "password": password });
    let answer = client.request(Method::POST, path).json(&body).send().await.unwrap();
    let of_each_alone = ["date", "x-request-id"];
    let headers = answer.headers().iter().filter(|(name, _)| !of_each_alone.contains(&name.as_str()));
    let headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
    let (status, body) = (answer.status(), answer.bytes().await.unwrap());
    format!("{status}\n{}\n\n{}", headers.join("\n"), String::from_utf8_lossy(&body))
}

/// Row B01 of `auth-audit.md`, section E: goes red when a reason has an answer of its own. What is asked of the database and of
/// the hasher is the same, too, see `who_exists` and `overload` in producer-api; `cargo xtask bench refused_logins` measures the
/// times.
#[tokio::test]
async fn every_refused_login_is_answered_with_the_same_bytes() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let api = Program::producer_api(&database, &broker).env("REQUIRE_VERIFIED_EMAIL", "true").start().await;
    let client = api.client();
    for username in ["ada", "disabled", "unverified", "imported", "imported_and_disabled"] {
        client.register(username).await.expect(201);
    }
    for (statement, value) in [
        ("UPDATE users SET email_verified_at = now() WHERE username <> $1", "unverified"),
        ("UPDATE users SET is_active = false WHERE username LIKE $1", "%disabled"),
        ("UPDATE users SET password = $1 WHERE username LIKE 'imported%'", DJANGO_HASH),
    ] {
        sqlx::query(statement).bind(value).execute(database.pool()).await.unwrap();
    }
    for path in ["/api/login/", "/api/token/", "/api/token/sliding/"] {
        let unknown = refusal(&client, path, "nobody", PASSWORD).await;
        assert!(unknown.starts_with("401 Unauthorized\n"), "{unknown}");
        assert!(unknown.contains("No active account found with the given credentials"), "{unknown}");
        for (username, password) in [
            ("ada", "not her password"),
            ("disabled", PASSWORD),
            ("disabled", "not his password"),
            ("unverified", PASSWORD),
            ("imported", "not her password"),
            ("imported_and_disabled", "the password in Django"),
        ] {
            assert_eq!(refusal(&client, path, username, password).await, unknown, "{username} at {path}");
        }
        let blank = refusal(&client, path, "nobody", "").await;
        assert!(blank.starts_with("400 Bad Request\n"), "{blank}");
        assert_eq!(refusal(&client, path, "ada", "").await, blank, "at {path}");
    }
    client.try_log_in("imported", "the password in Django").await.expect(200);
}
