//! Sliding tokens: access and refresh token in one.

use producer_api::accounts;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, PASSWORD, send};

use crate::harness::{Api, claims_of, refused, signed, tasks_with};

const SLIDING: (&str, &str) = ("AUTH_TOKEN_CLASSES", "rest_framework_simplejwt.tokens.SlidingToken");
const TO_THE_LETTER: [(&str, &str); 4] = [
    ("SESSION_POLICY", "unlimited"),
    ("ACCESS_TOKEN_REVOCATION", "none"),
    ("REFRESH_REUSE", "refuse"),
    ("REFRESH_GRACE_SECONDS", "0"),
];

async fn obtain(api: &Api) -> String {
    let body = json!({ "username": "froggly", "password": PASSWORD });
    let answer = api.client.post("/api/token/sliding/", &body).await.expect(200);
    assert_eq!(answer.body.as_object().unwrap().len(), 1, "nothing but the token");
    answer.text("token").to_owned()
}

async fn start(settings: &[(&str, &str)]) -> Api {
    let settings: Vec<_> = [SLIDING].iter().chain(settings).copied().collect();
    let api = Api::start_with(&settings).await;
    api.client.register("froggly").await.expect(201);
    api.forget_events().await;
    api
}

async fn slide(api: &Api, token: &str) -> Answer {
    api.client.post("/api/token/sliding/refresh", &json!({ "token": token, "extra": 1 })).await
}

fn message(class: &str, text: &str) -> Value {
    let kind = if class == "AccessToken" { "access" } else { "sliding" };
    json!({ "token_class": class, "token_type": kind, "message": text })
}

