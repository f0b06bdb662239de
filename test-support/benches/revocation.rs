//! How soon a logout on one replica is effective on another, at 200 logouts a second:
//! `cargo xtask bench revocation`.
//!
//! The sessions are made beforehand and known to the other replica. Logouts begin at fixed instants, whatever the ones
//! before take. From the answer on, the other replica is asked until it refuses; that refusal's arrival counts.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark ends at a fault and prints what it found"
)]

use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::json;
use shared::clock::Clock;
use shared::entropy::Entropy;
use sqlx::PgPool;
use test_support::api::{Client, send};
use test_support::distribution::Distribution;
use test_support::machine::load;
use test_support::programs::{Program, RunningProgram, SIGNING_KEY};
use test_support::{TestBroker, TestDatabase, eventually};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep};
use uuid::Uuid;

const LOGOUTS: i64 = 4_000;
const USERS: i64 = 400;
const A_SECOND: u32 = 200;
const DEADLINE: Duration = Duration::from_mins(2);
/// Between two questions to the other replica; it is part of what is measured.
const PAUSE: Duration = Duration::from_millis(1);

/// Of a logout that was answered 200.
struct Measured {
    answered: Duration,
    effective: Duration,
    in_all: Duration,
}

#[tokio::main]
async fn main() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let replica = |name: &str| {
        let program = Program::producer_api(&database, &broker).env("INSTANCE_NAME", name);
        program.env("SESSION_POLICY", "unlimited")
    };
    let replicas = [replica("a").start().await, replica("b").start().await];
    let tokens = make_sessions(database.pool()).await;
    for replica in &replicas {
        wait_until_it_listens(replica).await;
    }
    let [a, b] = replicas.each_ref().map(RunningProgram::client);
    for token in &tokens {
        assert!(accepts(&b, token).await);
    }
    println!("{LOGOUTS} sessions of {USERS} users are known to the other replica; load {}", load());

    let mut ticks = interval_at(Instant::now(), Duration::from_secs(1) / A_SECOND);
    let mut running = JoinSet::new();
    for token in tokens {
        let due = ticks.tick().await;
        running.spawn(log_out(a.clone(), b.clone(), token, due));
    }
    let measured: Vec<Measured> = running.join_all().await.into_iter().flatten().collect();
    let of = |part: fn(&Measured) -> Duration| Distribution::of(measured.iter().map(part));
    println!(
        "{} of {LOGOUTS} logouts were answered 200, at {A_SECOND} a second; load {}",
        measured.len(),
        load()
    );
    println!("from a logout's answer to the other's refusal: {}", of(|one| one.effective));
    println!("from the instant it was due to that refusal:   {}", of(|one| one.in_all));
    println!("from the instant it was due to its answer:     {}", of(|one| one.answered));
}

async fn wait_until_it_listens(replica: &RunningProgram) {
    let client = replica.client();
    eventually(DEADLINE, "a replica that reads and hears of revocations", async || {
        let checks = client.readyz().await.body["checks"].clone();
        (checks["revocations"] == "up" && checks["revocation notices"] == "up").then_some(())
    })
    .await;
}

async fn log_out(a: Client, b: Client, token: String, due: Instant) -> Option<Measured> {
    let answer = send(a.request(Method::POST, "/api/logout/").bearer_auth(&token)).await;
    let answered = Instant::now();
    if answer.status != 200 {
        return None;
    }
    while accepts(&b, &token).await {
        sleep(PAUSE).await;
    }
    Some(Measured { answered: answered - due, effective: answered.elapsed(), in_all: due.elapsed() })
}

/// A task without anything: accepted tokens get 400 for it, without a look at any table.
async fn accepts(client: &Client, token: &str) -> bool {
    let answer = send(client.request(Method::POST, "/api/tasks/").bearer_auth(token).json(&json!({}))).await;
    assert!([400, 401].contains(&answer.status), "{}", answer.body);
    answer.status == 400
}

/// Sessions as logins make them, without the price of a password each; gives their access tokens.
async fn make_sessions(database: &PgPool) -> Vec<String> {
    let users = "INSERT INTO users (username, email, password, date_joined) \
                 SELECT 'user ' || n, '', '!', now() FROM generate_series(1, $1) AS n";
    sqlx::query(users).bind(USERS).execute(database).await.unwrap();
    let sessions: Vec<(Uuid, i64)> = sqlx::query_as(
        "INSERT INTO user_sessions (id, user_id, login_time) \
         SELECT gen_random_uuid(), (SELECT id FROM users WHERE username = 'user ' || 1 + n % $2), now() \
         FROM generate_series(1, $1) AS n RETURNING id, user_id",
    )
    .bind(LOGOUTS)
    .bind(USERS)
    .fetch_all(database)
    .await
    .unwrap();
    let tokens = "INSERT INTO outstanding_tokens (jti, user_id, session_id, created_at, expires_at, kept_until) \
                  SELECT id, user_id, id, now(), now() + interval '1 day', now() + interval '2 days' \
                  FROM user_sessions";
    sqlx::query(tokens).execute(database).await.unwrap();
    sqlx::query("ANALYZE").execute(database).await.unwrap();
    let (now, key) = (Clock::system().now().timestamp(), EncodingKey::from_secret(SIGNING_KEY.as_bytes()));
    let token = |(session, user): &(Uuid, i64)| {
        let jti = Entropy::system().uuid_v4().simple().to_string();
        let claims = json!({
            "token_type": "access", "iat": now, "exp": now + 3_600, "jti": jti,
            "user_id": user.to_string(), "sid": session,
        });
        encode(&Header::default(), &claims, &key).unwrap()
    };
    sessions.iter().map(token).collect()
}
