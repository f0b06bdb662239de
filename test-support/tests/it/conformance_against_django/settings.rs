//! The same under other settings of SimpleJWT: each is a pair of servers of its own.

use serde_json::json;
use test_support::api::PASSWORD;

use super::case::Case;
use super::forge::Draft;
use super::sliding;
use super::stories::login;
use super::two_servers::{TwoServers, USERNAME};

const REFRESH: &str = "/api/token/refresh/";
const VERIFY: &str = "/api/token/verify/";
const BLACKLIST: &str = "/api/token/blacklist/";
const TASKS: &str = "/api/tasks/";

const ACCESS_CLASS: &str = "rest_framework_simplejwt.tokens.AccessToken";
const SLIDING_CLASS: &str = "rest_framework_simplejwt.tokens.SlidingToken";

/// A refresh token on the routes that take one, and what is the same but for its type on the protected route.
fn everywhere(what: &str, draft: &Draft, type_claim: &str) -> Vec<Case> {
    let refresh = draft.clone().with(type_claim, "\"refresh\"").sign();
    let access = draft.clone().with(type_claim, "\"access\"").sign();
    let paths = [VERIFY, REFRESH, BLACKLIST].map(|path| Case::token(what, path, &refresh));
    paths.into_iter().chain([Case::tasks(what, &access), Case::token(what, VERIFY, &access)]).collect()
}

// Goes red if a used refresh token is not blacklisted, or its successor differs from it in more than it should.
#[tokio::test]
async fn rotation_with_blacklisting() {
    let settings = json!({ "ROTATE_REFRESH_TOKENS": true, "BLACKLIST_AFTER_ROTATION": true });
    let environment = [("ROTATE_REFRESH_TOKENS", "true"), ("BLACKLIST_AFTER_ROTATION", "true")];
    let mut both = TwoServers::start(settings, &environment).await;
    let now = both.forge.now;
    let draft =
        both.forge.draft("refresh").with("a", "[1,{\"b\":null}]").with("nbf", 5).with("exp", now + 60);
    let token = draft.sign();
    let mut cases = vec![
        login("a login", USERNAME, PASSWORD),
        Case::token("before", VERIFY, &token),
        Case::token("used", REFRESH, &token),
        Case::token("used again", REFRESH, &token),
        Case::token("blacklisted by that", BLACKLIST, &token),
        Case::token("verify looks now, and says 400", VERIFY, &token),
        Case::token(
            "an access token of that jti",
            VERIFY,
            &draft.clone().with("token_type", "\"access\"").sign(),
        ),
        Case::token("and where it opens", TASKS, &draft.clone().with("token_type", "\"access\"").sign()),
        Case::token("verify: expired beats blacklisted", VERIFY, &draft.clone().with("exp", now - 9).sign()),
        Case::token("verify: no type", VERIFY, &draft.clone().without("token_type").sign()),
        Case::token("verify: no exp", VERIFY, &draft.clone().without("exp").sign()),
        Case::token("verify: no jti", VERIFY, &draft.clone().without("jti").sign()),
    ];
    for (what, draft) in [
        ("a number as user", both.forge.draft("refresh").with("user_id", both.forge.user_id)),
        ("nobody", both.forge.draft("refresh").without("user_id")),
        ("no iat", both.forge.draft("refresh").without("iat")),
        (
            "claims of other libraries",
            both.forge.draft("refresh").with("iss", "\"x\"").with("aud", "[\"y\"]"),
        ),
    ] {
        cases.push(Case::token(what, REFRESH, &draft.sign()));
        cases.push(Case::token(format!("{what}, used again"), REFRESH, &draft.sign()));
    }
    let by_hand = both.forge.draft("refresh").sign();
    cases.push(Case::token("by hand", BLACKLIST, &by_hand));
    cases.push(Case::token("by hand, then used", REFRESH, &by_hand));
    cases.push(Case::token("by hand, then verified", VERIFY, &by_hand));
    both.compare(cases).await;
}

