//! SimpleJWT's settings, as clients notice them.

use producer_api::accounts;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{PASSWORD, send};

use crate::harness::{Api, claims_of, claims_text, refused, refused_access, signed, tasks_with};

const NO_SESSIONS: (&str, &str) = ("ACCESS_TOKEN_REVOCATION", "none");

fn no_account() -> Value {
    json!({ "detail": "No active account found for the given token." })
}

async fn start(settings: &[(&str, &str)]) -> Api {
    let api = Api::start_with(settings).await;
    api.client.register("froggly").await.expect(201);
    api.forget_events().await;
    api
}

/// A token from elsewhere of the user froggly, good for ten minutes, with these members in the place of the plain ones.
fn elsewhere(api: &Api, kind: &str, members: &str) -> String {
    let later = api.now().timestamp() + 600;
    signed(&format!(r#"{{"token_type":"{kind}","exp":{later},"jti":"elsewhere","user_id":"1"{members}}}"#))
}

#[tokio::test]
async fn audience_and_issuer_are_written_to_every_token_and_asked_of_every_token() {
    for (audience, written) in [("web", json!("web")), (r#"["web", "app"]"#, json!(["web", "app"]))] {
        let api = start(&[("AUDIENCE", audience), ("ISSUER", "warren")]).await;
        let login = api.client.log_in("froggly").await;
        let refreshed = api.client.refresh(&login.refresh).await.expect(200);
        for token in [&login.access, &login.refresh, refreshed.text("access")] {
            let claims = claims_of(token);
            assert_eq!((&claims["aud"], &claims["iss"]), (&written, &json!("warren")));
            api.client.verify(token).await.expect(200);
        }
        api.client.tasks(&login).await.expect(200);
        for members in [
            "",
            r#","aud":"web""#,
            r#","iss":"warren""#,
            r#","aud":"web","iss":"Warren""#,
            r#","aud":"we","iss":"warren""#,
            r#","aud":["other"],"iss":"warren""#,
            r#","aud":{"web":1},"iss":"warren""#,
            r#","aud":"web","iss":["warren"]"#,
        ] {
            let refresh = elsewhere(&api, "refresh", members);
            assert_eq!(
                api.client.refresh(&refresh).await.expect(401).body,
                refused("Token is invalid"),
                "{members}"
            );
            let access = elsewhere(&api, "access", members);
            let answer = tasks_with(&api.client, &access).await.expect(401);
            assert_eq!(answer.body, refused_access("Token is invalid"), "{members}");
        }
        let access = elsewhere(&api, "access", r#","aud":["other","web"],"iss":"warren""#);
        tasks_with(&api.client, &access).await.expect(200);
    }
    let api = start(&[]).await;
    let access = elsewhere(&api, "access", r#","aud":"anything","iss":7"#);
    tasks_with(&api.client, &access).await.expect(200);
}

#[tokio::test]
async fn a_token_is_good_for_the_leeway_after_its_end_and_before_its_beginning_and_no_longer() {
    for leeway in [0, 30] {
        let text = leeway.to_string();
        let api = start(&[("LEEWAY", &text)]).await;
        let ended = api.client.log_in("froggly").await;
        api.client.blacklist(&ended.refresh).await.expect(200);
        for claim in ["iat", "nbf"] {
            for (late, status) in [(0, 200), (1, 401)] {
                let at = api.now().timestamp() + leeway + late;
                let token = elsewhere(&api, "access", &format!(r#","{claim}":{at}"#));
                assert_eq!(tasks_with(&api.client, &token).await.status, status, "{claim}, leeway {leeway}");
                assert_eq!(api.client.verify(&token).await.status, status, "{claim}, leeway {leeway}");
            }
        }
        api.advance(86_399 + leeway);
        let answer = api.client.refresh(&ended.refresh).await.expect(401);
        assert_eq!(answer.body, refused("Token is blacklisted"), "also within its leeway");
        api.advance(1);
        assert_eq!(api.client.refresh(&ended.refresh).await.expect(401).body, refused("Token is expired"));
        let kept = "SELECT min(extract(epoch FROM kept_until - expires_at))::bigint FROM outstanding_tokens";
        assert!(api.count(kept).await >= leeway);
    }
}

#[tokio::test]
async fn an_access_token_opens_to_the_second_of_its_end_and_leeway() {
    for leeway in [0, 30] {
        let text = leeway.to_string();
        let api = start(&[("LEEWAY", &text)]).await;
        let login = api.client.log_in("froggly").await;
        api.advance(299 + leeway);
        api.client.tasks(&login).await.expect(200);
        api.client.verify(&login.access).await.expect(200);
        api.advance(1);
        assert_eq!(api.client.tasks(&login).await.expect(401).body, refused_access("Token is expired"));
        assert_eq!(api.client.verify(&login.access).await.expect(401).body, refused("Token is expired"));
    }
}

/// Goes red when the row of a token that another service minted may be purged, and its place on the blacklist with it,
/// while the token, or what was made of it, is still good.
#[tokio::test]
async fn the_row_of_a_blacklisted_token_from_elsewhere_is_kept_until_nothing_of_it_is_good() {
    let api = start(&[("LEEWAY", "60")]).await;
    let (now, end) = (api.now().timestamp(), api.now().timestamp() + 600);
    let refresh =
        signed(&format!(r#"{{"token_type":"refresh","exp":{end},"iat":{now},"jti":"a","user_id":1}}"#));
    api.advance(659);
    api.client.refresh(&refresh).await.expect(200);
    api.client.blacklist(&refresh).await.expect(200);
    let kept = "SELECT extract(epoch FROM kept_until)::bigint FROM outstanding_tokens WHERE jti = 'a'";
    assert_eq!(
        api.count(kept).await,
        end + 300 + 2 * 60,
        "as long as an access token that was made just now"
    );
}

#[tokio::test]
async fn renamed_claims_are_written_read_and_missed_under_their_names() {
    let settings = [
        ("USER_ID_CLAIM", "sub"),
        ("TOKEN_TYPE_CLAIM", "kind"),
        ("JTI_CLAIM", "id"),
        ("CHECK_REVOKE_TOKEN", "true"),
        ("REVOKE_TOKEN_CLAIM", "mark"),
        ("ROTATE_REFRESH_TOKENS", "true"),
    ];
    let api = start(&settings).await;
    let login = api.client.log_in("froggly").await;
    let names: Vec<_> = claims_of(&login.access).as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["exp", "iat", "id", "kind", "mark", "sid", "sub"]);
    let mark = claims_of(&login.access)["mark"].as_str().unwrap().to_owned();
    assert!(
        mark.len() == 32 && mark.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte))
    );
    api.client.tasks(&login).await.expect(200);

    let later = api.now().timestamp() + 600;
    let refresh = |members: &str| signed(&format!(r#"{{"exp":{later}{members}}}"#));
    let good = format!(
        r#","kind":"refresh","id":"a","sub":"1","mark":"{mark}","token_type":"x","jti":"y","user_id":9"#
    );
    let answer = api.client.refresh(&refresh(&good)).await.expect(200);
    let claims = claims_of(answer.text("access"));
    assert_eq!(
        (&claims["token_type"], &claims["user_id"], claims.get("jti")),
        (&json!("x"), &json!(9), None),
        "with other names they are claims like any other, but a plain jti is never copied"
    );
    tasks_with(&api.client, answer.text("access")).await.expect(200);
    for (members, text) in [
        (r#","token_type":"refresh","id":"a","sub":"1""#, "Token has no type"),
        (r#","kind":"refresh","jti":"a","sub":"1""#, "Token has no id"),
        (r#","kind":"access","id":"a","sub":"1""#, "Token has wrong type"),
        (r#","kind":"refresh","id":"a","sub":1"#, "Token is invalid"),
        (r#","kind":"refresh","id":7,"sub":"1""#, "Token is invalid"),
        (r#","kind":"refresh","id":"a","jti":7,"sub":"1""#, "Token is invalid"),
    ] {
        assert_eq!(api.client.refresh(&refresh(members)).await.expect(401).body, refused(text), "{members}");
    }
}

#[tokio::test]
async fn a_username_can_stand_in_tokens_in_the_place_of_the_id() {
    for settings in [&[("USER_ID_FIELD", "username")][..], &[("USER_ID_FIELD", "username"), NO_SESSIONS]] {
        let api = start(settings).await;
        let login = api.client.log_in("froggly").await;
        assert_eq!(claims_of(&login.access)["user_id"], "froggly");
        api.client.tasks(&login).await.expect(200);
        let access = api.client.refresh(&login.refresh).await.expect(200).text("access").to_owned();
        tasks_with(&api.client, &access).await.expect(200);
        for name in [r#""nobody""#, r#""1""#, "1", r#""a\u0000b""#, r#""Froggly""#, "null", "[]"] {
            let token = signed(&format!(
                r#"{{"token_type":"access","exp":{},"jti":"a","user_id":{name}}}"#,
                api.now().timestamp() + 60
            ));
            let answer = tasks_with(&api.client, &token).await.expect(401);
            assert_eq!(
                answer.body,
                json!({ "detail": "User not found", "code": "user_not_found" }),
                "{name}"
            );
        }
        api.client.log_out(&login).await.expect(200);
        let status = if settings.len() == 1 { 401 } else { 200 };
        for token in [&login.access, &access] {
            assert_eq!(tasks_with(&api.client, token).await.status, status);
            assert_eq!(api.client.verify(token).await.status, status, "verify says the same");
        }
        assert_eq!(
            api.client.refresh(&login.refresh).await.expect(401).body,
            refused("Token is blacklisted")
        );
    }
}

#[tokio::test]
async fn a_user_id_can_be_written_as_a_number_and_is_read_either_way() {
    for (setting, written) in [("number", r#""user_id":1"#), ("string", r#""user_id":"1""#)] {
        let api = start(&[("USER_ID_CLAIM_TYPE", setting)]).await;
        let login = api.client.log_in("froggly").await;
        for token in [&login.access, &login.refresh] {
            let text = claims_text(token);
            assert!(
                text.ends_with(&format!("{written}}}")) || text.contains(&format!("{written},")),
                "{text}"
            );
        }
        for user in ["1", r#""1""#] {
            let later = api.now().timestamp() + 60;
            let claims = format!(r#"{{"token_type":"access","exp":{later},"jti":"a","user_id":{user}}}"#);
            tasks_with(&api.client, &signed(&claims)).await.expect(200);
        }
    }
}

#[tokio::test]
async fn the_configured_header_and_schemes_count_and_the_first_scheme_is_the_challenge_of_every_401() {
    for (types, challenge) in
        [("JWT,Bearer", r#"JWT realm="api""#), (r#"["Bearer", "JWT"]"#, r#"Bearer realm="api""#)]
    {
        let api = start(&[("AUTH_HEADER_TYPES", types), ("AUTH_HEADER_NAME", "HTTP_X_ACCESS_TOKEN")]).await;
        let login = api.client.log_in("froggly").await;
        let ask = async |name: &str, value: String| {
            let request = api.client.request(Method::GET, "/api/tasks/").header(name, value);
            send(request).await
        };
        for scheme in ["JWT", "Bearer"] {
            ask("x-access-token", format!("{scheme} {}", login.access)).await.expect(200);
            let elsewhere = ask("authorization", format!("{scheme} {}", login.access)).await.expect(401);
            assert_eq!(elsewhere.body, json!({ "detail": "Authentication credentials were not provided." }));
            assert_eq!(elsewhere.header("www-authenticate"), challenge);
        }
        for (value, code) in [("JWT", "bad_authorization_header"), ("Bearer a b", "bad_authorization_header")]
        {
            let answer = ask("x-access-token", value.to_owned()).await.expect(401);
            assert_eq!((answer.text("code"), answer.header("www-authenticate")), (code, challenge));
        }
        let query = api.client.get(&format!("/api/tasks/?access_token={}", login.access)).await.expect(401);
        assert_eq!(query.header("www-authenticate"), challenge, "a token in the query is none");
        for (path, body) in [
            ("/api/token/", json!({ "username": "froggly", "password": "wrong" })),
            ("/api/login/", json!({ "username": "froggly", "password": "wrong" })),
            ("/api/token/sliding/", json!({ "username": "froggly", "password": "wrong" })),
            ("/api/token/refresh/", json!({ "refresh": "x" })),
            ("/api/token/verify/", json!({ "token": "x" })),
            ("/api/token/blacklist/", json!({ "refresh": "x" })),
            ("/api/token/sliding/refresh/", json!({ "token": "x" })),
            ("/api/logout/", json!({ "refresh": "x" })),
        ] {
            let answer = api.client.post(path, &body).await.expect(401);
            assert_eq!(answer.header("www-authenticate"), challenge, "{path}");
            let answer = api.client.post(path, &json!({})).await.expect(400);
            assert_eq!(answer.header("www-authenticate"), "", "{path}");
        }
        // Logging out by the header alone reads the same header.
        let log_out = |name: &str| {
            let request = api.client.request(Method::POST, "/api/logout/").json(&json!({}));
            request.header(name, format!("Bearer {}", login.access))
        };
        send(log_out("authorization")).await.expect(400);
        send(log_out("x-access-token")).await.expect(200);
    }
}

#[tokio::test]
async fn the_last_login_is_written_at_a_login_alone_and_only_if_asked_for() {
    for (setting, written) in [("true", 1), ("false", 0)] {
        let api = start(&[("UPDATE_LAST_LOGIN", setting)]).await;
        let count = "SELECT count(*) FROM users WHERE last_login = to_timestamp(1795000000)";
        for path in ["/api/token/", "/api/login/", "/api/token/sliding/"] {
            api.execute("UPDATE users SET last_login = NULL").await;
            let body = json!({ "username": "froggly", "password": PASSWORD });
            let answer = api.client.post(path, &body).await.expect(200);
            assert_eq!(api.count(count).await, written, "{path} {setting}");
            api.execute("UPDATE users SET last_login = NULL").await;
            if path != "/api/token/sliding/" {
                api.client.refresh(answer.text("refresh")).await.expect(200);
            }
            api.client.post(path, &json!({ "username": "froggly", "password": "wrong" })).await.expect(401);
            assert_eq!(api.count("SELECT count(last_login) FROM users").await, 0, "{path} {setting}");
        }
    }
}

#[tokio::test]
async fn inactive_users_keep_their_tokens_if_nobody_is_to_look_but_can_not_log_in() {
    let api = start(&[("CHECK_USER_IS_ACTIVE", "false"), NO_SESSIONS]).await;
    let login = api.client.log_in("froggly").await;
    accounts::set_active(&api.state, &api.context(), "froggly", false).await.unwrap();
    api.client.tasks(&login).await.expect(200);
    api.client.refresh(&login.refresh).await.expect(200);
    let answer = api.client.obtain_pair("froggly", PASSWORD).await.expect(401);
    assert_eq!(answer.body, json!({ "detail": "No active account found with the given credentials" }));

    let api = start(&[NO_SESSIONS]).await;
    let login = api.client.log_in("froggly").await;
    accounts::set_active(&api.state, &api.context(), "froggly", false).await.unwrap();
    let inactive = json!({ "detail": "User is inactive", "code": "user_inactive" });
    assert_eq!(api.client.tasks(&login).await.expect(401).body, inactive);
    assert_eq!(api.client.refresh(&login.refresh).await.expect(401).body, no_account());
    accounts::set_active(&api.state, &api.context(), "froggly", true).await.unwrap();
    api.client.tasks(&login).await.expect(200);
    api.client.refresh(&login.refresh).await.expect(200);
}

#[tokio::test]
async fn a_changed_password_ends_tokens_that_carry_its_mark() {
    let changed = json!({ "detail": "The user's password has been changed.", "code": "password_changed" });
    let at_refresh = json!({ "detail": "The user's password has been changed." });
    let api = start(&[("CHECK_REVOKE_TOKEN", "true"), NO_SESSIONS]).await;
    let login = api.client.log_in("froggly").await;
    api.client.tasks(&login).await.expect(200);
    let new = "another correct horse".to_owned();
    accounts::set_password(&api.state, &api.context(), "froggly", new.clone()).await.unwrap();
    api.forget_events().await;
    assert_eq!(api.client.tasks(&login).await.expect(401).body, changed);
    api.client.verify(&login.access).await.expect(200);
    assert_eq!(api.client.refresh(&login.refresh).await.expect(401).body, at_refresh);
    assert_eq!(api.event_types().await, ["auth.token.blacklisted"]);
    assert_eq!(api.reasons("auth.token.blacklisted").await, ["password_changed"]);
    assert_eq!(api.client.refresh(&login.refresh).await.expect(401).body, refused("Token is blacklisted"));
    let unmarked = elsewhere(&api, "access", "");
    assert_eq!(
        tasks_with(&api.client, &unmarked).await.expect(401).body,
        changed,
        "a token without the mark"
    );
    for mark in ["null", "7", r#""""#, r#""00000000000000000000000000000000""#] {
        let token = elsewhere(&api, "access", &format!(r#","hash_password":{mark}"#));
        assert_eq!(tasks_with(&api.client, &token).await.expect(401).body, changed, "{mark}");
    }
    let answer = api.client.obtain_pair("froggly", &new).await.expect(200);
    tasks_with(&api.client, answer.text("access")).await.expect(200);

    let api = start(&[NO_SESSIONS]).await;
    let login = api.client.log_in("froggly").await;
    accounts::set_password(&api.state, &api.context(), "froggly", new).await.unwrap();
    api.client.tasks(&login).await.expect(200);
    api.client.refresh(&login.refresh).await.expect(200);
}

#[tokio::test]
async fn the_mark_that_django_wrote_counts_for_as_long_as_its_password_does() {
    let api = start(&[("CHECK_REVOKE_TOKEN", "true")]).await;
    api.execute("UPDATE users SET password = 'pbkdf2_sha256$1$salt$hash'").await;
    let md5: String = sqlx::query_scalar("SELECT upper(md5('pbkdf2_sha256$1$salt$hash'))")
        .fetch_one(api.database.pool())
        .await
        .unwrap();
    let token = |kind: &str| elsewhere(&api, kind, &format!(r#","hash_password":"{md5}""#));
    tasks_with(&api.client, &token("access")).await.expect(200);
    let access = api.client.refresh(&token("refresh")).await.expect(200).text("access").to_owned();
    tasks_with(&api.client, &access).await.expect(200);
    let lower = elsewhere(&api, "access", &format!(r#","hash_password":"{}""#, md5.to_lowercase()));
    tasks_with(&api.client, &lower).await.expect(401);
    accounts::set_password(&api.state, &api.context(), "froggly", "another correct horse".to_owned())
        .await
        .unwrap();
    assert_eq!(tasks_with(&api.client, &token("access")).await.expect(401).body["code"], "password_changed");
    api.client.refresh(&token("refresh")).await.expect(401);
    // Of our own hashes an MD5 opens nothing.
    let ours: String = sqlx::query_scalar("SELECT upper(md5(password)) FROM users")
        .fetch_one(api.database.pool())
        .await
        .unwrap();
    let forged = elsewhere(&api, "access", &format!(r#","hash_password":"{ours}""#));
    tasks_with(&api.client, &forged).await.expect(401);
}

#[tokio::test]
async fn verify_looks_at_the_blacklist_only_under_blacklist_after_rotation() {
    let on_the_list = json!({ "non_field_errors": ["Token is blacklisted"] });
    for (blacklist, settings, status, body) in [
        ("true", ("SESSION_POLICY", "replace"), 400, on_the_list.clone()),
        ("true", NO_SESSIONS, 400, on_the_list),
        ("false", ("SESSION_POLICY", "replace"), 401, refused("Token is blacklisted")),
        ("false", NO_SESSIONS, 200, json!({})),
    ] {
        let api = start(&[("BLACKLIST_AFTER_ROTATION", blacklist), settings]).await;
        let login = api.client.log_in("froggly").await;
        api.client.verify(&login.refresh).await.expect(200);
        api.client.blacklist(&login.refresh).await.expect(200);
        let answer = api.client.verify(&login.refresh).await.expect(status);
        assert_eq!(answer.body, body, "{blacklist} {settings:?}");
        assert_eq!(answer.header("www-authenticate").is_empty(), status != 401, "{blacklist} {settings:?}");
        let by_id = elsewhere(&api, "anything", "");
        api.client.verify(&by_id).await.expect(200);
    }
}

#[tokio::test]
async fn without_revocation_the_blacklist_ends_one_token_and_access_tokens_live_on() {
    let api = start(&[NO_SESSIONS, ("ROTATE_REFRESH_TOKENS", "true"), ("SESSION_POLICY", "unlimited")]).await;
    let login = api.client.log_in("froggly").await;
    assert_eq!(claims_of(&login.access).get("sid"), None);
    let second = api.client.refresh(&login.refresh).await.expect(200).text("refresh").to_owned();
    api.forget_events().await;
    api.client.blacklist(&login.refresh).await.expect(200);
    assert_eq!(api.event_types().await, ["auth.token.blacklisted"]);
    assert_eq!(api.client.refresh(&login.refresh).await.expect(401).body, refused("Token is blacklisted"));
    api.client.tasks(&login).await.expect(200);
    api.client.verify(&login.access).await.expect(200);
    api.client.blacklist(&second).await.expect(200);
    assert_eq!(api.reasons("auth.token.blacklisted").await, ["blacklisted", "blacklisted"]);
    assert_eq!(api.reasons("auth.session.ended").await, Vec::<String>::new(), "tokens alone");
    assert_eq!(api.count("SELECT count(*) FROM user_sessions WHERE is_active").await, 1);
    api.client.tasks(&login).await.expect(200);
    api.advance(300);
    assert_eq!(api.client.tasks(&login).await.expect(401).body, refused_access("Token is expired"));
}

#[tokio::test]
async fn without_revocation_a_logout_ends_the_session_and_access_tokens_live_on() {
    let api = start(&[NO_SESSIONS, ("ROTATE_REFRESH_TOKENS", "true"), ("SESSION_POLICY", "unlimited")]).await;
    let login = api.client.log_in("froggly").await;
    let second = api.client.refresh(&login.refresh).await.expect(200).text("refresh").to_owned();
    api.client.log_out(&login).await.expect(200);
    for token in [&login.refresh, &second] {
        assert_eq!(api.client.refresh(token).await.expect(401).body, refused("Token is blacklisted"));
    }
    assert_eq!(api.reasons("auth.session.ended").await, ["logout"]);
    assert_eq!(api.reasons("auth.token.blacklisted").await, ["logout", "logout"]);
    assert_eq!(api.count("SELECT count(*) FROM user_sessions WHERE is_active").await, 0);
    api.client.tasks(&login).await.expect(200);
}

#[tokio::test]
async fn without_revocation_a_blacklisted_token_keeps_nobody_out() {
    let api = start(&[NO_SESSIONS, ("SESSION_POLICY", "reject")]).await;
    let login = api.client.log_in("froggly").await;
    api.client.obtain_pair("froggly", PASSWORD).await.expect(409);
    api.client.blacklist(&login.refresh).await.expect(200);
    api.client.log_in("froggly").await;
    assert_eq!(api.reasons("auth.session.ended").await, ["expired"]);
}

#[tokio::test]
async fn a_token_for_an_old_password_is_refused_without_crossing_those_who_end_it() {
    let api = start(&[("CHECK_REVOKE_TOKEN", "true")]).await;
    let login = api.client.log_in("froggly").await;
    api.execute("UPDATE users SET password_stamp = gen_random_uuid()").await;
    let mut ending = api.database.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM users FOR NO KEY UPDATE").execute(&mut *ending).await.unwrap();
    let (client, token) = (api.client.clone(), login.refresh.clone());
    let refresh = tokio::spawn(async move { client.refresh(&token).await });
    crate::policies::wait_for_a_waiter(api.database.pool()).await;
    // What a row on the blacklist takes for its foreign key: not waited for, so nobody waits in a ring.
    let mut blacklisting = api.database.pool().begin().await.unwrap();
    let share = "SELECT FROM outstanding_tokens FOR KEY SHARE";
    sqlx::query(share).execute(&mut *blacklisting).await.unwrap();
    ending.commit().await.unwrap();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), refresh).await;
    assert_eq!(answer.expect("it waits for nobody").unwrap().status, 401);
    blacklisting.commit().await.unwrap();
    assert_eq!(api.reasons("auth.token.blacklisted").await, ["password_changed"]);
}

#[tokio::test]
async fn without_revocation_a_claim_called_sid_is_nothing_but_a_claim() {
    let api = start(&[NO_SESSIONS]).await;
    for sid in [r#""01939a0e-0000-7000-8000-000000000000""#, r#""x""#, "7", "null"] {
        let members = format!(r#","sid":{sid}"#);
        tasks_with(&api.client, &elsewhere(&api, "access", &members)).await.expect(200);
        api.client.verify(&elsewhere(&api, "access", &members)).await.expect(200);
        let refresh = elsewhere(&api, "refresh", &members);
        let access = api.client.refresh(&refresh).await.expect(200).text("access").to_owned();
        assert!(claims_text(&access).contains(&format!(r#""sid":{sid}"#)), "{sid}");
        tasks_with(&api.client, &access).await.expect(200);
    }
    api.client.blacklist(&elsewhere(&api, "refresh", r#","sid":7"#)).await.expect(200);
}
