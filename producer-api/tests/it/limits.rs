//! Guessing passwords leads nowhere: wrong ones are counted for each name and each address, side by side or one after the
//! other, on every replica; and nobody is shut out for long by it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use producer_api::limits;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, Client, PASSWORD, send};
use test_support::eventually;

use crate::harness::Api;
use crate::policies::wait_for_a_waiter;

const DEADLINE: Duration = Duration::from_mins(1);
/// What is counted of wrong secrets, which mails are not.
const FAILURES: &str = "SELECT sum(failures) FROM login_limits WHERE kind IN ('account', 'address')";
const COUNTS: &str = "SELECT count(*) FROM login_limits WHERE kind IN ('account', 'address')";

/// A login from an address of this machine.
async fn log_in_from(client: &Client, address: [u8; 4], username: &str, password: &str) -> Answer {
    let url = client.request(Method::POST, "/api/login/").build().unwrap().url().clone();
    let address = IpAddr::from(Ipv4Addr::from(address));
    let http = reqwest::Client::builder().local_address(address).build().unwrap();
    send(http.post(url).json(&json!({ "username": username, "password": password }))).await
}

async fn guess(client: &Client, username: &str, times: usize) {
    for _ in 0..times {
        client.try_log_in(username, "wrong").await.expect(401);
    }
}

/// So many logins at once; how many got each status.
async fn at_once(
    clients: &[&Client],
    times: usize,
    username: &'static str,
    password: &'static str,
) -> Vec<u16> {
    let logins = (0..times).map(|turn| {
        let client = clients[turn % clients.len()].clone();
        tokio::spawn(async move { client.try_log_in(username, password).await.status })
    });
    let mut statuses = Vec::new();
    for login in logins.collect::<Vec<_>>() {
        statuses.push(login.await.unwrap());
    }
    statuses.sort_unstable();
    statuses
}

fn of(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|found| **found == status).count()
}

/// How many passwords were looked at and were wrong.
async fn looked_at(api: &Api) -> usize {
    let reasons = api.reasons("auth.login.failed").await;
    reasons.iter().filter(|reason| ["wrong_password", "unknown_user"].contains(&reason.as_str())).count()
}

async fn tell(api: &Api) {
    api.state.limits.refused.tell(api.database.pool(), &api.state.outbox).await.unwrap();
}

fn without_ids(answer: &Answer) -> (u16, String, Vec<(String, String)>) {
    let headers =
        answer.headers.iter().filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    (answer.status, answer.body.to_string(), headers.collect())
}

/// Row B03.
#[tokio::test]
async fn after_ten_wrong_passwords_a_name_waits_whether_or_not_anybody_has_it() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    let mut refused = Vec::new();
    for name in ["froggly", "nobody"] {
        guess(&api.client, name, 10).await;
        for path in ["/api/token/", "/api/login/", "/api/token/sliding/"] {
            let body = json!({ "username": name, "password": PASSWORD });
            let answer = api.client.post(path, &body).await.expect(429);
            assert_eq!(answer.header("retry-after"), "1");
            let detail = "Request was throttled. Expected available in 1 second.";
            assert_eq!(answer.body, json!({ "detail": detail }));
            refused.push(without_ids(&answer));
        }
    }
    assert_eq!(refused[..3], refused[3..], "the same bytes for everybody");
    api.advance(1);
    api.client.log_in("froggly").await;
    api.client.try_log_in("nobody", PASSWORD).await.expect(401);
    api.client.try_log_in("nobody", PASSWORD).await.expect(429);
}

#[tokio::test]
async fn each_further_wrong_password_doubles_the_wait_and_a_right_one_shortens_nothing() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    guess(&api.client, "froggly", 10).await;
    api.advance(1);
    for wait in [2, 4, 8] {
        api.client.log_in("froggly").await;
        guess(&api.client, "froggly", 1).await;
        let answer = api.client.try_log_in("froggly", PASSWORD).await.expect(429);
        assert_eq!(answer.header("retry-after"), wait.to_string());
        api.advance(wait);
    }
    // A window after the last wait all is forgotten, although somebody logged in meanwhile.
    api.advance(600);
    api.client.log_in("froggly").await;
    api.advance(300);
    guess(&api.client, "froggly", 9).await;
    api.client.log_in("froggly").await;
}

