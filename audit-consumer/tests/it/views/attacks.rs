//! Who tries to get in.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::trail::{Trail, members, session};

fn failed(username: &str, ip: &str, reason: &str) -> Value {
    json!({ "username": username, "ip": ip, "reason": reason, "user_agent": "curl" })
}

fn login(user: i64, number: u128, ip: &str) -> Value {
    json!({ "user_id": user, "username": format!("user{user}"), "session_id": session(number), "ip": ip })
}

/// Tallies of 40 refused tries are 40 failures; five minutes are from the full ones to the next.
#[tokio::test]
async fn failed_logins_by_ip_are_summed_by_their_count_for_each_network_and_five_minutes() {
    let trail = Trail::new().await;
    let mut limited = failed("ada", "192.0.2.7", "limited");
    limited["count"] = json!(40);
    trail.tell(-1, "auth.login.failed", failed("ada", "192.0.2.7", "wrong_password")).await;
    trail.tell(0, "auth.login.failed", failed("ada", "192.0.2.7", "wrong_password")).await;
    trail.tell(200, "auth.login.failed", failed("bob", "192.0.2.7", "unknown_user")).await;
    trail.tell(299, "auth.login.failed", limited).await;
    trail.tell(299, "auth.login.succeeded", login(7, 1, "192.0.2.7")).await;
    trail.tell(300, "auth.login.failed", failed("ada", "192.0.2.7", "wrong_password")).await;
    // One client has a whole /64, and not a bit more.
    trail.tell(1, "auth.login.failed", failed("ada", "2001:db8::1", "wrong_password")).await;
    trail.tell(2, "auth.login.failed", failed("ada", "2001:db8::ffff:1", "wrong_password")).await;
    trail.tell(3, "auth.login.failed", failed("ada", "2001:db8:0:1::1", "wrong_password")).await;
    let query = format!("{} ORDER BY window_start, ip", trail.summed("failed_logins_by_ip", 0));
    let names = ["ip", "failures", "accounts", "wrong_password", "unknown_user", "refused"];
    let expected = [
        json!(["192.0.2.7", 42, 2, 1, 1, 40]),
        json!(["2001:db8::/64", 2, 1, 2, 0, 0]),
        json!(["2001:db8:0:1::/64", 1, 1, 1, 0, 0]),
        json!(["192.0.2.7", 1, 1, 1, 0, 0]),
    ];
    assert_eq!(members(&trail.rows(&query).await, &names), expected);
}

#[tokio::test]
async fn failed_logins_by_account_go_by_the_name_that_was_typed() {
    let trail = Trail::new().await;
    let mut known = failed("ada", "192.0.2.7", "wrong_password");
    known["user_id"] = json!(7);
    let mut limited = known.clone();
    (limited["reason"], limited["count"], limited["ip"]) = (json!("limited"), json!(9), json!("192.0.2.8"));
    trail.tell(0, "auth.login.failed", known).await;
    trail.tell(1, "auth.login.failed", limited).await;
    trail.tell(2, "auth.login.failed", failed("Ada", "192.0.2.7", "unknown_user")).await;
    trail.tell(86_400, "auth.login.failed", failed("ada", "192.0.2.7", "wrong_password")).await;
    let query = format!("{} ORDER BY failures DESC", trail.summed("failed_logins_by_account", 0));
    let names = ["username", "user_id", "failures", "ips", "wrong_password", "refused"];
    let expected = [json!(["ada", 7, 10, 2, 1, 9]), json!(["Ada", null, 1, 1, 0, 0])];
    assert_eq!(members(&trail.rows(&query).await, &names), expected);
}

/// The views that take no arguments are the last day.
#[tokio::test]
async fn the_views_of_failures_show_the_last_day_and_not_the_day_before() {
    let trail = Trail::new().await;
    let now = shared::clock::Clock::system().now();
    for (hours, name) in [(1, "new"), (23, "still"), (25, "old")] {
        for number in 0..5 {
            let at = now - TimeDelta::hours(hours) - TimeDelta::milliseconds(number);
            let username = format!("{name}{number}");
            trail
                .tell_at(
                    at,
                    "auth.login.failed",
                    failed(&username, &format!("192.0.2.{hours}"), "unknown_user"),
                )
                .await;
            trail
                .tell_at(
                    at,
                    "auth.login.failed",
                    failed(name, &format!("198.51.100.{number}"), "unknown_user"),
                )
                .await;
        }
    }
    let ips = trail
        .rows("SELECT DISTINCT ip FROM audit.failed_logins_by_ip WHERE ip << '192.0.2.0/24' ORDER BY 1")
        .await;
    assert_eq!(ips, [json!({ "ip": "192.0.2.1" }), json!({ "ip": "192.0.2.23" })]);
    let names = trail
        .rows("SELECT DISTINCT username FROM audit.failed_logins_by_account WHERE ips > 1 ORDER BY 1")
        .await;
    assert_eq!(names, [json!({ "username": "new" }), json!({ "username": "still" })]);
    assert_eq!(trail.rows("SELECT DISTINCT ip FROM audit.spraying").await.len(), 2);
    assert_eq!(trail.rows("SELECT DISTINCT username FROM audit.stuffing").await.len(), 2);
}

