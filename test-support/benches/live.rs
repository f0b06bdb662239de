//! 200 sockets on two replicas while 500 tasks a second are changed: `cargo xtask bench live`.
//!
//! Fifty users watch with four sockets each, two on either replica. Changes (of ten: seven renamings, two new tasks, one
//! deletion) go by HTTP to both replicas in turn, at fixed instants, whatever the ones before take. Each socket ends with
//! exactly its user's tasks as the database has them, and fails the run if a task goes back to an older version.
//!
//! From commit to screen, by one clock, in two ways, since the commit itself can't be seen from here: from the change's
//! `updated_at`, which is taken before its statement, to the message's arrival (an upper bound, all messages); and from the
//! answer to the change, which comes right after its commit (a message may arrive before its answer: that counts as zero).
//! Changes that a later one overtook are counted in neither.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark ends at a fault and prints what it found"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::{EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::entropy::Entropy;
use sqlx::PgPool;
use test_support::api::{Client, send};
use test_support::distribution::Distribution;
use test_support::live::{Heard, Stream};
use test_support::machine::load;
use test_support::programs::{Program, RunningProgram, SIGNING_KEY};
use test_support::{TestBroker, TestDatabase, eventually};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout};
use uuid::Uuid;

const USERS: i64 = 50;
const SOCKETS_OF_USER: usize = 4;
const TASKS_OF_USER: i64 = 20;
const A_SECOND: u32 = 500;
const SECONDS: u32 = 20;
const IDLE: usize = 2_000;
const WARM: usize = 200;
const DEADLINE: Duration = Duration::from_mins(2);
/// The list holds all of a user's tasks, so that a screen can be compared with the database.
const LIMIT: usize = 100;

/// When a version of a task was answered, and when it arrived at each socket.
#[derive(Default)]
struct Times {
    answered: HashMap<(i64, i64), Instant>,
    arrived: HashMap<(i64, i64), Vec<Instant>>,
    since_updated_at: Vec<Duration>,
}

type Tasks = BTreeMap<i64, (i64, String)>;

#[tokio::main]
async fn main() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let replica = |name: &str| {
        let program = Program::producer_api(&database, &broker).env("INSTANCE_NAME", name);
        program.env("SESSION_POLICY", "unlimited").env("RUST_LOG", "warn").env("LIVE_SOCKETS_PER_USER", "100")
    };
    let start = async || {
        let replicas = [replica("a").start().await, replica("b").start().await];
        for replica in &replicas {
            wait_until_it_listens(replica).await;
        }
        replicas
    };
    let users = make_users(database.pool()).await;
    // On programs of their own: what idle sockets left behind would be taken for what the others need.
    idle_sockets(&start().await, &users).await;
    let replicas = start().await;
    let before = memory(&replicas);
    let times = Arc::new(Mutex::new(Times::default()));
    let (is_over, over) = watch::channel(false);
    let mut watching = JoinSet::new();
    for (user, token) in &users {
        for nth in 0..SOCKETS_OF_USER {
            let stream = Stream::at(&replicas[nth % 2].url(), token, LIMIT).await;
            watching.spawn(watch_tasks(*user, stream, times.clone(), over.clone()));
        }
    }
    let sockets = watching.len();
    println!("{sockets} sockets of {USERS} users are open; load {}", load());

    let made = change_tasks(&replicas, &users, &times).await;
    let asked = usize::try_from(A_SECOND * SECONDS).unwrap();
    print_pace(&made);
    wait_until_all_is_sent(database.pool()).await;
    is_over.send_replace(true);
    let screens = watching.join_all().await;
    let (shown, lists) = (screens.len(), screens.iter().map(|(_, _, lists)| lists - 1).sum::<usize>());
    for (user, screen, _) in screens {
        assert_eq!(screen, tasks_of(database.pool(), user).await, "the screen of user {user}");
    }
    println!(
        "each of {shown} screens shows what the database has; no task went back; {lists} lists came again"
    );
    print_times(&times.lock().unwrap());
    println!(
        "both replicas hold {} kB, and held {before} kB before: {} kB for each of {sockets} sockets, what they were \
         told and all that was done for it included",
        memory(&replicas),
        per_socket(before, &replicas, sockets)
    );
    assert_eq!(made.good(), asked, "answers by status: {:?}", made.answers);
    assert!(
        made.kept_pace(),
        "this machine can't change {A_SECOND} tasks a second: the figures mean nothing"
    );
}

/// How the changes went.
struct Made {
    /// How many answers there were of each status.
    answers: BTreeMap<u16, usize>,
    /// From the first request to the last one's beginning, and to the last answer.
    all_sent_after: Duration,
    answered: Duration,
    /// How much later than at its instant each request began.
    late: Vec<Duration>,
    took: Vec<Duration>,
}

impl Made {
    fn good(&self) -> usize {
        self.answers.iter().filter(|(status, _)| (200..300).contains(*status)).map(|(_, count)| count).sum()
    }

