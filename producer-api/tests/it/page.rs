//! The session of a browser that uses `/real_data`: the API's own, with the refresh token in a cookie.

use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, PASSWORD, send};

use crate::harness::Api;

const SESSION: &str = "/real_data/session";
const REFRESH: &str = "/real_data/session/refresh";
const OURS: (&str, &str) = ("sec-fetch-site", "same-origin");

async fn ask(api: &Api, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
    let mut request = api.client.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(if let Some(body) = body { request.json(&body) } else { request }).await
}

fn credentials(password: &str) -> Value {
    json!({ "username": "froggly", "password": password })
}

/// The cookie as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

async fn log_in(api: &Api) -> (Answer, String) {
    let answer = ask(api, Method::POST, SESSION, &[OURS], Some(credentials(PASSWORD))).await.expect(200);
    let cookie = cookie(&answer);
    (answer, cookie)
}

async fn start(settings: &[(&str, &str)]) -> Api {
    let api = Api::start_with(settings).await;
    api.client.register("froggly").await.expect(201);
    api.forget_events().await;
    api
}

/// Goes red if the refresh token is in a body, if a script could read it, or if it is sent where nobody asks for it.
#[tokio::test]
async fn the_refresh_token_is_in_the_cookie_and_nowhere_else() {
    let api = start(&[]).await;
    let (answer, cookie) = log_in(&api).await;
    let token = cookie.strip_prefix("warren_refresh=").unwrap();
    assert_eq!(
        answer.header("set-cookie"),
        format!("warren_refresh={token}; Path=/real_data; Max-Age=86400; HttpOnly; SameSite=Strict")
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.body.to_string().contains(token));
    assert_eq!(
        answer.body["user"],
        json!({ "id": 1, "username": "froggly", "email": "froggly@example.com" })
    );
    assert_eq!(answer.body["expires_in"], 300);
    // The token is the API's: it is worth there what it is worth here.
    api.client.refresh(token).await.expect(200);

    let refreshed = ask(&api, Method::POST, REFRESH, &[OURS, ("cookie", &cookie)], None).await.expect(200);
    assert_eq!(refreshed.body["session"], answer.body["session"]);
    assert_eq!(refreshed.header("set-cookie"), "", "without rotation it stays");
    let bearer = format!("Bearer {}", refreshed.text("access"));
    ask(&api, Method::GET, "/api/users/me/", &[("authorization", &bearer)], None).await.expect(200);
    // A cookie opens no route of the API.
    ask(&api, Method::GET, "/api/users/me/", &[OURS, ("cookie", &cookie)], None).await.expect(401);
}

/// Goes red if the page's login is another login than the API's.
#[tokio::test]
async fn events_limits_and_error_bodies_are_those_of_the_api() {
    let api = start(&[("LOGIN_FAILURES_PER_ACCOUNT", "2")]).await;
    let agent = ("user-agent", "a browser");
    let begun = ask(&api, Method::POST, SESSION, &[OURS, agent], Some(credentials(PASSWORD))).await;
    let cookie = cookie(&begun.expect(200));
    ask(&api, Method::POST, REFRESH, &[OURS, ("cookie", &cookie)], None).await.expect(200);
    ask(&api, Method::DELETE, SESSION, &[OURS, ("cookie", &cookie)], None).await.expect(204);
    assert_eq!(
        api.event_types().await,
        ["auth.login.succeeded", "auth.token.refreshed", "auth.token.blacklisted", "auth.session.ended"]
    );
    let (_, told) = &api.events().await[0];
    assert_eq!(told["ip"], "127.0.0.1");
    assert_eq!(told["user_agent"], "a browser");
    let missing = ask(&api, Method::POST, SESSION, &[OURS], Some(json!({}))).await.expect(400);
    assert_eq!(missing.body["password"], json!(["This field is required."]));
    for _ in 0..2 {
        let wrong = ask(&api, Method::POST, SESSION, &[OURS], Some(credentials("wrong"))).await.expect(401);
        assert_eq!(wrong.body, json!({ "detail": "No active account found with the given credentials" }));
        assert_eq!(wrong.header("set-cookie"), "");
    }
    let limited = ask(&api, Method::POST, SESSION, &[OURS], Some(credentials(PASSWORD))).await.expect(429);
    assert_ne!(limited.header("retry-after"), "");
    api.client.try_log_in("froggly", PASSWORD).await.expect(429);
}