/// A sliding token of the user froggly from elsewhere, with these claims beside those that are always there.
fn elsewhere(api: &Api, claims: &str) -> String {
    let later = api.now().timestamp() + 600;
    signed(&format!(r#"{{"token_type":"sliding","exp":{later},"jti":"elsewhere","user_id":1{claims}}}"#))
}

#[tokio::test]
async fn a_sliding_token_opens_routes_and_is_recorded_like_a_login() {
    for settings in [&[][..], &TO_THE_LETTER] {
        let api = start(settings).await;
        let token = obtain(&api).await;
        let (claims, now) = (claims_of(&token), api.now().timestamp());
        let names: Vec<_> =
            claims.as_object().unwrap().keys().filter(|name| *name != "sid").cloned().collect();
        assert_eq!(names, ["exp", "iat", "jti", "refresh_exp", "token_type", "user_id"]);
        assert_eq!(claims.get("sid").is_some(), settings.is_empty());
        assert_eq!(
            (
                &claims["exp"],
                &claims["iat"],
                &claims["refresh_exp"],
                &claims["token_type"],
                &claims["user_id"]
            ),
            (&json!(now + 300), &json!(now), &json!(now + 86_400), &json!("sliding"), &json!("1"))
        );
        tasks_with(&api.client, &token).await.expect(200);
        api.client.verify(&token).await.expect(200);
        assert_eq!(api.event_types().await, ["auth.login.succeeded"]);
        assert_eq!(api.count("SELECT count(*) FROM outstanding_tokens").await, 1);
        for answer in [api.client.refresh(&token).await, api.client.blacklist(&token).await] {
            assert_eq!(answer.expect(401).body, refused("Token has wrong type"));
        }
        api.advance(300);
        let answer = tasks_with(&api.client, &token).await.expect(401);
        assert_eq!(answer.body["messages"], json!([message("SlidingToken", "Token is expired")]));
        assert_eq!(slide(&api, &token).await.expect(401).body, refused("Token is expired"));
    }
}

#[tokio::test]
async fn a_renewed_sliding_token_is_the_same_one_with_a_later_end() {
    let api = start(&[]).await;
    let token =
        elsewhere(&api, r#","refresh_exp":1799999999,"big":123456789012345678901234567890,"aud":"x""#);
    api.advance(100);
    let answer = slide(&api, &token).await.expect(200);
    let mut expected = claims_of(&token);
    let (renewed, now) = (answer.text("token"), api.now().timestamp());
    expected["exp"] = json!(now + 300);
    expected["iat"] = json!(now);
    assert_eq!(claims_of(renewed), expected);
    assert!(crate::harness::claims_text(renewed).contains(r#""big":123456789012345678901234567890"#));
    for token in [token.as_str(), renewed] {
        tasks_with(&api.client, token).await.expect(200);
        slide(&api, token).await.expect(200);
    }
    assert_eq!(api.event_types().await, vec!["auth.token.refreshed"; 3]);
}

#[tokio::test]
async fn a_sliding_token_can_be_renewed_until_its_refresh_period_is_over_leeway_included() {
    for leeway in [0, 10] {
        let leeway_setting = leeway.to_string();
        let api = start(&[("SLIDING_TOKEN_REFRESH_LIFETIME", "10m"), ("LEEWAY", &leeway_setting)]).await;
        let mut token = obtain(&api).await;
        for _ in 0..2 {
            api.advance(290);
            token = slide(&api, &token).await.expect(200).text("token").to_owned();
        }
        api.advance(19 + leeway);
        let last = slide(&api, &token).await.expect(200).text("token").to_owned();
        let end = api.now().timestamp() + 300;
        assert_eq!(claims_of(&last)["exp"], end, "the end is not capped");
        api.advance(1);
        let answer = slide(&api, &last).await.expect(401);
        assert_eq!(answer.body, refused("Token 'refresh_exp' claim has expired"), "leeway {leeway}");
        api.advance(298 + leeway);
        tasks_with(&api.client, &last).await.expect(200);
        // The row outlives every token that was given out under its id, by the leeway at least.
        let row = "SELECT extract(epoch FROM kept_until)::bigint FROM outstanding_tokens";
        assert!(api.count(row).await >= end + leeway);
        let row = "SELECT extract(epoch FROM expires_at)::bigint FROM outstanding_tokens";
        assert_eq!(api.count(row).await, end);
        api.advance(1);
        tasks_with(&api.client, &last).await.expect(401);
    }
}

/// Goes red when the row is purged before, and with it what the blacklist says of the token.
#[tokio::test]
async fn the_row_of_a_sliding_token_outlives_one_that_is_good_for_longer_than_an_access_token() {
    let settings = [("SLIDING_TOKEN_LIFETIME", "20m"), ("SLIDING_TOKEN_REFRESH_LIFETIME", "10m")];
    let api = start(&settings).await;
    let token = obtain(&api).await;
    api.advance(599);
    let renewed = slide(&api, &token).await.expect(200).text("token").to_owned();
    let end = claims_of(&renewed)["exp"].as_i64().unwrap();
    assert_eq!(end, api.now().timestamp() + 1_200);
    let row = "SELECT extract(epoch FROM kept_until)::bigint FROM outstanding_tokens";
    assert!(api.count(row).await >= end);
}

#[tokio::test]
async fn a_refresh_period_that_is_missing_or_odd_is_told_under_its_configured_name() {
    for leeway in ["0", "10"] {
        let api = start(&[("SLIDING_TOKEN_REFRESH_EXP_CLAIM", "again_until"), ("LEEWAY", leeway)]).await;
        let expired = "Token 'again_until' claim has expired";
        for (claim, text) in [
            ("", "Token has no 'again_until' claim"),
            (r#","refresh_exp":1799999999"#, "Token has no 'again_until' claim"),
            (r#","again_until":1"#, expired),
            (r#","again_until":true"#, expired),
            (r#","again_until":-5.5"#, expired),
            (r#","again_until":-1e300"#, expired),
            (r#","again_until":-9000000000000"#, expired),
            (r#","again_until":"1799999999""#, "Token is invalid"),
            (r#","again_until":null"#, "Token is invalid"),
            (r#","again_until":[1799999999]"#, "Token is invalid"),
            (r#","again_until":1e999"#, "Token is invalid"),
            (r#","again_until":1e300"#, "Token is invalid"),
            (r#","again_until":8210266876799"#, "Token is invalid"),
            (r#","again_until":9223372036854775807"#, "Token is invalid"),
        ] {
            let answer = slide(&api, &elsewhere(&api, claim)).await.expect(401);
            assert_eq!(answer.body, refused(text), "{claim}, leeway {leeway}");
        }
        for claim in [r#","again_until":1799999999.9"#, r#","again_until":253402300799"#] {
            slide(&api, &elsewhere(&api, claim)).await.expect(200);
        }
    }
}

#[tokio::test]
async fn every_class_that_opens_routes_says_in_its_place_why_it_does_not() {
    for (setting, order) in [
        ("AccessToken,SlidingToken", ["AccessToken", "SlidingToken"]),
        (r#"["SlidingToken", "AccessToken"]"#, ["SlidingToken", "AccessToken"]),
    ] {
        for revocation in ["session", "none"] {
            let api =
                start(&[("AUTH_TOKEN_CLASSES", setting), ("ACCESS_TOKEN_REVOCATION", revocation)]).await;
            let sliding = obtain(&api).await;
            tasks_with(&api.client, &sliding).await.expect(200);
            let login = api.client.log_in("froggly").await;
            api.client.tasks(&login).await.expect(200);
            let later = api.now().timestamp() + 60;
            let untyped = signed(&format!(r#"{{"exp":{later},"jti":"a","user_id":1}}"#));
            let endless = signed(r#"{"jti":"a","user_id":1,"token_type":"access"}"#);
            // Where tokens carry their session, an ended one is all there is to say, whatever the class.
            let ended = match revocation {
                "session" => ["Token is blacklisted", "Token is blacklisted"],
                _ => ["Token has wrong type", "Token is blacklisted"],
            };
            for (token, [as_access, as_sliding]) in [
                (sliding.as_str(), ended),
                (login.refresh.as_str(), ["Token has wrong type"; 2]),
                (untyped.as_str(), ["Token has no type"; 2]),
                (endless.as_str(), ["Token has no 'exp' claim"; 2]),
                ("a.b.c", ["Token is invalid"; 2]),
            ] {
                let text = |class| if class == "AccessToken" { as_access } else { as_sliding };
                let answer = tasks_with(&api.client, token).await.expect(401);
                let messages = order.map(|class| message(class, text(class)));
                assert_eq!(answer.body["messages"], json!(messages), "{setting} {revocation}");
                assert_eq!(answer.body["detail"], "Given token not valid for any token type");
            }
        }
    }
}

#[tokio::test]
async fn logging_out_with_a_sliding_token_in_the_header_ends_it_everywhere() {
    for settings in [&[][..], &TO_THE_LETTER] {
        let api = start(settings).await;
        let token = obtain(&api).await;
        let renewed = slide(&api, &token).await.expect(200).text("token").to_owned();
        api.forget_events().await;
        let log_out = async || {
            let request = api.client.request(Method::POST, "/api/logout/").json(&json!({}));
            send(request.bearer_auth(&token)).await
        };
        log_out().await.expect(200);
        assert_eq!(api.event_types().await, ["auth.session.ended", "auth.token.blacklisted"]);
        assert_eq!(log_out().await.expect(401).body, refused("Token is blacklisted"));
        for token in [&token, &renewed] {
            let answer = tasks_with(&api.client, token).await.expect(401);
            assert_eq!(answer.body["messages"], json!([message("SlidingToken", "Token is blacklisted")]));
            assert_eq!(slide(&api, token).await.expect(401).body, refused("Token is blacklisted"));
        }
    }
}

#[tokio::test]
async fn a_sliding_login_counts_as_a_session_of_the_policy() {
    let api = start(&[("AUTH_TOKEN_CLASSES", "AccessToken,SlidingToken")]).await;
    let login = api.client.log_in("froggly").await;
    let token = obtain(&api).await;
    api.client.tasks(&login).await.expect(401);
    api.client.log_in("froggly").await;
    tasks_with(&api.client, &token).await.expect(401);
    assert_eq!(slide(&api, &token).await.expect(401).body, refused("Token is blacklisted"));
    assert_eq!(api.reasons("auth.session.ended").await, ["replaced", "replaced"]);
}

#[tokio::test]
async fn the_user_of_a_sliding_token_is_looked_at_when_it_is_renewed() {
    let no_account = json!({ "detail": "No active account found for the given token." });
    let changed = json!({ "detail": "The user's password has been changed." });
    for settings in
        [&[("CHECK_REVOKE_TOKEN", "true")][..], &[("CHECK_REVOKE_TOKEN", "true"), TO_THE_LETTER[1]]]
    {
        let api = start(settings).await;
        let token = obtain(&api).await;
        api.execute("UPDATE users SET is_active = false").await;
        assert_eq!(slide(&api, &token).await.expect(401).body, no_account);
        api.execute("UPDATE users SET is_active = true").await;
        slide(&api, &token).await.expect(200);
        api.execute("UPDATE users SET password_stamp = gen_random_uuid()").await;
        api.forget_events().await;
        assert_eq!(slide(&api, &token).await.expect(401).body, changed);
        assert_eq!(api.reasons("auth.token.blacklisted").await, ["password_changed"]);
        assert_eq!(slide(&api, &token).await.expect(401).body, refused("Token is blacklisted"));

        let token = obtain(&api).await;
        accounts::set_active(&api.state, &api.context(), "froggly", false).await.unwrap();
        slide(&api, &token).await.expect(401);
        accounts::set_active(&api.state, &api.context(), "froggly", true).await.unwrap();
        let token = obtain(&api).await;
        api.execute("DELETE FROM users").await;
        assert_eq!(slide(&api, &token).await.expect(401).body, no_account);
    }
}

#[tokio::test]
async fn a_sliding_token_without_a_user_is_renewed_and_opens_nothing() {
    let api = start(&TO_THE_LETTER).await;
    let later = api.now().timestamp() + 600;
    let nobodys =
        signed(&format!(r#"{{"token_type":"sliding","exp":{later},"refresh_exp":{later},"jti":"nobody"}}"#));
    let renewed = slide(&api, &nobodys).await.expect(200).text("token").to_owned();
    let answer = tasks_with(&api.client, &renewed).await.expect(401);
    assert_eq!(answer.body, refused("Token contained no recognizable user identification"));
}
