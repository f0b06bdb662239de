//! What became of accounts, and what staff and operators did.

use chrono::TimeDelta;
use serde_json::json;
use shared::clock::Clock;

use crate::trail::{Trail, members, session};

#[tokio::test]
async fn a_reused_token_is_shown_with_its_sessions_login_and_its_end() {
    let trail = Trail::new().await;
    let of = |number, ip: &str| json!({ "user_id": 7, "username": "ada", "session_id": session(number), "ip": ip, "jti": "j" });
    for number in [1, 2] {
        trail.tell(0, "auth.login.succeeded", of(number, "192.0.2.1")).await;
        trail
            .tell(
                49 + i64::try_from(number).unwrap(),
                "auth.token.reuse_detected",
                of(number, "198.51.100.1"),
            )
            .await;
    }
    let mut end = of(1, "198.51.100.1");
    end["reason"] = json!("reuse");
    trail.tell(50, "auth.session.ended", end.clone()).await;
    // It ended, but for another reason, and later.
    (end["session_id"], end["reason"]) = (json!(session(2)), json!("logout"));
    trail.tell(60, "auth.session.ended", end).await;
    let query = "SELECT *, session_ended_at - occurred_at AS after FROM audit.token_reuse ORDER BY event_id";
    let expected = [
        json!([session(1), "198.51.100.1", "192.0.2.1", "00:00:00"]),
        json!([session(2), "198.51.100.1", "192.0.2.1", null]),
    ];
    assert_eq!(members(&trail.rows(query).await, &["session_id", "ip", "login_ip", "after"]), expected);
}

#[tokio::test]
async fn a_lockout_shows_until_when_and_whether_somebody_ended_it_before() {
    let trail = Trail::new().await;
    let locked = |user: Option<i64>, scope: &str| json!({ "user_id": user, "username": "ada", "scope": scope, "failures": 10, "until": trail.at(60) });
    trail.tell(0, "auth.account.locked", locked(Some(7), "account")).await;
    trail.tell(30, "auth.account.unlocked", json!({ "user_id": 7, "username": "ada", "actor_id": 1 })).await;
    // Unlocked when the wait was over; of an address, whose wait `unlock` does not end; a name of nobody.
    trail.tell(1, "auth.account.locked", locked(Some(8), "account")).await;
    trail.tell(61, "auth.account.unlocked", json!({ "user_id": 8, "username": "ada", "actor_id": 1 })).await;
    trail.tell(2, "auth.account.locked", locked(Some(7), "address")).await;
    trail.tell(3, "auth.account.locked", locked(None, "account")).await;
    let mut odd = locked(Some(9), "account");
    odd["until"] = json!("the day after tomorrow, perhaps");
    trail.tell(4, "auth.account.locked", odd).await;
    let query = "SELECT *, locked_until - occurred_at AS wait, unlocked_at - occurred_at AS unlocked
        FROM audit.lockouts ORDER BY event_id";
    let expected = [
        json!([7, "account", 10, "00:01:00", "00:00:30", 1]),
        json!([8, "account", 10, "00:00:59", null, null]),
        json!([7, "address", 10, "00:00:58", null, null]),
        json!([null, "account", 10, "00:00:57", null, null]),
        json!([9, "account", 10, null, null, null]),
    ];
    let names = ["user_id", "scope", "failures", "wait", "unlocked", "unlocked_by"];
    assert_eq!(members(&trail.rows(query).await, &names), expected);
}

