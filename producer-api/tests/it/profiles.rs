//! One's own account: reading it, changing it, and deleting it.

use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, Client, Login, PASSWORD, send};

use crate::harness::{Api, refused_access};
use crate::policies::wait_for_a_waiter;

const ME: &str = "/api/users/me/";
const REFUSED: &str = "auth.reauthentication.failed";

async fn call(client: &Client, login: &Login, method: Method, body: &Value) -> Answer {
    send(client.request(method, ME).bearer_auth(&login.access).json(body)).await
}

async fn patch(client: &Client, login: &Login, body: &Value) -> Answer {
    call(client, login, Method::PATCH, body).await
}

#[tokio::test]
async fn a_profile_is_read_and_changed_by_its_user_alone() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    api.client.register("other").await.expect(201);
    let profile = call(&api.client, &login, Method::GET, &json!({})).await.expect(200).body;
    let joined = profile["date_joined"].clone();
    assert_eq!(
        profile,
        json!({
            "id": 1, "username": "froggly", "email": "froggly@example.com", "email_verified": false,
            "pending_email": null, "first_name": "", "last_name": "", "is_staff": false, "date_joined": joined,
            "last_login": null,
        })
    );
    api.forget_events().await;
    let change = json!({
        "username": "toady", "first_name": " Ada ", "last_name": "L.", "is_staff": true, "is_superuser": true,
        "email_verified": true, "id": 9,
    });
    let changed = patch(&api.client, &login, &change).await.expect(200).body;
    assert_eq!(
        (&changed["username"], &changed["first_name"], &changed["last_name"], &changed["is_staff"]),
        (&json!("toady"), &json!("Ada"), &json!("L."), &json!(false))
    );
    assert_eq!(api.event_types().await, ["auth.user.updated"]);
    let event = &api.events().await[0].1;
    assert_eq!(
        (&event["username"], &event["fields"]),
        (&json!("toady"), &json!(["username", "first_name", "last_name"]))
    );
    patch(&api.client, &login, &json!({ "first_name": "Ada" })).await.expect(200);
    assert_eq!(api.event_types().await.len(), 1, "nothing changed, nothing told");
    patch(&api.client, &login, &json!({ "first_name": "" })).await.expect(200);
    for (change, refused) in [
        (
            json!({ "username": "other" }),
            json!({ "username": ["A user with that username already exists."] }),
        ),
        (json!({ "username": "" }), json!({ "username": ["This field may not be blank."] })),
        (
            json!({ "first_name": "x".repeat(151) }),
            json!({ "first_name": ["Ensure this field has no more than 150 characters."] }),
        ),
        (json!({ "last_name": [1] }), json!({ "last_name": ["Not a valid string."] })),
    ] {
        assert_eq!(patch(&api.client, &login, &change).await.expect(400).body, refused, "{change}");
    }
    api.client.get(ME).await.expect(401);
}

#[tokio::test]
async fn another_address_needs_the_password_and_counts_once_it_is_verified() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let first = api.link(1, "verify_email", "froggly@example.com", 600).await;
    api.client.post("/api/email/verify/", &json!({ "token": first })).await.expect(200);
    let wanted = |email: &str, password: &str| json!({ "email": email, "password": password });
    for (change, refused) in [
        (json!({ "email": "new@example.com" }), json!({ "password": ["This field is required."] })),
        (wanted("new@example.com", "not my password"), json!({ "password": ["Invalid password."] })),
        (wanted("new", PASSWORD), json!({ "email": ["Enter a valid email address."] })),
    ] {
        assert_eq!(patch(&api.client, &login, &change).await.expect(400).body, refused, "{change}");
    }
    let before = api.mails().await.len();
    api.forget_events().await;
    let typo = wanted("nwe@example.com", PASSWORD);
    let changed = patch(&api.client, &login, &typo).await.expect(200).body;
    assert_eq!(
        (&changed["email"], &changed["pending_email"], &changed["email_verified"]),
        (&json!("froggly@example.com"), &json!("nwe@example.com"), &json!(true)),
        "the present one stays until then"
    );
    let mails = ["change_email", "email_change_requested"].map(|purpose| (1, purpose.to_owned()));
    assert_eq!(api.mails().await.split_off(before), mails);
    let typo = api.link(1, "change_email", "nwe@example.com", 600).await;
    patch(&api.client, &login, &wanted("new@example.com", PASSWORD)).await.expect(200);
    api.client.post("/api/email/verify/", &json!({ "token": typo })).await.expect(400);
    let link = api.link(1, "change_email", "new@example.com", 600).await;
    api.client.post("/api/email/verify/", &json!({ "token": link })).await.expect(200);
    let profile = call(&api.client, &login, Method::GET, &json!({})).await.expect(200).body;
    assert_eq!(
        (&profile["email"], &profile["pending_email"], &profile["email_verified"]),
        (&json!("new@example.com"), &json!(null), &json!(true))
    );
    let former = "SELECT count(*) FROM users WHERE former_email = 'froggly@example.com'";
    assert_eq!(api.count(former).await, 1, "for the notice that is on its way there");
    let events = api.event_types().await;
    assert_eq!(events.last().unwrap(), "auth.email.changed");
    assert_eq!(api.reasons("auth.mail_token.refused").await, ["withdrawn"]);
}