    /// Whether the requests began at their instants, and the answers did not fall behind.
    fn kept_pace(&self) -> bool {
        self.answered < Duration::from_secs(SECONDS.into()) + Duration::from_secs(2)
    }
}

fn print_pace(made: &Made) {
    let rate = usize_as_f64(made.good()) / made.answered.as_secs_f64();
    println!(
        "{rate:.0} changes a second: all sent within {:.1} s, answered within {:.1} s, answers by status {:?}; load {}",
        made.all_sent_after.as_secs_f64(),
        made.answered.as_secs_f64(),
        made.answers,
        load()
    );
    println!("requests began later than at their instants by: {}", Distribution::of(made.late.clone()));
    println!("a change's request to its answer:               {}", Distribution::of(made.took.clone()));
}

fn usize_as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

fn print_times(times: &Times) {
    let mut durations = Vec::new();
    for (version, answered) in &times.answered {
        let arrivals = times.arrived.get(version).into_iter().flatten();
        durations.extend(arrivals.map(|arrived| arrived.saturating_duration_since(*answered)));
    }
    let told = times.answered.len() * SOCKETS_OF_USER;
    println!("{} of {told} changes were told by themselves, the others within a later one", durations.len());
    println!(
        "from a change's updated_at to its message: {}",
        Distribution::of(times.since_updated_at.clone())
    );
    println!("from a change's answer to its message:     {}", Distribution::of(durations));
}

/// Opens many more, which hear of nothing, and says what each costs.
async fn idle_sockets(replicas: &[RunningProgram; 2], users: &[(i64, String)]) {
    // What the first few make a program allocate once is no socket's price.
    let _warm = open_streams(replicas, users, WARM).await;
    let before = memory(replicas);
    let _streams = open_streams(replicas, users, IDLE).await;
    println!("{IDLE} idle sockets: {} kB each; load {}", per_socket(before, replicas, IDLE), load());
}

async fn open_streams(replicas: &[RunningProgram; 2], users: &[(i64, String)], count: usize) -> Vec<Stream> {
    let mut streams = Vec::new();
    for nth in 0..count {
        // Each user has streams on either replica.
        let (_, token) = &users[nth / 2 % users.len()];
        streams.push(Stream::at(&replicas[nth % 2].url(), token, 4).await);
    }
    streams
}

/// Reads until nothing has come for a while after the changes are over; gives what the screen shows.
async fn watch_tasks(
    user: i64,
    mut stream: Stream,
    times: Arc<Mutex<Times>>,
    mut over: watch::Receiver<bool>,
) -> (i64, Tasks, usize) {
    let quiet = Duration::from_secs(3);
    loop {
        let heard = tokio::select! {
            heard = stream.heard() => Ok(heard),
            () = until(&mut over) => timeout(quiet, stream.heard()).await,
        };
        let Ok(heard) = heard else { return (user, stream.screen.tasks.clone(), stream.screen.lists) };
        let Heard::Message(message) = heard else { unreachable!("a socket was closed: {heard:?}") };
        note(&message, &times);
    }
}

async fn until(over: &mut watch::Receiver<bool>) {
    // The sender outlives every socket.
    let _ = over.wait_for(|is_over| *is_over).await;
}

fn note(message: &Value, times: &Mutex<Times>) {
    let arrived = Instant::now();
    let told = if message["type"] == "changed" { &message["task"] } else { message };
    let mut times = times.lock().unwrap();
    if let (Some(id), Some(version)) = (told["id"].as_i64(), told["version"].as_i64()) {
        times.arrived.entry((id, version)).or_default().push(arrived);
    }
    if let Some(updated_at) = told["updated_at"].as_str() {
        let updated_at: DateTime<Utc> = updated_at.parse().unwrap();
        times.since_updated_at.push((Clock::system().now() - updated_at).to_std().unwrap_or_default());
    }
}

async fn wait_until_it_listens(replica: &RunningProgram) {
    let client = replica.client();
    eventually(DEADLINE, "a replica that hears of changes", async || {
        let checks = client.readyz().await.body["checks"].clone();
        (checks["live changes"] == "up" && checks["relay"] == "up" && checks["revocations"] == "up")
            .then_some(())
    })
    .await;
}