#[tokio::test]
async fn a_problem_document_says_the_same_to_whoever_asks_for_one() {
    let api = Api::start_with(&[("LOGIN_FAILURES_PER_ACCOUNT", "1"), ("LOGIN_DELAY_FIRST", "30s")]).await;
    guess(&api.client, "nobody", 1).await;
    let request =
        api.client.request(Method::POST, "/api/login/").header("accept", "application/problem+json");
    let answer = send(request.json(&json!({ "username": "nobody", "password": "x" }))).await.expect(429);
    assert_eq!(answer.header("retry-after"), "30");
    assert_eq!((answer.text("code"), answer.body["status"].as_i64()), ("throttled", Some(429)));
}

/// Row B04.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_guesses_at_once_get_no_more_than_ten_looks_on_two_replicas_together() {
    let api = Api::start().await;
    let other = api.replica(&[]).await;
    api.client.register("froggly").await.expect(201);
    for name in ["froggly", "nobody"] {
        api.forget_events().await;
        let statuses = at_once(&[&api.client, &other.client], 200, name, "wrong").await;
        assert_eq!(of(&statuses, 401), 10, "{name}");
        // A slow machine sheds those that wait too long for being counted; they were not looked at either.
        assert_eq!(of(&statuses, 429) + of(&statuses, 503), 190, "{name}: {statuses:?}");
        assert_eq!(looked_at(&api).await, 10, "{name}");
        assert_eq!(api.event_types().await.iter().filter(|name| *name == "auth.account.locked").count(), 1);
    }
}

