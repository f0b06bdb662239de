//! What these tests work on: a database, an outbox, and a job of the test's own making.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use scheduler::jobs::{Definition, Job, JobContext, JobResult, MailConfig, Mailer, Printer};
use scheduler::schedule::catalogue::{Occasion, Synced, Told, generation, sync_at};
use scheduler::schedule::{Last, Ticker, TickerMetrics};
use scheduler::worker::rescue::{Rescued, rescue};
use scheduler::worker::{Claim, LeaseSettings, Registry, WorkerMetrics, Workshop, claim, execute};
use shared::clock::Clock;
use shared::config::Reader;
use shared::entropy::Entropy;
use shared::ids::RunId;
use shared::lifecycle::{Health, Standing};
use shared::metrics::Metrics;
use shared::outbox::Outbox;
use shared::role::Role;
use shared::schedules::publish_tick::{Published, publish_ticks};
use sqlx::PgPool;
use test_support::TestDatabase;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The key of the test's own job.
pub(crate) const KEY: &str = "count-sheep";

/// A database and all that the use cases need beside it.
pub(crate) struct Bench {
    pub(crate) database: TestDatabase,
    /// Connections with the rights of the scheduler.
    pub(crate) as_program: PgPool,
    pub(crate) outbox: Outbox,
    pub(crate) entropy: Entropy,
    pub(crate) clock: Clock,
    pub(crate) printed: Printed,
    pub(crate) metrics: Metrics,
}

/// What was printed.
#[derive(Clone, Default)]
pub(crate) struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An instant of a day in May.
pub(crate) fn at(time: &str) -> DateTime<Utc> {
    format!("2026-05-04T{time}Z").parse().unwrap()
}

/// A minutely job that tries three times.
pub(crate) fn definition() -> Definition {
    Definition {
        timetable: Some("* * * * *"),
        args: serde_json::json!({}),
        catch_up_max: 5,
        catch_up_window: Duration::from_mins(5),
        timeout: Duration::from_secs(20),
        ..Definition::new(KEY)
    }
}

/// A mailer with these settings and the defaults of all others.
pub(crate) fn mailer(settings: &[(&str, &str)]) -> Mailer {
    let values = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut reader = Reader::from_values(values);
    let config = MailConfig::read(&mut reader);
    Mailer::new(&reader.finish(config).unwrap()).unwrap()
}

