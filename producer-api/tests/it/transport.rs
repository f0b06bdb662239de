//! What pages of other origins can do, and whose address counts: rows H01, H02 and B07 of the audit.

use reqwest::Method;
use test_support::api::{Answer, PASSWORD, send};

use crate::harness::Api;

const APP: (&str, &str) = ("CORS_ALLOWED_ORIGINS", "https://app.example.com");

async fn ask(api: &Api, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = api.client.request(method, path).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request).await
}

#[tokio::test]
async fn h01_an_allowed_origin_reads_every_answer_and_its_preflight_needs_no_sign_in() {
    let api = Api::start_with(&[APP]).await;
    let login = api.client.join("froggly").await;
    let token = format!("Bearer {}", login.access);
    for (origin, allowed) in [
        ("https://app.example.com", true),
        ("null", false),
        ("https://evil.example", false),
        ("https://app.example.com.evil", false),
        ("https://evilapp.example.com", false),
        ("http://app.example.com", false),
        ("https://app.example.com:8443", false),
    ] {
        let preflight = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization, content-type"),
        ];
        for path in ["/api/tasks/", "/api/token", "/api/sessions/", "/api/nothing/"] {
            let answer = ask(&api, Method::OPTIONS, path, &preflight, "").await.expect(200);
            assert!(answer.body.is_null(), "{path}: no handler was asked");
            assert_eq!(answer.header("access-control-allow-headers").contains("authorization"), allowed);
            check_cors(&answer, origin, allowed);
        }
        for (path, headers, status) in [
            ("/api/tasks/", &[("origin", origin), ("authorization", &token)][..], 200),
            ("/api/tasks/", &[("origin", origin)], 401),
            ("/api/tasks/", &[("origin", origin), ("accept", "text/html")], 406),
            ("/api/nothing/", &[("origin", origin)], 404),
            ("/api/token/", &[("origin", origin)], 405),
            ("/healthz", &[("origin", origin)], 200),
        ] {
            let answer = ask(&api, Method::GET, path, headers, "").await.expect(status);
            check_cors(&answer, origin, allowed);
        }
    }
    let plain = ask(&api, Method::OPTIONS, "/api/tasks/", &[("origin", APP.1)], "").await;
    plain.expect(401);
}

#[track_caller]
fn check_cors(answer: &Answer, origin: &str, allowed: bool) {
    let expected = if allowed { origin } else { "" };
    assert_eq!(answer.header("access-control-allow-origin"), expected);
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    assert_eq!(answer.header("vary"), "Accept, Origin");
}

#[tokio::test]
async fn h02_a_foreign_page_changes_nothing_by_the_requests_that_need_no_preflight() {
    let api = Api::start_with(&[APP]).await;
    let login = api.client.join("froggly").await;
    api.forget_events().await;
    let account = format!("username=other&email=other@example.com&password={}", PASSWORD.replace(' ', "+"));
    let credentials = format!("username=froggly&password={}", PASSWORD.replace(' ', "+"));
    let refresh = format!("refresh={}", login.refresh);
    let session = format!("/api/sessions/{}/", uuid::Uuid::nil());
    let form = ("content-type", "application/x-www-form-urlencoded");
    let plain = ("content-type", "text/plain");
    for (method, path, body) in [
        (Method::POST, "/api/register/", account.as_str()),
        (Method::POST, "/api/token/", &credentials),
        (Method::POST, "/api/login/", &credentials),
        (Method::POST, "/api/token/sliding/", &credentials),
        (Method::POST, "/api/token/refresh/", &refresh),
        (Method::POST, "/api/token/blacklist/", &refresh),
        (Method::POST, "/api/logout/", &refresh),
        (Method::POST, "/api/tasks/", "title=x&duration=1"),
        (Method::DELETE, &session, ""),
    ] {
        for foreign in [
            &[("origin", "https://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "null"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
        ] {
            for content_type in [form, plain] {
                let headers = [foreign, &[content_type]].concat();
                let answer = ask(&api, method.clone(), path, &headers, body).await.expect(403);
                assert!(answer.text("detail").starts_with("Cross-origin request refused"), "{}", answer.body);
                assert_eq!(answer.header("access-control-allow-origin"), "");
            }
        }
    }
    assert!(api.event_types().await.is_empty());
    assert_eq!(api.count("SELECT count(*) FROM users").await, 1);
    api.client.refresh(&login.refresh).await.expect(200);

    // An ordinary client's form, and that of an allowed page, are as good as ever.
    ask(&api, Method::POST, "/api/token/", &[form], &credentials).await.expect(200);
    let ours = [form, ("origin", APP.1), ("sec-fetch-site", "cross-site")];
    let answer = ask(&api, Method::POST, "/api/token/", &ours, &credentials).await.expect(200);
    check_cors(&answer, APP.1, true);
    ask(&api, Method::POST, "/api/token/", &[plain], &credentials).await.expect(415);
}

#[tokio::test]
async fn b07_an_untrusted_peer_cannot_choose_the_address_that_its_logins_are_told_with() {
    for (settings, expected) in [
        (&[][..], ["127.0.0.1"; 3]),
        (&[("TRUSTED_PROXIES", "10.0.0.0/8, 203.0.113.7")], ["127.0.0.1"; 3]),
        (&[("TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8")], ["198.51.100.1", "198.51.100.2", "10.0.0.3"]),
    ] {
        let api = Api::start_with(settings).await;
        for forwarded_for in
            ["6.6.6.1, 198.51.100.1", "6.6.6.2, 198.51.100.2:443, 10.0.0.9", "6.6.6.3, unknown, 10.0.0.3"]
        {
            let body = r#"{"username": "nobody", "password": "wrong"}"#;
            let headers = [
                ("content-type", "application/json"),
                ("x-forwarded-for", forwarded_for),
                ("forwarded", "for=6.6.6.6"),
                ("x-real-ip", "6.6.6.6"),
            ];
            ask(&api, Method::POST, "/api/token/", &headers, body).await.expect(401);
        }
        let told = api.events().await;
        let told: Vec<_> = told.iter().map(|(_, data)| data["ip"].as_str().unwrap()).collect();
        assert_eq!(told, expected, "{settings:?}");
    }
}

#[tokio::test]
async fn b07_an_untrusted_peer_that_names_another_address_each_time_waits_all_the_same() {
    let limit = ("LOGIN_FAILURES_PER_ADDRESS", "3");
    for (trusted, statuses) in [("10.0.0.0/8", [401, 401, 401, 429]), ("127.0.0.0/8", [401; 4])] {
        let api = Api::start_with(&[limit, ("TRUSTED_PROXIES", trusted)]).await;
        for (turn, status) in statuses.into_iter().enumerate() {
            let body = format!(r#"{{"username": "nobody{turn}", "password": "wrong"}}"#);
            let address = format!("198.51.100.{turn}");
            let headers = [("content-type", "application/json"), ("x-forwarded-for", address.as_str())];
            ask(&api, Method::POST, "/api/token/", &headers, &body).await.expect(status);
        }
    }
}
