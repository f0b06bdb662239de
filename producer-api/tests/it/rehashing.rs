//! Passwords that came from Django: they open, and from the next login on they are kept under our own hash.

use std::time::Duration;

use serde_json::json;
use test_support::api::PASSWORD;

use crate::harness::{Api, signed};

/// Made by Django 5.2 of [`PASSWORD`], but of fewer iterations; and SimpleJWT's mark of it, its MD5.
const HASH: &str = "pbkdf2_sha256$1000$saltsaltsaltsalt$Cf9xjlisAEzRbMZsosxST/5+wkpfUV6uoqiZkYtP6iQ=";

async fn keep_djangos_hash(api: &Api, username: &str) {
    api.client.register(username).await.expect(201);
    sqlx::query("UPDATE users SET password = $2 WHERE username = $1")
        .bind(username)
        .bind(HASH)
        .execute(api.database.pool())
        .await
        .unwrap();
    api.forget_events().await;
}

async fn text_of(api: &Api, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(api.database.pool()).await.unwrap()
}

/// Row B14 of `auth-audit.md`, section E.
#[tokio::test]
async fn every_hash_of_djangos_opens_once_and_is_ours_from_then_on_and_an_unusable_one_opens_nothing() {
    // Made by Django 5.2.19 with its defaults, of [`PASSWORD`].
    let hashes = [
        (
            "pbkdf2_sha256",
            "pbkdf2_sha256$1000000$bMLQ8hXyDKx97EubZsITxV$TxJltya1pLxns6L3BkZJYd/7ZSnnttzVjnPF8kl4EFI=",
        ),
        ("pbkdf2_sha1", "pbkdf2_sha1$1000000$gNXW4SfoDfpZYf7zMQ1UkU$BZheO5hNK9vP4dsEm8tzChbOih8="),
        (
            "argon2",
            "argon2$argon2id$v=19$m=102400,t=2,p=8$dWNKVXdXMW5xaDJFeTF6b09LUnh6TA$Jvp5CL1VSSKxG862mjwnhAFB54r4+9OBht7V28hcdkA",
        ),
        ("bcrypt_sha256", "bcrypt_sha256$$2b$12$HfZnbguXdimes6dNdOas1u0U6elcjxx.QYaFTq4HF33uumkO3EZ1G"),
        ("bcrypt", "bcrypt$$2b$12$A02MvhPkZLNwmBG0koM4OePxePK5/re6rtEyRCklijDbt4MzDxVLS"),
        (
            "scrypt",
            "scrypt$16384$nZVLkDZg7YFuYK0TVFE9iS$8$5$5iRvJB8n48X11OTgCpzztw4vjPYkI0XvmQ+EZIMvX9d5htg8jLTuIHTYfbarF9UmkhKe1GnoWnT93UtqEwpSGA==",
        ),
    ];
    let api = Api::start_with(&[("LOGIN_FAILURE_FLOOR", "0")]).await;
    let keep = async |username: &'static str, hash: &'static str| {
        api.client.register(username).await.expect(201);
        let keep =
            sqlx::query("UPDATE users SET password = $2 WHERE username = $1").bind(username).bind(hash);
        keep.execute(api.database.pool()).await.unwrap();
        api.forget_events().await;
    };
    for (algorithm, hash) in hashes {
        keep(algorithm, hash).await;
        api.client.try_log_in(algorithm, "correct horse batterz").await.expect(401);
        api.client.log_in(algorithm).await;
        let told =
            api.events().await.into_iter().find(|(name, _)| name == "auth.password.rehashed").unwrap().1;
        assert_eq!(
            (&told["username"], &told["from_algorithm"], &told["to_algorithm"]),
            (&json!(algorithm), &json!(algorithm), &json!("argon2id"))
        );
        api.client.log_in(algorithm).await;
    }
    assert_eq!(api.count("SELECT count(*) FROM users WHERE password NOT LIKE '$argon2id$%'").await, 0);
    keep("nobodys", "!5ZyQKqyqPD3fQhMnXMz0mJ8gEaBpL1").await;
    for password in [PASSWORD, "!", "!5ZyQKqyqPD3fQhMnXMz0mJ8gEaBpL1"] {
        api.client.try_log_in("nobodys", password).await.expect(401);
    }
    assert_eq!(api.event_types().await, vec!["auth.login.failed"; 3]);
}

#[tokio::test]
async fn the_next_login_replaces_an_imported_hash_and_tells_of_it_once() {
    let api = Api::start().await;
    keep_djangos_hash(&api, "froggly").await;
    let stamp = text_of(&api, "SELECT password_stamp::text FROM users").await;
    api.client.log_in("froggly").await;
    let stored = text_of(&api, "SELECT password FROM users").await;
    assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
    assert_eq!(
        text_of(&api, "SELECT password_stamp::text FROM users").await,
        stamp,
        "the password is the same"
    );
    assert_eq!(api.event_types().await, ["auth.password.rehashed", "auth.login.succeeded"]);
    let (_, told) = api.events().await.remove(0);
    assert_eq!(
        (&told["from_algorithm"], &told["to_algorithm"]),
        (&json!("pbkdf2_sha256"), &json!("argon2id"))
    );
    assert!(!told.to_string().contains("salt"), "no hash in an event");

    api.forget_events().await;
    api.client.log_in("froggly").await;
    assert!(!api.event_types().await.contains(&"auth.password.rehashed".to_owned()));
}

