//! What a flood of logins costs in memory, and whether others are served meanwhile: `cargo xtask bench login_flood`.
//!
//! Each flood is 300 logins at once on two hashing permits. Resident memory must stay below that of the idle program plus
//! 19 MiB for each permit plus 32 MiB. Two other endpoints are asked at a steady rate, from fixed instants on, whatever the
//! answers before take. It ends with exit code 1 if the memory is exceeded, another endpoint does not answer 200, or a login
//! is answered 503 without `Retry-After`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark ends at a fault and prints what it found"
)]

use std::collections::BTreeMap;
use std::fs;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use reqwest::Method;
use test_support::api::{Client, Login, PASSWORD, try_send};
use test_support::distribution::Distribution;
use test_support::machine::load;
use test_support::programs::{Program, RunningProgram};
use test_support::{TestBroker, TestDatabase};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep};

const LOGINS: usize = 300;
/// So many have the name of the same user.
const USERS: usize = 30;
/// One after the other on the same program: its memory must not grow from one to the next either.
const FLOODS: usize = 3;
const PERMITS: u32 = 2;
/// In MiB, as `VmRSS` is in KiB: what a hash may take, and what all else that a flood needs may.
const HASH: f64 = 19.0;
const ALLOWANCE: f64 = 32.0;
/// Of each endpoint.
const QUESTIONS_A_SECOND: u32 = 50;
/// How long the endpoints are asked before the first flood, to compare with.
const QUIET: Duration = Duration::from_secs(5);
const TASKS: &str = "GET /api/tasks/";
const READYZ: &str = "GET /readyz";

/// What all logins of a flood have in common, and the program that they meet.
struct Flood {
    name: &'static str,
    password: &'static str,
    queue: &'static str,
}

const OF_FLOODS: [Flood; 3] = [
    Flood { name: "right passwords", password: PASSWORD, queue: "512" },
    Flood { name: "wrong passwords", password: "not this one", queue: "512" },
    Flood { name: "wrong passwords, a short queue", password: "not this one", queue: "50" },
];

