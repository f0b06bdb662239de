//! Proving an address by a mailed link. Rows A01, A02, A10 to A13 of `auth-audit.md`, section E.

use producer_api::accounts;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, Client, PASSWORD, send};

use crate::harness::Api;

const VERIFY: &str = "/api/email/verify/";
const DAY: i64 = 86_400;

fn refused() -> Value {
    json!({ "token": ["This link is not valid any more. Ask for a new one."] })
}

async fn verify(client: &Client, token: &str) -> Answer {
    client.post(VERIFY, &json!({ "token": token })).await
}

async fn register(client: &Client, username: &str, email: &str) -> Answer {
    let account = json!({ "username": username, "email": email, "password": PASSWORD });
    client.post("/api/register/", &account).await
}

async fn me(client: &Client, username: &str) -> Value {
    let login = client.log_in(username).await;
    let request = client.request(Method::GET, "/api/users/me/").bearer_auth(&login.access);
    send(request).await.expect(200).body
}

/// Row A01; that the login is refused before, the life of an account shows.
#[tokio::test]
async fn whoever_registers_is_sent_a_link_and_proves_the_address_with_it() {
    let api = Api::start().await;
    let answer = register(&api.client, "froggly", "Froggly@example.com").await.expect(201);
    assert_eq!(answer.body, json!({ "id": 1, "username": "froggly", "email": "Froggly@example.com" }));
    assert_eq!(api.mails().await, [(1, "verify_email".to_owned())]);
    assert_eq!(me(&api.client, "froggly").await["email_verified"], false);
    api.forget_events().await;
    let token = api.link(1, "verify_email", "Froggly@example.com", DAY).await;
    assert_eq!(verify(&api.client, &token).await.expect(200).body, json!({}));
    assert_eq!(me(&api.client, "froggly").await["email_verified"], true);
    assert_eq!(api.event_types().await[0], "auth.email.verified");
    assert_eq!(api.events().await[0].1["username"], "froggly");
}

/// Row A02. The worker that sends tells the owner: the API does not look.
#[tokio::test]
async fn an_address_that_is_taken_is_registered_with_the_same_answer_and_can_not_be_proved() {
    let api = Api::start().await;
    register(&api.client, "owner", "a@example.com").await.expect(201);
    let token = api.link(1, "verify_email", "a@example.com", DAY).await;
    verify(&api.client, &token).await.expect(200);
    api.forget_events().await;

    let answer = register(&api.client, "other", "A@Example.com").await.expect(201);
    assert_eq!(answer.body, json!({ "id": 2, "username": "other", "email": "A@Example.com" }));
    assert_eq!(api.event_types().await, ["auth.user.registered"]);
    assert_eq!(api.mails().await.last(), Some(&(2, "verify_email".to_owned())));
    let token = api.link(2, "verify_email", "A@Example.com", DAY).await;
    assert_eq!(verify(&api.client, &token).await.expect(400).body, refused());
    assert_eq!(api.reasons("auth.mail_token.refused").await, ["address_taken"]);
    assert_eq!(me(&api.client, "other").await["email_verified"], false);
    // Nor does he have the owner written to by asking for a link again.
    let asked = api.client.post("/api/email/verify/resend/", &json!({ "email": "a@example.com" })).await;
    asked.expect(202);
    assert_eq!(api.mails().await.last(), Some(&(0, "verify_email".to_owned())));
}

/// Two accounts with one address that prove it at once: the unique key lets one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_accounts_that_prove_one_address_at_once_one_succeeds() {
    let api = Api::start().await;
    for user in ["one", "two"] {
        register(&api.client, user, "a@example.com").await.expect(201);
    }
    let (one, two) = (
        api.link(1, "verify_email", "a@example.com", DAY).await,
        api.link(2, "verify_email", "a@example.com", DAY).await,
    );
    let (one, two) = tokio::join!(verify(&api.client, &one), verify(&api.client, &two));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(api.count("SELECT count(*) FROM users WHERE email_verified_at IS NOT NULL").await, 1);
}

