//! Sliding tokens: one token that opens and is refreshed.

use serde_json::json;
use test_support::api::PASSWORD;

use super::case::{Case, refused};
use super::forge::Draft;
use super::two_servers::{TwoServers, USERNAME};

const OBTAIN: &str = "/api/token/sliding/";
const REFRESH: &str = "/api/token/sliding/refresh/";

/// Obtaining and refreshing, with any `AUTH_TOKEN_CLASSES`.
pub(super) async fn obtain_and_refresh(both: &mut TwoServers) {
    let mut cases = obtain();
    cases.extend(both_bodies());
    cases.extend(refresh(both));
    both.compare(cases).await;
    users(both).await;
}

fn obtain() -> Vec<Case> {
    let body =
        |username: &str, password: &str| json!({ "username": username, "password": password }).to_string();
    vec![
        Case::post("a login", OBTAIN, body(USERNAME, PASSWORD)),
        Case::post("blanks around", OBTAIN, body(" froggly ", &format!("{PASSWORD} "))),
        Case::post("a wrong password", OBTAIN, body(USERNAME, "wrong")),
        Case::post("an unknown name", OBTAIN, body("nobody", PASSWORD)),
        Case::post("nothing", OBTAIN, "{}"),
        Case::post("null", OBTAIN, "null"),
    ]
}

fn both_bodies() -> Vec<Case> {
    let mut cases = Vec::new();
    for path in [OBTAIN, REFRESH] {
        for body in [
            "{}",
            "[]",
            "null",
            "{",
            r#"{"token":null}"#,
            r#"{"token":""}"#,
            r#"{"token":7}"#,
            r#"{"token":[]}"#,
        ] {
            cases.push(Case::post("a body", path, body));
        }
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            cases.push(Case::new("a method", method, path));
        }
        cases.push(Case::new("a type", "POST", path).body("text/plain", "x"));
        cases.push(Case::new("a form", "POST", path).body("application/x-www-form-urlencoded", "token=x"));
        cases.push(Case::post("Accept", path, "{}").header("accept", "text/html"));
    }
    cases
}

fn refresh(both: &mut TwoServers) -> Vec<Case> {
    let (now, forge) = (both.forge.now, &mut both.forge);
    let (past, other) = (now - 600, "another key of at least thirty-two bytes");
    let mut drafts: Vec<(&str, Draft)> = vec![
        ("good", forge.sliding()),
        ("refresh_exp before exp", forge.sliding().with("refresh_exp", now + 900)),
        (
            "other claims are kept",
            forge.sliding().with("a", "[1,\"b\"]").with("iss", "\"x\"").with("aud", "\"y\""),
        ),
        ("another key", forge.sliding().key(other)),
        ("expired", forge.sliding().with("exp", past)),
        ("both over", forge.sliding().with("exp", past).with("refresh_exp", past)),
        ("no exp", forge.sliding().without("exp")),
        ("no type", forge.sliding().without("token_type")),
        ("an access token", forge.draft("access")),
        ("a refresh token", forge.draft("refresh")),
        ("no refresh_exp", forge.sliding().without("refresh_exp")),
        ("refresh_exp over", forge.sliding().with("refresh_exp", past)),
        ("refresh_exp now", forge.sliding().with("refresh_exp", now)),
        ("refresh_exp 0", forge.sliding().with("refresh_exp", 0)),
        ("refresh_exp -1", forge.sliding().with("refresh_exp", -1)),
        ("refresh_exp with a fraction", forge.sliding().with("refresh_exp", format!("{}.5", now + 900))),
        ("the wrong type, refresh_exp over", forge.draft("access").with("refresh_exp", past)),
        ("no user", forge.sliding().without("user_id")),
    ];
    let mut cases: Vec<Case> =
        drafts.drain(..).map(|(what, draft)| Case::token(what, REFRESH, &draft.sign())).collect();
    let no_id = Case::token("no jti", REFRESH, &forge.sliding().without("jti").sign());
    cases.push(no_id.ours("6, no jti", 401, refused("Token has no id")));
    for value in ["null", "\"x\"", "[]", "{}", "1e30", "1e400", "\"1\""] {
        let case =
            Case::token("an odd refresh_exp", REFRESH, &forge.sliding().with("refresh_exp", value).sign());
        cases.push(case.ours("6, odd content of a rightly signed token", 401, refused("Token is invalid")));
    }
    // By section 6 a sliding refresh looks at the user, which 5.5.1 does not.
    let gone = forge.sliding().with("user_id", 999_999).sign();
    let no_account = r#"{"detail":"No active account found for the given token."}"#;
    cases.push(Case::token("of nobody", REFRESH, &gone).ours("1.9, user", 401, no_account));

    let draft = forge.sliding();
    let sliding = draft.sign();
    let as_refresh = draft.clone().with("token_type", "\"refresh\"").sign();
    cases.push(Case::token("not yet blacklisted", REFRESH, &sliding));
    cases.push(Case::token("of the wrong type for the blacklist", "/api/token/blacklist/", &sliding));
    cases.push(Case::token("a refresh token of the same jti", "/api/token/blacklist/", &as_refresh));
    cases.push(Case::token("blacklisted", REFRESH, &sliding));
    cases.push(Case::token(
        "blacklisted beats refresh_exp",
        REFRESH,
        &draft.clone().with("refresh_exp", past).sign(),
    ));
    cases.push(Case::token("expired beats blacklisted", REFRESH, &draft.clone().with("exp", past).sign()));
    cases.push(Case::token("verify does not look", "/api/token/verify/", &sliding));
    cases
}

