//! The load: users who plan, rename and delete tasks, log in and out, come and leave for good, at a steady pace, and runs for the scheduler. Each
//! attempt bears a name of its own (its user agent, which the trail keeps), so that one whose answer was lost is found again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::contracts::jobs::DEFAULT_QUEUE;
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use shared::runs::{NewRuns, enqueue};
use shared::telemetry::TraceContext;
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::account::Outcome;
use super::newcomers::come_and_go;
use crate::api::{Client, Login, PASSWORD};

/// How many requests may be under way at once.
const PLANNERS: usize = 24;
/// How many users plan.
const USERS: usize = 8;
/// How many tasks one planner keeps.
const TASKS_KEPT: usize = 50;
/// After an outage the load catches up, but no more than this.
const CATCHES_UP_SECONDS: u64 = 10;
/// How long a client leaves its replica alone that gave no answer, or could not: others have the turns meanwhile.
const AVOIDED: Duration = Duration::from_millis(500);
/// How often somebody logs in, or out.
const VISITS: Duration = Duration::from_secs(1);
/// How long after its client gave it up a login may still happen.
const MAY_COME_LATE: Duration = Duration::from_secs(10);
/// How often a run is enqueued.
const RUNS: Duration = Duration::from_millis(500);

/// What was attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Act {
    Create,
    Rename,
    Delete,
    LogIn,
    LogOut,
    Register,
    Refresh,
    Describe,
    Leave,
}

impl Act {
    /// The event that tells of it.
    pub fn event(self) -> &'static str {
        match self {
            Self::Create => "task.created",
            Self::Rename => "task.updated",
            Self::Delete => "task.deleted",
            Self::LogIn => "auth.login.succeeded",
            Self::LogOut => "auth.session.ended",
            Self::Register => "auth.user.registered",
            Self::Refresh => "auth.token.refreshed",
            Self::Describe => "auth.user.updated",
            Self::Leave => "auth.account.deleted",
        }
    }
}

/// An attempt and how it ended.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its name.
    pub name: String,
    /// What.
    pub act: Act,
    /// At which replica of the API, from 1.
    pub replica: usize,
    /// When the request began.
    pub began: Instant,
    /// When it was answered, or not.
    pub ended: Instant,
    /// The status of the answer, if one came.
    pub status: Option<u16>,
}

impl Attempt {
    /// How it ended. A 5xx says that the server does not know, or could not: either way it may have happened.
    pub fn outcome(&self) -> Outcome {
        match self.status {
            Some(200..=299) => Outcome::Acknowledged,
            Some(500..) | None => Outcome::Unsure,
            Some(_) => Outcome::Refused,
        }
    }
}

/// The load's own log.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Every attempt.
    pub attempts: Vec<Attempt>,
    /// Every run that was surely enqueued.
    pub runs: Vec<Uuid>,
    /// When it began.
    pub began_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// How many of those who make it broke down.
    pub broken: usize,
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
}

/// What those share who make it.
#[derive(Debug)]
pub(super) struct Shared {
    clients: Vec<Client>,
    ledger: Mutex<Ledger>,
    began: Instant,
    rate: u32,
    taken: AtomicU64,
    numbers: AtomicU64,
    stop: AtomicBool,
}