/// Row B05.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_right_logins_at_once_are_let_in_and_nothing_is_counted() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    assert_eq!(at_once(&[&api.client], 30, "froggly", PASSWORD).await, [200; 30]);
    assert_eq!(api.count(FAILURES).await, 0);
    assert_eq!(api.count("SELECT count(*) FROM login_limits WHERE locked_until IS NOT NULL").await, 0);
    assert!(!api.event_types().await.contains(&"auth.account.locked".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn right_logins_wait_for_one_another_even_where_a_single_failure_is_the_limit() {
    let api = Api::start_with(&[("LOGIN_FAILURES_PER_ACCOUNT", "1")]).await;
    api.client.register("froggly").await.expect(201);
    assert_eq!(at_once(&[&api.client], 5, "froggly", PASSWORD).await, [200; 5]);
}

/// Row B06.
#[tokio::test]
async fn a_victim_goes_on_with_his_session_while_his_account_waits() {
    let api = Api::start().await;
    let victim = api.client.join("froggly").await;
    api.forget_events().await;
    for _ in 0..10 {
        log_in_from(&api.client, [127, 0, 0, 9], "froggly", "wrong").await.expect(401);
    }
    api.client.try_log_in("froggly", PASSWORD).await.expect(429);
    api.client.tasks(&victim).await.expect(200);
    api.client.refresh(&victim.refresh).await.expect(200);
    let locked: Vec<_> =
        api.events().await.into_iter().filter(|(name, _)| name == "auth.account.locked").collect();
    let [(_, told)] = &locked[..] else { panic!("{locked:?}") };
    assert_eq!(
        (&told["user_id"], &told["username"], &told["scope"], &told["failures"], &told["ip"]),
        (&json!(victim.user_id), &json!("froggly"), &json!("account"), &json!(10), &json!("127.0.0.9"))
    );
    let until = api.now() + chrono::TimeDelta::seconds(1);
    assert_eq!(told["until"], json!(until));
    api.advance(1);
    api.client.log_in("froggly").await;
}

#[tokio::test]
async fn an_address_waits_for_all_names_together_and_others_don_t() {
    let api = Api::start_with(&[("LOGIN_FAILURES_PER_ADDRESS", "4")]).await;
    api.client.register("froggly").await.expect(201);
    for name in ["a", "b", "c", "froggly"] {
        log_in_from(&api.client, [127, 0, 0, 9], name, "wrong").await.expect(401);
    }
    log_in_from(&api.client, [127, 0, 0, 9], "froggly", PASSWORD).await.expect(429);
    log_in_from(&api.client, [127, 0, 0, 8], "froggly", PASSWORD).await.expect(200);
    let locked: Vec<_> =
        api.events().await.into_iter().filter(|(name, _)| name == "auth.account.locked").collect();
    assert_eq!(locked.len(), 1);
    assert_eq!((&locked[0].1["scope"], &locked[0].1["username"]), (&json!("address"), &json!("froggly")));
    // What a refused try would have counted for its name is not counted.
    assert_eq!(api.count("SELECT max(failures)::bigint FROM login_limits WHERE kind = 'account'").await, 1);
}

/// Goes red when a series of refusals tells more than one of them: whose password is right though the account is off.
#[tokio::test]
async fn as_many_refusals_as_anybody_likes_do_not_tell_why() {
    let api = Api::start_with(&[("REQUIRE_VERIFIED_EMAIL", "true")]).await;
    for name in ["froggly", "disabled", "unverified"] {
        api.client.register(name).await.expect(201);
    }
    api.execute("UPDATE users SET is_active = false WHERE username = 'disabled'").await;
    let mut told = Vec::new();
    for (name, password) in
        [("nobody", PASSWORD), ("froggly", "wrong"), ("disabled", PASSWORD), ("unverified", PASSWORD)]
    {
        let mut answers = Vec::new();
        for _ in 0..12 {
            let answer = api.client.try_log_in(name, password).await;
            answers.push((answer.status, answer.body["detail"].clone()));
        }
        told.push((name, answers));
    }
    for (name, answers) in &told {
        assert_eq!(*answers, told[0].1, "{name}");
    }
    assert_eq!(told[0].1[11].0, 429);
}

#[tokio::test]
async fn a_right_password_never_counts_where_it_opens_the_account() {
    let api = Api::start_with(&[("SESSION_POLICY", "reject"), ("LOGIN_FAILURES_PER_ACCOUNT", "1")]).await;
    api.client.join("froggly").await;
    for _ in 0..3 {
        api.client.try_log_in("froggly", PASSWORD).await.expect(409);
    }
    assert_eq!(api.count(FAILURES).await, 0);
}

/// Row B08.
#[tokio::test]
async fn a_name_that_is_none_is_refused_before_anything_is_counted() {
    let api = Api::start().await;
    for (name, text) in [
        (String::new(), "This field may not be blank."),
        (" \t ".to_owned(), "This field may not be blank."),
        ("x".repeat(10_000), "Ensure this field has no more than 8192 characters."),
    ] {
        for path in ["/api/token/", "/api/login/", "/api/token/sliding/"] {
            let answer =
                api.client.post(path, &json!({ "username": name, "password": "x" })).await.expect(400);
            assert_eq!(answer.body, json!({ "username": [text] }));
        }
    }
    assert_eq!(api.count(COUNTS).await, 0);
    assert_eq!(api.events().await, vec![]);
}

/// Row B12.
#[tokio::test]
async fn a_login_after_five_failures_says_so_and_takes_none_of_them_back() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    guess(&api.client, "froggly", 5).await;
    api.client.log_in("froggly").await;
    assert_eq!(api.events().await.last().unwrap().1["failures_before"], 5);
    guess(&api.client, "froggly", 5).await;
    api.client.try_log_in("froggly", PASSWORD).await.expect(429);
}

#[tokio::test]
async fn refused_tries_are_told_once_for_each_name_and_address_with_their_exact_count() {
    let api = Api::start_with(&[("LOGIN_FAILURES_PER_ACCOUNT", "1"), ("LOGIN_DELAY_FIRST", "15m")]).await;
    let user = api.client.join("froggly").await.user_id;
    for name in ["froggly", "nobody"] {
        guess(&api.client, name, 1).await;
    }
    api.forget_events().await;
    let first_at = api.now();
    let statuses = at_once(&[&api.client], 40, "froggly", PASSWORD).await;
    assert_eq!(statuses, [429; 40]);
    api.advance(3);
    for (address, name) in
        [([127, 0, 0, 1], "froggly"), ([127, 0, 0, 2], "froggly"), ([127, 0, 0, 2], "nobody")]
    {
        log_in_from(&api.client, address, name, "x").await.expect(429);
    }
    assert_eq!(api.events().await, vec![], "each alone is no event");
    tell(&api).await;
    tell(&api).await;
    let mut told: Vec<_> = api.events().await;
    told.sort_by_key(|(_, data)| (data["username"].to_string(), data["ip"].to_string()));
    let told: Vec<_> = told
        .into_iter()
        .map(|(name, data)| {
            assert_eq!((name.as_str(), &data["reason"]), ("auth.login.failed", &json!("limited")));
            assert_eq!(data["last_at"], json!(api.now()));
            (data["username"].clone(), data["user_id"].clone(), data["ip"].clone(), data["count"].clone())
        })
        .collect();
    let (here, there) = (json!("127.0.0.1"), json!("127.0.0.2"));
    assert_eq!(
        told,
        [
            (json!("froggly"), json!(user), here, json!(41)),
            (json!("froggly"), json!(user), there.clone(), json!(1)),
            (json!("nobody"), Value::Null, there, json!(1)),
        ]
    );
    let of_froggly = api.events().await.into_iter().find(|(_, data)| data["count"] == 41).unwrap().1;
    assert_eq!(of_froggly["first_at"], json!(first_at));
}

#[tokio::test]
async fn what_was_lost_with_its_client_or_its_program_counts_as_wrong_after_a_minute_and_locks_nobody_out() {
    let api = Api::start_with(&[("LOGIN_FAILURES_PER_ACCOUNT", "2")]).await;
    let user_id = Some(shared::ids::UserId(api.client.join("froggly").await.user_id));
    for _ in 0..2 {
        let tried = limits::Tried { username: "froggly", user_id, asked: limits::Asked::ToLogIn };
        drop(limits::reserve(&api.state, &api.context(), tried).await.unwrap());
    }
    let login = tokio::spawn({
        let client = api.client.clone();
        async move { client.try_log_in("froggly", PASSWORD).await }
    });
    api.advance(59);
    let answer = login.await.unwrap().expect(429);
    assert_eq!(answer.header("retry-after"), "1", "it waited in vain");
    api.advance(1);
    api.client.log_in("froggly").await;
    api.client.log_in("froggly").await;
    guess(&api.client, "froggly", 1).await;
    api.client.try_log_in("froggly", PASSWORD).await.expect(429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_shed_or_meets_a_fault_is_taken_back_and_the_shed_one_is_told() {
    let api = Api::start_with(&[("HASHING_PERMITS", "1"), ("HASHING_QUEUE", "1")]).await;
    api.client.register("froggly").await.expect(201);
    api.forget_events().await;
    let mut statuses = Vec::new();
    while of(&statuses, 503) == 0 {
        statuses.extend(at_once(&[&api.client], 10, "froggly", PASSWORD).await);
    }
    assert_eq!(statuses.len(), of(&statuses, 200) + of(&statuses, 503));
    assert_eq!(api.count(FAILURES).await, 0);
    tell(&api).await;
    let (_, told) = api.events().await.pop().unwrap();
    assert_eq!((&told["reason"], &told["count"]), (&json!("limited"), &json!(of(&statuses, 503))));

    let mut renaming = api.database.pool().begin().await.unwrap();
    sqlx::query("ALTER TABLE outbox RENAME TO away").execute(&mut *renaming).await.unwrap();
    let client = api.client.clone();
    let login = tokio::spawn(async move { client.try_log_in("froggly", PASSWORD).await.status });
    wait_for_a_waiter(api.database.pool()).await;
    renaming.commit().await.unwrap();
    assert_eq!(login.await.unwrap(), 500);
    assert_eq!(api.count(FAILURES).await, 0);
}

#[tokio::test]
async fn a_try_that_can_t_be_counted_is_not_looked_at() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    api.forget_events().await;
    api.execute("ALTER TABLE login_limits RENAME TO away").await;
    api.client.try_log_in("froggly", PASSWORD).await.expect(500);
    api.execute("ALTER TABLE away RENAME TO login_limits").await;
    let mut holder = api.database.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE login_limits").execute(&mut *holder).await.unwrap();
    let client = api.client.clone();
    let login = tokio::spawn(async move { client.try_log_in("froggly", PASSWORD).await.status });
    wait_for_a_waiter(api.database.pool()).await;
    sqlx::query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        .execute(&mut *holder)
        .await
        .unwrap();
    assert_eq!(login.await.unwrap(), 503);
    holder.rollback().await.unwrap();
    assert_eq!(api.events().await, vec![]);
    api.client.log_in("froggly").await;
}

#[tokio::test]
async fn limits_that_are_off_count_nothing() {
    let api =
        Api::start_with(&[("LOGIN_FAILURES_PER_ACCOUNT", "0"), ("LOGIN_FAILURES_PER_ADDRESS", "0")]).await;
    guess(&api.client, "nobody", 15).await;
    assert_eq!(api.count(COUNTS).await, 0);
}

#[tokio::test]
async fn a_name_of_nobody_is_kept_nowhere_but_in_its_event() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    for name in ["my secret password", "froggly"] {
        guess(&api.client, name, 1).await;
    }
    let rows: String = sqlx::query_scalar("SELECT string_agg(login_limits::text, ';') FROM login_limits")
        .fetch_one(api.database.pool())
        .await
        .unwrap();
    assert!(rows.contains("froggly") && !rows.contains("secret"), "{rows}");
}

#[tokio::test]
async fn an_unlocked_account_may_try_at_once_and_the_trail_knows() {
    let api = Api::start_with(&[("LOGIN_FAILURES_PER_ACCOUNT", "1"), ("LOGIN_DELAY_FIRST", "15m")]).await;
    let program = (api.database.pool(), &api.state.outbox);
    let user = api.client.join("froggly").await.user_id;
    guess(&api.client, "froggly", 1).await;
    api.forget_events().await;
    let unlock = async |name: &str| limits::unlock(program, &api.context(), name).await;
    assert_eq!(unlock("froggly").await.unwrap(), limits::Cleared::Done);
    assert_eq!(unlock("froggly").await.unwrap(), limits::Cleared::Nothing);
    unlock("nobody").await.unwrap_err();
    let events = api.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].0.as_str(), &events[0].1["user_id"]), ("auth.account.unlocked", &json!(user)));
    api.client.log_in("froggly").await;

    for name in ["froggly", "nobody"] {
        guess(&api.client, name, 1).await;
    }
    api.forget_events().await;
    let cleared = limits::clear_name(program, &api.context(), "nobody").await.unwrap();
    assert_eq!(cleared, limits::Cleared::Done);
    guess(&api.client, "nobody", 1).await;
    let cleared = limits::clear_address(api.database.pool(), "127.0.0.1".parse().unwrap()).await.unwrap();
    assert_eq!(cleared, limits::Cleared::Done);
    api.forget_events().await;
    assert_eq!(limits::clear_all(program, &api.context()).await.unwrap(), 2);
    assert_eq!(api.event_types().await, ["auth.account.unlocked"], "there is nothing to tell of nobody");
    assert_eq!(limits::list(api.database.pool(), api.now()).await.unwrap().len(), 0);
    api.client.log_in("froggly").await;
}

