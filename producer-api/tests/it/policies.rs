//! How many sessions a user may have, under each policy, one after the other and all at once.

use std::collections::BTreeSet;
use std::time::Duration;

use producer_api::accounts;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use test_support::api::{Client, Login, PASSWORD};
use test_support::eventually;

use crate::harness::{Api, refused, refused_access};

const DEADLINE: Duration = Duration::from_secs(30);

/// Which of these logins are still good, on the replica asked.
async fn alive(client: &Client, logins: &[Login]) -> Vec<bool> {
    let mut alive = Vec::new();
    for login in logins {
        let answer = client.tasks(login).await;
        if answer.status != 200 {
            assert_eq!(answer.clone().expect(401).body, refused_access("Token is blacklisted"));
        }
        assert_eq!(client.verify(&login.access).await.status, answer.status, "verify says the same");
        let refreshed = client.refresh(&login.refresh).await;
        assert_eq!(refreshed.status, answer.status, "the session is over for both tokens or for none");
        if refreshed.status != 200 {
            assert_eq!(refreshed.body, refused("Token is blacklisted"));
        }
        alive.push(answer.status == 200);
    }
    alive
}

#[tokio::test]
async fn each_policy_keeps_the_newest_sessions_on_every_replica() {
    for (policy, expected) in [
        ("replace", [false, false, false, true]),
        ("limit:1", [false, false, false, true]),
        ("limit:2", [false, false, true, true]),
        ("limit:4", [true, true, true, true]),
        ("unlimited", [true, true, true, true]),
    ] {
        let settings = [("SESSION_POLICY", policy)];
        let api = Api::start_with(&settings).await;
        let other = api.replica(&settings).await;
        api.client.register("froggly").await.expect(201);
        api.client.join("another").await;
        let mut logins = Vec::new();
        for client in [&api.client, &other.client, &api.client, &other.client] {
            logins.push(client.log_in("froggly").await);
            api.advance(1);
        }
        for client in [&api.client, &other.client] {
            assert_eq!(alive(client, &logins).await, expected, "{policy}");
        }
        let ended = expected.iter().filter(|alive| !**alive).count();
        assert_eq!(api.reasons("auth.session.ended").await, vec!["replaced"; ended], "{policy}");
        assert_eq!(api.reasons("auth.token.blacklisted").await, vec!["replaced"; ended], "{policy}");
        let of_another = "SELECT count(*) FROM user_sessions WHERE is_active AND user_id = 2";
        assert_eq!(api.count(of_another).await, 1, "{policy}: another's session is his own");
    }
}