/// Changes tasks at fixed instants, also where earlier ones are still waiting for their answer.
async fn change_tasks(
    replicas: &[RunningProgram; 2],
    users: &[(i64, String)],
    times: &Arc<Mutex<Times>>,
) -> Made {
    let clients = replicas.each_ref().map(RunningProgram::client);
    let began = Instant::now();
    let mut ticks = interval_at(began, Duration::from_secs(1) / A_SECOND);
    let (mut running, mut late) = (JoinSet::new(), Vec::new());
    // Each user's changes are chosen from what he has had from the beginning: renamed by many, deleted once.
    let mut deleted: HashMap<usize, i64> = HashMap::new();
    for nth in 0..usize::try_from(A_SECOND * SECONDS).unwrap() {
        late.push(ticks.tick().await.elapsed());
        let (client, place) = (clients[nth % 2].clone(), nth % users.len());
        let (_, token) = users[place].clone();
        let first = i64::try_from(place).unwrap() * TASKS_OF_USER + 1;
        let kind = (nth / users.len()) % 10;
        let gone = deleted.entry(place).or_default();
        let task = match kind {
            0 if *gone < TASKS_OF_USER / 2 => {
                *gone += 1;
                Some((Method::DELETE, first + *gone - 1))
            }
            1 | 2 => None,
            _ => Some((
                Method::PATCH,
                first + TASKS_OF_USER / 2 + i64::try_from(nth).unwrap() % (TASKS_OF_USER / 2),
            )),
        };
        running.spawn(change(client, token, task, times.clone()));
    }
    let all_sent_after = began.elapsed();
    let (mut answers, mut took) = (BTreeMap::new(), Vec::new());
    for (status, duration) in running.join_all().await {
        *answers.entry(status).or_default() += 1;
        took.push(duration);
    }
    Made { answers, all_sent_after, answered: began.elapsed(), late, took }
}

async fn change(
    client: Client,
    token: String,
    task: Option<(Method, i64)>,
    times: Arc<Mutex<Times>>,
) -> (u16, Duration) {
    let began = Instant::now();
    let title = format!("title {}", Entropy::system().uuid_v4().simple());
    let request = match &task {
        Some((method, task)) => client.request(method.clone(), &format!("/api/tasks/{task}/")),
        None => client.request(Method::POST, "/api/tasks/"),
    };
    let body = match &task {
        Some(_) => json!({ "title": title }),
        None => json!({ "title": title, "duration": "60" }),
    };
    let answer = send(request.bearer_auth(&token).json(&body)).await;
    let answered = Instant::now();
    if let (Some(id), Some(version)) = (answer.body["id"].as_i64(), answer.body["version"].as_i64()) {
        times.lock().unwrap().answered.insert((id, version), answered);
    }
    (answer.status, answered - began)
}

async fn wait_until_all_is_sent(database: &PgPool) {
    eventually(DEADLINE, "an empty outbox", async || {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE exchange = 'task.events'")
            .fetch_one(database)
            .await
            .unwrap();
        (left == 0).then_some(())
    })
    .await;
}

async fn tasks_of(database: &PgPool, user: i64) -> Tasks {
    let rows: Vec<(i64, i64, String)> =
        sqlx::query_as("SELECT id, version, title FROM tasks WHERE user_id = $1")
            .bind(user)
            .fetch_all(database)
            .await
            .unwrap();
    rows.into_iter().map(|(id, version, title)| (id, (version, title))).collect()
}

/// Users with a session and tasks each, without the price of a password; gives their access tokens.
async fn make_users(database: &PgPool) -> Vec<(i64, String)> {
    let users = "INSERT INTO users (username, email, password, date_joined) \
                 SELECT 'user ' || n, '', '!', now() FROM generate_series(1, $1) AS n";
    sqlx::query(users).bind(USERS).execute(database).await.unwrap();
    let sessions: Vec<(Uuid, i64)> = sqlx::query_as(
        "INSERT INTO user_sessions (id, user_id, login_time) \
         SELECT gen_random_uuid(), id, now() FROM users ORDER BY id RETURNING id, user_id",
    )
    .fetch_all(database)
    .await
    .unwrap();
    let tasks = "INSERT INTO tasks (user_id, title, duration, created_at, updated_at) \
                 SELECT user_id, 'title', interval '1 hour', now(), now() \
                 FROM UNNEST($1::bigint[]) WITH ORDINALITY AS one (user_id, place), generate_series(1, $2) ORDER BY place";
    let owners: Vec<i64> = sessions.iter().map(|(_, user)| *user).collect();
    sqlx::query(tasks).bind(&owners).bind(TASKS_OF_USER).execute(database).await.unwrap();
    sqlx::query("ANALYZE").execute(database).await.unwrap();
    let (now, key) = (Clock::system().now().timestamp(), EncodingKey::from_secret(SIGNING_KEY.as_bytes()));
    let token = |(session, user): &(Uuid, i64)| {
        let jti = Entropy::system().uuid_v4().simple().to_string();
        let claims = json!({
            "token_type": "access", "iat": now, "exp": now + 3_600, "jti": jti,
            "user_id": user.to_string(), "sid": session,
        });
        (*user, encode(&Header::default(), &claims, &key).unwrap())
    };
    sessions.iter().map(token).collect()
}

/// The resident memory of both replicas together, in kB.
fn memory(replicas: &[RunningProgram; 2]) -> usize {
    replicas.iter().map(|replica| test_support::machine::resident_kilobytes(replica.pid())).sum()
}

fn per_socket(before: usize, replicas: &[RunningProgram; 2], sockets: usize) -> usize {
    memory(replicas).saturating_sub(before) / sockets
}
