//! Whether an answer, or the time it takes, tells who has an account: `cargo xtask bench who_exists`.
//!
//! Registering with an address, asking for a new password, asking for a link again: each for addresses of every kind, one
//! request at a time, each address once. A round has one of each kind, in random order, so that whatever drifts hits all
//! alike. It ends with exit code 1 if the answers of one question differ in status, headers or body; of the times it prints
//! what there is to judge by. Logins are measured by `refused_logins`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark ends at a fault and prints what it found"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use shared::entropy::Entropy;
use sqlx::PgPool;
use test_support::api::{Client, PASSWORD};
use test_support::distribution::Distribution;
use test_support::machine::load;
use test_support::programs::Program;
use test_support::{TestBroker, TestDatabase};
use tokio::time::Instant;

/// Rounds before the first one that counts: connections, caches and plans of statements are made in them.
const WARM_UP: usize = 20;
/// What is different from one request to the next by its nature.
const OF_THE_REQUEST: [&str; 2] = ["date", "x-request-id"];
/// Below no id of an account: so all have as many digits.
const FIRST_ID: i64 = 100_000;

/// An endpoint that is given an address.
struct Question {
    path: &'static str,
    status: u16,
    rounds: usize,
    /// The first is what the others are compared with.
    kinds: &'static [Kind],
}

/// What may be known of an address.
struct Kind {
    name: &'static str,
    /// The accounts that have it.
    accounts: &'static [Account],
    /// How often the question is asked for it beforehand.
    asked_before: usize,
}

struct Account {
    is_active: bool,
    is_verified: bool,
}

const VERIFIED: Account = Account { is_active: true, is_verified: true };
const UNVERIFIED: Account = Account { is_active: true, is_verified: false };
const DISABLED: Account = Account { is_active: false, is_verified: true };

const QUESTIONS: [Question; 3] = [
    Question {
        path: "/api/register/",
        status: 201,
        rounds: 250,
        kinds: &[
            Kind { name: "fresh", accounts: &[], asked_before: 0 },
            Kind { name: "verified by another account", accounts: &[VERIFIED], asked_before: 0 },
            Kind { name: "of another, unverified", accounts: &[UNVERIFIED], asked_before: 0 },
        ],
    },
    Question {
        path: "/api/password/reset/",
        status: 202,
        rounds: 400,
        kinds: &[
            Kind { name: "unknown", accounts: &[], asked_before: 0 },
            Kind { name: "verified", accounts: &[VERIFIED], asked_before: 0 },
            Kind { name: "unverified", accounts: &[UNVERIFIED], asked_before: 0 },
            Kind { name: "disabled", accounts: &[DISABLED], asked_before: 0 },
            Kind { name: "verified, had its five mails", accounts: &[VERIFIED], asked_before: 5 },
            Kind { name: "unverified, of two", accounts: &[UNVERIFIED, UNVERIFIED], asked_before: 0 },
            Kind { name: "unverified, of three", accounts: &[UNVERIFIED; 3], asked_before: 0 },
        ],
    },
    Question {
        path: "/api/email/verify/resend/",
        status: 202,
        rounds: 400,
        kinds: &[
            Kind { name: "unknown", accounts: &[], asked_before: 0 },
            Kind { name: "unverified", accounts: &[UNVERIFIED], asked_before: 0 },
            Kind { name: "verified", accounts: &[VERIFIED], asked_before: 0 },
            Kind { name: "disabled", accounts: &[DISABLED], asked_before: 0 },
            Kind { name: "unverified, had its five mails", accounts: &[UNVERIFIED], asked_before: 5 },
            Kind { name: "unverified, of three", accounts: &[UNVERIFIED; 3], asked_before: 0 },
        ],
    },
];

