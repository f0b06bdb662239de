//! Whether the time of a refused login tells why it was refused: `cargo xtask bench refused_logins`.
//!
//! One login at a time, the reasons in turn. First without hashes imported from Django, then with one: from then on the
//! floor of `LOGIN_FAILURE_FLOOR` is in force.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark ends at a fault and prints what it found"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use test_support::api::{Client, PASSWORD};
use test_support::distribution::Distribution;
use test_support::programs::Program;
use test_support::{TestBroker, TestDatabase};
use tokio::time::Instant;

/// Of each reason, while they are answered at once.
const LOGINS_AT_ONCE: usize = 200;
/// Of each reason, while the floor makes each take 600 ms.
const LOGINS_ON_THE_FLOOR: usize = 50;
const UNKNOWN: &str = "unknown user";
const WRONG: &str = "wrong password";
const DISABLED: &str = "disabled";
const UNVERIFIED: &str = "unverified";
const IMPORTED: &str = "imported hash, wrong password";
/// What Django 5.2 makes of "the password in Django".
const DJANGO_HASH: &str =
    "pbkdf2_sha256$1000000$O9t4wUUrWmtbjPzV8UdMaP$dbPA87Zq7sWug1EJGfiLhbakAoU7U4VBnkPQ+wa0HGk=";

#[tokio::main]
async fn main() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    // What is measured is that a password was looked at, not that none was: counted, but never too many.
    let api = Program::producer_api(&database, &broker)
        .env("REQUIRE_VERIFIED_EMAIL", "true")
        .env("LOGIN_FAILURES_PER_ACCOUNT", "1000000")
        .env("LOGIN_FAILURES_PER_ADDRESS", "1000000");
    let api = api.start().await;
    let client = api.client();
    for username in [WRONG, DISABLED, UNVERIFIED, IMPORTED] {
        client.register(&username.replace([' ', ','], "_")).await.expect(201);
    }
    let execute = async |statement: &'static str, value: &str| {
        sqlx::query(statement).bind(value).execute(database.pool()).await.unwrap();
    };
    execute("UPDATE users SET email_verified_at = now() WHERE username <> $1", UNVERIFIED).await;
    execute("UPDATE users SET is_active = false WHERE username = $1", DISABLED).await;
    println!("{LOGINS_AT_ONCE} refused logins of each reason, no imported hashes:");
    measure(&client, LOGINS_AT_ONCE, &[UNKNOWN, WRONG, DISABLED, UNVERIFIED]).await;
    execute("UPDATE users SET password = $1 WHERE username LIKE 'imported%'", DJANGO_HASH).await;
    println!("{LOGINS_ON_THE_FLOOR} of each reason, with an imported hash:");
    measure(&client, LOGINS_ON_THE_FLOOR, &[UNKNOWN, WRONG, DISABLED, UNVERIFIED, IMPORTED]).await;
}

async fn measure(client: &Client, logins: usize, reasons: &[&'static str]) {
    let mut taken: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for turn in 0..logins {
        // Another first each time: whoever comes after a slow one must not look different for it.
        for place in 0..reasons.len() {
            let reason = reasons[(turn + place) % reasons.len()];
            let password = if [DISABLED, UNVERIFIED].contains(&reason) { PASSWORD } else { "not this one" };
            let began = Instant::now();
            client.try_log_in(&reason.replace([' ', ','], "_"), password).await.expect(401);
            taken.entry(reason).or_default().push(began.elapsed());
        }
    }
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    for (reason, durations) in taken {
        let distribution = Distribution::of(durations);
        let (median, deviation) = (distribution.median(), distribution.median_deviation());
        println!(
            "  {reason:30} median {:7.2} ms, median deviation {:5.2} ms",
            milliseconds(median),
            milliseconds(deviation)
        );
    }
}
