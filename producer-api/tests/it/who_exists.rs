//! Nothing that is answered tells who has an account: not the bytes, and not the work that is done for them. Rows A02, A03,
//! B01 and F01 of `auth-audit.md`, section E.
//!
//! Times themselves are no matter for a test: `cargo xtask bench who_exists` (registering, resetting, asking for a link)
//! and `cargo xtask bench refused_logins` measure them.

use std::collections::BTreeSet;

use producer_api::accounts;
use serde_json::json;
use test_support::api::{Answer, PASSWORD};

use crate::harness::Api;
use crate::statements::Statements;

const DAY: i64 = 86_400;

async fn register(api: &Api, username: &str, email: &str) -> Answer {
    let account = json!({ "username": username, "email": email, "password": PASSWORD });
    api.client.post("/api/register/", &account).await
}

/// Row A02: what the owner gets, `mail_links` and the life of an account show.
#[tokio::test]
async fn registering_asks_the_same_of_the_database_whoever_has_the_address() {
    let api = Api::start().await;
    register(&api, "owner", "owned@example.com").await.expect(201);
    register(&api, "other", "unproved@example.com").await.expect(201);
    api.execute("UPDATE users SET email_verified_at = now() WHERE username = 'owner'").await;
    let statements = Statements::watch();
    let mut asked = BTreeSet::new();
    for (username, email) in [
        ("one", "fresh@example.com"),
        ("two", "owned@example.com"),
        ("three", "OWNED@example.com"),
        ("four", "unproved@example.com"),
    ] {
        let before = api.event_types().await.len();
        statements.take();
        let answer = register(&api, username, email).await.expect(201);
        asked.insert(statements.take());
        assert_eq!((answer.text("username"), answer.text("email")), (username, email));
        assert_eq!(api.event_types().await.split_off(before), ["auth.user.registered"], "{email}");
    }
    assert!(asked.len() == 1 && asked.iter().all(|asked| asked.len() > 3), "{asked:#?}");
}

/// Row A03, where all want one address and have their own names; where all want one name, see `registering`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_that_register_with_one_address_at_once_are_twenty_accounts_and_one_proves_it() {
    let api = Api::start().await;
    let other = api.replica(&[]).await;
    let tries = (0..20).map(|number| {
        let client = if number % 2 == 0 { api.client.clone() } else { other.client.clone() };
        let account =
            json!({ "username": format!("user{number}"), "email": "a@example.com", "password": PASSWORD });
        tokio::spawn(async move { client.post("/api/register/", &account).await })
    });
    for attempt in tries.collect::<Vec<_>>() {
        attempt.await.unwrap().expect(201);
    }
    assert_eq!(api.count("SELECT count(*) FROM users WHERE email = 'a@example.com'").await, 20);
    let mut proofs = Vec::new();
    for user in 1..=20 {
        let token = api.link(user, "verify_email", "a@example.com", DAY).await;
        let client = if user % 2 == 0 { api.client.clone() } else { other.client.clone() };
        proofs.push(async move { client.post("/api/email/verify/", &json!({ "token": token })).await });
    }
    let mut statuses = Vec::new();
    for proof in proofs.into_iter().map(tokio::spawn).collect::<Vec<_>>() {
        statuses.push(proof.await.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (200, &[400; 19][..]));
    assert_eq!(api.count("SELECT count(*) FROM users WHERE email_verified_at IS NOT NULL").await, 1);
}

/// Row B01: the bytes of each refusal are in the tests of the programs together, `refused_logins`; that each costs one hash, in
/// `overload`.
#[tokio::test]
async fn a_refused_login_asks_the_same_of_the_database_whatever_the_reason() {
    let settings = [("REQUIRE_VERIFIED_EMAIL", "true"), ("LOGIN_FAILURE_FLOOR", "0")];
    let api = Api::start_with(&settings).await;
    for name in ["froggly", "disabled", "unproved", "imported"] {
        api.client.register(name).await.expect(201);
    }
    api.execute("UPDATE users SET email_verified_at = now() WHERE username <> 'unproved'").await;
    accounts::set_active(&api.state, &api.context(), "disabled", false).await.unwrap();
    api.execute("UPDATE users SET password = 'pbkdf2_sha256$1000$saltsaltsaltsalt$Cf9xjlisAEzRbMZsosxST/5+wkpfUV6uoqiZkYtP6iQ='
        WHERE username = 'imported'").await;
    // Plans, types and the counts of the address are made by the first.
    api.client.try_log_in("somebody", "wrong").await.expect(401);
    let statements = Statements::watch();
    for path in ["/api/token/", "/api/token/sliding/", "/api/login/"] {
        let mut asked = BTreeSet::new();
        for (username, password) in [
            ("nobody", PASSWORD),
            ("froggly", "not his password"),
            ("disabled", PASSWORD),
            ("disabled", "not his password"),
            ("unproved", PASSWORD),
            ("imported", "not his password"),
        ] {
            statements.take();
            let body = json!({ "username": username, "password": password });
            api.client.post(path, &body).await.expect(401);
            asked.insert(statements.take());
        }
        assert!(asked.len() == 1 && asked.iter().all(|asked| asked.len() > 3), "{path}: {asked:#?}");
    }
}

/// Row F01: what is answered and told, `passwords` shows.
#[tokio::test]
async fn asking_for_a_link_asks_the_same_of_the_database_whoever_has_the_address() {
    let api = Api::start().await;
    for name in ["proved", "unproved", "disabled", "busy"] {
        api.client.register(name).await.expect(201);
    }
    api.execute("UPDATE users SET email_verified_at = now() WHERE username IN ('proved', 'disabled')").await;
    accounts::set_active(&api.state, &api.context(), "disabled", false).await.unwrap();
    let statements = Statements::watch();
    for path in ["/api/password/reset/", "/api/email/verify/resend/"] {
        let ask = async |name: &str| {
            let email = json!({ "email": format!("{name}@example.com") });
            api.client.post(path, &email).await.expect(202)
        };
        for _ in 0..5 {
            ask("busy").await;
        }
        let mut asked = BTreeSet::new();
        for name in ["nobody", "proved", "unproved", "disabled", "busy"] {
            statements.take();
            assert_eq!(ask(name).await.body, json!({}));
            asked.insert(statements.take());
        }
        assert!(asked.len() == 1 && asked.iter().all(|asked| asked.len() > 3), "{path}: {asked:#?}");
    }
}
