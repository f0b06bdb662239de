//! Passwords: forgotten and chosen anew by a mailed link, and changed. Rows F01 to F06 of `auth-audit.md`, section E.

use producer_api::accounts;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, Client, Login, PASSWORD, send};

use crate::harness::{Api, refused_access, tasks_with};
use crate::policies::wait_for_a_waiter;

const NEW: &str = "a warren of many burrows";

async fn ask(client: &Client, email: &str) {
    let answer = client.post("/api/password/reset/", &json!({ "email": email })).await;
    assert_eq!(answer.expect(202).body, json!({}), "{email}");
}

async fn confirm(client: &Client, token: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "password": password });
    client.post("/api/password/reset/confirm/", &body).await
}

async fn change(client: &Client, login: &Login, present: &str, new: &str) -> Answer {
    let body = json!({ "current_password": present, "new_password": new });
    let request = client.request(Method::POST, "/api/password/change/").bearer_auth(&login.access);
    send(request.json(&body)).await
}

fn refused() -> Value {
    json!({ "token": ["This link is not valid any more. Ask for a new one."] })
}

/// Row F01.
#[tokio::test]
async fn asking_for_a_link_is_answered_alike_for_whoever_has_the_address() {
    let api = Api::start().await;
    for user in ["froggly", "gone", "busy"] {
        api.client.register(user).await.expect(201);
    }
    accounts::set_active(&api.state, &api.context(), "gone", false).await.unwrap();
    for _ in 0..5 {
        ask(&api.client, "busy@example.com").await;
    }
    api.forget_events().await;
    for (email, user, reason) in [
        ("Froggly@Example.com", 1, None),
        ("nobody@example.com", 0, Some("unknown_address")),
        ("gone@example.com", 0, Some("disabled")),
        ("busy@example.com", 0, Some("too_many")),
    ] {
        let events = api.event_types().await.len();
        ask(&api.client, email).await;
        assert_eq!(api.mails().await.pop(), Some((user, "reset_password".to_owned())), "{email}");
        let events = api.events().await.split_off(events);
        assert_eq!(events.len(), 1, "{email}");
        assert_eq!(events[0].0, "auth.password_reset.requested");
        assert_eq!(events[0].1["reason"].as_str(), reason, "{email}");
    }
}

/// Whoever proved the address alone gets the link; else those that have it.
#[tokio::test]
async fn who_has_proved_an_address_is_written_to_alone() {
    let api = Api::start().await;
    for user in ["one", "two", "three", "four"] {
        let account = json!({ "username": user, "email": "a@example.com", "password": PASSWORD });
        api.client.post("/api/register/", &account).await.expect(201);
    }
    ask(&api.client, "a@example.com").await;
    let mails = api.mails().await.split_off(4);
    assert_eq!(mails.iter().map(|(user, _)| *user).collect::<Vec<_>>(), [1, 2, 3]);
    let token = api.link(4, "verify_email", "a@example.com", 60).await;
    api.client.post("/api/email/verify/", &json!({ "token": token })).await.expect(200);
    ask(&api.client, "a@example.com").await;
    let mails = api.mails().await.split_off(7);
    assert_eq!(mails, [(4, "reset_password".to_owned())]);
}

