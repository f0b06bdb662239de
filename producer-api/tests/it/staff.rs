//! What staff sees and does of other people's accounts, and that nobody else does.

use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, Login, PASSWORD, send};

use crate::harness::Api;
use crate::policies::wait_for_a_waiter;

async fn ask(api: &Api, method: Method, path: &str, login: &Login) -> Answer {
    send(api.client.request(method, path).bearer_auth(&login.access)).await
}

async fn get(api: &Api, path: &str, login: &Login) -> Answer {
    ask(api, Method::GET, path, login).await
}

async fn act(api: &Api, login: &Login, on: &Login, action: &str) -> Answer {
    ask(api, Method::POST, &format!("/api/users/{}/{action}/", on.user_id), login).await
}

/// A superuser, a member of staff and an ordinary user, signed in.
async fn three(api: &Api) -> (Login, Login, Login) {
    for name in ["chief", "boss"] {
        api.client.register(name).await.expect(201);
    }
    api.execute("UPDATE users SET is_staff = true, is_superuser = username = 'chief'").await;
    let logins =
        (api.client.log_in("chief").await, api.client.log_in("boss").await, api.client.join("froggly").await);
    api.forget_events().await;
    logins
}

#[tokio::test]
async fn staff_sees_an_account_without_its_password() {
    let api = Api::start_with(&[("UPDATE_LAST_LOGIN", "true")]).await;
    let (_, boss, froggly) = three(&api).await;
    let path = format!("/api/users/{}/", froggly.user_id);
    let shown = get(&api, &path, &boss).await.expect(200).body;
    assert_eq!(
        shown,
        json!({
            "id": froggly.user_id,
            "username": "froggly",
            "email": "froggly@example.com",
            "first_name": "",
            "last_name": "",
            "is_active": true,
            "is_staff": false,
            "is_superuser": false,
            "email_verified": false,
            "date_joined": api.now(),
            "last_login": api.now(),
        })
    );
    api.execute("UPDATE users SET email_verified_at = now(), first_name = 'Fro' WHERE username = 'froggly'")
        .await;
    let shown = get(&api, &path, &boss).await.expect(200).body;
    assert_eq!((&shown["email_verified"], &shown["first_name"]), (&json!(true), &json!("Fro")));
    for id in ["999", "0", "-1", "9223372036854775808", "abc", "1e0"] {
        get(&api, &format!("/api/users/{id}/"), &boss).await.expect(404);
        ask(&api, Method::POST, &format!("/api/users/{id}/disable/"), &boss).await.expect(404);
    }
}

#[tokio::test]
async fn the_list_turns_its_pages_by_links_and_loses_nobody() {
    let api = Api::start().await;
    let (_, boss, _) = three(&api).await;
    let people = "INSERT INTO users (username, email, password, date_joined)
        SELECT 'user' || n, '', '!', now() FROM generate_series(1, 120) AS n";
    api.execute(people).await;
    let ids = |answer: &Answer| -> Vec<i64> {
        answer.body.as_array().unwrap().iter().map(|user| user["id"].as_i64().unwrap()).collect()
    };
    let (mut path, mut seen, mut pages) = ("/api/users/".to_owned(), Vec::new(), 0);
    loop {
        let page = get(&api, &path, &boss).await.expect(200);
        seen.extend(ids(&page));
        pages += 1;
        // Who is deleted or comes meanwhile moves nobody else to another page.
        sqlx::query("DELETE FROM users WHERE id = $1")
            .bind(seen[9])
            .execute(api.database.pool())
            .await
            .unwrap();
        let link = page.header("link");
        let Some(next) = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")) else {
            assert_eq!(link, "");
            break;
        };
        path = next.to_owned();
    }
    assert_eq!((pages, seen), (3, (1..=123).collect::<Vec<i64>>()));
    let exact = get(&api, "/api/users/?limit=2", &boss).await.expect(200);
    assert_eq!(
        (ids(&exact), exact.header("link")),
        (vec![1, 2], r#"</api/users/?limit=2&cursor=2>; rel="next""#)
    );
    let last = get(&api, "/api/users/?limit=200&cursor=121", &boss).await.expect(200);
    assert_eq!((ids(&last), last.header("link")), (vec![122, 123], ""));
    for (query, field, text) in [
        ("limit=0", "limit", "A number from 1 to 200 is required."),
        ("limit=201", "limit", "A number from 1 to 200 is required."),
        ("limit=x", "limit", "A number from 1 to 200 is required."),
        ("cursor=x", "cursor", "Invalid cursor."),
    ] {
        let answer = get(&api, &format!("/api/users/?{query}"), &boss).await.expect(400);
        assert_eq!(answer.body, json!({ field: [text] }));
    }
}

