//! What the API tells Prometheus.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use test_support::TestDatabase;
use test_support::api::send;
use test_support::metrics::Scrape;

use crate::harness::Api;

fn logins(scrape: &Scrape, outcome: &str) -> u64 {
    scrape.count(&format!(r#"login_attempts_total{{outcome="{outcome}"}}"#))
}

fn requests(scrape: &Scrape, route: &str, method: &str, status: &str) -> u64 {
    scrape.count(&format!(r#"http_requests_total{{route="{route}",method="{method}",status="{status}"}}"#))
}

#[tokio::test]
async fn every_login_is_counted_once_by_how_it_ended() {
    let api = Api::start_with(&[("LOGIN_FAILURES_PER_ACCOUNT", "2"), ("SESSION_POLICY", "reject")]).await;
    let outcomes = ["succeeded", "unknown_user", "wrong_password", "disabled", "unverified", "limited"];
    let outcomes = outcomes.into_iter().chain(["session_active", "overloaded", "failed"]);
    let fresh = Scrape::of(&api.client).await;
    for outcome in outcomes {
        assert_eq!(logins(&fresh, outcome), 0, "{outcome} is there from the start");
    }
    let ada = api.client.join("ada").await;
    api.client.obtain_pair("ada", test_support::api::PASSWORD).await.expect(409);
    api.client.log_out(&ada).await.expect(200);
    api.client.obtain_pair("ada", test_support::api::PASSWORD).await.expect(200);
    api.client.register("bob").await.expect(201);
    for status in [401, 401, 429, 429, 429] {
        api.client.try_log_in("bob", "not this one").await.expect(status);
    }
    api.client.try_log_in("nobody", "whatever it is").await.expect(401);
    let scrape = Scrape::of(&api.client).await;
    for (outcome, count) in [
        ("succeeded", 2),
        ("session_active", 1),
        ("wrong_password", 2),
        ("limited", 3),
        ("unknown_user", 1),
        ("disabled", 0),
        ("failed", 0),
    ] {
        assert_eq!(logins(&scrape, outcome), count, "{outcome}");
    }
}

/// Goes red when a client can make series by asking for what isn't there.
#[tokio::test]
async fn requests_are_counted_by_route_and_whatever_is_no_route_is_one() {
    let api = Api::start().await;
    let fresh = Scrape::of(&api.client).await;
    assert_eq!(requests(&fresh, "/api/tasks/{id}/", "DELETE", "4xx"), 0, "it is there from the start");
    let login = api.client.join("ada").await;
    for spelling in ["/api/tasks/1/", "/api/tasks/2", "/api/tasks/3/?title=x"] {
        let request = api.client.request(Method::DELETE, spelling).bearer_auth(&login.access);
        send(request).await.expect(404);
    }
    let odd = Method::from_bytes(b"BREW").unwrap();
    for number in 0..20 {
        api.client.get(&format!("/no/such/path/{number}/")).await.expect(404);
        send(api.client.request(odd.clone(), &format!("/tea/{number}"))).await.expect(404);
    }
    let scrape = Scrape::of(&api.client).await;
    assert_eq!(requests(&scrape, "/api/tasks/{id}/", "DELETE", "4xx"), 3);
    assert_eq!(requests(&scrape, "none", "GET", "4xx"), 20);
    assert_eq!(requests(&scrape, "none", "other", "4xx"), 20);
    assert_eq!(scrape.count(r#"http_request_duration_seconds_count{route="none",method="GET"}"#), 20);
    assert_eq!(requests(&scrape, "/metrics", "GET", "2xx"), 1, "the one before this");
    assert_eq!(scrape.count("http_requests_in_flight"), 1, "this one");
    let new: Vec<_> = scrape
        .series_of("http_requests_total")
        .difference(&fresh.series_of("http_requests_total"))
        .map(ToString::to_string)
        .collect();
    assert_eq!(new.len(), 1, "only the other method of no route: {new:?}");
}

#[tokio::test]
async fn a_scraper_gets_the_text_that_it_prefers() {
    let api = Api::start().await;
    for (accept, content_type) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ] {
        for path in ["/metrics", "/metrics/"] {
            let answer =
                send(api.client.request(Method::GET, path).header("accept", accept)).await.expect(200);
            assert_eq!(answer.header("content-type"), content_type);
            let text = answer.body.as_str().unwrap();
            assert_eq!(text.ends_with("# EOF\n"), accept != "*/*", "{text}");
        }
    }
    let answer = send(api.client.request(Method::POST, "/metrics")).await.expect(405);
    assert_eq!(answer.body, json!({ "detail": "Method \"POST\" not allowed." }));
}

/// Goes red when a scrape fails, or waits, without a database.
#[tokio::test]
async fn without_a_database_metrics_answer_soon_and_say_so() {
    let database = TestDatabase::create().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nowhere = PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(200))
        .connect_lazy(&format!("postgres://warren@127.0.0.1:{port}/warren"))
        .unwrap();
    let api = Api::start_over(database, nowhere).await;
    let began = Instant::now();
    let scrape = Scrape::of(&api.client).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(scrape.count("database_figures_up"), 0);
    assert_eq!(scrape.count(r#"component_up{component="database"}"#), 0);
    assert!(scrape.series_of("outbox_rows").is_empty());
    api.client.try_log_in("ada", "whatever it is").await.expect(503);
    assert_eq!(logins(&Scrape::of(&api.client).await, "failed"), 1, "counting needs no database");
}