/// What the endpoints answered: status (none: no answer came) and time from the instant at which each question was due.
type Answers = BTreeMap<(&'static str, Option<u16>), Vec<Duration>>;

#[tokio::main]
async fn main() -> ExitCode {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let program = Program::producer_api(&database, &broker)
        .env("HASHING_PERMITS", &PERMITS.to_string())
        // What is measured is that every password is looked at.
        .env("LOGIN_FAILURES_PER_ACCOUNT", "0")
        .env("LOGIN_FAILURES_PER_ADDRESS", "0")
        .env("ACCESS_TOKEN_LIFETIME", "1h");
    let bystander = make_users(program.clone()).await;
    println!("Floods of {LOGINS} logins at once, of {USERS} users, on {PERMITS} permits:");
    let mut good = true;
    for flood in OF_FLOODS {
        good &= measure(&program, &flood, &bystander).await;
    }
    println!("{}", if good { "All as it must be." } else { "NOT as it must be: see above." });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The users of the floods and one more, made by another process than those whose memory is measured.
async fn make_users(program: Program) -> Login {
    let api = program.start().await;
    let client = api.client();
    for number in 0..USERS {
        client.register(&username(number)).await.expect(201);
    }
    let bystander = client.join("bystander").await;
    for title in ["one", "two", "three", "four"] {
        client.create_task(&bystander, title).await.expect(201);
    }
    bystander
}

fn username(number: usize) -> String {
    format!("user-{number}")
}

/// Whether the memory was kept, the others were answered, and those that were sent away were told when to come back.
async fn measure(program: &Program, flood: &Flood, bystander: &Login) -> bool {
    let api = program.clone().env("HASHING_QUEUE", flood.queue).start().await;
    let base = memory(&api, "VmRSS");
    let limit = base + f64::from(PERMITS) * HASH + ALLOWANCE;
    println!("\n{}, HASHING_QUEUE={}; load {}", flood.name, flood.queue, load());
    println!("  idle: {base:.1} MiB, so {limit:.1} MiB are allowed");
    let ((), answers) = while_asking(&api, bystander, sleep(QUIET)).await;
    let mut good = tell_answers(&answers);
    for number in 1..=FLOODS {
        forget_peak(&api);
        let began = Instant::now();
        let (logins, answers) = while_asking(&api, bystander, log_in_at_once(&api, flood.password)).await;
        let (peak, now) = (memory(&api, "VmHWM"), memory(&api, "VmRSS"));
        let verdict = if peak < limit { "kept" } else { "EXCEEDED" };
        good &= peak < limit;
        println!("  flood {number}: {:.1} s", began.elapsed().as_secs_f64());
        println!(
            "    memory: peak {peak:.1} MiB, {:.2} of the allowed: {verdict}; then {now:.1} MiB",
            peak / limit
        );
        good &= tell_logins(logins);
        good &= tell_answers(&answers);
    }
    good
}

/// A line of `/proc/<pid>/status`, in MiB.
fn memory(api: &RunningProgram, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", api.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1_024.0
}

/// `VmHWM` begins again at the present memory: proc(5), `clear_refs`.
fn forget_peak(api: &RunningProgram) {
    fs::write(format!("/proc/{}/clear_refs", api.pid()), "5").unwrap();
}

/// Status, `Retry-After` and time of each login.
async fn log_in_at_once(api: &RunningProgram, password: &'static str) -> Vec<(u16, String, Duration)> {
    let client = api.client();
    let mut logins = JoinSet::new();
    for number in 0..LOGINS {
        let client = client.clone();
        logins.spawn(async move {
            let began = Instant::now();
            let answer = client.try_log_in(&username(number % USERS), password).await;
            (answer.status, answer.header("retry-after").to_owned(), began.elapsed())
        });
    }
    logins.join_all().await
}

/// Asks both endpoints from fixed instants on until `work` is done.
async fn while_asking<T>(api: &RunningProgram, login: &Login, work: impl Future<Output = T>) -> (T, Answers) {
    let client = api.client();
    let mut ticks = interval_at(Instant::now(), Duration::from_secs(1) / QUESTIONS_A_SECOND);
    let mut questions = JoinSet::new();
    let mut work = pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            due = ticks.tick() => {
                for endpoint in [TASKS, READYZ] {
                    questions.spawn(ask(client.clone(), endpoint, login.access.clone(), due));
                }
            }
        }
    };
    let mut answers = Answers::new();
    for (endpoint, status, taken) in questions.join_all().await {
        answers.entry((endpoint, status)).or_default().push(taken);
    }
    (done, answers)
}

async fn ask(
    client: Client,
    endpoint: &'static str,
    token: String,
    due: Instant,
) -> (&'static str, Option<u16>, Duration) {
    let path = endpoint.trim_start_matches("GET ");
    let answer = try_send(client.request(Method::GET, path).bearer_auth(token)).await;
    (endpoint, answer.ok().map(|answer| answer.status), due.elapsed())
}

/// Whether all were answered 200.
fn tell_answers(answers: &Answers) -> bool {
    for ((endpoint, status), taken) in answers {
        let status = status.map_or_else(|| "NO ANSWER".to_owned(), |status| status.to_string());
        println!("    {endpoint:15} {status}: {}", Distribution::of(taken.iter().copied()));
    }
    answers.keys().all(|(_, status)| *status == Some(200))
}

/// Whether each that was sent away was told when to come back.
fn tell_logins(logins: Vec<(u16, String, Duration)>) -> bool {
    let mut by_answer: BTreeMap<(u16, String), Vec<Duration>> = BTreeMap::new();
    for (status, retry_after, taken) in logins {
        by_answer.entry((status, retry_after)).or_default().push(taken);
    }
    for ((status, retry_after), taken) in &by_answer {
        let told =
            if retry_after.is_empty() { String::new() } else { format!(", Retry-After: {retry_after}") };
        println!("    {} logins {status}{told}: {}", taken.len(), Distribution::of(taken.iter().copied()));
    }
    by_answer.keys().all(|(status, retry_after)| *status != 503 || !retry_after.is_empty())
}
