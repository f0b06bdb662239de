//! Who did what.

use serde_json::json;

use crate::trail::{Trail, members, session};

#[tokio::test]
async fn the_feed_says_who_did_what_about_what_and_how_often() {
    let trail = Trail::new().await;
    trail.tell(0, "task.created", json!({ "user_id": 7, "username": "ada", "ip": "192.0.2.7" })).await;
    let limited = json!({ "username": "ada", "reason": "limited", "count": 12 });
    trail.tell(1, "auth.login.failed", limited).await;
    trail.tell(2, "auth.account.disabled", json!({ "user_id": 8 })).await;
    trail.tell(3, "operator.parked.discarded", json!({ "actor": "root@db1", "reason": "gone" })).await;
    trail.tell(4, "job.run.succeeded", json!({ "run_id": session(1) })).await;
    // Staff's deeds: the account that the event is about did nothing.
    trail.tell(5, "auth.account.disabled", json!({ "user_id": 8, "username": "bob", "actor_id": 1 })).await;
    let read = json!({ "user_id": 1, "actor_id": 1, "actor": "root", "username": "root" });
    trail.tell(6, "operator.trail.read", read).await;
    // An actor is a member's name, not whatever somebody calls himself.
    trail.tell(7, "auth.login.failed", json!({ "username": "\"actor\"", "reason": "unknown_user" })).await;
    let feed = trail.rows("SELECT * FROM audit.activity ORDER BY event_id").await;
    let expected = [
        json!(["ada", "task created", 1, "success", "tests/1", "192.0.2.7"]),
        json!(["ada", "login failed: limited, 12 times", 12, "failure", "tests/1", null]),
        json!(["user 8", "account disabled", 1, "success", "tests/1", null]),
        json!(["root@db1", "operator parked discarded: gone", 1, "success", "tests/1", null]),
        json!(["-", "job run succeeded", 1, "success", "tests/1", null]),
        json!(["user 1", "account disabled", 1, "success", "tests/1", null]),
        json!(["root", "operator trail read", 1, "success", "tests/1", null]),
        json!(["\"actor\"", "login failed: unknown_user", 1, "failure", "tests/1", null]),
    ];
    assert_eq!(members(&feed, &["who", "what", "times", "outcome", "about", "ip"]), expected);
}

/// What a stranger types comes into bodies. Goes red when a view reads a count out of a name, or when a body that
/// `jsonb` can't hold makes the view fail for all.
#[tokio::test]
async fn what_somebody_typed_is_no_count_and_breaks_no_view() {
    let trail = Trail::new().await;
    let typed = json!({ "username": r#"x","count":99,"y":"#, "reason": "limited", "count": 2 });
    trail.tell(0, "auth.login.failed", typed).await;
    let nul = json!({ "username": "a\0b", "reason": "wrong_password", "user_agent": r"\u0000 \ud800" });
    trail.tell(1, "auth.login.failed", nul).await;
    let huge = trail.at(2);
    let id = shared::entropy::Entropy::system().uuid_v7(huge);
    let body =
        crate::trail::envelope(id, huge, 3, "auth.login.failed", &json!({ "username": "c", "count": 0 }));
    trail.record(&body.to_string().replace(r#""count":0"#, r#""count":1e999999"#), huge).await;
    let feed = trail.rows("SELECT * FROM audit.activity ORDER BY event_id").await;
    assert_eq!(members(&feed, &["times"]), [json!([2]), json!([1]), json!([1])]);
    let by_ip = trail.row(&trail.summed("failed_logins_by_ip", 0)).await;
    assert_eq!(by_ip["failures"], 4);
}

#[tokio::test]
async fn a_timeline_has_one_users_facts_in_the_order_in_which_they_happened() {
    let trail = Trail::new().await;
    // The replica that told the second fact has a clock that is behind.
    trail.tell(10, "task.created", json!({ "user_id": 7, "username": "ada" })).await;
    trail.tell(8, "task.updated", json!({ "user_id": 7, "username": "ada" })).await;
    trail.tell(9, "task.deleted", json!({ "user_id": 8, "username": "bob" })).await;
    trail.tell(12, "auth.login.failed", json!({ "username": "ada", "reason": "unknown_user" })).await;
    trail
        .tell(20, "auth.user.updated", json!({ "user_id": 7, "username": "ada l", "fields": ["username"] }))
        .await;
    let timeline = trail.rows("SELECT * FROM audit.user_timeline WHERE user_id = 7 ORDER BY sequence").await;
    let expected = [
        json!(["ada", "task created", null]),
        json!(["ada", "task updated", null]),
        json!(["ada l", "user updated", ["username"]]),
    ];
    let told: Vec<_> =
        timeline.iter().map(|row| json!([row["username"], row["what"], row["data"]["fields"]])).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_session_is_one_row_with_its_end_and_its_refreshes() {
    let trail = Trail::new().await;
    let (ended, open) = (session(1), session(2));
    let of = |session, ip: &str| json!({ "user_id": 7, "username": "ada", "session_id": session, "ip": ip, "user_agent": "curl" });
    trail.tell(0, "auth.login.succeeded", of(ended, "192.0.2.7")).await;
    for (seconds, session, ip) in [
        (60, ended, "192.0.2.7"),
        (120, ended, "198.51.100.1"),
        (180, ended, "198.51.100.1"),
        (70, open, "192.0.2.7"),
    ] {
        trail.tell(seconds, "auth.token.refreshed", of(session, ip)).await;
    }
    trail.tell(30, "auth.login.succeeded", of(open, "2001:db8::1")).await;
    let mut end = of(ended, "192.0.2.7");
    end["reason"] = json!("logout");
    trail.tell(3600, "auth.session.ended", end).await;
    // A token of a session whose login is not in the trail, and a login that failed: no row of theirs.
    trail.tell(5, "auth.token.refreshed", of(session(3), "192.0.2.7")).await;
    trail
        .tell(6, "auth.login.failed", json!({ "user_id": 7, "username": "ada", "reason": "wrong_password" }))
        .await;
    let history = trail.rows("SELECT * FROM audit.session_history ORDER BY event_id").await;
    let names = ["session_id", "end_reason", "duration", "ip", "refreshes", "other_networks"];
    let expected = [
        json!([ended, "logout", "01:00:00", "192.0.2.7", 3, 1]),
        json!([open, null, null, "2001:db8::1", 1, 1]),
    ];
    assert_eq!(members(&history, &names), expected);
}