/// Rows F02, F03, F04 and F06. That only the newest three are live, the tests of the worker that draws them show.
#[tokio::test]
async fn a_link_gives_a_new_password_once_in_its_time_and_ends_every_session() {
    let api = Api::start_with(&[("SESSION_POLICY", "unlimited")]).await;
    let other = api.replica(&[("SESSION_POLICY", "unlimited")]).await;
    let logins = [api.client.join("froggly").await, other.client.log_in("froggly").await];
    let late = api.link(1, "reset_password", "froggly@example.com", 300).await;
    let tokens = [
        api.link(1, "reset_password", "froggly@example.com", 301).await,
        api.link(1, "reset_password", "froggly@example.com", 301).await,
    ];
    api.advance(300);
    assert_eq!(confirm(&api.client, &late, NEW).await.expect(400).body, refused());
    api.forget_events().await;
    // What won't do uses nothing up.
    let answer = confirm(&api.client, &tokens[0], "froggly1").await.expect(400);
    assert_eq!(answer.body, json!({ "password": ["The password is too similar to the username."] }));
    let answer = confirm(&api.client, &tokens[0], NEW).await.expect(200);
    assert_eq!(answer.body, json!({}), "no token: whoever holds the mailbox logs in");
    let events = api.event_types().await;
    assert_eq!(events[0], "auth.password_reset.completed");
    assert_eq!(api.reasons("auth.session.ended").await, vec!["password_reset"; 2]);
    assert_eq!(api.mails().await.pop(), Some((1, "password_changed".to_owned())));
    for (client, login) in [(&api.client, &logins[0]), (&other.client, &logins[1])] {
        client.refresh(&login.refresh).await.expect(401);
    }
    assert_eq!(
        tasks_with(&api.client, &logins[0].access).await.expect(401).body,
        refused_access("Token is expired"),
        "five minutes have passed"
    );
    for token in &tokens {
        assert_eq!(confirm(&other.client, token, "another good secret").await.expect(400).body, refused());
    }
    assert_eq!(api.reasons("auth.mail_token.refused").await, ["used", "withdrawn"]);
    api.client.try_log_in("froggly", PASSWORD).await.expect(401);
    api.client.try_log_in("froggly", NEW).await.expect(200);
}

/// Row F03.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_uses_of_one_link_at_once_one_gives_its_password() {
    let api = Api::start().await;
    let other = api.replica(&[]).await;
    api.client.register("froggly").await.expect(201);
    let token = api.link(1, "reset_password", "froggly@example.com", 300).await;
    let uses = (0..10).map(|turn| {
        let client = if turn % 2 == 0 { api.client.clone() } else { other.client.clone() };
        let token = token.clone();
        tokio::spawn(async move {
            let password = format!("{NEW} {turn}");
            (confirm(&client, &token, &password).await, password)
        })
    });
    let mut given = Vec::new();
    for attempt in uses.collect::<Vec<_>>() {
        let (answer, password) = attempt.await.unwrap();
        match answer.status {
            200 => given.push(password),
            _ => assert_eq!(answer.expect(400).body, refused()),
        }
    }
    assert_eq!(given.len(), 1);
    api.client.try_log_in("froggly", &given[0]).await.expect(200);
}

/// Row F05.
#[tokio::test]
async fn an_address_is_one_text_that_looks_like_one() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    let before = api.mails().await.len();
    for email in [
        json!(["froggly@example.com", "evil@example.com"]),
        json!({ "a": 1 }),
        json!("froggly@example.com,evil@example.com"),
        json!("froggly@example.com\r\nBcc: evil@example.com"),
        json!(""),
        json!(null),
    ] {
        let answer = api.client.post("/api/password/reset/", &json!({ "email": email })).await;
        assert!(answer.expect(400).body["email"].is_array(), "{email}");
    }
    assert_eq!(api.mails().await.len(), before);
}