#[tokio::main]
async fn main() -> ExitCode {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    begin_ids(database.pool()).await;
    // All questions come from one address; what is measured is that each is answered.
    let api = Program::producer_api(&database, &broker).env("MAIL_REQUESTS_PER_ADDRESS", "0").start().await;
    let client = api.client();
    let mut same = true;
    for (number, question) in QUESTIONS.iter().enumerate() {
        make_accounts(database.pool(), number, question).await;
        same &= measure(&client, number, question).await;
    }
    if same { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn begin_ids(database: &PgPool) {
    let begin = "SELECT setval(pg_get_serial_sequence('users', 'id'), $1)";
    sqlx::query(begin).bind(FIRST_ID).execute(database).await.unwrap();
}

/// The same length for all, nothing in common but the beginning.
fn address(question: usize, kind: usize, round: usize) -> String {
    format!("{}{round:04}@example.com", prefix(question, kind))
}

fn prefix(question: usize, kind: usize) -> String {
    format!("q{question}k{kind}n")
}

async fn make_accounts(database: &PgPool, number: usize, question: &Question) {
    let statement = "INSERT INTO users (username, email, password, date_joined, is_active, email_verified_at) \
                     SELECT 'has-' || $1 || n || $2, $1 || lpad(n::text, 4, '0') || '@example.com', '!', now(), $3, \
                     CASE WHEN $4 THEN now() END FROM generate_series(0, $5 - 1) AS n";
    for (kind, Kind { accounts, .. }) in question.kinds.iter().enumerate() {
        for (account, which) in accounts.iter().zip(["a", "b", "c"]) {
            let insert = sqlx::query(statement).bind(prefix(number, kind)).bind(which);
            let insert = insert.bind(account.is_active).bind(account.is_verified);
            insert.bind(i32::try_from(WARM_UP + question.rounds).unwrap()).execute(database).await.unwrap();
        }
    }
    sqlx::query("ANALYZE users").execute(database).await.unwrap();
}

/// Whether all were answered the same.
async fn measure(client: &Client, number: usize, question: &Question) -> bool {
    for round in 0..WARM_UP + question.rounds {
        for (kind, Kind { asked_before, .. }) in question.kinds.iter().enumerate() {
            for _ in 0..*asked_before {
                ask(client, question, &address(number, kind, round)).await;
            }
        }
    }
    println!("\nPOST {}, {} requests of each kind; load {}", question.path, question.rounds, load());
    let entropy = Entropy::system();
    let mut taken: Vec<Vec<Duration>> = vec![Vec::new(); question.kinds.len()];
    let mut answers: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for round in 0..WARM_UP + question.rounds {
        let mut kinds: Vec<_> = question.kinds.iter().enumerate().collect();
        kinds.sort_by_cached_key(|_| entropy.uuid_v4());
        for (kind, Kind { name, .. }) in kinds {
            let (answer, duration) = ask(client, question, &address(number, kind, round)).await;
            answers.entry(answer).or_default().insert(name);
            if round >= WARM_UP {
                taken[kind].push(duration);
            }
        }
    }
    tell_times(question.kinds, taken);
    tell_answers(&answers)
}

/// The answer but for what is the request's own, and how long it took to its last byte.
async fn ask(client: &Client, question: &Question, email: &str) -> (String, Duration) {
    let registers = question.path == "/api/register/";
    let username = format!("new-{}", email.split('@').next().unwrap());
    let body = if registers {
        json!({ "username": username, "email": email, "password": PASSWORD })
    } else {
        json!({ "email": email })
    };
    let request = client.request(Method::POST, question.path).json(&body);
    let began = Instant::now();
    let response = request.send().await.unwrap();
    let head = head(&response);
    assert_eq!(response.status(), question.status, "{email}");
    let text = response.text().await.unwrap();
    let duration = began.elapsed();
    let mut text = text.replace(&username, "<username>").replace(email, "<email>");
    if registers {
        let id = serde_json::from_str::<Value>(&text).unwrap()["id"].to_string();
        text = text.replacen(&id, "<id>", 1);
    }
    (format!("{head}\n{text}"), duration)
}

/// Status and headers, but for those that differ by their nature.
fn head(response: &Response) -> String {
    let headers = response.headers().iter().filter(|(name, _)| !OF_THE_REQUEST.contains(&name.as_str()));
    let mut lines: Vec<_> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
    lines.sort();
    format!("{}\n{}", response.status(), lines.join("\n"))
}

fn tell_times(kinds: &[Kind], taken: Vec<Vec<Duration>>) {
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    let mut first = None;
    for (Kind { name, .. }, durations) in kinds.iter().zip(taken) {
        let distribution = Distribution::of(durations);
        let (median, deviation) =
            (milliseconds(distribution.median()), milliseconds(distribution.median_deviation()));
        let (first_median, first_deviation) = *first.get_or_insert((median, deviation));
        let difference = median - first_median;
        println!(
            "  {name:30} median {median:6.2} ms, median deviation {deviation:5.2} ms, difference {difference:+6.2} ms: \
             {:+5.2} of the deviation",
            difference / first_deviation,
        );
    }
}

fn tell_answers(answers: &BTreeMap<String, BTreeSet<&str>>) -> bool {
    if let [(answer, _)] = answers.iter().collect::<Vec<_>>()[..] {
        println!("  status, headers and body are the same for all: {}", answer.replace('\n', " | "));
        return true;
    }
    println!("  The answers DIFFER:");
    for (answer, kinds) in answers {
        let kinds: Vec<_> = kinds.iter().copied().collect();
        println!("  --- {}:\n{answer}", kinds.join("; "));
    }
    false
}
