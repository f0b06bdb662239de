//! Logging in, staying in, logging out: one active session a user.

use serde_json::json;
use test_support::api::{Answer, PASSWORD};

use crate::harness::{Api, signed};

fn blacklisted() -> serde_json::Value {
    json!({ "detail": "Token is blacklisted", "code": "token_not_valid" })
}

#[tokio::test]
async fn both_login_endpoints_give_a_pair_and_one_says_who() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    let pair = api.client.obtain_pair("froggly", PASSWORD).await.expect(200);
    let members: Vec<_> = pair.body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["access", "refresh"]);
    let login = api.client.try_log_in("froggly", PASSWORD).await.expect(200);
    assert_eq!((login.body["id"].as_i64(), login.text("email")), (Some(1), "froggly@example.com"));
}

#[tokio::test]
async fn every_refused_login_has_the_same_bytes_and_the_trail_knows_why() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    api.client.register("dormant").await.expect(201);
    sqlx::query("UPDATE users SET is_active = false WHERE username = 'dormant'")
        .execute(api.database.pool())
        .await
        .unwrap();
    api.forget_events().await;
    for (username, password) in
        [("nobody", PASSWORD), ("froggly", "wrong"), ("dormant", PASSWORD), ("Froggly", PASSWORD)]
    {
        let answer = api.client.obtain_pair(username, password).await.expect(401);
        assert_eq!(answer.body, json!({ "detail": "No active account found with the given credentials" }));
        assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="api""#);
    }
    let reasons: Vec<_> = api.events().await.into_iter().map(|(_, data)| data["reason"].clone()).collect();
    assert_eq!(reasons, ["unknown_user", "wrong_password", "disabled", "unknown_user"]);
}

#[tokio::test]
async fn a_login_after_failures_says_how_many_there_were() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    for _ in 0..3 {
        api.client.obtain_pair("froggly", "wrong password").await.expect(401);
    }
    for failures_before in [3, 0] {
        api.forget_events().await;
        api.client.log_in("froggly").await;
        let events = api.events().await;
        assert_eq!(events.last().unwrap().1["failures_before"], failures_before);
    }
}

#[tokio::test]
async fn a_second_login_ends_the_first_session_with_its_tokens() {
    let api = Api::start().await;
    let first = api.client.join("froggly").await;
    api.forget_events().await;
    let second = api.client.log_in("froggly").await;
    assert_eq!(
        api.event_types().await,
        ["auth.session.ended", "auth.token.blacklisted", "auth.login.succeeded"]
    );
    let refused = api.client.tasks(&first).await.expect(401);
    assert_eq!(
        refused.body,
        json!({
            "detail": "Given token not valid for any token type",
            "code": "token_not_valid",
            "messages": [{ "token_class": "AccessToken", "token_type": "access", "message": "Token is blacklisted" }],
        })
    );
    assert_eq!(api.client.refresh(&first.refresh).await.expect(401).body, blacklisted());
    api.client.tasks(&second).await.expect(200);
    api.client.refresh(&second.refresh).await.expect(200);
}

#[tokio::test]
async fn thirty_logins_at_once_end_with_one_active_session_and_twenty_nine_ends() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    api.forget_events().await;
    let logins = (0..30).map(|_| {
        let client = api.client.clone();
        tokio::spawn(async move { client.obtain_pair("froggly", PASSWORD).await })
    });
    for login in logins.collect::<Vec<_>>() {
        login.await.unwrap().expect(200);
    }
    assert_eq!(api.count("SELECT count(*) FROM user_sessions WHERE is_active").await, 1);
    let ends = api.events().await.into_iter().filter(|(name, _)| name == "auth.session.ended").count();
    assert_eq!(ends, 29);
}

#[tokio::test]
async fn a_second_active_session_is_refused_by_the_database_itself() {
    let api = Api::start().await;
    api.client.join("froggly").await;
    let second = "INSERT INTO user_sessions (id, user_id, slot, login_time)
                  SELECT gen_random_uuid(), user_id, slot, login_time FROM user_sessions";
    let error = sqlx::query(second).execute(api.database.pool()).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().constraint(), Some("user_sessions_slot_key"));
}

#[tokio::test]
async fn logging_out_ends_the_session_once_whichever_token_is_shown() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    for shown in ["both", "refresh", "access"] {
        let login = api.client.log_in("froggly").await;
        api.forget_events().await;
        let log_out = async || {
            let body = if shown == "access" { json!({}) } else { json!({ "refresh": login.refresh }) };
            let request = api.client.request(reqwest::Method::POST, "/api/logout/").json(&body);
            let request = if shown == "refresh" { request } else { request.bearer_auth(&login.access) };
            test_support::api::send(request).await
        };
        assert_eq!(log_out().await.expect(200).body, json!({}), "{shown}");
        let mut types = api.event_types().await;
        types.sort();
        assert_eq!(types, ["auth.session.ended", "auth.token.blacklisted"], "{shown}");
        assert_eq!(log_out().await.expect(401).body, blacklisted(), "{shown}");
        api.client.tasks(&login).await.expect(401);
        assert_eq!(api.client.refresh(&login.refresh).await.expect(401).body, blacklisted(), "{shown}");
    }
}