/// 30 logins of one user, half of them on each replica: how each was answered.
async fn log_in_thirty_times(clients: [&Client; 2]) -> Vec<(u16, serde_json::Value)> {
    let logins = (0..30).map(|turn| {
        let client = clients[turn % 2].clone();
        tokio::spawn(async move { client.obtain_pair("froggly", PASSWORD).await })
    });
    let mut answers = Vec::new();
    for login in logins.collect::<Vec<_>>() {
        let answer = login.await.unwrap();
        answers.push((answer.status, answer.body));
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_logins_at_once_on_two_replicas_leave_as_many_sessions_as_the_policy_allows() {
    for (policy, accepted, active) in
        [("replace", 30, 1), ("limit:2", 30, 2), ("unlimited", 30, 30), ("reject", 1, 1)]
    {
        let settings = [("SESSION_POLICY", policy)];
        let api = Api::start_with(&settings).await;
        let other = api.replica(&settings).await;
        api.client.register("froggly").await.expect(201);
        api.forget_events().await;
        let answers = log_in_thirty_times([&api.client, &other.client]).await;
        let pairs: Vec<_> =
            answers.iter().filter(|(status, _)| *status == 200).map(|(_, body)| body).collect();
        assert_eq!(pairs.len(), accepted, "{policy}");
        let rejected = answers.iter().filter(|(status, _)| *status == 409).count();
        assert_eq!(rejected, 30 - accepted, "{policy}: {answers:?}");
        let is_active = "SELECT count(*) FROM user_sessions WHERE is_active";
        assert_eq!(api.count(is_active).await, active, "{policy}");
        let ended = vec!["replaced"; accepted - usize::try_from(active).unwrap()];
        assert_eq!(api.reasons("auth.session.ended").await, ended, "{policy}");
        let names = api.event_types().await;
        let succeeded = names.iter().filter(|name| *name == "auth.login.succeeded").count();
        assert_eq!((succeeded, names.len()), (accepted, accepted + 2 * ended.len()), "{policy}: {names:?}");
        // Commits happen in the order of the row's lock, and so do their events: the last login is the one that stays.
        let last: Vec<_> =
            api.events().await.into_iter().filter(|(name, _)| name == "auth.login.succeeded").collect();
        let last = last.last().unwrap().1["session_id"].as_str().unwrap().to_owned();
        let stays: bool = sqlx::query_scalar("SELECT is_active FROM user_sessions WHERE id = $1::uuid")
            .bind(&last)
            .fetch_one(api.database.pool())
            .await
            .unwrap();
        assert!(stays, "{policy}");
        let mut open = 0;
        for pair in pairs {
            open += i64::from(api.client.refresh(pair["refresh"].as_str().unwrap()).await.status == 200);
        }
        assert_eq!(open, active, "{policy}");
    }
}

#[tokio::test]
async fn reject_lets_the_first_session_go_on_until_its_last_token_has_run_out() {
    let api = Api::start_with(&[("SESSION_POLICY", "reject")]).await;
    let login = api.client.join("froggly").await;
    api.client.obtain_pair("froggly", "wrong password").await.expect(401);
    api.forget_events().await;
    for path in ["/api/token/", "/api/login/", "/api/token/sliding/"] {
        let answer =
            api.client.post(path, &json!({ "username": "froggly", "password": PASSWORD })).await.expect(409);
        assert_eq!(
            answer.body,
            json!({ "detail": "This user has an active session. End it first." }),
            "{path}"
        );
    }
    assert_eq!(api.event_types().await, Vec::<String>::new(), "not a failed login, and nothing was changed");
    assert_eq!(api.count("SELECT login_failures::bigint FROM users").await, 1, "nor one that succeeded");
    // An access token that was made at the refresh token's last moment is good for five minutes more.
    api.advance(86_399);
    let access = api.client.refresh(&login.refresh).await.expect(200).text("access").to_owned();
    api.advance(299);
    crate::harness::tasks_with(&api.client, &access).await.expect(200);
    api.client.obtain_pair("froggly", PASSWORD).await.expect(409);
    api.advance(2);
    crate::harness::tasks_with(&api.client, &access).await.expect(401);
    api.forget_events().await;
    api.client.log_in("froggly").await;
    assert_eq!(api.event_types().await, ["auth.session.ended", "auth.login.succeeded"]);
    assert_eq!(api.reasons("auth.session.ended").await, ["expired"]);
}

#[tokio::test]
async fn under_reject_a_logout_makes_room_at_once() {
    let api = Api::start_with(&[("SESSION_POLICY", "reject")]).await;
    let login = api.client.join("froggly").await;
    api.client.log_out(&login).await.expect(200);
    api.client.log_in("froggly").await;
}

#[tokio::test]
async fn a_policy_changed_between_restarts_holds_from_the_next_login_on() {
    let api = Api::start_with(&[("SESSION_POLICY", "unlimited")]).await;
    api.client.register("froggly").await.expect(201);
    let mut logins = Vec::new();
    for _ in 0..4 {
        logins.push(api.client.log_in("froggly").await);
        api.advance(1);
    }
    let limited = api.replica(&[("SESSION_POLICY", "limit:3")]).await;
    assert_eq!(alive(&limited.client, &logins).await, [true; 4], "a restart ends nothing");
    logins.push(limited.client.log_in("froggly").await);
    assert_eq!(alive(&limited.client, &logins).await, [false, false, true, true, true]);
    api.advance(1);
    let rejecting = api.replica(&[("SESSION_POLICY", "reject")]).await;
    rejecting.client.obtain_pair("froggly", PASSWORD).await.expect(409);
    let replacing = api.replica(&[("SESSION_POLICY", "replace")]).await;
    logins.push(replacing.client.log_in("froggly").await);
    assert_eq!(alive(&replacing.client, &logins).await, [false, false, false, false, false, true]);
    assert_eq!(api.count("SELECT slot::bigint FROM user_sessions WHERE is_active").await, 1);
}

#[tokio::test]
async fn a_user_with_thousands_of_sessions_logs_in_like_any_other() {
    let api = Api::start_with(&[("SESSION_POLICY", "unlimited")]).await;
    api.client.register("froggly").await.expect(201);
    let sessions = "INSERT INTO user_sessions (id, user_id, login_time)
        SELECT gen_random_uuid(), 1, to_timestamp(1795000000 - n) FROM generate_series(1, 5000) AS n";
    api.execute(sessions).await;
    // Two tokens each, but for the youngest, which has none and is dead.
    let tokens = "INSERT INTO outstanding_tokens (jti, user_id, session_id, created_at, expires_at)
        SELECT gen_random_uuid(), 1, id, login_time, to_timestamp(1795086400)
        FROM user_sessions, generate_series(1, 2) WHERE login_time < to_timestamp(1794999999)";
    api.execute(tokens).await;
    api.forget_events().await;
    let unlimited = api.client.log_in("froggly").await;
    assert_eq!(api.event_types().await, ["auth.login.succeeded"], "not even the dead one is looked at");
    api.forget_events().await;
    let replacing = api.replica(&[("SESSION_POLICY", "replace")]).await;
    let login = replacing.client.log_in("froggly").await;
    assert_eq!(alive(&replacing.client, &[unlimited, login]).await, [false, true]);
    assert_eq!(api.count("SELECT count(*) FROM user_sessions WHERE is_active").await, 1);
    let ended = api.reasons("auth.session.ended").await;
    assert_eq!((ended.len(), ended.iter().filter(|reason| *reason == "expired").count()), (5_001, 1));
    let blacklisted: Vec<_> =
        api.events().await.into_iter().filter(|(name, _)| name == "auth.token.blacklisted").collect();
    assert_eq!(blacklisted.len(), 2 * 4_999 + 1);
    for (_, token) in blacklisted.iter().step_by(100) {
        let of_session: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM outstanding_tokens WHERE jti = $1 AND session_id = $2::uuid)",
        )
        .bind(token["jti"].as_str().unwrap())
        .bind(token["session_id"].as_str().unwrap())
        .fetch_one(api.database.pool())
        .await
        .unwrap();
        assert!(of_session, "each with its own session: {token}");
    }
}