// Goes red if rotation alone ends the old token.
#[tokio::test]
async fn rotation_without_blacklisting() {
    let settings = json!({ "ROTATE_REFRESH_TOKENS": true });
    let mut both = TwoServers::start(settings, &[("ROTATE_REFRESH_TOKENS", "true")]).await;
    let token = both.forge.draft("refresh").sign();
    both.compare(vec![
        Case::token("used", REFRESH, &token),
        Case::token("used again", REFRESH, &token),
        Case::token("verified", VERIFY, &token),
        Case::token("blacklisted", BLACKLIST, &token),
        Case::token("then used", REFRESH, &token),
        Case::token("then verified: 200 without BLACKLIST_AFTER_ROTATION", VERIFY, &token),
    ])
    .await;
}

// Goes red if verify looks at the blacklist for another reason than this setting.
#[tokio::test]
async fn blacklisting_without_rotation() {
    let settings = json!({ "BLACKLIST_AFTER_ROTATION": true });
    let mut both = TwoServers::start(settings, &[("BLACKLIST_AFTER_ROTATION", "true")]).await;
    let token = both.forge.draft("refresh").sign();
    both.compare(vec![
        Case::token("used", REFRESH, &token),
        Case::token("used again", REFRESH, &token),
        Case::token("verified", VERIFY, &token),
        Case::token("blacklisted", BLACKLIST, &token),
        Case::token("then verified", VERIFY, &token),
    ])
    .await;
}