#[tokio::test]
async fn logging_out_with_nothing_asks_for_the_refresh_token() {
    let api = Api::start().await;
    let answer = api.client.post("/api/logout/", &json!({})).await.expect(400);
    assert_eq!(answer.body, json!({ "refresh": ["This field is required."] }));
}

#[tokio::test]
async fn fifty_logouts_at_once_end_the_session_once() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    api.forget_events().await;
    let tries = (0..50).map(|turn| {
        let (client, login) = (api.client.clone(), login.clone());
        tokio::spawn(async move {
            // Both ways to end a session, so that they meet.
            if turn % 2 == 0 { client.log_out(&login).await } else { client.blacklist(&login.refresh).await }
        })
    });
    let mut ended = 0;
    for attempt in tries.collect::<Vec<_>>() {
        let answer = attempt.await.unwrap();
        if answer.status == 200 {
            ended += 1;
        } else {
            assert_eq!(answer.expect(401).body, blacklisted());
        }
    }
    assert_eq!(ended, 1);
    assert_eq!(api.events().await.len(), 2, "one end, one blacklisted token");
}

#[tokio::test]
async fn the_blacklist_endpoint_ends_the_session_of_its_token() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    api.forget_events().await;
    assert_eq!(api.client.blacklist(&login.refresh).await.expect(200).body, json!({}));
    let events = api.events().await;
    assert_eq!(events[0].1["reason"], "blacklisted");
    assert_eq!(events[1].1["reason"], "logout");
    api.client.tasks(&login).await.expect(401);
    assert_eq!(api.client.blacklist(&login.refresh).await.expect(401).body, blacklisted());
}

#[tokio::test]
async fn a_token_minted_elsewhere_with_the_shared_key_works_and_can_be_blacklisted() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    let (now, later) = (api.now().timestamp(), api.now().timestamp() + 600);
    let claims = |kind: &str| {
        format!(r#"{{"token_type":"{kind}","exp":{later},"iat":{now},"jti":"{kind}-elsewhere","user_id":1}}"#)
    };
    let refresh = signed(&claims("refresh"));
    let answer = api.client.refresh(&refresh).await.expect(200);
    api.client.verify(answer.text("access")).await.expect(200);
    let tasks =
        api.client.request(reqwest::Method::GET, "/api/tasks/").bearer_auth(signed(&claims("access")));
    test_support::api::send(tasks).await.expect(200);
    api.client.blacklist(&refresh).await.expect(200);
    assert_eq!(api.client.refresh(&refresh).await.expect(401).body, blacklisted());
    assert_eq!(
        api.count("SELECT count(*) FROM outstanding_tokens WHERE user_id = 1 AND session_id IS NULL").await,
        1
    );
}

#[tokio::test]
async fn an_account_that_is_disabled_or_gone_opens_nothing() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let pool = api.database.pool();
    sqlx::query("UPDATE users SET is_active = false").execute(pool).await.unwrap();
    let no_account = json!({ "detail": "No active account found for the given token." });
    assert_eq!(
        api.client.tasks(&login).await.expect(401).body,
        json!({ "detail": "User is inactive", "code": "user_inactive" })
    );
    assert_eq!(api.client.refresh(&login.refresh).await.expect(401).body, no_account);
    sqlx::query("DELETE FROM users").execute(pool).await.unwrap();
    assert_eq!(
        api.client.tasks(&login).await.expect(401).body,
        json!({ "detail": "User not found", "code": "user_not_found" })
    );
    assert_eq!(api.client.refresh(&login.refresh).await.expect(401).body, no_account);
}

/// Row B02 of `auth-audit.md`, section E.
#[tokio::test]
async fn members_that_a_login_does_not_ask_for_are_as_if_absent() {
    let api = Api::start_with(&[("SESSION_POLICY", "unlimited")]).await;
    api.client.register("froggly").await.expect(201);
    api.client.register("other").await.expect(201);
    for path in ["/api/token/", "/api/token/sliding/", "/api/login/"] {
        let plain = json!({ "username": "froggly", "password": PASSWORD });
        let members = |answer: &Answer| answer.body.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let expected = members(&api.client.post(path, &plain).await.expect(200));
        let body = json!({
            "username": "froggly", "password": PASSWORD, "email": "other@example.com", "id": 2, "user_id": 2,
            "is_staff": true, "remember": { "me": [1, null] }, "": "",
        });
        assert_eq!(members(&api.client.post(path, &body).await.expect(200)), expected, "{path}");
        let wrong = json!({ "username": "froggly", "password": "wrong", "email": "froggly@example.com" });
        api.client.post(path, &wrong).await.expect(401);
    }
    let others = "SELECT count(*) FROM user_sessions WHERE user_id <> (SELECT id FROM users WHERE username = 'froggly')";
    assert_eq!(api.count(others).await, 0);
    assert_eq!(api.count("SELECT count(*) FROM users WHERE is_staff").await, 0);
}