/// Goes red when one statement blacklists, or tells of, however many there are: from some 300,000 on it met
/// `statement_timeout`, and neither a login nor a logout nor `users disable` could end that session.
#[tokio::test]
async fn a_session_ends_however_many_tokens_it_has() {
    let api = Api::start_with(&[("ROTATE_REFRESH_TOKENS", "true")]).await;
    let first = api.client.join("froggly").await;
    let tokens = "INSERT INTO outstanding_tokens (jti, user_id, session_id, created_at, expires_at)
        SELECT gen_random_uuid(), user_id, id, login_time, to_timestamp(1795086400)
        FROM user_sessions, generate_series(1, 10000)";
    api.execute(tokens).await;
    api.forget_events().await;
    let second = api.client.log_in("froggly").await;
    assert_eq!(alive(&api.client, &[first, second]).await, [false, true]);
    let told = api.reasons("auth.token.blacklisted").await;
    assert_eq!((told.len(), told.iter().all(|reason| reason == "replaced")), (10_001, true));
    assert_eq!(api.count("SELECT count(*) FROM blacklisted_tokens").await, 10_001);
    let events = "SELECT count(DISTINCT body::jsonb -> 'data' ->> 'jti') FROM outbox WHERE body LIKE '%token.blacklisted%'";
    assert_eq!(api.count(events).await, 10_001, "each once");
    // `cmin` tells the statements of one transaction apart.
    for most in [
        "SELECT max(written) FROM (SELECT count(*) AS written FROM blacklisted_tokens GROUP BY xmin::text, cmin::text) AS s",
        "SELECT max(written) FROM (SELECT count(*) AS written FROM outbox GROUP BY xmin::text, cmin::text) AS s",
    ] {
        assert!(api.count(most).await <= 10_000, "{most}");
    }
}