/// Goes red when the new hash is given up with the login: then each such login pays for two hashes, and the floor of
/// refused logins stays for everybody.
#[tokio::test]
async fn a_login_that_finds_no_room_replaces_an_imported_hash_all_the_same() {
    let api = Api::start_with(&[("SESSION_POLICY", "reject")]).await;
    keep_djangos_hash(&api, "froggly").await;
    api.client.log_in("froggly").await;
    sqlx::query("UPDATE users SET password = $1").bind(HASH).execute(api.database.pool()).await.unwrap();
    api.forget_events().await;
    api.client.obtain_pair("froggly", PASSWORD).await.expect(409);
    assert_eq!(api.event_types().await, ["auth.password.rehashed"]);
    let stored = text_of(&api, "SELECT password FROM users").await;
    assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
}

#[tokio::test]
async fn thirty_first_logins_at_once_all_succeed_and_none_counts_as_a_failure() {
    let api = Api::start_with(&[("SESSION_POLICY", "unlimited")]).await;
    keep_djangos_hash(&api, "froggly").await;
    let logins = (0..30).map(|_| {
        let client = api.client.clone();
        tokio::spawn(async move { client.try_log_in("froggly", PASSWORD).await.status })
    });
    for login in logins.collect::<Vec<_>>() {
        assert_eq!(login.await.unwrap(), 200);
    }
    assert_eq!(api.count("SELECT login_failures::bigint FROM users").await, 0);
    let told = api.event_types().await;
    let rehashed = told.iter().filter(|name| *name == "auth.password.rehashed").count();
    assert_eq!((rehashed, told.len()), (1, 31));
}

#[tokio::test]
async fn a_wrong_password_or_a_disabled_account_leaves_the_imported_hash_as_it_is() {
    let api = Api::start_with(&[("LOGIN_FAILURE_FLOOR", "0")]).await;
    keep_djangos_hash(&api, "froggly").await;
    api.client.try_log_in("froggly", "wrong").await.expect(401);
    sqlx::query("UPDATE users SET is_active = false").execute(api.database.pool()).await.unwrap();
    api.client.try_log_in("froggly", PASSWORD).await.expect(401);
    assert_eq!(text_of(&api, "SELECT password FROM users").await, HASH);
    assert_eq!(api.event_types().await, ["auth.login.failed", "auth.login.failed"]);
}

#[tokio::test]
async fn tokens_with_djangos_mark_of_the_password_outlive_the_rehash_but_not_a_new_password() {
    let api = Api::start_with(&[("CHECK_REVOKE_TOKEN", "true")]).await;
    keep_djangos_hash(&api, "froggly").await;
    let mark = text_of(&api, "SELECT upper(md5(password)) FROM users").await;
    let user = text_of(&api, "SELECT id::text FROM users").await;
    let (now, exp) = (api.now().timestamp(), api.now().timestamp() + 600);
    let token = signed(&format!(
        r#"{{"token_type":"refresh","exp":{exp},"iat":{now},"jti":"django","user_id":"{user}","hash_password":"{mark}"}}"#
    ));
    api.client.refresh(&token).await.expect(200);
    api.client.log_in("froggly").await;
    api.client.refresh(&token).await.expect(200);
    let context = producer_api::middleware::RequestContext::of_command(
        "a test",
        &producer_api::middleware::RequestContextSources {
            clock: api.clock.clone(),
            entropy: api.state.entropy.clone(),
        },
    );
    producer_api::accounts::set_password(&api.state, &context, "froggly", "another correct horse".to_owned())
        .await
        .unwrap();
    let answer = api.client.refresh(&token).await.expect(401);
    assert_eq!(answer.body, json!({ "detail": "The user's password has been changed." }));
}

#[tokio::test]
async fn while_imported_hashes_remain_a_refusal_waits_for_the_floor() {
    let api = Api::start_with(&[("LOGIN_FAILURE_FLOOR", "30s")]).await;
    api.client.register("ours").await.expect(201);
    api.client.try_log_in("ours", "wrong").await.expect(401);
    keep_djangos_hash(&api, "froggly").await;
    for username in ["ours", "froggly", "nobody"] {
        // It has been refused, and the answer is held back: the event is there, the answer is not.
        api.forget_events().await;
        let client = api.client.clone();
        let login = tokio::spawn(async move { client.try_log_in(username, "wrong").await });
        test_support::eventually(Duration::from_mins(1), "the refusal to be recorded", async || {
            (!api.event_types().await.is_empty()).then_some(())
        })
        .await;
        assert!(!login.is_finished(), "{username}");
        login.abort();
    }
}