#[tokio::test]
async fn spraying_is_one_network_at_many_names_within_an_hour() {
    let trail = Trail::new().await;
    for number in 0..5 {
        let name = format!("user{number}");
        trail.tell(number * 800, "auth.login.failed", failed(&name, "192.0.2.7", "unknown_user")).await;
        // Almost: five names, but the last in the next hour; one name five times; five addresses.
        let late = if number == 4 { 3600 } else { number };
        trail.tell(late, "auth.login.failed", failed(&name, "192.0.2.8", "unknown_user")).await;
        trail.tell(number, "auth.login.failed", failed("ada", "192.0.2.9", "unknown_user")).await;
        trail
            .tell(number, "auth.login.failed", failed(&name, &format!("198.51.100.{number}"), "limited"))
            .await;
        // Many names that got in are no spraying.
        trail.tell(number, "auth.login.succeeded", login(number, 1, "192.0.2.10")).await;
    }
    trail.tell(10, "auth.login.succeeded", login(3, 9, "192.0.2.7")).await;
    let row = trail.row(&trail.summed("spraying", 0)).await;
    let names = ["ip", "accounts", "failures", "usernames", "logins", "logged_in"];
    let expected = json!(["192.0.2.7", 5, 5, ["user0", "user1", "user2", "user3", "user4"], 1, ["user3"]]);
    assert_eq!(members(&[row], &names), [expected]);
}

#[tokio::test]
async fn stuffing_is_one_name_from_many_networks_within_an_hour() {
    let trail = Trail::new().await;
    for number in 0..5 {
        let ip = format!("192.0.2.{number}");
        trail.tell(number * 800, "auth.login.failed", failed("ada", &ip, "wrong_password")).await;
        let late = if number == 4 { 3600 } else { number };
        trail.tell(late, "auth.login.failed", failed("bob", &ip, "wrong_password")).await;
        // Five addresses of one /64 are one client.
        let near = format!("2001:db8::{number}");
        trail.tell(number, "auth.login.failed", failed("eve", &near, "wrong_password")).await;
    }
    let row = trail.row(&trail.summed("stuffing", 0)).await;
    assert_eq!(members(&[row], &["username", "ips", "failures", "logins"]), [json!(["ada", 5, 5, 0])]);
}

#[tokio::test]
async fn a_success_after_failures_had_three_of_them_within_the_hour_before() {
    let trail = Trail::new().await;
    let try_of = |user: i64, count: i64, ip: &str| json!({ "user_id": user, "username": "x", "reason": "limited", "count": count, "ip": ip });
    // User 1: two and a tally of one. User 2: one of three too old by a millisecond. User 3: one of three after the login.
    // User 4: the failures are another's.
    trail
        .tell(1, "auth.login.failed", json!({ "user_id": 1, "reason": "wrong_password", "ip": "192.0.2.1" }))
        .await;
    trail.tell(2, "auth.login.failed", try_of(1, 2, "192.0.2.9")).await;
    let early = trail.at(0) - TimeDelta::milliseconds(1);
    trail.tell_at(early, "auth.login.failed", try_of(2, 1, "192.0.2.1")).await;
    trail.tell(1, "auth.login.failed", try_of(2, 2, "192.0.2.1")).await;
    trail.tell(3, "auth.login.failed", try_of(3, 2, "192.0.2.1")).await;
    trail.tell(3601, "auth.login.failed", try_of(3, 1, "192.0.2.1")).await;
    for user in 1..=4 {
        trail.tell(3600, "auth.login.succeeded", login(user, 1, "192.0.2.1")).await;
    }
    let row = trail.row("SELECT * FROM audit.success_after_failures").await;
    let expected = json!([1, 3, ["192.0.2.1", "192.0.2.9"], true]);
    assert_eq!(members(&[row], &["user_id", "failures", "networks", "failed_from_same_network"]), [expected]);
}

#[tokio::test]
async fn an_address_is_new_if_the_user_did_not_log_in_from_it_for_ninety_days() {
    let trail = Trail::new().await;
    let day = 86_400;
    for (seconds, user, ip) in [
        (-100 * day, 1, "192.0.2.1"), // his first
        (-50 * day, 1, "192.0.2.2"),  // new
        (-49 * day, 1, "192.0.2.2"),  // known
        (0, 1, "192.0.2.1"),          // 100 days ago does not count
        (1, 1, "192.0.2.2"),          // 49 days ago does
        (2, 2, "192.0.2.2"),          // another's first
        (3, 1, "2001:db8::1"),        // new
        (4, 1, "2001:db8::2"),        // the same /64
    ] {
        trail.tell(seconds, "auth.login.succeeded", login(user, 1, ip)).await;
    }
    trail
        .tell(-10 * day, "auth.login.failed", json!({ "user_id": 1, "username": "user1", "ip": "192.0.2.1" }))
        .await;
    let rows = trail.rows("SELECT * FROM audit.new_ip_logins ORDER BY event_id").await;
    let expected = [
        json!([1, "192.0.2.1", null]),
        json!([1, "192.0.2.2", "192.0.2.1"]),
        json!([1, "192.0.2.1", "192.0.2.2"]),
        json!([2, "192.0.2.2", null]),
        json!([1, "2001:db8::1", "192.0.2.2"]),
    ];
    assert_eq!(members(&rows, &["user_id", "ip", "last_login_ip"]), expected);
}