#[tokio::test]
async fn nobody_else_sees_or_does_anything_and_each_try_is_told() {
    let api = Api::start().await;
    let (chief, _, froggly) = three(&api).await;
    let one = format!("/api/users/{}/", chief.user_id);
    let mut objects = Vec::new();
    for (method, path, object) in [
        (Method::GET, "/api/users/".to_owned(), "users".to_owned()),
        (Method::GET, "/api/users/?limit=x".to_owned(), "users".to_owned()),
        (Method::GET, one.clone(), format!("users/{}", chief.user_id)),
        (Method::GET, "/api/users/999/".to_owned(), "users/999".to_owned()),
        (Method::POST, format!("{one}disable/"), format!("users/{}/disable", chief.user_id)),
        (Method::POST, format!("{one}enable/"), format!("users/{}/enable", chief.user_id)),
        (Method::POST, format!("{one}unlock/"), format!("users/{}/unlock", chief.user_id)),
    ] {
        let answer = ask(&api, method.clone(), &path, &froggly).await.expect(403);
        assert_eq!(answer.body, json!({ "detail": "You do not have permission to perform this action." }));
        send(api.client.request(method, &path)).await.expect(401);
        objects.push(object);
    }
    let told = api.events().await;
    let told_objects: Vec<_> = told.iter().map(|(_, data)| data["object"].as_str().unwrap()).collect();
    assert_eq!(told_objects, objects);
    assert!(told.iter().all(|(name, data)| name == "auth.access.denied"
        && (&data["reason"], &data["username"]) == (&json!("not_staff"), &json!("froggly"))));
    api.client.tasks(&chief).await.expect(200);
}

#[tokio::test]
async fn a_disabled_account_is_out_at_once_and_an_enabled_one_comes_back_and_the_trail_knows_who_did() {
    let api = Api::start().await;
    let (_, boss, froggly) = three(&api).await;
    let answer = act(&api, &boss, &froggly, "disable").await.expect(200);
    assert_eq!((&answer.body["username"], &answer.body["is_active"]), (&json!("froggly"), &json!(false)));
    api.client.tasks(&froggly).await.expect(401);
    api.client.refresh(&froggly.refresh).await.expect(401);
    api.client.try_log_in("froggly", PASSWORD).await.expect(401);
    act(&api, &boss, &froggly, "disable").await.expect(200);
    assert_eq!(act(&api, &boss, &froggly, "enable").await.expect(200).body["is_active"], true);
    api.client.log_in("froggly").await;
    let told: Vec<_> = api
        .events()
        .await
        .into_iter()
        .filter(|(name, _)| name.starts_with("auth.account."))
        .map(|(name, data)| (name, data["actor_id"].clone(), data["user_id"].clone()))
        .collect();
    let (by, of) = (json!(boss.user_id), json!(froggly.user_id));
    assert_eq!(
        told,
        [
            ("auth.account.disabled".to_owned(), by.clone(), of.clone()),
            ("auth.account.enabled".to_owned(), by, of)
        ]
    );
}

#[tokio::test]
async fn nobody_disables_his_own_account_and_only_a_superuser_another_superusers() {
    let api = Api::start().await;
    let (chief, boss, _) = three(&api).await;
    for login in [&chief, &boss] {
        let answer = act(&api, login, login, "disable").await.expect(409);
        let detail = "You can't disable your own account. Ask another member of staff.";
        assert_eq!(answer.body, json!({ "detail": detail }));
        act(&api, login, login, "enable").await.expect(200);
    }
    for action in ["disable", "enable", "unlock"] {
        act(&api, &boss, &chief, action).await.expect(403);
    }
    assert_eq!(api.reasons("auth.access.denied").await, ["not_superuser"; 3]);
    api.client.tasks(&chief).await.expect(200);
    act(&api, &chief, &boss, "disable").await.expect(200);
    get(&api, "/api/users/", &boss).await.expect(401);
    api.execute("UPDATE users SET is_superuser = true, is_active = true").await;
    let boss = api.client.log_in("boss").await;
    act(&api, &boss, &chief, "disable").await.expect(200);
    api.client.tasks(&chief).await.expect(401);
}

