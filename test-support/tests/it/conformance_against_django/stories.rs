//! Answers that depend on what happened before: logins, blacklisting, users who come and go.

use serde_json::json;
use test_support::api::PASSWORD;

use super::case::Case;
use super::two_servers::{TwoServers, USERNAME};

const REFRESH: &str = "/api/token/refresh/";
const VERIFY: &str = "/api/token/verify/";
const BLACKLIST: &str = "/api/token/blacklist/";
const TASKS: &str = "/api/tasks/";

pub(super) async fn tell(both: &mut TwoServers) {
    log_in(both).await;
    blacklist(both).await;
    users_come_and_go(both).await;
}

/// A login; the user's name and password are as given.
pub(super) fn login(what: &str, username: &str, password: &str) -> Case {
    Case::post(what, "/api/token/", json!({ "username": username, "password": password }).to_string())
}

async fn log_in(both: &mut TwoServers) {
    let form = "application/x-www-form-urlencoded";
    let spaced = format!(" \t{PASSWORD}\u{1c}\u{3000} ");
    let cases = vec![
        login("a login", USERNAME, PASSWORD),
        login("blanks around", "  froggly ", &spaced),
        login("an invisible letter", "froggly", &format!("{PASSWORD}\u{200b}")),
        login("another case", "Froggly", PASSWORD),
        login("full width", "ｆroggly", PASSWORD),
        login("a wrong password", USERNAME, "wrong"),
        login("an unknown name", "nobody", PASSWORD),
        login("a long name", &"x".repeat(5_000), PASSWORD),
        login("a long password", USERNAME, &"x".repeat(5_000)),
        Case::post(
            "other members are ignored",
            "/api/token/",
            json!({ "username": USERNAME, "password": PASSWORD, "email": 7, "refresh": [], "a": null })
                .to_string(),
        ),
        Case::new("by form", "POST", "/api/token/")
            .body(form, format!("username={USERNAME}&password={}", PASSWORD.replace(' ', "+"))),
        Case::new("the last of a name counts", "POST", "/api/token/").body(
            form,
            format!(
                "username=nobody&username={USERNAME}&password=x&password={}",
                PASSWORD.replace(' ', "%20")
            ),
        ),
    ];
    both.compare(cases).await;
}

async fn blacklist(both: &mut TwoServers) {
    let past = both.forge.now - 600;
    let draft = both.forge.draft("refresh");
    let token = draft.sign();
    let same = |draft: super::forge::Draft| draft.sign();
    let mut cases = vec![
        Case::token("not yet blacklisted", REFRESH, &token),
        Case::token("blacklisted", BLACKLIST, &token),
        Case::token("a second time", BLACKLIST, &token),
        Case::token("and refreshed", REFRESH, &token),
        Case::token("and verified, which is 200 by default", VERIFY, &token),
        Case::token(
            "an access token of the same jti stays good",
            TASKS,
            &same(draft.clone().with("token_type", "\"access\"")),
        ),
        Case::token("the same for verify", VERIFY, &same(draft.clone().with("token_type", "\"access\""))),
    ];
    for path in [REFRESH, BLACKLIST] {
        for (what, draft) in [
            ("expired beats blacklisted", draft.clone().with("exp", past)),
            ("invalid beats blacklisted", draft.clone().with("iat", both.forge.now + 900)),
            ("blacklisted beats the wrong type", draft.clone().with("token_type", "\"access\"")),
            ("blacklisted beats no type", draft.clone().without("token_type")),
            ("blacklisted beats no exp", draft.clone().without("exp")),
            ("blacklisted beats an unknown user", draft.clone().with("user_id", 999_999)),
            ("blacklisted beats no user", draft.clone().without("user_id")),
            ("another token of the same jti", draft.clone().with("other", 1)),
        ] {
            cases.push(Case::token(what, path, &draft.sign()));
        }
    }
    let nobodys = both.forge.draft("refresh").without("user_id").sign();
    let gones = both.forge.draft("refresh").with("user_id", 999_999).sign();
    let access = both.forge.draft("access").sign();
    for (what, token) in [("nobody's", &nobodys), ("a deleted user's", &gones), ("an access token", &access)]
    {
        cases.push(Case::token(format!("{what} is blacklisted"), BLACKLIST, token));
        cases.push(Case::token(format!("{what}, a second time"), BLACKLIST, token));
        cases.push(Case::token(format!("{what}, refreshed"), REFRESH, token));
    }
    both.compare(cases).await;
}

async fn users_come_and_go(both: &mut TwoServers) {
    let id = both.user("sleepy").await;
    let (refresh, access) =
        (both.forge.draft("refresh").with("user_id", id), both.forge.draft("access").with("user_id", id));
    let all = |when: &str| {
        vec![
            login(when, "sleepy", PASSWORD),
            login(when, "sleepy", "wrong"),
            Case::token(when, REFRESH, &refresh.sign()),
            Case::token(when, VERIFY, &refresh.sign()),
            Case::token(when, TASKS, &access.sign()),
            Case::token(when, VERIFY, &access.sign()),
        ]
    };
    both.compare(all("active")).await;
    both.set_active(id, false).await;
    both.compare(all("inactive")).await;
    let other = both.forge.draft("refresh").with("user_id", id).sign();
    both.compare(vec![Case::token("an inactive user's is blacklisted", BLACKLIST, &other)]).await;
    both.set_active(id, true).await;
    both.compare(all("active again")).await;

    let id = both.user("fleeting").await;
    let refresh = both.forge.draft("refresh").with("user_id", id).sign();
    let access = both.forge.draft("access").with("user_id", id).sign();
    let second = both.forge.draft("refresh").with("user_id", id).sign();
    both.compare(vec![Case::token("blacklisted while he was there", BLACKLIST, &second)]).await;
    both.delete(id).await;
    both.compare(vec![
        Case::token("deleted", REFRESH, &refresh).ours(
            "6, deleted user",
            401,
            r#"{"detail":"No active account found for the given token."}"#,
        ),
        Case::token("deleted", TASKS, &access),
        Case::token("deleted", VERIFY, &refresh),
        Case::token("the blacklist outlives the user", REFRESH, &second),
        Case::token("deleted, blacklisted", BLACKLIST, &refresh),
        Case::token("deleted, blacklisted again", BLACKLIST, &refresh),
        login("deleted", "fleeting", PASSWORD),
    ])
    .await;
}