/// Goes red when only some of a user's sessions end with his account or his password, or somebody else's do.
#[tokio::test]
async fn a_disabled_account_and_a_new_password_end_each_of_the_users_sessions() {
    for (disabling, reason) in [(true, "account_disabled"), (false, "password_changed")] {
        let api = Api::start_with(&[("SESSION_POLICY", "unlimited")]).await;
        let mut logins = vec![api.client.join("froggly").await];
        for _ in 0..3 {
            logins.push(api.client.log_in("froggly").await);
        }
        let other = api.client.join("toadly").await;
        api.forget_events().await;
        if disabling {
            accounts::set_active(&api.state, &api.context(), "froggly", false).await.unwrap();
        } else {
            let (context, password) = (api.context(), "another correct horse".to_owned());
            let ended = accounts::set_password(&api.state, &context, "froggly", password).await;
            assert_eq!(ended.unwrap(), 4);
        }
        assert_eq!(alive(&api.client, &logins).await, [false; 4], "{reason}");
        assert_eq!(alive(&api.client, &[other]).await, [true], "{reason}");
        assert_eq!(api.reasons("auth.session.ended").await, [reason; 4]);
        let mut told = BTreeSet::new();
        for (name, data) in api.events().await {
            if ["auth.session.ended", "auth.token.blacklisted"].contains(&name.as_str()) {
                assert_eq!(data["username"], "froggly");
                told.insert((name, data["session_id"].to_string()));
            }
        }
        assert_eq!(told.len(), 8, "each session and its token: {told:?}");
    }
}

/// Waits until somebody waits for a lock that we hold.
pub(crate) async fn wait_for_a_waiter(pool: &PgPool) {
    eventually(DEADLINE, "somebody who waits for a lock", async || (waiters(pool).await > 0).then_some(()))
        .await;
}

/// How many wait for a lock at this moment.
pub(crate) async fn waiters(pool: &PgPool) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn what_is_changed_between_the_check_of_a_password_and_the_commit_leaves_no_session() {
    for (change, reason) in [
        ("UPDATE users SET password = 'changed', password_stamp = gen_random_uuid()", "wrong_password"),
        ("UPDATE users SET is_active = false", "disabled"),
        ("DELETE FROM users", "unknown_user"),
    ] {
        let api = Api::start().await;
        api.client.register("froggly").await.expect(201);
        api.forget_events().await;
        let mut holder = api.database.pool().begin().await.unwrap();
        sqlx::query("SELECT FROM users FOR UPDATE").execute(&mut *holder).await.unwrap();
        let client = api.client.clone();
        let login = tokio::spawn(async move { client.obtain_pair("froggly", PASSWORD).await });
        wait_for_a_waiter(api.database.pool()).await;
        sqlx::query(AssertSqlSafe(change)).execute(&mut *holder).await.unwrap();
        holder.commit().await.unwrap();
        let answer = login.await.unwrap().expect(401);
        assert_eq!(
            answer.body,
            json!({ "detail": "No active account found with the given credentials" }),
            "{change}"
        );
        assert_eq!(api.count("SELECT count(*) FROM user_sessions").await, 0, "{change}");
        assert_eq!(api.count("SELECT count(*) FROM outstanding_tokens").await, 0, "{change}");
        assert_eq!(api.event_types().await, ["auth.login.failed"], "{change}");
        assert_eq!(api.reasons("auth.login.failed").await, [reason], "{change}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_races_with_a_new_password_never_leaves_a_session() {
    // Whoever comes too late is wrong, and that as often as it takes.
    let settings = [("SESSION_POLICY", "unlimited"), ("LOGIN_FAILURES_PER_ACCOUNT", "0")];
    let api = Api::start_with(&settings).await;
    let other = api.replica(&settings).await;
    api.client.register("froggly").await.expect(201);
    let mut old = PASSWORD.to_owned();
    let mut accepted = 0;
    for turn in 0..25_u64 {
        let new = format!("correct horse number {turn}");
        let (client, password) = (other.client.clone(), old.clone());
        let login = tokio::spawn(async move {
            // The later the login begins, the likelier its check is done when the password changes.
            tokio::time::sleep(Duration::from_millis(turn % 5 * 4)).await;
            client.obtain_pair("froggly", &password).await
        });
        accounts::set_password(&api.state, &api.context(), "froggly", new.clone()).await.unwrap();
        let answer = login.await.unwrap();
        assert!([200, 401].contains(&answer.status), "{}", answer.body);
        assert_eq!(api.count("SELECT count(*) FROM user_sessions WHERE is_active").await, 0, "turn {turn}");
        if answer.status == 200 {
            accepted += 1;
            api.client.refresh(answer.text("refresh")).await.expect(401);
        }
        old = new;
    }
    let ended = api.reasons("auth.session.ended").await;
    assert_eq!(ended, vec!["password_changed"; accepted]);
}