/// The test's own job, which does `work`.
pub(crate) fn job(work: impl Fn(JobContext) -> JobResult + Send + Sync + 'static) -> Job {
    Job::new(definition(), move |context| std::future::ready(work(context)))
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let (clock, entropy) = (Clock::manual(at("09:00:00")), Entropy::system());
        let database = TestDatabase::create().await;
        Self {
            as_program: database.pool_as(Role::Scheduler),
            database,
            outbox: Outbox::new("test", Clock::system(), entropy.clone()),
            entropy,
            clock,
            printed: Printed::default(),
            metrics: Metrics::default(),
        }
    }

    /// Connections of the test itself.
    pub(crate) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// The registry that holds the test's own job alone.
    pub(crate) fn registry(work: impl Fn(JobContext) -> JobResult + Send + Sync + 'static) -> Registry {
        Registry::new([job(work)])
    }

    pub(crate) fn workshop(&self, registry: Registry) -> Workshop {
        Workshop {
            database: self.as_program.clone(),
            outbox: self.outbox.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            printer: Printer::to(self.printed.clone()),
            worker: "test/1".to_owned(),
            metrics: WorkerMetrics::new(&self.metrics, &registry),
            registry,
            lease: LeaseSettings { length: Duration::from_secs(30), renewal: Duration::from_millis(20) },
            stop: CancellationToken::new(),
        }
    }

    /// A program of this build begins.
    pub(crate) async fn sync(&self, registry: &Registry, now: DateTime<Utc>) -> Synced {
        self.sync_as(registry, generation(), Occasion::Start, now).await
    }

    /// A program of this build goes on.
    pub(crate) async fn prove(&self, registry: &Registry, now: DateTime<Utc>) -> Synced {
        self.sync_as(registry, generation(), Occasion::Proof, now).await
    }

    pub(crate) async fn sync_as(
        &self,
        registry: &Registry,
        generation: i64,
        occasion: Occasion,
        now: DateTime<Utc>,
    ) -> Synced {
        let mut transaction = self.as_program.begin().await.unwrap();
        let told = Told { outbox: &self.outbox, entropy: &self.entropy };
        let synced = sync_at(&mut transaction, told, (registry, generation), occasion, now).await.unwrap();
        transaction.commit().await.unwrap();
        synced
    }

    /// Has the test's own job scheduled from `now` on.
    pub(crate) async fn schedule(&self, now: DateTime<Utc>) {
        self.sync(&Self::registry(|_| Ok(String::new())), now).await;
    }

    /// The database's clock.
    pub(crate) async fn now(&self) -> DateTime<Utc> {
        sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(self.pool()).await.unwrap()
    }

    pub(crate) async fn tick(&self, now: DateTime<Utc>) -> Published {
        let mut transaction = self.as_program.begin().await.unwrap();
        let published = publish_ticks(&mut transaction, &self.outbox, &self.entropy, now).await.unwrap();
        transaction.commit().await.unwrap();
        published
    }

    /// A ticker with the program's rights, which has not looked yet.
    pub(crate) fn ticker(&self) -> Ticker {
        Ticker {
            database: self.as_program.clone(),
            outbox: self.outbox.clone(),
            registry: Self::registry(|_| Ok(String::new())),
            entropy: self.entropy.clone(),
            component: Health::default().component("ticker", Standing::Required),
            metrics: TickerMetrics::new(&self.metrics),
            interval: Duration::from_secs(1),
            looked_for_messages: Last::default(),
            failed_at_messages: AtomicBool::default(),
        }
    }

    pub(crate) async fn rescue(&self, now: DateTime<Utc>) -> Rescued {
        let mut transaction = self.as_program.begin().await.unwrap();
        let rescued = rescue(&mut transaction, (&self.outbox, &self.entropy), true, now).await.unwrap();
        transaction.commit().await.unwrap();
        rescued
    }

    /// One queued run of the test's own job, its tick in the outbox.
    pub(crate) async fn queued_run(&self) -> RunId {
        self.schedule(at("09:00:00")).await;
        assert_eq!(self.tick(at("09:01:00")).await.runs(), 1);
        let id: Uuid = sqlx::query_scalar("SELECT id FROM job_runs").fetch_one(self.pool()).await.unwrap();
        RunId(id)
    }

    /// The same where there are other runs.
    pub(crate) async fn queued_run_beside(&self, key: &str) -> Uuid {
        self.schedule(at("09:00:00")).await;
        self.tick(at("09:01:00")).await;
        sqlx::query_scalar("SELECT id FROM job_runs WHERE job_key = $1")
            .bind(key)
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    /// Claims a run that must be there to be claimed.
    pub(crate) async fn claim(&self, workshop: &Workshop, run_id: RunId) -> Claim {
        claim(workshop, run_id, None).await.unwrap().expect("the run is queued")
    }

    /// Claims and executes a run with `work`; gives the state it is in afterwards.
    pub(crate) async fn execute(
        &self,
        run_id: RunId,
        work: impl Fn(JobContext) -> JobResult + Send + Sync + 'static,
    ) -> String {
        let workshop = self.workshop(Self::registry(work));
        let claimed = self.claim(&workshop, run_id).await;
        execute(&workshop, claimed).await;
        self.state(run_id).await
    }

    /// A run's state and attempt, such as `running 1`.
    pub(crate) async fn state(&self, run_id: RunId) -> String {
        sqlx::query_scalar("SELECT state || ' ' || attempt FROM job_runs WHERE id = $1")
            .bind(run_id)
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    /// How many events of `routing_key` the outbox holds.
    pub(crate) async fn events(&self, routing_key: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM outbox WHERE routing_key = $1")
            .bind(routing_key)
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    /// One number that SQL knows.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.pool()).await.unwrap()
    }

    /// Statements that must go well.
    pub(crate) async fn run_sql(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(self.pool()).await.unwrap();
    }
}