// Goes red if audience and issuer are not written, not asked for, or asked for in another place of the order.
#[tokio::test]
async fn audience_and_issuer() {
    let settings = json!({ "AUDIENCE": ["a", "b"], "ISSUER": "https://issuer" });
    let environment = [("AUDIENCE", r#"["a","b"]"#), ("ISSUER", "https://issuer")];
    let mut both = TwoServers::start(settings, &environment).await;
    let good = |draft: Draft| draft.with("aud", "\"a\"").with("iss", "\"https://issuer\"");
    let mut cases = vec![login("a login", USERNAME, PASSWORD)];
    for audience in [
        "\"a\"",
        "\"b\"",
        "[\"b\"]",
        "[\"x\",\"a\"]",
        "\"x\"",
        "[]",
        "[\"x\"]",
        "null",
        "7",
        "[7]",
        "[\"a\",7]",
        "{}",
        "\"\"",
        "\"ab\"",
    ] {
        let draft = good(both.forge.draft("refresh")).with("aud", audience);
        cases.extend(everywhere(&format!("aud {audience}"), &draft, "token_type"));
    }
    for issuer in [
        "\"x\"",
        "\"\"",
        "null",
        "7",
        "[\"https://issuer\"]",
        "\"https://issuer/\"",
        "\"HTTPS://issuer\"",
        "\"https://\"",
    ] {
        let draft = good(both.forge.draft("refresh")).with("iss", issuer);
        cases.extend(everywhere(&format!("iss {issuer}"), &draft, "token_type"));
    }
    let past = both.forge.now - 600;
    for (what, draft) in [
        ("no aud", good(both.forge.draft("refresh")).without("aud")),
        ("no iss", good(both.forge.draft("refresh")).without("iss")),
        ("neither", both.forge.draft("refresh")),
        ("expired beats aud", both.forge.draft("refresh").with("exp", past)),
        ("expired beats iss", good(both.forge.draft("refresh")).with("exp", past).with("iss", "\"x\"")),
    ] {
        cases.extend(everywhere(what, &draft, "token_type"));
    }
    both.compare(cases).await;
}

// Goes red if a single audience is written as a list, or taken for a list of letters.
#[tokio::test]
async fn one_audience() {
    let mut both = TwoServers::start(json!({ "AUDIENCE": "api" }), &[("AUDIENCE", "api")]).await;
    let mut cases = vec![login("a login", USERNAME, PASSWORD)];
    for audience in ["\"api\"", "[\"api\"]", "\"a\"", "[\"x\",\"api\"]", "\"apis\""] {
        let draft = both.forge.draft("refresh").with("aud", audience).with("iss", "\"anybody\"");
        cases.extend(everywhere(&format!("aud {audience}"), &draft, "token_type"));
    }
    both.compare(cases).await;
}

// Goes red if the leeway is not for `exp`, `iat`, `nbf` and `refresh_exp`, or makes new tokens live longer.
#[tokio::test]
async fn leeway() {
    let mut both = TwoServers::start(json!({ "LEEWAY": 100 }), &[("LEEWAY", "100")]).await;
    let now = both.forge.now;
    let mut cases = vec![login("a login", USERNAME, PASSWORD)];
    for (name, offset) in
        [("exp", -20), ("exp", 0), ("exp", -200), ("iat", 50), ("iat", 400), ("nbf", 50), ("nbf", 400)]
    {
        let draft = both.forge.draft("refresh").with(name, now + offset);
        cases.extend(everywhere(&format!("{name} {offset} s from now"), &draft, "token_type"));
    }
    let draft = both.forge.draft("refresh").with("exp", now - 20).with("iat", now + 50);
    cases.extend(everywhere("both inside", &draft, "token_type"));
    for offset in [-20, -200] {
        let token = both.forge.sliding().with("refresh_exp", now + offset).sign();
        cases.push(Case::token(format!("refresh_exp {offset}"), "/api/token/sliding/refresh/", &token));
    }
    both.compare(cases).await;
}

// Goes red if a claim is looked for, written or copied under its default name.
#[tokio::test]
async fn renamed_claims() {
    let names = [("USER_ID_CLAIM", "uid"), ("TOKEN_TYPE_CLAIM", "kind"), ("JTI_CLAIM", "tid")];
    let settings = json!({ "USER_ID_CLAIM": "uid", "TOKEN_TYPE_CLAIM": "kind", "JTI_CLAIM": "tid" });
    let mut both = TwoServers::start(settings, &names).await;
    let mut drafted = || {
        let draft = both.forge.draft("refresh");
        draft.renamed("user_id", "uid").renamed("token_type", "kind").renamed("jti", "tid")
    };
    let mut cases = vec![login("a login", USERNAME, PASSWORD)];
    for (what, draft) in [
        ("renamed", drafted()),
        ("the old type is an ordinary claim", drafted().with("token_type", "\"x\"")),
        ("the old jti is not copied", drafted().with("jti", "\"x\"")),
        ("the old user is an ordinary claim", drafted().with("user_id", 5)),
        ("no user", drafted().without("uid")),
    ] {
        cases.extend(everywhere(what, &draft, "kind"));
    }
    for (what, draft) in [
        ("the old jti must be a text all the same", drafted().with("jti", 7)),
        ("no type", drafted().without("kind")),
        ("the wrong type", drafted().with("kind", "\"x\"")),
    ] {
        for path in [VERIFY, REFRESH, BLACKLIST, TASKS] {
            cases.push(Case::token(what, path, &draft.sign()));
        }
    }
    let no_id = drafted().without("tid").sign();
    let old = both.forge.draft("refresh").sign();
    for path in [VERIFY, REFRESH, BLACKLIST, TASKS] {
        let case = Case::token("no id", path, &no_id);
        cases.push(case.ours_refuses_looking_up("6, no jti", "Token has no id"));
        let case = Case::token("default names", path, &old);
        cases.push(case.ours_refuses_looking_up("6, no jti", "Token has no id"));
    }
    both.compare(cases).await;
}

// Goes red if another scheme opens, one of ours does not, or the challenge is not the first of them.
#[tokio::test]
async fn two_schemes() {
    let settings = json!({ "AUTH_HEADER_TYPES": ["JWT", "Bearer"] });
    let mut both = TwoServers::start(settings, &[("AUTH_HEADER_TYPES", "JWT,Bearer")]).await;
    let token = both.forge.draft("access").sign();
    let mut cases = vec![login("a refused login is challenged, too", USERNAME, "wrong")];
    cases.push(Case::new("none", "GET", TASKS));
    for scheme in ["JWT", "Bearer", "jwt", "bearer", "Token", "JWT,", "JWT Bearer"] {
        for token in [token.as_str(), "x", "", "a b"] {
            let case = Case::new(format!("{scheme} {token}"), "GET", TASKS);
            cases.push(case.header("authorization", format!("{scheme} {token}")));
        }
    }
    both.compare(cases).await;
}

// Goes red if the usual header still counts, or the new one needs no scheme.
#[tokio::test]
async fn another_header() {
    let name = "HTTP_X_ACCESS_TOKEN";
    let mut both =
        TwoServers::start(json!({ "AUTH_HEADER_NAME": name }), &[("AUTH_HEADER_NAME", name)]).await;
    let token = both.forge.draft("access").sign();
    let mut cases = vec![Case::tasks("the usual header does not count", &token)];
    for value in
        [format!("Bearer {token}"), token.clone(), "Bearer x".to_owned(), "Bearer".to_owned(), String::new()]
    {
        let case = Case::new("the new header", "GET", TASKS);
        cases.push(case.clone().header("x-access-token", value.as_str()));
        let both = case.header("x-access-token", value.as_str()).header("authorization", "Bearer x y");
        cases.push(both);
    }
    both.compare(cases).await;
}

// Goes red if an inactive user is kept out although the setting lets him in, or may log in.
#[tokio::test]
async fn inactive_users_may_stay() {
    let settings = json!({ "CHECK_USER_IS_ACTIVE": false });
    let mut both = TwoServers::start(settings, &[("CHECK_USER_IS_ACTIVE", "false")]).await;
    let id = both.user("sleepy").await;
    both.set_active(id, false).await;
    let draft = both.forge.draft("refresh").with("user_id", id);
    let mut cases = vec![login("login stays shut", "sleepy", PASSWORD)];
    cases.extend(everywhere("inactive", &draft, "token_type"));
    both.compare(cases).await;
}

// Goes red if a token with another digest of the password opens, or a new token has none.
#[tokio::test]
async fn changed_passwords_end_tokens() {
    let mut both =
        TwoServers::start(json!({ "CHECK_REVOKE_TOKEN": true }), &[("CHECK_REVOKE_TOKEN", "true")]).await;
    let changed = r#"{"detail":"The user's password has been changed."}"#;
    let mut cases = vec![login("a login", USERNAME, PASSWORD)];
    for (what, value) in
        [("none", None), ("another", Some("\"00112233445566778899AABBCCDDEEFF\"")), ("odd", Some("7"))]
    {
        let draft = |draft: Draft| match value {
            Some(value) => draft.with("hash_password", value),
            None => draft,
        };
        let (refresh, access) =
            (draft(both.forge.draft("refresh")).sign(), draft(both.forge.draft("access")).sign());
        cases.push(Case::token(what, VERIFY, &refresh));
        cases.push(Case::tasks(what, &access));
        cases.push(Case::token(what, REFRESH, &refresh).ours("1.5, revoke claim", 401, changed));
    }
    both.compare(cases).await;

    // A user who came from Django with his hash: the digest that Django's tokens have is good until he changes it.
    let id = both.user("imported").await;
    let hash = both.peer.hash("pbkdf2_sha256", PASSWORD);
    both.set_hash(id, &hash).await;
    let (refresh, access) = both.peer.mint(id);
    let all = |when: &str| {
        vec![
            Case::tasks(when, &access),
            Case::token(when, VERIFY, &refresh),
            Case::token(when, VERIFY, &access),
        ]
    };
    let mut cases = all("Django's digest");
    cases.push(Case::token("Django's digest", REFRESH, &refresh));
    both.compare(cases).await;
    let other = both.peer.hash("pbkdf2_sha256", "another password of his");
    both.set_hash(id, &other).await;
    let mut cases = all("after a change");
    cases.push(Case::token("after a change", REFRESH, &refresh).ours("1.5, revoke claim", 401, changed));
    both.compare(cases).await;
}

// Goes red if sliding tokens are obtained or refreshed in another way, or open where only access tokens may.
#[tokio::test]
async fn sliding_tokens_are_obtained_and_refreshed() {
    let mut both = TwoServers::start(json!({}), &[]).await;
    sliding::obtain_and_refresh(&mut both).await;
    let token = both.forge.sliding().sign();
    both.compare(vec![Case::tasks("by default they open nothing", &token)]).await;
}

// Goes red if the classes are tried in another order, or a blacklisted sliding token opens.
#[tokio::test]
async fn both_classes_open() {
    for (classes, short) in [
        ([ACCESS_CLASS, SLIDING_CLASS], "AccessToken,SlidingToken"),
        ([SLIDING_CLASS, ACCESS_CLASS], "SlidingToken,AccessToken"),
    ] {
        let settings = json!({ "AUTH_TOKEN_CLASSES": classes });
        let mut both = TwoServers::start(settings, &[("AUTH_TOKEN_CLASSES", short)]).await;
        sliding::on_the_protected_route(&mut both).await;
    }
}
