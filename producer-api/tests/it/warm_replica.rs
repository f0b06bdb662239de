//! However a session ends, the replica that ended it refuses its tokens before it answers, also where it remembers them as
//! good: here it believes what it remembers for an hour, and nobody but itself tells it otherwise.

use std::pin::Pin;

use producer_api::accounts;
use producer_api::sessions::{Wanted, mint_tokens};
use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Client, Login, PASSWORD, send};

use crate::harness::{Api, claims_of, refused_access, tasks_with};
use crate::standings::EVER;

const ROTATING: Settings = &[
    ("ROTATE_REFRESH_TOKENS", "true"),
    ("BLACKLIST_AFTER_ROTATION", "true"),
    ("REFRESH_GRACE_SECONDS", "0"),
];
const NEW: &str = "another horse, another battery";

type Future<'a> = Pin<Box<dyn std::future::Future<Output = ()> + 'a>>;
type End = for<'a> fn(&'a Api, &'a Login) -> Future<'a>;
type Settings = &'static [(&'static str, &'static str)];

async fn ask(client: &Client, method: Method, path: &str, login: &Login, body: Value) -> u16 {
    send(client.request(method, path).bearer_auth(&login.access).json(&body)).await.status
}

/// Every way in which a session ends, with the reason that is told.
const ENDS: &[(&str, Settings, End)] = &[
    ("logout", &[], |api, login| {
        Box::pin(async {
            api.client.post("/api/logout/", &json!({ "refresh": login.refresh })).await.expect(200);
        })
    }),
    ("logout", &[], |api, login| {
        Box::pin(async {
            let status = ask(&api.client, Method::POST, "/api/logout/", login, json!({})).await;
            assert_eq!(status, 200);
        })
    }),
    ("logout", &[], |api, login| {
        Box::pin(async {
            api.client.blacklist(&login.refresh).await.expect(200);
        })
    }),
    ("replaced", &[], |api, _| {
        Box::pin(async {
            api.client.log_in("froggly").await;
        })
    }),
    ("replaced", &[], |api, _| {
        Box::pin(async {
            let context = api.context();
            mint_tokens(&api.state, &context, "froggly", Wanted::Sliding).await.unwrap();
        })
    }),
    ("user_revoked", &[], |api, login| {
        Box::pin(async {
            let path = format!("/api/sessions/{}/", claims_of(&login.access)["sid"].as_str().unwrap());
            assert_eq!(ask(&api.client, Method::DELETE, &path, login, json!({})).await, 204);
        })
    }),
    ("staff_revoked", &[], |api, login| {
        Box::pin(async {
            let staff = staff(api).await;
            let path = format!("/api/sessions/{}/", claims_of(&login.access)["sid"].as_str().unwrap());
            assert_eq!(ask(&api.client, Method::DELETE, &path, &staff, json!({})).await, 204);
        })
    }),
    ("account_disabled", &[], |api, login| {
        Box::pin(async {
            let staff = staff(api).await;
            let path = format!("/api/users/{}/disable/", login.user_id);
            assert_eq!(ask(&api.client, Method::POST, &path, &staff, json!({})).await, 200);
            // What his account is now must not hide whether his session is over.
            api.execute("UPDATE users SET is_active = true").await;
        })
    }),
    ("password_changed", &[], |api, login| {
        Box::pin(async {
            let body = json!({ "current_password": PASSWORD, "new_password": NEW });
            assert_eq!(ask(&api.client, Method::POST, "/api/password/change/", login, body).await, 200);
        })
    }),
    ("password_changed", &[], |api, _| {
        Box::pin(async {
            accounts::set_password(&api.state, &api.context(), "froggly", NEW.to_owned()).await.unwrap();
        })
    }),
    ("password_reset", &[], |api, login| {
        Box::pin(async {
            let token = api.link(login.user_id, "reset_password", "froggly@example.com", 60).await;
            let body = json!({ "token": token, "password": NEW });
            api.client.post("/api/password/reset/confirm/", &body).await.expect(200);
        })
    }),
    ("reuse", ROTATING, |api, login| {
        Box::pin(async {
            api.client.refresh(&login.refresh).await.expect(200);
            api.client.refresh(&login.refresh).await.expect(401);
        })
    }),
    ("expired", &[("SESSION_LIFETIME_MAX", "1h")], |api, login| {
        Box::pin(async {
            // As if it had begun before there was a limit.
            api.execute("UPDATE user_sessions SET login_time = login_time - interval '1 hour'").await;
            api.client.refresh(&login.refresh).await.expect(401);
        })
    }),
];

async fn staff(api: &Api) -> Login {
    api.client.register("boss").await.expect(201);
    api.execute("UPDATE users SET is_staff = true WHERE username = 'boss'").await;
    api.client.log_in("boss").await
}

/// Goes red when a way of ending a session does not tell the replica that ended it.
#[tokio::test]
async fn however_a_session_ends_its_own_replica_refuses_it_at_once() {
    for (reason, settings, end) in ENDS {
        let api = Api::start_believing_for(EVER, settings).await;
        let login = api.client.join("froggly").await;
        api.state.standings.follower().read_changes_once().await.unwrap();
        tasks_with(&api.client, &login.access).await.expect(200);
        let reads = api.state.standings.database_reads();
        tasks_with(&api.client, &login.access).await.expect(200);
        assert_eq!(api.state.standings.database_reads(), reads, "it is warm");
        api.forget_events().await;
        end(&api, &login).await;
        let answer = tasks_with(&api.client, &login.access).await.expect(401);
        assert_eq!(answer.body, refused_access("Token is blacklisted"), "{reason}");
        assert_eq!(api.reasons("auth.session.ended").await, [*reason]);
    }
}

/// The same for an account that is deleted: nobody is left whose session it could be.
#[tokio::test]
async fn a_deleted_account_is_gone_from_its_own_replica_at_once() {
    let api = Api::start_believing_for(EVER, &[]).await;
    let login = api.client.join("froggly").await;
    api.state.standings.follower().read_changes_once().await.unwrap();
    tasks_with(&api.client, &login.access).await.expect(200);
    let body = json!({ "password": PASSWORD });
    assert_eq!(ask(&api.client, Method::DELETE, "/api/users/me/", &login, body).await, 204);
    assert_eq!(tasks_with(&api.client, &login.access).await.expect(401).body["code"], "user_not_found");
}
