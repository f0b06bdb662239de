//! Tokens on the wire: their claims, their times, and the attacks on them.

use serde_json::{Value, json};

use crate::harness::{Api, signed, signed_with};

fn refused(text: &str) -> Value {
    json!({ "detail": text, "code": "token_not_valid" })
}

#[tokio::test]
async fn an_access_token_opens_for_five_minutes_and_a_refresh_token_for_a_day() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    api.advance(299);
    api.client.tasks(&login).await.expect(200);
    api.advance(1);
    let answer = api.client.tasks(&login).await.expect(401);
    assert_eq!(answer.body["messages"][0]["message"], "Token is expired");
    api.advance(86_400 - 301);
    api.client.refresh(&login.refresh).await.expect(200);
    api.advance(1);
    assert_eq!(api.client.refresh(&login.refresh).await.expect(401).body, refused("Token is expired"));
}

#[tokio::test]
async fn the_same_refresh_token_works_any_number_of_times_and_each_answer_is_told() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    api.forget_events().await;
    let first = api.client.refresh(&login.refresh).await.expect(200);
    let second = api.client.refresh(&login.refresh).await.expect(200);
    assert_eq!(first.body.as_object().unwrap().len(), 1);
    assert_ne!(first.text("access"), second.text("access"));
    assert_eq!(api.event_types().await, ["auth.token.refreshed", "auth.token.refreshed"]);
}

#[tokio::test]
async fn a_token_is_good_for_its_own_purpose_alone() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    assert_eq!(api.client.refresh(&login.access).await.expect(401).body, refused("Token has wrong type"));
    assert_eq!(api.client.blacklist(&login.access).await.expect(401).body, refused("Token has wrong type"));
    let request = api.client.request(reqwest::Method::GET, "/api/tasks/").bearer_auth(&login.refresh);
    let answer = test_support::api::send(request).await.expect(401);
    assert_eq!(answer.body["messages"][0]["message"], "Token has wrong type");
    for token in [&login.access, &login.refresh] {
        assert_eq!(api.client.verify(token).await.expect(200).body, json!({}));
    }
    // Row C07 of `auth-audit.md`, section E: a mailed secret opens nothing but its own page.
    let mailed = api.link(login.user_id, "reset_password", "froggly@example.com", 60).await;
    let answer = crate::harness::tasks_with(&api.client, &mailed).await.expect(401);
    assert_eq!(answer.body, crate::harness::refused_access("Token is invalid"));
    assert_eq!(api.client.refresh(&mailed).await.expect(401).body, refused("Token is invalid"));
}