#[tokio::test]
async fn who_waits_is_listed_first_and_by_name_only_if_there_is_such_a_user() {
    let api = Api::start_with(&[("LOGIN_FAILURES_PER_ACCOUNT", "2"), ("LOGIN_DELAY_FIRST", "1m")]).await;
    api.client.register("froggly").await.expect(201);
    guess(&api.client, "froggly", 2).await;
    guess(&api.client, "nobody", 1).await;
    let shown = |limits: Vec<limits::Limit>| {
        let one = |limit: limits::Limit| (limit.scope, limit.subject, limit.failures, limit.locked_until);
        limits.into_iter().map(one).collect::<Vec<_>>()
    };
    let listed = shown(limits::list(api.database.pool(), api.now()).await.unwrap());
    let until = api.now() + chrono::TimeDelta::minutes(1);
    assert_eq!(
        listed,
        [
            ("account".to_owned(), Some("froggly".to_owned()), 2, Some(until)),
            ("address".to_owned(), Some("127.0.0.1".to_owned()), 3, None),
            ("account".to_owned(), None, 1, None),
        ]
    );
    api.advance(60);
    let listed = shown(limits::list(api.database.pool(), api.now()).await.unwrap());
    assert!(listed.iter().all(|(.., until)| until.is_none()), "{listed:?}");
}