/// Goes red if a browser that was logged in when its account was deleted keeps its cookie, or comes back in.
#[tokio::test]
async fn the_cookie_of_a_deleted_account_opens_nothing_and_is_taken_away() {
    let api = start(&[]).await;
    let (answer, cookie) = log_in(&api).await;
    let bearer = format!("Bearer {}", answer.text("access"));
    let password = json!({ "password": PASSWORD });
    ask(&api, Method::DELETE, "/api/users/me/", &[("authorization", &bearer)], Some(password))
        .await
        .expect(204);
    let refused = ask(&api, Method::POST, REFRESH, &[OURS, ("cookie", &cookie)], None).await.expect(401);
    assert!(refused.header("set-cookie").starts_with("warren_refresh=; Path=/real_data; Max-Age=0;"));
    let out = ask(&api, Method::DELETE, SESSION, &[OURS, ("cookie", &cookie)], None).await.expect(204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    ask(&api, Method::POST, SESSION, &[OURS], Some(credentials(PASSWORD))).await.expect(401);
}

/// Goes red if a browser keeps a cookie that is worth nothing, or loses one that is.
#[tokio::test]
async fn a_cookie_that_is_no_good_is_taken_away_and_none_is_no_failure() {
    let api = start(&[]).await;
    let nobody = ask(&api, Method::POST, REFRESH, &[OURS], None).await.expect(204);
    assert_eq!(nobody.header("set-cookie"), "");
    ask(&api, Method::DELETE, SESSION, &[OURS], None).await.expect(204);

    let (_, old) = log_in(&api).await;
    let (_, new) = log_in(&api).await;
    let over = ask(&api, Method::POST, REFRESH, &[OURS, ("cookie", &old)], None).await.expect(401);
    assert_eq!(over.body, json!({ "detail": "Token is blacklisted", "code": "token_not_valid" }));
    assert!(over.header("set-cookie").starts_with("warren_refresh=; Path=/real_data; Max-Age=0;"));
    // A second time it is over as well: nobody is told of a failure.
    ask(&api, Method::DELETE, SESSION, &[OURS, ("cookie", &old)], None).await.expect(204);
    ask(&api, Method::POST, REFRESH, &[OURS, ("cookie", &new)], None).await.expect(200);
    let out = ask(&api, Method::DELETE, SESSION, &[OURS, ("cookie", &new)], None).await.expect(204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(api.count("SELECT count(*) FROM user_sessions WHERE is_active").await, 0);
}

/// Goes red if a rotated token stays in the cookie.
#[tokio::test]
async fn a_rotated_token_goes_into_the_cookie() {
    let api = start(&[("ROTATE_REFRESH_TOKENS", "true"), ("BLACKLIST_AFTER_ROTATION", "true")]).await;
    let (_, first) = log_in(&api).await;
    let refreshed = ask(&api, Method::POST, REFRESH, &[OURS, ("cookie", &first)], None).await.expect(200);
    assert!(refreshed.body.get("refresh").is_none());
    let second = cookie(&refreshed);
    assert_ne!(first, second);
    // Another window that was quicker than the news, or an answer that was lost: the same successor.
    let again = ask(&api, Method::POST, REFRESH, &[OURS, ("cookie", &first)], None).await.expect(200);
    assert_eq!(cookie(&again), second);
    ask(&api, Method::POST, REFRESH, &[OURS, ("cookie", &second)], None).await.expect(200);
}

/// H02, for the one place where a browser sends something by itself.
#[tokio::test]
async fn nothing_but_our_own_page_gets_anything_for_the_cookie() {
    let app = "https://app.example.com";
    let api = start(&[("CORS_ALLOWED_ORIGINS", app)]).await;
    let (_, cookie) = log_in(&api).await;
    for headers in [
        &[][..],
        &[("origin", app)],
        &[("origin", app), ("sec-fetch-site", "cross-site")],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:1"), ("sec-fetch-site", "same-site")],
    ] {
        let headers = [headers, &[("cookie", &cookie)]].concat();
        for (method, path) in [(Method::POST, REFRESH), (Method::DELETE, SESSION), (Method::POST, SESSION)] {
            let answer = ask(&api, method, path, &headers, Some(credentials(PASSWORD))).await.expect(403);
            assert_eq!(answer.header("set-cookie"), "");
            assert_eq!(answer.header("access-control-allow-credentials"), "");
        }
    }
    let form = [OURS, ("content-type", "application/x-www-form-urlencoded")];
    let request =
        api.client.request(Method::POST, SESSION).header(form[0].0, form[0].1).header(form[1].0, form[1].1);
    send(request.body(format!("username=froggly&password={PASSWORD}"))).await.expect(415);
    ask(&api, Method::POST, REFRESH, &[OURS, ("cookie", &cookie)], None).await.expect(200);
}

/// Goes red if the page could run or load anything that is not ours.
#[tokio::test]
async fn the_document_allows_its_own_files_and_nothing_else() {
    let api =
        Api::start_with(&[("AUTH_HEADER_TYPES", "JWT"), ("PUBLIC_URL", "https://warren.example")]).await;
    for path in ["/real_data", "/real_data/"] {
        let page = ask(&api, Method::GET, path, &[("accept", "text/html")], None).await.expect(200);
        let policy = page.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{part}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'));
        assert_eq!(page.header("cache-control"), "no-store");
        let html = page.body.as_str().unwrap();
        assert!(html.contains(r#"data-token-header="authorization" data-token-scheme="JWT""#));
        for inline in ["<style", " style=", " onclick", "<script>", "http://", "https://"] {
            assert!(!html.contains(inline), "{inline}");
        }
        for link in html.split("/real_data/assets/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            let file = api.client.get(&format!("/real_data/assets/{link}")).await.expect(200);
            assert_eq!(file.header("cache-control"), "no-cache");
            assert_eq!(file.header("x-content-type-options"), "nosniff");
            let tag = [("if-none-match", file.header("etag"))];
            ask(&api, Method::GET, &format!("/real_data/assets/{link}"), &tag, None).await.expect(304);
        }
    }
    api.client.get("/real_data/assets/other.js").await.expect(404);
    api.client.register("froggly").await.expect(201);
    let (answer, _) = log_in(&api).await;
    assert!(answer.header("set-cookie").starts_with("__Secure-warren_refresh="));
    assert!(answer.header("set-cookie").ends_with("; SameSite=Strict; Secure"));
}