#[tokio::test]
async fn a_browser_gets_a_page_that_asks_for_the_password_and_says_what_is_wrong_with_it() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    let token = api.link(1, "reset_password", "froggly@example.com", 300).await;
    let path = format!("/api/password/reset/confirm/?token={token}");
    let page = async |request: reqwest::RequestBuilder, status| {
        let answer = send(request.header("accept", "text/html")).await.expect(status);
        answer.body.as_str().unwrap().to_owned()
    };
    let asked = page(api.client.request(Method::GET, &path), 200).await;
    assert!(asked.contains(r#"type="password""#) && asked.contains(&token), "{asked}");
    let post = |password: &str| {
        let request = api.client.request(Method::POST, "/api/password/reset/confirm/");
        request.form(&[("token", token.as_str()), ("password", password)])
    };
    for password in ["password", ""] {
        let again = page(post(password), 400).await;
        assert!(again.contains(r#"role="alert""#) && again.contains(&token), "{again}");
    }
    assert!(page(post(NEW), 200).await.contains("Your password is changed"));
    assert!(page(post(NEW), 400).await.contains("not valid any more"));
}

#[tokio::test]
async fn a_password_is_changed_by_the_present_one_and_every_session_ends() {
    let api = Api::start_with(&[("SESSION_POLICY", "unlimited")]).await;
    let (login, elsewhere) = (api.client.join("froggly").await, api.client.log_in("froggly").await);
    let link = api.link(1, "reset_password", "froggly@example.com", 300).await;
    api.forget_events().await;
    let answer = change(&api.client, &login, "not my password", NEW).await.expect(400);
    assert_eq!(answer.body, json!({ "current_password": ["Invalid password."] }));
    let answer = change(&api.client, &login, PASSWORD, "password").await.expect(400);
    assert_eq!(answer.body, json!({ "new_password": ["This password is too common."] }));
    assert_eq!(api.event_types().await, ["auth.reauthentication.failed"], "nothing was changed");
    api.forget_events().await;
    change(&api.client, &login, PASSWORD, NEW).await.expect(200);
    assert_eq!(api.event_types().await[0], "auth.password.changed");
    assert_eq!(api.reasons("auth.session.ended").await, vec!["password_changed"; 2]);
    assert_eq!(api.mails().await.pop(), Some((1, "password_changed".to_owned())));
    for login in [&login, &elsewhere] {
        let answer = api.client.tasks(login).await.expect(401);
        assert_eq!(answer.body, refused_access("Token is blacklisted"));
    }
    assert_eq!(confirm(&api.client, &link, "another good secret").await.expect(400).body, refused());
    api.client.try_log_in("froggly", NEW).await.expect(200);
    let stranger = api.client.post("/api/password/change/", &json!({})).await;
    stranger.expect(401);
}

/// Whoever knew the old password may have asked for an address of his own: its link is worth nothing after either way to a new one.
#[tokio::test]
async fn a_new_password_calls_off_a_change_of_address_that_is_under_way() {
    let api = Api::start().await;
    for (name, by_link) in [("froggly", true), ("toady", false)] {
        let login = api.client.join(name).await;
        let wanted = format!("thief-of-{name}@example.com");
        let request = api.client.request(Method::PATCH, "/api/users/me/").bearer_auth(&login.access);
        send(request.json(&json!({ "email": wanted, "password": PASSWORD }))).await.expect(200);
        let thief = api.link(login.user_id, "change_email", &wanted, 600).await;
        if by_link {
            let link = api.link(login.user_id, "reset_password", &format!("{name}@example.com"), 300).await;
            confirm(&api.client, &link, NEW).await.expect(200);
        } else {
            change(&api.client, &login, PASSWORD, NEW).await.expect(200);
        }
        let used = api.client.post("/api/email/verify/", &json!({ "token": thief })).await;
        assert_eq!(used.expect(400).body, refused(), "{name}");
    }
    assert_eq!(api.count("SELECT count(*) FROM users WHERE pending_email IS NOT NULL").await, 0);
}

/// Goes red when a wrong password is not counted where a token opens the door already.
#[tokio::test]
async fn whoever_has_a_token_can_not_guess_its_users_password() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    for _ in 0..10 {
        change(&api.client, &login, "not my password", NEW).await.expect(400);
    }
    let request = || api.client.request(Method::DELETE, "/api/users/me/").bearer_auth(&login.access);
    for answer in [
        change(&api.client, &login, PASSWORD, NEW).await,
        send(request().json(&json!({ "password": PASSWORD }))).await,
    ] {
        assert_eq!(answer.expect(429).header("retry-after"), "1");
    }
    assert_eq!(api.event_types().await.iter().filter(|name| *name == "auth.account.locked").count(), 1);
    api.client.tasks(&login).await.expect(200);
    api.advance(1);
    change(&api.client, &login, PASSWORD, NEW).await.expect(200);
}

/// Row B06 of `auth-audit.md`, section E: guesses at an account keep nobody from choosing a new password, nor from using it.
#[tokio::test]
async fn a_reset_ends_the_wait_that_guesses_brought_about() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    for _ in 0..10 {
        api.client.try_log_in("froggly", "a guess").await.expect(401);
    }
    api.client.try_log_in("froggly", PASSWORD).await.expect(429);
    let token = api.link(1, "reset_password", "froggly@example.com", 300).await;
    confirm(&api.client, &token, NEW).await.expect(200);
    api.client.try_log_in("froggly", NEW).await.expect(200);
    assert!(api.event_types().await.contains(&"auth.account.unlocked".to_owned()));
}

/// Who reads the mailbox that was given up must not come in by it: not even by a link that was on its way.
#[tokio::test]
async fn a_link_that_went_to_an_address_given_up_meanwhile_gives_no_password() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    let old = api.link(1, "reset_password", "froggly@example.com", 300).await;
    api.execute("UPDATE users SET pending_email = 'new@example.com'").await;
    let change = api.link(1, "change_email", "new@example.com", 600).await;
    api.client.post("/api/email/verify/", &json!({ "token": change })).await.expect(200);
    assert_eq!(confirm(&api.client, &old, NEW).await.expect(400).body, refused());
    api.client.try_log_in("froggly", PASSWORD).await.expect(200);
}