/// Row A10: mail scanners follow links.
#[tokio::test]
async fn opening_a_link_shows_a_page_with_a_button_and_uses_nothing() {
    let api = Api::start().await;
    register(&api.client, "froggly", "a@example.com").await.expect(201);
    let token = api.link(1, "verify_email", "a@example.com", DAY).await;
    for (method, accept) in [(Method::GET, "text/html"), (Method::GET, "*/*"), (Method::HEAD, "text/html")] {
        let request = api.client.request(method.clone(), &format!("{VERIFY}?token={token}"));
        let answer = send(request.header("accept", accept)).await.expect(200);
        assert!(answer.header("content-type").starts_with("text/html"));
        assert_eq!(answer.header("cache-control"), "no-store");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        if method == Method::GET {
            let page = answer.body.as_str().unwrap();
            assert!(page.contains(&format!(r#"value="{token}""#)) && page.contains("<button"), "{page}");
        }
    }
    assert_eq!(api.count("SELECT count(*) FROM mail_tokens WHERE ended_at IS NULL").await, 1);
    // The button, as a browser presses it.
    let request = api.client.request(Method::POST, &format!("{VERIFY}?")).form(&[("token", &token)]);
    let request = request.header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let answer = send(request).await.expect(200);
    assert!(answer.body.as_str().unwrap().contains("Your address is verified"));
    let request = api.client.request(Method::POST, VERIFY).form(&[("token", &token)]);
    let answer = send(request.header("accept", "text/html")).await.expect(400);
    assert!(answer.body.as_str().unwrap().contains("not valid any more"));
}

/// Before his link is used a user's own password is refused, and counts as any that is.
#[tokio::test]
async fn whoever_logged_in_too_early_over_and_over_need_not_wait_once_his_address_is_proved() {
    let api = Api::start_with(&[("REQUIRE_VERIFIED_EMAIL", "true"), ("LOGIN_DELAY_FIRST", "15m")]).await;
    register(&api.client, "froggly", "a@example.com").await.expect(201);
    for _ in 0..10 {
        api.client.try_log_in("froggly", PASSWORD).await.expect(401);
    }
    api.client.try_log_in("froggly", PASSWORD).await.expect(429);
    let token = api.link(1, "verify_email", "a@example.com", DAY).await;
    verify(&api.client, &token).await.expect(200);
    api.client.try_log_in("froggly", PASSWORD).await.expect(200);
}

/// Row A11.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_uses_of_one_link_at_once_one_succeeds() {
    let api = Api::start().await;
    let other = api.replica(&[]).await;
    register(&api.client, "froggly", "a@example.com").await.expect(201);
    let token = api.link(1, "verify_email", "a@example.com", DAY).await;
    let second = api.link(1, "verify_email", "a@example.com", DAY).await;
    api.forget_events().await;
    let uses = (0..20).map(|turn| {
        let client = if turn % 2 == 0 { api.client.clone() } else { other.client.clone() };
        let token = token.clone();
        tokio::spawn(async move { verify(&client, &token).await })
    });
    let mut succeeded = 0;
    for answer in uses.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        if answer.status == 200 {
            succeeded += 1;
        } else {
            assert_eq!(answer.expect(400).body, refused());
        }
    }
    assert_eq!(succeeded, 1);
    assert_eq!(api.reasons("auth.mail_token.refused").await, ["used"], "told once, however many come late");
    let events = api.event_types().await;
    assert_eq!(events.iter().filter(|name| *name == "auth.email.verified").count(), 1);
    // With one all others of the purpose are over.
    assert_eq!(verify(&other.client, &second).await.expect(400).body, refused());
    assert_eq!(api.reasons("auth.mail_token.refused").await, ["used", "withdrawn"]);
}

/// Row A12.
#[tokio::test]
async fn whatever_is_wrong_with_a_link_the_answer_is_the_same() {
    let api = Api::start().await;
    register(&api.client, "froggly", "a@example.com").await.expect(201);
    let expired = api.link(1, "verify_email", "a@example.com", 60).await;
    api.advance(60);
    let good = api.link(1, "verify_email", "a@example.com", 60).await;
    let elsewhere = api.link(1, "verify_email", "b@example.com", 60).await;
    let reset = api.link(1, "reset_password", "a@example.com", 60).await;
    let last = if good.ends_with('A') { "E" } else { "A" };
    let changed = format!("{}{last}", &good[..good.len() - 1]);
    api.forget_events().await;
    for token in
        [expired.as_str(), &elsewhere, &reset, &changed, "x", &"A".repeat(43), "a'; DROP TABLE users"]
    {
        assert_eq!(verify(&api.client, token).await.expect(400).body, refused(), "{token}");
    }
    let reasons = ["expired", "withdrawn", "unknown"];
    assert_eq!(api.reasons("auth.mail_token.refused").await, reasons);
    // Those that nobody was ever sent are forged, and counted.
    api.state.forged_tokens.tell(api.database.pool(), &api.state.outbox).await.unwrap();
    let (name, forged) = api.events().await.pop().unwrap();
    assert_eq!(
        (name.as_str(), &forged["reason"], &forged["count"]),
        ("auth.access.denied", &json!("forged_token"), &json!(4))
    );
    accounts::set_active(&api.state, &api.context(), "froggly", false).await.unwrap();
    assert_eq!(verify(&api.client, &good).await.expect(400).body, refused());
    assert_eq!(api.reasons("auth.mail_token.refused").await.last().unwrap(), "disabled");
    assert_eq!(api.count("SELECT count(*) FROM users WHERE email_verified_at IS NOT NULL").await, 0);
}

/// Row A13.
#[tokio::test]
async fn another_link_can_be_asked_for_and_the_answer_does_not_tell_who_gets_one() {
    let api = Api::start().await;
    register(&api.client, "froggly", "a@example.com").await.expect(201);
    register(&api.client, "gone", "gone@example.com").await.expect(201);
    accounts::set_active(&api.state, &api.context(), "gone", false).await.unwrap();
    let resend = async |email: &str| {
        let answer = api.client.post("/api/email/verify/resend/", &json!({ "email": email })).await;
        assert_eq!(answer.expect(202).body, json!({}), "{email}");
        api.mails().await.pop().unwrap()
    };
    for _ in 0..4 {
        assert_eq!(resend("A@example.com").await, (1, "verify_email".to_owned()));
    }
    // The fifth and last of this hour was the one of the registration.
    for email in ["a@example.com", "nobody@example.com", "gone@example.com"] {
        assert_eq!(resend(email).await, (0, "verify_email".to_owned()), "{email}");
    }
    api.advance(3_601);
    assert_eq!(resend("a@example.com").await, (1, "verify_email".to_owned()));
    let token = api.link(1, "verify_email", "a@example.com", DAY).await;
    verify(&api.client, &token).await.expect(200);
    assert_eq!(resend("a@example.com").await, (0, "verify_email".to_owned()), "there is nothing to verify");
    let answer = api.client.post("/api/email/verify/resend/", &json!({ "email": "no address" })).await;
    assert_eq!(answer.expect(400).body, json!({ "email": ["Enter a valid email address."] }));
}

/// Goes red when a stranger, by registering with an address, takes the link that its user asks for.
#[tokio::test]
async fn a_link_asked_for_again_goes_to_everybody_who_has_the_address_unproved() {
    let api = Api::start().await;
    for name in ["froggly", "stranger"] {
        register(&api.client, name, "a@example.com").await.expect(201);
    }
    let before = api.mails().await.len();
    api.client.post("/api/email/verify/resend/", &json!({ "email": "a@example.com" })).await.expect(202);
    let sent: Vec<i64> = api.mails().await.split_off(before).into_iter().map(|(user, _)| user).collect();
    assert!(sent.contains(&1), "froggly was there first, and the link went to {sent:?}");
}

/// Goes red when a stranger's accounts stand between an owner and his links.
#[tokio::test]
async fn whoever_says_which_account_is_his_is_sent_a_link_however_many_have_the_address() {
    let api = Api::start().await;
    for name in ["one", "two", "three", "owner"] {
        register(&api.client, name, "a@example.com").await.expect(201);
    }
    register(&api.client, "elsewhere", "b@example.com").await.expect(201);
    let asked = async |path: &str, username: Value| {
        let before = api.mails().await.len();
        let body = json!({ "email": "a@example.com", "username": username });
        assert_eq!(api.client.post(path, &body).await.expect(202).body, json!({}));
        api.mails().await.split_off(before).into_iter().map(|(user, _)| user).collect::<Vec<_>>()
    };
    assert_eq!(asked("/api/email/verify/resend/", json!("owner")).await, [4, 1, 2]);
    let reset = "/api/password/reset/";
    assert_eq!(asked(reset, json!("owner")).await, [4, 1, 2]);
    // A name that has another address, and what is no name, make no difference.
    for other in [json!("elsewhere"), json!("nobody"), json!(["owner"]), json!("a\0b")] {
        assert_eq!(asked(reset, other).await, [1, 2, 3]);
    }
}

/// One stranger with one dead link must not be able to bury what else is in the trail.
#[tokio::test]
async fn a_used_link_shown_a_hundred_times_fills_no_trail() {
    let api = Api::start().await;
    register(&api.client, "froggly", "a@example.com").await.expect(201);
    let used = api.link(1, "verify_email", "a@example.com", 60).await;
    let reset = api.link(1, "reset_password", "a@example.com", 60).await;
    verify(&api.client, &used).await.expect(200);
    api.forget_events().await;
    let choose = async |token: &str| {
        let body = json!({ "token": token, "password": PASSWORD });
        let answer = api.client.post("/api/password/reset/confirm/", &body).await.expect(400);
        assert_eq!(answer.body, refused());
    };
    for _ in 0..50 {
        assert_eq!(verify(&api.client, &used).await.expect(400).body, refused());
        choose(&used).await;
    }
    assert_eq!(api.reasons("auth.mail_token.refused").await, ["used", "unknown"], "each reason once");
    // Another link is told of by itself, and so is what is wrong with it later.
    verify(&api.client, &reset).await.expect(400);
    api.advance(60);
    for _ in 0..2 {
        choose(&reset).await;
    }
    let told = api.reasons("auth.mail_token.refused").await;
    assert_eq!(told, ["used", "unknown", "unknown", "expired"]);
    assert_eq!(api.event_types().await.len(), 4);
}

/// Of two that come at once one tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_link_shown_to_two_replicas_at_once_is_told_once() {
    let api = Api::start().await;
    let other = api.replica(&[]).await;
    register(&api.client, "froggly", "a@example.com").await.expect(201);
    let expired = api.link(1, "verify_email", "a@example.com", 0).await;
    api.forget_events().await;
    let mut shown = tokio::task::JoinSet::new();
    for turn in 0..10 {
        let client = if turn % 2 == 0 { api.client.clone() } else { other.client.clone() };
        let token = expired.clone();
        shown.spawn(async move { verify(&client, &token).await.expect(400) });
    }
    shown.join_all().await;
    assert_eq!(api.reasons("auth.mail_token.refused").await, ["expired"]);
}