async fn users(both: &mut TwoServers) {
    let id = both.user("sliding").await;
    let token = both.forge.sliding().with("user_id", id).sign();
    both.compare(vec![Case::token("active", REFRESH, &token)]).await;
    both.set_active(id, false).await;
    let no_account = r#"{"detail":"No active account found for the given token."}"#;
    both.compare(vec![Case::token("inactive", REFRESH, &token).ours("1.9, user", 401, no_account)]).await;
}

/// The protected route, where sliding tokens open it, too.
pub(super) async fn on_the_protected_route(both: &mut TwoServers) {
    let (now, forge) = (both.forge.now, &mut both.forge);
    let (past, other) = (now - 600, "another key of at least thirty-two bytes");
    let draft = forge.sliding();
    let as_refresh = draft.clone().with("token_type", "\"refresh\"").sign();
    let mut cases: Vec<Case> = vec![
        ("sliding", draft.clone()),
        ("access", forge.draft("access")),
        ("refresh", forge.draft("refresh")),
        ("expired", forge.sliding().with("exp", past)),
        ("another key", forge.sliding().key(other)),
        ("no type", forge.sliding().without("token_type")),
        ("an unknown type", forge.draft("x")),
        ("no exp", forge.sliding().without("exp")),
        ("refresh_exp over", forge.sliding().with("refresh_exp", past)),
        ("no refresh_exp", forge.sliding().without("refresh_exp")),
        ("no user", forge.sliding().without("user_id")),
        ("an unknown user", forge.sliding().with("user_id", 999_999)),
        ("an access token without user", forge.draft("access").without("user_id")),
    ]
    .into_iter()
    .map(|(what, draft)| Case::tasks(what, &draft.sign()))
    .collect();
    cases.push(Case::token("a refresh token of the same jti", "/api/token/blacklist/", &as_refresh));
    cases.push(Case::tasks("blacklisted", &draft.sign()));
    cases.push(Case::tasks(
        "the access token of that jti",
        &draft.clone().with("token_type", "\"access\"").sign(),
    ));
    cases.push(Case::tasks(
        "blacklisted beats the wrong type",
        &draft.with("token_type", "\"refresh\"").sign(),
    ));
    both.compare(cases).await;
}
