//! Bad input: the contract's status and body, never a 5xx.

use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, send};

use crate::harness::Api;

async fn post_raw(api: &Api, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = api.client.request(Method::POST, path).header("content-type", content_type).body(body);
    send(request).await
}

#[tokio::test]
async fn malformed_json_wrong_types_and_missing_fields_are_400_in_drfs_words() {
    let api = Api::start().await;
    for path in
        ["/api/token/", "/api/login", "/api/token/refresh/", "/api/token/verify", "/api/token/blacklist/"]
    {
        for body in ["{", "{bad}", "\u{feff}{}", r#"{"a":NaN}"#, "{} trailing"] {
            let answer = post_raw(&api, path, "application/json", body.to_owned()).await.expect(400);
            assert!(
                answer.text("detail").starts_with("JSON parse error - "),
                "{path} {body}: {}",
                answer.body
            );
        }
        for (body, text) in [
            ("[]", "Invalid data. Expected a dictionary, but got list."),
            ("7", "Invalid data. Expected a dictionary, but got int."),
            ("null", "No data provided"),
        ] {
            let answer = post_raw(&api, path, "application/json", body).await.expect(400);
            assert_eq!(answer.body, json!({ "non_field_errors": [text] }), "{path} {body}");
        }
    }
    for (value, text) in [
        (None, "This field is required."),
        (Some(json!(null)), "This field may not be null."),
        (Some(json!("")), "This field may not be blank."),
        (Some(json!("  \t")), "This field may not be blank."),
        (Some(json!(true)), "Not a valid string."),
        (Some(json!(["a"])), "Not a valid string."),
        (Some(json!({})), "Not a valid string."),
        (Some(json!("a\u{0}b")), "Null characters are not allowed."),
    ] {
        let mut body = json!({ "username": "froggly" });
        if let Some(value) = value.clone() {
            body["password"] = value;
        }
        let answer = api.client.post("/api/token/", &body).await.expect(400);
        assert_eq!(answer.body, json!({ "password": [text] }), "{value:?}");
    }
}

#[tokio::test]
async fn forms_and_multipart_work_as_json_does_and_other_types_are_415() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    let form = "username=froggly&password=correct+horse+battery&email=ignored";
    post_raw(&api, "/api/token", "application/x-www-form-urlencoded", form).await.expect(200);
    let parts =
        reqwest::multipart::Form::new().text("username", "froggly").text("password", "correct horse battery");
    send(api.client.request(Method::POST, "/api/token/").multipart(parts)).await.expect(200);
    post_raw(&api, "/api/token/", "APPLICATION/JSON; charset=UTF-8", r#"{"username":"a","password":1e2}"#)
        .await
        .expect(401);
    let answer = post_raw(&api, "/api/token/", "text/plain; charset=x", "a").await.expect(415);
    assert_eq!(answer.text("detail"), r#"Unsupported media type "text/plain; charset=x" in request."#);
}

/// Row A07 of `auth-audit.md`, section E; that no hash is made of one for a new account, `overload` shows.
#[tokio::test]
async fn a_password_of_a_megabyte_is_wrong_and_a_body_of_ten_is_too_large() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    api.client.obtain_pair("froggly", &"x".repeat(1_000_000)).await.expect(401);
    api.client.obtain_pair(&"x".repeat(1_000_000), "x").await.expect(400);
    let answer = post_raw(&api, "/api/token/", "application/json", vec![b' '; 10_000_000]).await.expect(413);
    assert!(answer.body["detail"].is_string());
}

#[tokio::test]
async fn the_order_of_checks_is_406_then_401_then_405_then_415_then_400() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let request = |method: Method, path: &str, accept: &str, signed_in: bool| {
        let request =
            api.client.request(method, path).header("accept", accept).header("content-type", "text/plain");
        let request = if signed_in { request.bearer_auth(&login.access) } else { request };
        send(request.body("x"))
    };
    for (path, signed_in, method, accept, status) in [
        ("/api/token/", false, Method::GET, "text/html", 406),
        ("/api/token/", false, Method::GET, "*/*", 405),
        ("/api/token/", false, Method::POST, "application/json", 415),
        ("/api/tasks/", false, Method::PUT, "text/html", 406),
        ("/api/tasks/", false, Method::PUT, "*/*", 401),
        ("/api/tasks/", false, Method::OPTIONS, "*/*", 401),
        ("/api/tasks/", true, Method::PUT, "*/*", 405),
        ("/api/tasks/", true, Method::POST, "*/*", 415),
        ("/api/nothing/", false, Method::GET, "*/*", 404),
        ("/api/token//", false, Method::POST, "*/*", 404),
    ] {
        let answer = request(method.clone(), path, accept, signed_in).await;
        assert_eq!(answer.status, status, "{method} {path} {accept}: {}", answer.body);
        let challenged = !answer.header("www-authenticate").is_empty();
        assert_eq!(challenged, status == 401, "{method} {path}");
        if status != 404 {
            assert!(answer.header("allow").ends_with("OPTIONS"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn whoever_asks_for_problem_documents_gets_them() {
    let api = Api::start().await;
    let ask = |path: &'static str| {
        api.client.request(Method::POST, path).header("accept", "application/problem+json").json(&json!({}))
    };
    let answer = send(ask("/api/token/")).await.expect(400);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.body["errors"]["username"], json!(["This field is required."]));
    assert_eq!((answer.text("code"), answer.body["status"].as_i64()), ("invalid", Some(400)));
    let answer = send(ask("/api/tasks/")).await.expect(401);
    assert_eq!(answer.text("code"), "not_authenticated");
}

#[tokio::test]
async fn no_body_whatever_makes_a_server_error() {
    let api = Api::start().await;
    let deep: String = "[".repeat(50_000);
    let bodies: Vec<Vec<u8>> = vec![
        deep.clone().into_bytes(),
        format!(r#"{{"username":{deep}"#).into_bytes(),
        br#"{"username":"\ud800","password":"x"}"#.to_vec(),
        br#"{"username":1e999,"password":-0.0}"#.to_vec(),
        vec![0xff, 0xfe, 0x00],
        br#"{"username":"a","username":["b"],"password":"c"}"#.to_vec(),
    ];
    for body in bodies {
        for path in ["/api/token/", "/api/register/", "/api/logout/", "/api/token/verify/"] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            let answer = post_raw(&api, path, "application/json", body.clone()).await;
            assert!(matches!(answer.status, 400 | 401), "{path} {shown}: {} {}", answer.status, answer.body);
            assert_ne!(answer.body, Value::Null);
        }
    }
}
