//! How long a session lasts: as long as its tokens are refreshed, and no longer than `SESSION_LIFETIME_MAX`.

use std::time::Duration;

use producer_api::sessions::inspect;
use serde_json::json;
use test_support::api::{Answer, Client, PASSWORD};
use test_support::eventually;

use crate::harness::{Api, claims_of, refused, refused_access, signed, tasks_with};
use crate::policies::waiters;

const ROTATING: [(&str, &str); 2] = [("ROTATE_REFRESH_TOKENS", "true"), ("BLACKLIST_AFTER_ROTATION", "true")];
const SLIDING: (&str, &str) = ("AUTH_TOKEN_CLASSES", "SlidingToken");
const ONE_HOUR: (&str, &str) = ("SESSION_LIFETIME_MAX", "1h");

fn rotating_with<'a>(settings: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    ROTATING.iter().chain(settings).copied().collect()
}

async fn obtain_sliding(client: &Client) -> String {
    let body = json!({ "username": "froggly", "password": PASSWORD });
    client.post("/api/token/sliding/", &body).await.expect(200).text("token").to_owned()
}

async fn slide(client: &Client, token: &str) -> Answer {
    client.post("/api/token/sliding/refresh/", &json!({ "token": token })).await
}

/// Row D08 of `auth-audit.md`, section E: the idle limit is the lifetime of a refresh token.
#[tokio::test]
async fn a_session_that_is_not_refreshed_in_time_is_over() {
    for settings in [&[][..], &ROTATING] {
        let api = Api::start_with(settings).await;
        let login = api.client.join("froggly").await;
        api.advance(86_400);
        let answer = api.client.refresh(&login.refresh).await.expect(401);
        assert_eq!(answer.body, refused("Token is expired"));
        // Its books are closed when the next access token could not be good either.
        api.advance(300);
        api.forget_events().await;
        api.client.log_in("froggly").await;
        assert_eq!(api.reasons("auth.session.ended").await, ["expired"]);
    }
}

/// Row D08 of `auth-audit.md`, section E: the absolute limit.
#[tokio::test]
async fn a_session_that_is_refreshed_again_and_again_is_over_at_its_limit() {
    for mode in [("SESSION_POLICY", "reject"), ("ACCESS_TOKEN_REVOCATION", "none")] {
        let api = Api::start_with(&rotating_with(&[ONE_HOUR, mode])).await;
        let login = api.client.join("froggly").await;
        let end = api.now().timestamp() + 3_600;
        assert_eq!(claims_of(&login.refresh)["exp"], end, "no token promises more than its session");
        let (mut access, mut refresh) = (login.access, login.refresh);
        for _ in 0..14 {
            api.advance(250);
            let answer = api.client.refresh(&refresh).await.expect(200);
            (access, refresh) = (answer.text("access").to_owned(), answer.text("refresh").to_owned());
            let expected = end.min(api.now().timestamp() + 300);
            assert_eq!(
                (&claims_of(&access)["exp"], &claims_of(&refresh)["exp"]),
                (&json!(expected), &json!(end))
            );
        }
        api.advance(99);
        tasks_with(&api.client, &access).await.expect(200);
        api.advance(1);
        let expired = tasks_with(&api.client, &access).await.expect(401);
        assert_eq!(expired.body, refused_access("Token is expired"));
        for answer in [api.client.refresh(&refresh).await, api.client.verify(&refresh).await] {
            assert_eq!(answer.expect(401).body, refused("Token is expired"), "{mode:?}");
        }
        api.forget_events().await;
        // At once, and under `reject`, too: nothing of it is good any more.
        api.client.log_in("froggly").await;
        assert_eq!(api.reasons("auth.session.ended").await, ["expired"], "{mode:?}");
    }
}

#[tokio::test]
async fn a_sliding_token_is_renewed_until_its_session_reaches_the_limit() {
    let api = Api::start_with(&[SLIDING, ONE_HOUR]).await;
    api.client.register("froggly").await.expect(201);
    let mut token = obtain_sliding(&api.client).await;
    let end = api.now().timestamp() + 3_600;
    assert_eq!(claims_of(&token)["refresh_exp"], end);
    for _ in 0..14 {
        api.advance(250);
        token = slide(&api.client, &token).await.expect(200).text("token").to_owned();
        assert_eq!(claims_of(&token)["exp"], end.min(api.now().timestamp() + 300));
    }
    api.advance(99);
    tasks_with(&api.client, &token).await.expect(200);
    api.advance(1);
    tasks_with(&api.client, &token).await.expect(401);
    assert_eq!(slide(&api.client, &token).await.expect(401).body, refused("Token is expired"));
}