impl Load {
    /// Begins `rate` requests a second. Each user has one replica of the API, so that one which stands still holds neither all
    /// users up nor a lock on what another replica's users want; the others make up for its share.
    pub async fn begin(clients: Vec<Client>, rate: u32, seed: u64, database: PgPool) -> Self {
        // The first user has no tasks: the runs print his.
        clients[0].register("nobody").await.expect(201);
        let mut users = Vec::new();
        for number in 0..USERS {
            users.push(clients[0].join(&format!("planner-{number}")).await);
        }
        for number in 0..clients.len() {
            clients[0].register(&visitor(number)).await.expect(201);
        }
        let ledger = Ledger { began_at: Some(Clock::system().now()), ..Ledger::default() };
        let shared = Arc::new(Shared {
            clients,
            ledger: Mutex::new(ledger),
            began: Instant::now(),
            rate,
            taken: AtomicU64::new(0),
            numbers: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let mut workers = JoinSet::new();
        for number in 0..PLANNERS {
            let chance = Entropy::seeded(seed.wrapping_add(u64::try_from(number).unwrap_or_default()));
            let (place, login) = (number % shared.clients.len(), users[number % USERS].clone());
            workers.spawn(plan_tasks(shared.clone(), place, login, chance));
        }
        for place in 0..shared.clients.len() {
            workers.spawn(visit(shared.clone(), place));
            workers.spawn(come_and_go(shared.clone(), place));
        }
        workers.spawn(enqueue_runs(shared.clone(), database));
        Self { shared, workers }
    }

    /// How many attempts were made so far.
    pub fn attempts(&self) -> usize {
        self.shared.ledger().attempts.len()
    }

    /// Ends it, once the requests under way are answered, and gives its log.
    pub async fn end(mut self) -> Ledger {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut broken = 0;
        while let Some(worker) = self.workers.join_next().await {
            broken += usize::from(worker.is_err());
        }
        let ledger = std::mem::take(&mut *self.shared.ledger());
        Ledger { ended_at: Some(Clock::system().now()), broken, ..ledger }
    }
}

impl Shared {
    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits until the next request is due.
    async fn turn(&self) {
        loop {
            let milliseconds = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let due = milliseconds.saturating_mul(self.rate.into()) / 1_000;
            let earliest = due.saturating_sub(CATCHES_UP_SECONDS * u64::from(self.rate));
            self.taken.fetch_max(earliest, Ordering::Relaxed);
            let take = |taken: u64| (taken < due).then_some(taken + 1);
            if self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() || self.is_over() {
                return;
            }
            tokio::time::sleep(Duration::from_secs_f64(1.0 / f64::from(self.rate))).await;
        }
    }

    /// Makes an attempt at a replica and notes it; gives the answer's body if it was acknowledged.
    pub(super) async fn attempt(
        &self,
        place: usize,
        act: Act,
        request: impl FnOnce(&Client, &str) -> RequestBuilder,
    ) -> Option<Value> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let name = format!("fault-suite/{number}");
        let request = request(&self.clients[place], &name).header("User-Agent", &name);
        let began = Instant::now();
        let (status, body) = match request.send().await {
            // The status is known, so whoever asked knows; the body is of use only if it is whole.
            Ok(answer) => (Some(answer.status().as_u16()), answer.json().await.unwrap_or_default()),
            Err(_) => (None, Value::Null),
        };
        let attempt = Attempt { name, act, replica: place + 1, began, ended: Instant::now(), status };
        let outcome = attempt.outcome();
        self.ledger().attempts.push(attempt);
        if outcome == Outcome::Unsure {
            tokio::time::sleep(AVOIDED).await;
        }
        (outcome == Outcome::Acknowledged).then_some(body)
    }
}

async fn plan_tasks(shared: Arc<Shared>, replica: usize, login: Login, chance: Entropy) {
    let mut tasks: Vec<i64> = Vec::new();
    loop {
        shared.turn().await;
        if shared.is_over() {
            return;
        }
        let [drawn, which]: [u8; 2] = chance.bytes();
        let place = usize::from(which) % tasks.len().max(1);
        match drawn {
            _ if tasks.len() < 4 => create(&shared, replica, &login, &mut tasks).await,
            0..100 if tasks.len() < TASKS_KEPT => create(&shared, replica, &login, &mut tasks).await,
            0..140 => delete(&shared, replica, &login, tasks.swap_remove(place)).await,
            _ => rename(&shared, replica, &login, tasks[place]).await,
        }
    }
}

async fn create(shared: &Shared, replica: usize, login: &Login, tasks: &mut Vec<i64>) {
    let request = |client: &Client, name: &str| {
        let task = json!({ "title": name, "duration": "01:00:00" });
        client.request(Method::POST, "/api/tasks/").bearer_auth(&login.access).json(&task)
    };
    if let Some(id) = shared.attempt(replica, Act::Create, request).await.and_then(|task| task["id"].as_i64())
    {
        tasks.push(id);
    }
}

async fn rename(shared: &Shared, replica: usize, login: &Login, task: i64) {
    let request = |client: &Client, name: &str| {
        let path = format!("/api/tasks/{task}/");
        client.request(Method::PATCH, &path).bearer_auth(&login.access).json(&json!({ "title": name }))
    };
    shared.attempt(replica, Act::Rename, request).await;
}

async fn delete(shared: &Shared, replica: usize, login: &Login, task: i64) {
    let request = |client: &Client, _: &str| {
        client.request(Method::DELETE, &format!("/api/tasks/{task}/")).bearer_auth(&login.access)
    };
    shared.attempt(replica, Act::Delete, request).await;
}

/// The name of who visits a replica.
fn visitor(replica: usize) -> String {
    format!("visitor-{replica}")
}

/// Somebody who logs in and out, again and again.
async fn visit(shared: Arc<Shared>, replica: usize) {
    while !shared.is_over() {
        let credentials = json!({ "username": visitor(replica), "password": PASSWORD });
        let request =
            |client: &Client, _: &str| client.request(Method::POST, "/api/login/").json(&credentials);
        let tokens = shared.attempt(replica, Act::LogIn, request).await;
        // One without an answer may still come, of a replica that stood still, and would end the session of the next.
        tokio::time::sleep(if tokens.is_some() { VISITS } else { MAY_COME_LATE }).await;
        if let Some(tokens) = tokens.filter(|tokens| tokens["access"].is_string()) {
            let request = |client: &Client, _: &str| {
                let access = tokens["access"].as_str().unwrap_or_default();
                let body = json!({ "refresh": tokens["refresh"] });
                client.request(Method::POST, "/api/logout/").bearer_auth(access).json(&body)
            };
            shared.attempt(replica, Act::LogOut, request).await;
            tokio::time::sleep(VISITS).await;
        }
    }
}

/// More runs than the one a minute that the schedule makes.
async fn enqueue_runs(shared: Arc<Shared>, database: PgPool) {
    let outbox = Outbox::new("fault-suite", Clock::system(), Entropy::system());
    let args = [json!({ "user_id": 1 })];
    let runs = NewRuns {
        job_key: "print-user-tasks",
        queue: DEFAULT_QUEUE,
        args: &args,
        attempts_max: 50,
        timeout: Duration::from_secs(30),
    };
    while !shared.is_over() {
        let now = Clock::system().now();
        let (entropy, trace) = (Entropy::system(), TraceContext::new(&Entropy::system()));
        let enqueued = async {
            let mut transaction = database.begin().await?;
            let ids = enqueue(&mut transaction, &outbox, &entropy, &trace, &runs, now).await?;
            transaction.commit().await?;
            anyhow::Ok(ids)
        };
        // An attempt that failed may have been committed; nothing is asked of it.
        if let Ok(Ok(ids)) = tokio::time::timeout(Duration::from_secs(10), enqueued).await {
            shared.ledger().runs.extend(ids.iter().map(|id| id.0));
        }
        tokio::time::sleep(RUNS).await;
    }
}

/// How many answers of each status there were; 0 stands for none.
pub fn by_status(attempts: &[Attempt]) -> BTreeMap<u16, usize> {
    let mut statuses = BTreeMap::new();
    for attempt in attempts {
        *statuses.entry(attempt.status.unwrap_or_default()).or_default() += 1;
    }
    statuses
}