#[tokio::test]
async fn an_account_is_deleted_with_its_tasks_and_its_trail_stays() {
    let api = Api::start().await;
    let other = api.replica(&[]).await;
    let login = api.client.join("froggly").await;
    api.client.create_task(&login, "Dig").await.expect(201);
    other.client.tasks(&login).await.expect(200);
    let answer = call(&api.client, &login, Method::DELETE, &json!({})).await.expect(400);
    assert_eq!(answer.body, json!({ "password": ["This field is required."] }));
    let wrong = json!({ "password": "not my password" });
    let answer = call(&api.client, &login, Method::DELETE, &wrong).await.expect(400);
    assert_eq!(answer.body, json!({ "password": ["Invalid password."] }));
    api.forget_events().await;
    call(&api.client, &login, Method::DELETE, &json!({ "password": PASSWORD })).await.expect(204);
    assert_eq!(
        api.event_types().await,
        ["auth.session.ended", "auth.token.blacklisted", "auth.account.deleted"]
    );
    assert_eq!(api.reasons("auth.session.ended").await, ["account_deleted"]);
    for table in ["users", "user_sessions", "tasks", "mail_tokens"] {
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
            .fetch_one(api.database.pool())
            .await
            .unwrap();
        assert_eq!(rows, 0, "{table}");
    }
    let answer = api.client.tasks(&login).await.expect(401);
    assert_eq!(answer.body, json!({ "detail": "User not found", "code": "user_not_found" }));
    api.client.refresh(&login.refresh).await.expect(401);
    api.client.try_log_in("froggly", PASSWORD).await.expect(401);
    api.client.register("froggly").await.expect(201);
    let answer = api.client.tasks(&login).await.expect(401);
    assert_ne!(answer.body["code"], refused_access("")["nothing"], "{}", answer.body);
}

/// Whoever has an account must not have any number of mails sent to strangers.
#[tokio::test]
async fn an_address_wanted_again_and_again_is_written_to_as_often_as_one_that_is_asked_for() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let wanted = json!({ "email": "stranger@example.com", "password": PASSWORD });
    for _ in 0..8 {
        patch(&api.client, &login, &wanted).await;
    }
    let sent = api.mails().await.into_iter().filter(|(_, purpose)| purpose == "change_email").count();
    assert!(sent <= 5, "{sent} mails to somebody else");
}

/// Where names stand in tokens, a name that was given up opens nobody else's account.
#[tokio::test]
async fn a_token_with_a_name_that_was_given_up_is_not_its_next_owners() {
    let simple = [
        ("USER_ID_FIELD", "username"),
        ("SESSION_POLICY", "unlimited"),
        ("ACCESS_TOKEN_REVOCATION", "none"),
        ("REFRESH_REUSE", "refuse"),
        ("REFRESH_GRACE_SECONDS", "0"),
    ];
    let api = Api::start_with(&simple).await;
    let thief = api.client.join("director").await;
    let _ = patch(&api.client, &thief, &json!({ "username": "nobody-in-particular" })).await;
    api.advance(60);
    // Where the name can't be given up, nobody gets it.
    let owner = api.client.register("director").await;
    if owner.status == 201 {
        let seen = call(&api.client, &thief, Method::GET, &json!({})).await;
        assert_ne!(seen.status, 200, "the token of one account opens another: {}", seen.body);
        let renewed = api.client.refresh(&thief.refresh).await;
        assert_ne!(renewed.status, 200, "the token of one account renews itself as another's");
    }
}

/// Asking for the address that one has takes back the wish for another.
#[tokio::test]
async fn whoever_asks_for_his_present_address_wants_no_other_any_more() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let typo = json!({ "email": "nwe@example.com", "password": PASSWORD });
    patch(&api.client, &login, &typo).await.expect(200);
    let back = json!({ "email": "froggly@example.com", "password": PASSWORD });
    let profile = patch(&api.client, &login, &back).await.expect(200).body;
    assert_eq!(profile["pending_email"], json!(null));
}