/// Goes red when rights are judged by one reading of an account and the deed is done by another.
#[tokio::test]
async fn staff_acts_on_the_account_that_it_named_whoever_bears_its_name_by_then() {
    for (action, event) in [
        ("disable", "auth.account.disabled"),
        ("enable", "auth.account.enabled"),
        ("unlock", "auth.account.unlocked"),
    ] {
        let api = Api::start().await;
        let (_, boss, froggly) = three(&api).await;
        let other = api.client.join("other").await;
        api.client.try_log_in("froggly", "wrong").await.expect(401);
        api.client.try_log_in("renamed", "wrong").await.expect(401);
        if action == "enable" {
            api.execute("UPDATE users SET is_active = false WHERE username IN ('froggly', 'other')").await;
        }
        api.forget_events().await;
        let mut holder = api.database.pool().begin().await.unwrap();
        for change in [
            "UPDATE users SET username = 'renamed' WHERE username = 'froggly'",
            "UPDATE users SET username = 'froggly' WHERE username = 'other'",
        ] {
            sqlx::query(change).execute(&mut *holder).await.unwrap();
        }
        let asked = tokio::spawn({
            let (client, access) = (api.client.clone(), boss.access.clone());
            let path = format!("/api/users/{}/{action}/", froggly.user_id);
            async move { send(client.request(Method::POST, &path).bearer_auth(access)).await }
        });
        wait_for_a_waiter(api.database.pool()).await;
        holder.commit().await.unwrap();
        let answer = asked.await.unwrap().expect(200);
        assert_eq!(
            (&answer.body["id"], &answer.body["username"]),
            (&json!(froggly.user_id), &json!("renamed"))
        );
        let told: Vec<_> = api.events().await.into_iter().filter(|(name, _)| name == event).collect();
        let [(_, told)] = &told[..] else { panic!("{action}: {told:?}") };
        assert_eq!((&told["user_id"], &told["username"]), (&json!(froggly.user_id), &json!("renamed")));
        let active = action != "enable";
        let shown = get(&api, &format!("/api/users/{}/", other.user_id), &boss).await.expect(200);
        assert_eq!(shown.body["is_active"], active, "{action}: the other account is as it was");
    }
}

#[tokio::test]
async fn a_right_that_is_lost_while_somebody_asks_opens_nothing_any_more() {
    for (change, reason) in [
        ("UPDATE users SET is_staff = false WHERE username = 'boss'", "not_staff"),
        ("UPDATE users SET is_active = false WHERE username = 'boss'", "not_staff"),
        ("UPDATE users SET is_superuser = true WHERE username = 'froggly'", "not_superuser"),
    ] {
        let api = Api::start().await;
        let (_, boss, froggly) = three(&api).await;
        let mut holder = api.database.pool().begin().await.unwrap();
        sqlx::query(change).execute(&mut *holder).await.unwrap();
        let asked = tokio::spawn({
            let (client, access) = (api.client.clone(), boss.access.clone());
            let path = format!("/api/users/{}/disable/", froggly.user_id);
            async move { send(client.request(Method::POST, &path).bearer_auth(access)).await }
        });
        wait_for_a_waiter(api.database.pool()).await;
        holder.commit().await.unwrap();
        asked.await.unwrap().expect(403);
        assert_eq!(api.reasons("auth.access.denied").await, [reason]);
        api.client.tasks(&froggly).await.expect(200);
    }
}

/// Both are staff when they ask; whoever comes second is so no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_members_of_staff_who_disable_each_other_at_once_one_stays() {
    let api = Api::start().await;
    let (chief, boss, _) = three(&api).await;
    api.execute("UPDATE users SET is_superuser = false").await;
    let (one, two) = tokio::join!(act(&api, &chief, &boss, "disable"), act(&api, &boss, &chief, "disable"));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert!(statuses == [200, 403] || statuses == [200, 401], "{statuses:?}");
    assert_eq!(api.count("SELECT count(*) FROM users WHERE is_staff AND is_active").await, 1);
}

#[tokio::test]
async fn an_account_that_has_to_wait_is_unlocked_by_staff() {
    let api = Api::start_with(&[("LOGIN_DELAY_FIRST", "15m")]).await;
    let (_, boss, froggly) = three(&api).await;
    for _ in 0..10 {
        api.client.try_log_in("froggly", "wrong").await.expect(401);
    }
    api.client.try_log_in("froggly", PASSWORD).await.expect(429);
    api.forget_events().await;
    let shown = act(&api, &boss, &froggly, "unlock").await.expect(200);
    assert_eq!(shown.body["username"], "froggly");
    act(&api, &boss, &froggly, "unlock").await.expect(200);
    let events = api.events().await;
    let [(name, told)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(
        (name.as_str(), &told["actor_id"], &told["user_id"]),
        ("auth.account.unlocked", &json!(boss.user_id), &json!(froggly.user_id))
    );
    api.client.log_in("froggly").await;
}

#[tokio::test]
async fn both_spellings_answer_and_say_which_methods_there_are() {
    let api = Api::start().await;
    let (_, boss, froggly) = three(&api).await;
    let one = format!("/api/users/{}", froggly.user_id);
    for (path, allow, wrong) in [
        ("/api/users".to_owned(), "GET, HEAD, OPTIONS", Method::POST),
        (one.clone(), "GET, HEAD, OPTIONS", Method::DELETE),
        (format!("{one}/unlock"), "POST, OPTIONS", Method::GET),
    ] {
        for path in [path.clone(), format!("{path}/")] {
            let answer = ask(&api, wrong.clone(), &path, &boss).await.expect(405);
            assert_eq!(answer.header("allow"), allow, "{path}");
            let options = ask(&api, Method::OPTIONS, &path, &boss).await.expect(200);
            assert_ne!(options.body["name"], Value::Null, "{path}");
        }
    }
}