#[tokio::test]
async fn a_refused_login_of_an_unverified_account_waits_for_the_floor_as_any_other() {
    let settings = [("LOGIN_FAILURE_FLOOR", "30s"), ("REQUIRE_VERIFIED_EMAIL", "true")];
    let api = Api::start_with(&settings).await;
    api.client.register("froggly").await.expect(201);
    api.client.register("imported").await.expect(201);
    api.execute("UPDATE users SET password = 'pbkdf2_sha256$1000$saltsaltsaltsalt$Cf9xjlisAEzRbMZsosxST/5+wkpfUV6uoqiZkYtP6iQ='
        WHERE username = 'imported'").await;
    for name in ["froggly", "imported"] {
        api.forget_events().await;
        let client = api.client.clone();
        let login = tokio::spawn(async move { client.try_log_in(name, PASSWORD).await });
        eventually(DEADLINE, "the refusal to be recorded", async || {
            (api.reasons("auth.login.failed").await == ["unverified"]).then_some(())
        })
        .await;
        assert_eq!(api.event_types().await, ["auth.login.failed"], "its hash stays as it is");
        assert!(!login.is_finished(), "{name}");
        login.abort();
    }
}

/// Whoever guesses at a name from elsewhere must not keep its user, who is signed in, from changing the password.
#[tokio::test]
async fn guesses_of_others_keep_nobody_who_is_signed_in_from_changing_his_password() {
    let api = Api::start().await;
    let victim = api.client.join("froggly").await;
    for _ in 0..10 {
        log_in_from(&api.client, [127, 0, 0, 9], "froggly", "wrong").await.expect(401);
    }
    let change = json!({ "current_password": PASSWORD, "new_password": "a warren of many burrows" });
    let request =
        api.client.request(reqwest::Method::POST, "/api/password/change/").bearer_auth(&victim.access);
    test_support::api::send(request.json(&change)).await.expect(200);
}