#[tokio::test]
async fn forged_tokens_are_invalid_everywhere_and_never_upset_the_server() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let later = api.now().timestamp() + 600;
    let claims = format!(r#"{{"token_type":"refresh","exp":{later},"jti":"a","user_id":"1"}}"#);
    let key = "a secret for tests of at least 32 bytes";
    let unsigned = |algorithm: &str| {
        let token = signed_with(&format!(r#"{{"alg":"{algorithm}"}}"#), &claims, key);
        let (message, _) = token.rsplit_once('.').unwrap();
        format!("{message}.")
    };
    let (message, signature) = login.refresh.rsplit_once('.').unwrap();
    let forged = [
        unsigned("none"),
        unsigned("None"),
        unsigned("HS256"),
        signed_with(r#"{"alg":"HS256"}"#, &claims, "another key of at least thirty-two bytes"),
        signed_with(r#"{"alg":"HS512"}"#, &claims, key),
        signed_with(r#"{"alg":"HS256","kid":"../../etc/passwd","crit":["x"]}"#, &claims, key),
        signed(&claims.replace(&later.to_string(), &format!("\"{later}\""))),
        signed(&claims.replace(&later.to_string(), "1e999")),
        signed(&claims.replace(r#""a""#, "7")),
        signed("[1,2]"),
        signed("not json"),
        format!("{message}.{signature}x"),
        format!("{message}..{signature}"),
        login.refresh.replacen('e', "f", 1),
        "x".repeat(20_000),
        "a.b.c".to_owned(),
    ];
    for token in &forged {
        let shown = &token[..token.len().min(80)];
        assert_eq!(api.client.refresh(token).await.expect(401).body, refused("Token is invalid"), "{shown}");
        assert_eq!(
            api.client.blacklist(token).await.expect(401).body,
            refused("Token is invalid"),
            "{shown}"
        );
        assert_eq!(api.client.verify(token).await.expect(401).body, refused("Token is invalid"), "{shown}");
        let request = api.client.request(reqwest::Method::GET, "/api/tasks/").bearer_auth(token);
        let answer = test_support::api::send(request).await.expect(401);
        assert_eq!(answer.body["messages"][0]["message"], "Token is invalid", "{shown}");
    }
}

#[tokio::test]
async fn rightly_signed_tokens_with_odd_content_are_told_what_they_lack() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    let later = api.now().timestamp() + 600;
    for (claims, text) in [
        (r#"{"token_type":"refresh","jti":"a","user_id":"1"}"#.to_owned(), "Token has no 'exp' claim"),
        (format!(r#"{{"token_type":"refresh","exp":{later},"user_id":"1"}}"#), "Token has no id"),
        (format!(r#"{{"exp":{later},"jti":"a","user_id":"1"}}"#), "Token has no type"),
        (format!(r#"{{"token_type":7,"exp":{later},"jti":"a","user_id":"1"}}"#), "Token has wrong type"),
        (
            format!(r#"{{"token_type":"refresh","exp":{later},"jti":"a","user_id":"abc"}}"#),
            "Token is invalid",
        ),
        (
            format!(r#"{{"token_type":"refresh","exp":{later},"jti":"a\u0000","user_id":"1"}}"#),
            "Token is invalid",
        ),
        (
            format!(r#"{{"token_type":"refresh","exp":{later},"jti":"a","user_id":"1","sid":"x"}}"#),
            "Token is invalid",
        ),
        (format!(r#"{{"token_type":"refresh","exp":{later},"jti":"a","iat":{later}}}"#), "Token is invalid"),
        (r#"{"token_type":"refresh","exp":5,"jti":7}"#.to_owned(), "Token is expired"),
    ] {
        let answer = api.client.refresh(&signed(&claims)).await.expect(401);
        assert_eq!(answer.body, refused(text), "{claims}");
    }
    // Without a user id a refresh is answered, and what it gives opens nothing.
    let nobodys = signed(&format!(r#"{{"token_type":"refresh","exp":{later},"jti":"a"}}"#));
    let answer = api.client.refresh(&nobodys).await.expect(200);
    let request = api.client.request(reqwest::Method::GET, "/api/tasks/").bearer_auth(answer.text("access"));
    let answer = test_support::api::send(request).await.expect(401);
    let text = "Token contained no recognizable user identification";
    assert_eq!(answer.body, refused(text));
}

#[tokio::test]
async fn no_token_and_no_hash_of_one_is_kept() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    api.client.refresh(&login.refresh).await.expect(200);
    api.client.log_out(&login).await.expect(200);
    let signature = |token: &str| token.rsplit_once('.').unwrap().1.to_owned();
    let tables = "SELECT string_agg(whole::text, ' ') FROM (
        SELECT outbox::text FROM outbox UNION ALL SELECT outstanding_tokens::text FROM outstanding_tokens
        UNION ALL SELECT user_sessions::text FROM user_sessions UNION ALL SELECT blacklisted_tokens::text FROM blacklisted_tokens
    ) AS everything (whole)";
    let kept: String = sqlx::query_scalar(tables).fetch_one(api.database.pool()).await.unwrap();
    for secret in
        [signature(&login.refresh), signature(&login.access), test_support::api::PASSWORD.to_owned()]
    {
        assert!(!kept.contains(&secret));
    }
}
