//! Rotation: one successor whoever asks and how often, and what a stolen token is worth.

use std::collections::BTreeSet;
use std::time::Duration;

use producer_api::accounts;
use serde_json::json;
use test_support::api::{Client, Login, PASSWORD};
use test_support::eventually;

use crate::harness::{Api, claims_of, claims_text, refused, refused_access, signed, tasks_with};
use crate::policies::waiters;

const ROTATING: [(&str, &str); 2] = [("ROTATE_REFRESH_TOKENS", "true"), ("BLACKLIST_AFTER_ROTATION", "true")];
const NO_ACCOUNT: &str = "No active account found for the given token.";

fn rotating_with<'a>(settings: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    ROTATING.iter().chain(settings).copied().collect()
}

/// Exchanges a refresh token, which must work.
async fn exchange(client: &Client, refresh: &str) -> String {
    client.refresh(refresh).await.expect(200).text("refresh").to_owned()
}

/// A refresh token that another service minted with the shared key.
fn minted_elsewhere(api: &Api, jti: &str, user: &str) -> String {
    let (now, later) = (api.now().timestamp(), api.now().timestamp() + 86_400);
    signed(&format!(r#"{{"token_type":"refresh","exp":{later},"iat":{now},"jti":"{jti}"{user}}}"#))
}

async fn assert_dead(api: &Api, login: &Login, access: &str) {
    for token in [&login.access, access] {
        let answer = tasks_with(&api.client, token).await.expect(401);
        assert_eq!(answer.body, refused_access("Token is blacklisted"));
        // With BLACKLIST_AFTER_ROTATION verify looks at the list first, where only refresh tokens are.
        assert_eq!(api.client.verify(token).await.expect(401).body, refused("Token is blacklisted"));
    }
}

#[tokio::test]
async fn rotation_and_blacklist_are_two_settings_and_only_both_exchange() {
    for (rotate, blacklist, events, rows) in [
        ("false", "false", &["auth.token.refreshed"][..], 1),
        ("false", "true", &["auth.token.refreshed"], 1),
        ("true", "false", &["auth.token.refreshed"], 2),
        ("true", "true", &["auth.token.blacklisted", "auth.token.refreshed"], 2),
    ] {
        let case = format!("rotate {rotate}, blacklist {blacklist}");
        let settings = [("ROTATE_REFRESH_TOKENS", rotate), ("BLACKLIST_AFTER_ROTATION", blacklist)];
        let api = Api::start_with(&settings).await;
        let login = api.client.join("froggly").await;
        api.forget_events().await;
        let answer = api.client.refresh(&login.refresh).await.expect(200);
        let members: Vec<_> = answer.body.as_object().unwrap().keys().cloned().collect();
        let expected: &[&str] = if rotate == "true" { &["access", "refresh"] } else { &["access"] };
        assert_eq!(members, expected, "{case}");
        assert_eq!(api.event_types().await, events, "{case}");
        assert_eq!(api.count("SELECT count(*) FROM outstanding_tokens").await, rows, "{case}");
        api.advance(11);
        let both = (rotate, blacklist) == ("true", "true");
        assert_eq!(api.client.refresh(&login.refresh).await.status, if both { 401 } else { 200 }, "{case}");
    }
}

#[tokio::test]
async fn a_successor_keeps_every_claim_to_the_digit_but_its_own_id_and_times() {
    let api = Api::start_with(&ROTATING).await;
    api.client.register("froggly").await.expect(201);
    let kept = r#""big":12345678901234567890123,"deep":{"a":[null,true,1.0,"é"]},"nbf":1000,"one":1.0"#;
    let refresh = minted_elsewhere(&api, "elsewhere", &format!(r#","user_id":1,{kept}"#));
    api.advance(60);
    let answer = api.client.refresh(&refresh).await.expect(200);
    for (token, kind, lifetime) in
        [(answer.text("access"), "access", 300), (answer.text("refresh"), "refresh", 86_400)]
    {
        let (text, claims) = (claims_text(token), claims_of(token));
        for claim in
            kept.split_inclusive("\"big\":12345678901234567890123,").flat_map(|part| part.split(",\"nbf"))
        {
            assert!(text.contains(claim.trim_end_matches(',')), "{claim} in {text}");
        }
        assert_eq!(claims["user_id"], 1, "a number stays a number");
        assert_eq!(claims["token_type"], kind);
        assert_eq!(claims["iat"], api.now().timestamp());
        assert_eq!(claims["exp"], api.now().timestamp() + lifetime);
        let jti = claims["jti"].as_str().unwrap();
        assert!(jti.len() == 32 && jti.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{jti}");
        assert_eq!(claims.as_object().unwrap().len(), 9, "{text}");
    }
    assert_ne!(claims_of(answer.text("access"))["jti"], claims_of(answer.text("refresh"))["jti"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_refreshes_at_once_on_two_replicas_give_one_successor() {
    let api = Api::start_with(&ROTATING).await;
    let other = api.replica(&ROTATING).await;
    let login = api.client.join("froggly").await;
    for (case, refresh) in [
        ("of a session", login.refresh.clone()),
        ("of a user without a session", minted_elsewhere(&api, "a", r#","user_id":"1""#)),
        ("of nobody", minted_elsewhere(&api, "b", "")),
        ("of a null user", minted_elsewhere(&api, "c", r#","user_id":null"#)),
    ] {
        api.forget_events().await;
        let outstanding = api.count("SELECT count(*) FROM outstanding_tokens").await;
        let recorded = i64::from(refresh != login.refresh);
        let tries = (0..50).map(|turn| {
            let client = if turn % 2 == 0 { api.client.clone() } else { other.client.clone() };
            let refresh = refresh.clone();
            tokio::spawn(async move { client.refresh(&refresh).await })
        });
        let (mut successors, mut accesses) = (BTreeSet::new(), BTreeSet::new());
        for attempt in tries.collect::<Vec<_>>() {
            let answer = attempt.await.unwrap().expect(200);
            successors.insert(answer.text("refresh").to_owned());
            accesses.insert(claims_of(answer.text("access"))["jti"].clone().to_string());
        }
        assert_eq!((successors.len(), accesses.len()), (1, 50), "{case}");
        let added = api.count("SELECT count(*) FROM outstanding_tokens").await - outstanding;
        assert_eq!(added, 1 + recorded, "{case}: nothing is left of those that lost");
        let mut events = api.event_types().await;
        events.sort();
        assert_eq!(events[0], "auth.token.blacklisted", "{case}");
        assert_eq!(events[1..], vec!["auth.token.refreshed"; 50], "{case}");
        assert_eq!(api.reasons("auth.token.blacklisted").await, ["rotated"], "{case}");
        exchange(&other.client, &successors.pop_first().unwrap()).await;
    }
    api.client.tasks(&login).await.expect(200);
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again_until_ten_seconds_after_the_first_use() {
    let api = Api::start_with(&ROTATING).await;
    let other = api.replica(&ROTATING).await;
    let login = api.client.join("froggly").await;
    let successor = exchange(&api.client, &login.refresh).await;
    // Asking again and again moves nothing: the time of grace does not slide.
    for client in [&api.client, &other.client, &api.client] {
        api.advance(3);
        assert_eq!(exchange(client, &login.refresh).await, successor);
    }
    api.advance(1);
    assert_eq!(api.client.refresh(&login.refresh).await.expect(401).body, refused("Token is blacklisted"));
    assert_eq!(api.reasons("auth.session.ended").await, ["reuse"]);
}

#[tokio::test]
async fn a_reused_refresh_token_ends_the_session_with_everything_that_came_of_it() {
    let api = Api::start_with(&ROTATING).await;
    let login = api.client.join("froggly").await;
    let answer = api.client.refresh(&login.refresh).await.expect(200);
    api.advance(10);
    api.forget_events().await;
    assert_eq!(api.client.refresh(&login.refresh).await.expect(401).body, refused("Token is blacklisted"));
    let events = api.events().await;
    let types: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(types, ["auth.session.ended", "auth.token.blacklisted", "auth.token.reuse_detected"]);
    let claims = claims_of(&login.refresh);
    assert_eq!((&events[0].1["reason"], &events[0].1["session_id"]), (&json!("reuse"), &claims["sid"]));
    let successor = claims_of(answer.text("refresh"));
    assert_eq!((&events[1].1["reason"], &events[1].1["jti"]), (&json!("reuse"), &successor["jti"]));
    assert_eq!((&events[2].1["jti"], &events[2].1["username"]), (&claims["jti"], &json!("froggly")));

    assert_dead(&api, &login, answer.text("access")).await;
    let refresh = answer.text("refresh");
    assert_eq!(api.client.refresh(refresh).await.expect(401).body, refused("Token is blacklisted"));
    api.client.refresh(&login.refresh).await.expect(401);
    assert_eq!(api.events().await.len(), 3, "what is over is not told again");
    api.client.log_in("froggly").await;
}

#[tokio::test]
async fn two_generations_back_is_reuse_even_within_the_time_of_grace() {
    let api = Api::start_with(&ROTATING).await;
    let login = api.client.join("froggly").await;
    let second = exchange(&api.client, &login.refresh).await;
    api.advance(1);
    let third = exchange(&api.client, &second).await;
    assert_eq!(exchange(&api.client, &second).await, third, "the last exchange is forgiven");
    let answer = api.client.refresh(&login.refresh).await.expect(401);
    assert_eq!(answer.body, refused("Token is blacklisted"), "one whose successor was used is not");
    for token in [&second, &third] {
        api.client.refresh(token).await.expect(401);
    }
    assert_eq!(api.reasons("auth.session.ended").await, ["reuse"]);
    assert_dead(&api, &login, &login.access).await;
}

#[tokio::test]
async fn reuse_that_is_only_refused_leaves_the_session_and_is_told_all_the_same() {
    let api = Api::start_with(&rotating_with(&[("REFRESH_REUSE", "refuse")])).await;
    let login = api.client.join("froggly").await;
    let successor = exchange(&api.client, &login.refresh).await;
    api.advance(10);
    api.forget_events().await;
    assert_eq!(api.client.refresh(&login.refresh).await.expect(401).body, refused("Token is blacklisted"));
    assert_eq!(api.event_types().await, ["auth.token.reuse_detected"]);
    api.client.tasks(&login).await.expect(200);
    exchange(&api.client, &successor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_grace_one_of_many_gets_a_successor_and_the_others_are_reuse() {
    for (reuse, alive) in [("end_session", false), ("refuse", true)] {
        let settings = rotating_with(&[("REFRESH_GRACE_SECONDS", "0"), ("REFRESH_REUSE", reuse)]);
        let api = Api::start_with(&settings).await;
        let other = api.replica(&settings).await;
        let login = api.client.join("froggly").await;
        api.forget_events().await;
        let tries = (0..20).map(|turn| {
            let client = if turn % 2 == 0 { api.client.clone() } else { other.client.clone() };
            let refresh = login.refresh.clone();
            tokio::spawn(async move { client.refresh(&refresh).await })
        });
        let mut successors = Vec::new();
        for attempt in tries.collect::<Vec<_>>() {
            let answer = attempt.await.unwrap();
            if answer.status == 200 {
                successors.push(answer.text("refresh").to_owned());
            } else {
                assert_eq!(answer.expect(401).body, refused("Token is blacklisted"), "{reuse}");
            }
        }
        assert_eq!(successors.len(), 1, "{reuse}");
        let names = api.event_types().await;
        let told = |name: &str| names.iter().filter(|told| *told == name).count();
        assert_eq!(told("auth.token.refreshed"), 1, "{reuse}");
        assert_eq!(told("auth.session.ended"), usize::from(!alive), "{reuse}");
        assert_eq!(told("auth.token.reuse_detected"), if alive { 19 } else { 1 }, "{reuse}");
        let status = if alive { 200 } else { 401 };
        assert_eq!(api.client.refresh(&successors[0]).await.status, status, "{reuse}");
        assert_eq!(api.client.tasks(&login).await.status, status, "{reuse}");
    }
}

#[tokio::test]
async fn reuse_of_a_token_without_a_session_is_told_and_touches_nobody_elses_session() {
    let api = Api::start_with(&ROTATING).await;
    let login = api.client.join("froggly").await;
    for (jti, user) in [("of-user", r#","user_id":"1""#), ("of-nobody", "")] {
        let refresh = minted_elsewhere(&api, jti, user);
        exchange(&api.client, &refresh).await;
        api.advance(10);
        api.forget_events().await;
        assert_eq!(api.client.refresh(&refresh).await.expect(401).body, refused("Token is blacklisted"));
        let events = api.events().await;
        assert_eq!(events.len(), 1, "{jti}");
        assert_eq!((events[0].0.as_str(), &events[0].1["jti"]), ("auth.token.reuse_detected", &json!(jti)));
    }
    api.client.tasks(&login).await.expect(200);
    exchange(&api.client, &login.refresh).await;
}

#[tokio::test]
async fn an_ended_session_is_not_exchanged_however_it_ended() {
    for (how, reason) in [
        ("logout", "logout"),
        ("login", "replaced"),
        ("password", "password_changed"),
        ("disable", "account_disabled"),
    ] {
        let api = Api::start_with(&ROTATING).await;
        let login = api.client.join("froggly").await;
        let successor = exchange(&api.client, &login.refresh).await;
        match how {
            "logout" => {
                api.client.blacklist(&successor).await.expect(200);
            }
            "login" => {
                api.client.log_in("froggly").await;
            }
            "password" => {
                let password = "another correct horse".to_owned();
                accounts::set_password(&api.state, &api.context(), "froggly", password).await.unwrap();
            }
            _ => {
                accounts::set_active(&api.state, &api.context(), "froggly", false).await.unwrap();
            }
        }
        assert_eq!(api.reasons("auth.session.ended").await, [reason]);
        api.forget_events().await;
        // Also the one that was exchanged a moment ago, within its time of grace.
        for token in [&successor, &login.refresh] {
            assert_eq!(
                api.client.refresh(token).await.expect(401).body,
                refused("Token is blacklisted"),
                "{how}"
            );
        }
        assert_eq!(api.event_types().await, Vec::<String>::new(), "{how}: no reuse, nothing was stolen");
    }
}

/// Goes red when nothing but the blacklist keeps a token of an ended session from being renewed.
#[tokio::test]
async fn a_session_that_an_operator_ended_by_sql_is_not_renewed() {
    let sliding = ("AUTH_TOKEN_CLASSES", "AccessToken,SlidingToken");
    for mode in [("ACCESS_TOKEN_REVOCATION", "session"), ("ACCESS_TOKEN_REVOCATION", "none")] {
        for settings in [vec![mode, sliding], rotating_with(&[mode, sliding])] {
            let api = Api::start_with(&settings).await;
            let login = api.client.join("froggly").await;
            let other = json!({ "username": "toadly", "password": PASSWORD });
            api.client.register("toadly").await.expect(201);
            let slid =
                api.client.post("/api/token/sliding/", &other).await.expect(200).text("token").to_owned();
            api.execute(
                "UPDATE user_sessions SET is_active = false, logout_time = now(), end_reason = 'logout'",
            )
            .await;
            assert_eq!(
                api.client.refresh(&login.refresh).await.expect(401).body,
                refused("Token is blacklisted")
            );
            let answer = api.client.post("/api/token/sliding/refresh/", &json!({ "token": slid })).await;
            assert_eq!(answer.expect(401).body, refused("Token is blacklisted"), "{settings:?}");
        }
    }
}

/// Goes red when a refresh gives a new refresh token beside whoever ends its session, where nobody blacklists it; and when
/// one that meets the deletion of its user is a fault (500).
#[tokio::test]
async fn a_rotation_waits_for_whoever_ends_its_session_or_deletes_its_user() {
    let rotation_alone = [("ROTATE_REFRESH_TOKENS", "true")];
    for settings in [&rotation_alone[..], &ROTATING] {
        for mode in [("ACCESS_TOKEN_REVOCATION", "session"), ("ACCESS_TOKEN_REVOCATION", "none")] {
            for (holding, ending, refusal) in [
                ("DELETE FROM users", "SELECT", json!({ "detail": NO_ACCOUNT })),
                (
                    "SELECT FROM users FOR NO KEY UPDATE",
                    "UPDATE user_sessions SET is_active = false, logout_time = now(), end_reason = 'logout'",
                    refused("Token is blacklisted"),
                ),
            ] {
                let settings: Vec<_> = settings.iter().copied().chain([mode]).collect();
                let api = Api::start_with(&settings).await;
                let login = api.client.join("froggly").await;
                let mut holder = api.database.pool().begin().await.unwrap();
                sqlx::query(holding).execute(&mut *holder).await.unwrap();
                let client = api.client.clone();
                let refresh = tokio::spawn(async move { client.refresh(&login.refresh).await });
                eventually(Duration::from_secs(30), "a refresh that waits or has its answer", async || {
                    (refresh.is_finished() || waiters(api.database.pool()).await > 0).then_some(())
                })
                .await;
                sqlx::query(ending).execute(&mut *holder).await.unwrap();
                holder.commit().await.unwrap();
                let answer = refresh.await.unwrap().expect(401);
                assert_eq!(answer.body, refusal, "{settings:?} {holding}");
            }
        }
    }
}

#[tokio::test]
async fn a_deleted_user_has_no_account_and_his_blacklisted_tokens_stay_blacklisted() {
    let api = Api::start_with(&ROTATING).await;
    let first = api.client.join("froggly").await;
    let second = api.client.log_in("froggly").await;
    let elsewhere = minted_elsewhere(&api, "a", r#","user_id":"1""#);
    api.execute("DELETE FROM users").await;
    api.forget_events().await;
    assert_eq!(api.client.refresh(&first.refresh).await.expect(401).body, refused("Token is blacklisted"));
    for token in [&second.refresh, &elsewhere] {
        assert_eq!(api.client.refresh(token).await.expect(401).body, json!({ "detail": NO_ACCOUNT }));
    }
    assert_eq!(api.events().await.len(), 0);
    assert_eq!(api.client.obtain_pair("froggly", PASSWORD).await.status, 401);
}

#[tokio::test]
async fn extra_members_of_a_refresh_are_ignored() {
    let api = Api::start_with(&ROTATING).await;
    let login = api.client.join("froggly").await;
    let body = json!({ "refresh": login.refresh, "username": 7, "password": [], "email": null });
    api.client.post("/api/token/refresh", &body).await.expect(200);
}