#[tokio::test]
async fn a_limit_set_later_ends_a_session_that_is_older_when_it_is_refreshed() {
    let events = ["auth.session.ended", "auth.token.blacklisted"];
    for exchanging in [&[][..], &ROTATING] {
        let api = Api::start_with(exchanging).await;
        let limited: Vec<_> = exchanging.iter().copied().chain([ONE_HOUR]).collect();
        let limited = api.replica(&limited).await;
        let login = api.client.join("froggly").await;
        api.advance(3_599);
        let access = limited.client.refresh(&login.refresh).await.expect(200).text("access").to_owned();
        assert_eq!(claims_of(&access)["exp"], api.now().timestamp() + 1);
        api.client.log_in("froggly").await;
        let login = api.client.log_in("froggly").await;
        api.advance(3_600);
        api.forget_events().await;
        let inspection = inspect(&limited.state, &login.refresh).await.unwrap();
        let expected = "Token is expired: its session has lasted as long as it may";
        assert_eq!((inspection.good, &inspection.findings["verdict"]), (false, &json!(expected)));
        assert!(inspect(&api.state, &login.refresh).await.unwrap().good, "where there is no limit");
        let answer = limited.client.refresh(&login.refresh).await.expect(401);
        assert_eq!(answer.body, refused("Token is expired"));
        assert_eq!(api.event_types().await, events);
        assert_eq!(api.reasons("auth.session.ended").await, ["expired"]);
        for client in [&limited.client, &api.client] {
            let answer = client.refresh(&login.refresh).await.expect(401);
            assert_eq!(answer.body, refused("Token is blacklisted"), "the end is told once");
        }
        assert_eq!(api.event_types().await.len(), events.len());
    }
    let api = Api::start_with(&[SLIDING, ("SLIDING_TOKEN_LIFETIME", "1d")]).await;
    let limited = api.replica(&[SLIDING, ONE_HOUR]).await;
    api.client.register("froggly").await.expect(201);
    let token = obtain_sliding(&api.client).await;
    api.advance(3_600);
    api.forget_events().await;
    assert_eq!(slide(&limited.client, &token).await.expect(401).body, refused("Token is expired"));
    assert_eq!(api.event_types().await, events);
    let answer = tasks_with(&limited.client, &token).await.expect(401);
    assert!(answer.body.to_string().contains("Token is blacklisted"), "{}", answer.body);
}

/// Goes red when an end is not told under the lock of its user: beside a login's its events come in no order.
#[tokio::test]
async fn a_session_that_many_find_over_waits_for_its_user_and_ends_once() {
    let api = Api::start().await;
    let limited = api.replica(&[ONE_HOUR]).await;
    let login = api.client.join("froggly").await;
    api.advance(3_600);
    api.forget_events().await;
    let mut holder = api.database.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM users FOR NO KEY UPDATE").execute(&mut *holder).await.unwrap();
    let refreshes: Vec<_> = (0..5)
        .map(|_| {
            let (client, refresh) = (limited.client.clone(), login.refresh.clone());
            tokio::spawn(async move { client.refresh(&refresh).await })
        })
        .collect();
    let ended = eventually(Duration::from_secs(30), "five that wait or have their answers", async || {
        let ended = refreshes.iter().filter(|refresh| refresh.is_finished()).count();
        (i64::try_from(ended).unwrap() + waiters(api.database.pool()).await >= 5).then_some(ended)
    })
    .await;
    assert_eq!(ended, 0, "nobody passed the lock");
    holder.commit().await.unwrap();
    for refresh in refreshes {
        assert_eq!(refresh.await.unwrap().expect(401).body, refused("Token is expired"));
    }
    assert_eq!(api.event_types().await, ["auth.session.ended", "auth.token.blacklisted"]);
}

#[tokio::test]
async fn a_session_older_than_the_limit_keeps_nobody_out() {
    let api = Api::start_with(&[("SESSION_POLICY", "reject")]).await;
    let limited = api.replica(&[("SESSION_POLICY", "reject"), ONE_HOUR]).await;
    api.client.join("froggly").await;
    api.advance(3_599);
    limited.client.obtain_pair("froggly", PASSWORD).await.expect(409);
    api.advance(1);
    api.client.obtain_pair("froggly", PASSWORD).await.expect(409);
    limited.client.log_in("froggly").await;
    assert_eq!(api.reasons("auth.session.ended").await, ["expired"]);
}

#[tokio::test]
async fn a_token_from_elsewhere_has_no_session_that_could_reach_a_limit() {
    let api = Api::start_with(&[ONE_HOUR]).await;
    api.client.register("froggly").await.expect(201);
    let (now, later) = (api.now().timestamp(), api.now().timestamp() + 86_400);
    let refresh =
        signed(&format!(r#"{{"token_type":"refresh","exp":{later},"iat":{now},"jti":"a","user_id":1}}"#));
    api.advance(7_200);
    let access = api.client.refresh(&refresh).await.expect(200).text("access").to_owned();
    assert_eq!(claims_of(&access)["exp"], api.now().timestamp() + 300);
}
