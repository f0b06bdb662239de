//! While the queue of the hasher is full: who is sent away, and who is not. Rows A07, B01 and B10 of `auth-audit.md`,
//! section E; what a flood costs in memory, `cargo xtask bench login_flood` measures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use producer_api::accounts;
use reqwest::Method;
use serde_json::json;
use test_support::api::{PASSWORD, send};

use crate::harness::Api;

/// Takes seconds to be checked.
const SLOW: &str = "pbkdf2_sha256$8000000$saltsaltsaltsalt$Cf9xjlisAEzRbMZsosxST/5+wkpfUV6uoqiZkYtP6iQ=";

/// One place and one who may wait.
const SMALL: [(&str, &str); 2] = [("HASHING_PERMITS", "1"), ("HASHING_QUEUE", "1")];

/// Takes both for seconds. The API must run on the test's own thread.
async fn fill(api: &Api) {
    for _ in 0..2 {
        let hasher = api.state.hasher.clone();
        tokio::spawn(async move { hasher.verify("x".to_owned(), Some(SLOW.to_owned())).await });
        tokio::task::yield_now().await;
    }
}

/// Row B01: an unknown name costs a hash, as a wrong password does. If it didn't, it would be refused here and not sent away.
#[tokio::test]
async fn every_login_needs_the_hasher_whoever_has_the_name() {
    let api = Api::start_with(&SMALL).await;
    for name in ["froggly", "disabled"] {
        api.client.register(name).await.expect(201);
    }
    accounts::set_active(&api.state, &api.context(), "disabled", false).await.unwrap();
    fill(&api).await;
    for (name, password) in [
        ("froggly", PASSWORD),
        ("froggly", "wrong"),
        ("disabled", PASSWORD),
        ("nobody", PASSWORD),
        ("nobody", "x"),
    ] {
        let answer = api.client.try_log_in(name, password).await.expect(503);
        assert_eq!(answer.header("retry-after"), "1", "{name}");
    }
}

/// Somebody signed in is sent away like a stranger: it is told, by count, and nothing is held against him.
#[tokio::test]
async fn a_password_asked_for_once_more_that_nobody_has_time_for_is_told_and_does_not_count_as_wrong() {
    let api = Api::start_with(&SMALL).await;
    let login = api.client.join("froggly").await;
    api.forget_events().await;
    fill(&api).await;
    let delete = api.client.request(Method::DELETE, "/api/users/me/").bearer_auth(&login.access);
    send(delete.json(&json!({ "password": PASSWORD }))).await.expect(503);
    assert_eq!(api.events().await, vec![]);
    api.state.limits.refused.tell(api.database.pool(), &api.state.outbox).await.unwrap();
    let (name, told) = api.events().await.pop().unwrap();
    assert_eq!(
        (name.as_str(), &told["reason"], &told["count"]),
        ("auth.reauthentication.failed", &json!("limited"), &json!(1))
    );
    let wrong =
        "SELECT COALESCE(sum(failures), 0)::bigint FROM login_limits WHERE kind IN ('account', 'address')";
    assert_eq!(api.count(wrong).await, 0);
}

/// Row A07: what is too long is refused without the hasher; a body of ten megabytes, see `bad_input`.
#[tokio::test]
async fn an_endless_password_for_an_account_costs_no_hash() {
    let api = Api::start_with(&SMALL).await;
    let login = api.client.join("froggly").await;
    let link = api.link(login.user_id, "reset_password", "froggly@example.com", 300).await;
    fill(&api).await;
    let endless = "x".repeat(1_000_000);
    let too_long = json!(["Ensure this field has no more than 128 characters."]);
    let account = json!({ "username": "toad", "email": "t@example.com", "password": endless });
    let answer = api.client.post("/api/register/", &account).await.expect(400);
    assert_eq!(answer.body, json!({ "password": too_long }));
    let choice = json!({ "token": link, "password": endless });
    let answer = api.client.post("/api/password/reset/confirm/", &choice).await.expect(400);
    assert_eq!(answer.body, json!({ "password": too_long }));
    // One that would do is sent away.
    let account = json!({ "username": "toad", "email": "t@example.com", "password": PASSWORD });
    api.client.post("/api/register/", &account).await.expect(503);
}

/// Row B10.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_hundred_logins_at_once_on_two_permits_each_is_answered_and_others_are_served_meanwhile() {
    let settings = [("HASHING_PERMITS", "2"), ("HASHING_QUEUE", "20"), ("LOGIN_FAILURES_PER_ADDRESS", "0")];
    let api = Api::start_with(&settings).await;
    let login = api.client.join("froggly").await;
    let under_way = Arc::new(AtomicUsize::new(300));
    let logins = (0..300).map(|number| {
        let (client, under_way) = (api.client.clone(), Arc::clone(&under_way));
        tokio::spawn(async move {
            let answer = client.try_log_in(&format!("user{number}"), "wrong").await;
            under_way.fetch_sub(1, Ordering::AcqRel);
            answer
        })
    });
    let logins: Vec<_> = logins.collect();
    let mut served = 0;
    while under_way.load(Ordering::Acquire) > 0 {
        api.client.tasks(&login).await.expect(200);
        served += 1;
    }
    let mut refused = 0;
    for answer in logins {
        let answer = answer.await.unwrap();
        match answer.status {
            401 => refused += 1,
            _ => assert_ne!(answer.expect(503).header("retry-after"), ""),
        }
    }
    assert!(refused >= 22 && served > 0, "{refused} refused, {served} served");
}