/// Whoever has a token can guess the password at three doors; each wrong guess is in the trail, and what was guessed isn't.
#[tokio::test]
async fn a_password_that_is_asked_for_once_more_and_is_wrong_leaves_its_event_at_each_door() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    api.forget_events().await;
    let guess = "not my pass phrase";
    let email = json!({ "email": "new@example.com", "password": guess });
    let change = json!({ "current_password": guess, "new_password": "a warren of many burrows" });
    let of_change = api.client.request(Method::POST, "/api/password/change/").bearer_auth(&login.access);
    patch(&api.client, &login, &email).await.expect(400);
    send(of_change.json(&change)).await.expect(400);
    call(&api.client, &login, Method::DELETE, &json!({ "password": guess })).await.expect(400);
    let events = api.events().await;
    for ((name, told), purpose) in events.iter().zip(["change_email", "change_password", "delete_account"]) {
        assert_eq!((name.as_str(), &told["purpose"]), (REFUSED, &json!(purpose)));
        assert_eq!((&told["reason"], &told["count"]), (&json!("wrong_password"), &Value::Null));
        assert_eq!((&told["user_id"], &told["username"]), (&json!(login.user_id), &json!("froggly")));
        assert_eq!((&told["ip"], told["session_id"].is_string()), (&json!("127.0.0.1"), true));
        assert!(!told.to_string().contains("pass phrase"), "{told}");
    }
    assert_eq!(events.len(), 3);
}

#[tokio::test]
async fn passwords_that_nobody_looks_at_any_more_are_counted_and_are_no_failed_logins() {
    let api = Api::start_with(&[("LOGIN_FAILURES_PER_ACCOUNT", "1"), ("LOGIN_DELAY_FIRST", "15m")]).await;
    let login = api.client.join("froggly").await;
    let delete = async |status| {
        let body = json!({ "password": "wrong" });
        call(&api.client, &login, Method::DELETE, &body).await.expect(status);
    };
    delete(400).await;
    api.forget_events().await;
    for _ in 0..3 {
        delete(429).await;
    }
    let email = json!({ "email": "new@example.com", "password": "wrong" });
    patch(&api.client, &login, &email).await.expect(429);
    assert_eq!(api.events().await, vec![], "each alone is no event");
    api.state.limits.refused.tell(api.database.pool(), &api.state.outbox).await.unwrap();
    let mut told: Vec<_> = api
        .events()
        .await
        .into_iter()
        .map(|(name, data)| {
            assert_eq!((name.as_str(), &data["reason"]), (REFUSED, &json!("limited")));
            (data["purpose"].as_str().unwrap().to_owned(), data["count"].as_i64().unwrap())
        })
        .collect();
    told.sort();
    assert_eq!(told, [("change_email".to_owned(), 1), ("delete_account".to_owned(), 3)]);
}

/// The password was right when it was looked at, and another one's by the time it was to count.
#[tokio::test]
async fn a_password_that_was_changed_while_it_was_looked_at_confirms_nothing_and_is_told() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    api.forget_events().await;
    let mut holder = api.database.pool().begin().await.unwrap();
    sqlx::query("UPDATE users SET password = '!'").execute(&mut *holder).await.unwrap();
    let (client, froggly) = (api.client.clone(), login.clone());
    let deleting = tokio::spawn(async move {
        call(&client, &froggly, Method::DELETE, &json!({ "password": PASSWORD })).await
    });
    wait_for_a_waiter(api.database.pool()).await;
    holder.commit().await.unwrap();
    deleting.await.unwrap().expect(400);
    assert_eq!(api.reasons(REFUSED).await, ["wrong_password"]);
    api.client.tasks(&login).await.expect(200);
}

#[tokio::test]
async fn a_password_of_an_account_that_is_deleted_meanwhile_is_answered_as_a_token_of_nobody() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    api.forget_events().await;
    let mut holder = api.database.pool().begin().await.unwrap();
    sqlx::query("DELETE FROM users").execute(&mut *holder).await.unwrap();
    let (client, froggly) = (api.client.clone(), login.clone());
    let deleting = tokio::spawn(async move {
        call(&client, &froggly, Method::DELETE, &json!({ "password": PASSWORD })).await
    });
    wait_for_a_waiter(api.database.pool()).await;
    holder.commit().await.unwrap();
    let answer = deleting.await.unwrap().expect(401);
    assert_eq!(answer.body, json!({ "detail": "User not found", "code": "user_not_found" }));
    assert_eq!(api.events().await, vec![]);
}