#[tokio::test]
async fn a_password_reset_shows_how_far_it_came() {
    let trail = Trail::new().await;
    let of = |user: i64| json!({ "user_id": user, "username": "ada", "ip": "192.0.2.1" });
    let hour = 3600;
    // Asked twice, too many the third time; the completion is the second's.
    trail.tell(0, "auth.password_reset.requested", of(1)).await;
    trail.tell(10, "auth.password_reset.requested", of(1)).await;
    let mut too_many = of(1);
    too_many["reason"] = json!("too_many");
    trail.tell(20, "auth.password_reset.requested", too_many).await;
    trail.tell(70, "auth.password_reset.completed", of(1)).await;
    // Completed just in time, and just not.
    trail.tell(30, "auth.password_reset.requested", of(2)).await;
    trail.tell(30 + 25 * hour - 1, "auth.password_reset.completed", of(2)).await;
    trail.tell(40, "auth.password_reset.requested", of(3)).await;
    trail.tell(40 + 25 * hour, "auth.password_reset.completed", of(3)).await;
    trail.tell(50, "auth.password_reset.requested", json!({ "reason": "unknown_address" })).await;
    trail.tell_at(Clock::system().now() - TimeDelta::hours(1), "auth.password_reset.requested", of(4)).await;
    let query = "SELECT * FROM audit.password_resets ORDER BY event_id";
    let expected = [
        json!([1, "asked again", null, null]),
        json!([1, "completed", null, "00:01:00"]),
        json!([1, "no mail", "too_many", null]),
        json!([2, "completed", null, "1 day 00:59:59"]),
        json!([3, "not completed", null, null]),
        json!([null, "no mail", "unknown_address", null]),
        json!([4, "open", null, null]),
    ];
    assert_eq!(members(&trail.rows(query).await, &["user_id", "stage", "no_mail_because", "took"]), expected);
}

#[tokio::test]
async fn staff_actions_are_what_has_an_actor_and_not_what_speaks_of_one() {
    let trail = Trail::new().await;
    trail.tell(0, "auth.account.disabled", json!({ "user_id": 7, "username": "ada", "actor_id": 1 })).await;
    trail.tell(1, "auth.account.disabled", json!({ "user_id": 8, "username": "bob" })).await;
    trail
        .tell(
            2,
            "task.created",
            json!({ "user_id": 7, "task": { "title": r#""actor_id":1"#, "actor_id": 1 } }),
        )
        .await;
    let end = json!({ "user_id": 7, "username": "ada", "reason": "staff_revoked", "session_id": session(1), "actor_id": 2 });
    trail.tell(3, "auth.session.ended", end).await;
    let rows = trail.rows("SELECT * FROM audit.staff_actions ORDER BY event_id").await;
    let expected = [json!([1, "account disabled", 7]), json!([2, "session ended: staff_revoked", 7])];
    assert_eq!(members(&rows, &["actor_id", "what", "user_id"]), expected);
}

#[tokio::test]
async fn operator_actions_say_who_and_why() {
    let trail = Trail::new().await;
    let act = json!({ "actor": "root@db1", "reason": "its binding is gone", "user_agent": "producer-api parked discard" });
    trail.tell(0, "operator.parked.discarded", act).await;
    trail.tell(1, "operator.trail.read", json!({ "actor_id": 1, "ip": "192.0.2.1" })).await;
    trail
        .tell(2, "auth.account.disabled", json!({ "user_id": 7, "actor_id": 1, "reason": "operator.x" }))
        .await;
    let rows = trail.rows("SELECT * FROM audit.operator_actions ORDER BY event_id").await;
    let expected = [
        json!(["root@db1", "operator.parked.discarded", "its binding is gone", null]),
        json!(["user 1", "operator.trail.read", null, "192.0.2.1"]),
    ];
    assert_eq!(members(&rows, &["actor", "type", "reason", "ip"]), expected);
}

#[tokio::test]
async fn what_commands_did_to_accounts_is_told_from_what_requests_did() {
    let trail = Trail::new().await;
    let by = |agent: &str| json!({ "user_id": 7, "username": "ada", "user_agent": agent });
    trail.tell(0, "auth.account.disabled", by("producer-api users disable")).await;
    // A client may call itself as it likes, but it has an address.
    let mut liar = by("producer-api users disable");
    liar["ip"] = json!("192.0.2.1");
    trail.tell(1, "auth.account.disabled", liar).await;
    trail
        .tell(2, "auth.session.ended", json!({ "user_id": 7, "reason": "expired", "session_id": session(1) }))
        .await;
    let row = trail.row("SELECT * FROM audit.account_commands").await;
    assert_eq!(
        members(&[row], &["command", "what", "user_id"]),
        [json!(["producer-api users disable", "account disabled", 7])]
    );
}