/// Goes red when another name makes wrong passwords forgotten.
#[tokio::test]
async fn whoever_has_a_token_can_not_guess_on_under_another_name() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    for _ in 0..10 {
        change(&api.client, &login, "not my password", NEW).await.expect(400);
    }
    change(&api.client, &login, "not my password", NEW).await.expect(429);
    let rename = api.client.request(Method::PATCH, "/api/users/me/").bearer_auth(&login.access);
    // Whether the name may be changed without the password is another question.
    let _ = send(rename.json(&json!({ "username": "toady" }))).await;
    change(&api.client, &login, "not my password", NEW).await.expect(429);
}

/// The limit holds for questions side by side, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_forty_that_ask_for_a_link_at_once_five_are_sent_one() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let client = api.client.clone();
        asking.spawn(async move { ask(&client, "froggly@example.com").await });
    }
    asking.join_all().await;
    let sent = api.mails().await.into_iter().filter(|mail| *mail == (1, "reset_password".to_owned())).count();
    assert_eq!(sent, 5);
}

/// Whoever keeps asking for somebody else's links must not keep him from getting one that is good now.
#[tokio::test]
async fn a_stranger_that_asks_for_links_keeps_nobody_from_a_good_one() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    for _ in 0..6 {
        ask(&api.client, "froggly@example.com").await;
    }
    // All the links that he was sent have run out.
    api.advance(600);
    ask(&api.client, "froggly@example.com").await;
    assert_eq!(api.mails().await.pop(), Some((1, "reset_password".to_owned())));
}

/// Goes red when the account whose password was judged and the one that is given it are found by name, each by itself.
#[tokio::test]
async fn an_operator_gives_the_password_to_the_account_that_had_the_name_when_he_began() {
    let api = Api::start().await;
    for name in ["froggly", "other"] {
        api.client.register(name).await.expect(201);
    }
    let mut holder = api.database.pool().begin().await.unwrap();
    for rename in [
        "UPDATE users SET username = 'renamed' WHERE username = 'froggly'",
        "UPDATE users SET username = 'froggly' WHERE username = 'other'",
    ] {
        sqlx::query(rename).execute(&mut *holder).await.unwrap();
    }
    let (state, context) = (api.state.clone(), api.context());
    let given = tokio::spawn(async move {
        accounts::set_password(&state, &context, "froggly", NEW.to_owned()).await.unwrap()
    });
    wait_for_a_waiter(api.database.pool()).await;
    holder.commit().await.unwrap();
    given.await.unwrap();
    api.client.try_log_in("renamed", NEW).await.expect(200);
    api.client.try_log_in("froggly", PASSWORD).await.expect(200);
}
