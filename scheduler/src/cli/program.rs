//! What the three long-running commands have in common: database, relay, probes, an orderly end.

use std::sync::atomic::AtomicBool;

use anyhow::Context;
use shared::broker::topology::{MAIL_RUNS_QUEUE, RUNS_QUEUE};
use shared::clock::Clock;
use shared::entropy::Entropy;
use shared::lifecycle::{Health, Probes, Shutdown, Standing, probe_router, serve_http};
use shared::metrics::{Exposition, Figures, Metrics, Sample};
use shared::outbox::{Outbox, OutboxFigures, Relay, RelayMetrics, RelaySettings};
use shared::{broker, database, telemetry};
use sqlx::PgPool;

use super::{Jobs, block_on};
use crate::config::{Config, PROGRAM};
use crate::jobs::{Mailer, Printer};
use crate::schedule::{Last, ScheduleFigures, Ticker, TickerMetrics};
use crate::worker::remote::{Listener, ReportDesk, ReportMetrics};
use crate::worker::{LEASE, Registry, Worker, WorkerMetrics, Workshop};

/// A starting scheduler.
pub(super) struct Program {
    config: Config,
    pool: PgPool,
    clock: Clock,
    entropy: Entropy,
    outbox: Outbox,
    health: Health,
    metrics: Metrics,
    shutdown: Shutdown,
    registry: Registry,
}

impl Program {
    /// Starts what every command needs and what `spawn` adds, and runs until the end.
    pub(super) fn execute(config: Config, jobs: Jobs, spawn: impl FnOnce(&Self)) -> anyhow::Result<()> {
        telemetry::init(&config.process)?;
        block_on(Self::run(config, jobs, spawn))
    }

    async fn run(config: Config, jobs: Jobs, spawn: impl FnOnce(&Self)) -> anyhow::Result<()> {
        let pool = database::connect(&config.database, &config.process.instance)
            .context("DATABASE_URL can't be read")?;
        database::check_schema_at_start(&pool).await?;
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let mailer = Mailer::new(&config.mail)?;
        if let Some(warning) = config.mail.warning() {
            tracing::warn!("{warning}");
        }
        let program = Self {
            outbox: Outbox::new(PROGRAM, clock.clone(), entropy.clone()),
            health: Health::default(),
            metrics: Metrics::default(),
            shutdown: Shutdown::default(),
            registry: Registry::new(jobs(mailer, entropy.clone())),
            config,
            pool,
            clock,
            entropy,
        };
        program.spawn_relay()?;
        spawn(&program);
        program.spawn_probes();
        program.shutdown.run(program.config.process.shutdown_timeout).await?;
        Ok(())
    }

    fn spawn_relay(&self) -> anyhow::Result<()> {
        let relay = Relay {
            database: self.pool.clone(),
            broker: broker::relay_pools(&self.config.broker, &self.config.process.instance)?,
            outbox: self.outbox.clone(),
            program: PROGRAM,
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            component: self.health.component("relay", Standing::Supporting),
            metrics: RelayMetrics::new(&self.metrics),
            settings: RelaySettings { topology: self.config.broker.topology, ..RelaySettings::default() },
        };
        self.shutdown.spawn("relay", relay.run(self.shutdown.token()));
        Ok(())
    }

    pub(super) fn spawn_ticker(&self) {
        let ticker = Ticker {
            database: self.pool.clone(),
            outbox: self.outbox.clone(),
            registry: self.registry.clone(),
            entropy: self.entropy.clone(),
            component: self.health.component("ticker", Standing::Required),
            metrics: TickerMetrics::new(&self.metrics),
            interval: self.config.tick_interval,
            looked_for_messages: Last::default(),
            failed_at_messages: AtomicBool::default(),
        };
        self.shutdown.spawn("ticker", ticker.run(self.shutdown.token()));
    }

    /// Two workers: mails wait for a server that is not ours, and a server that hangs must hold no other job's slot.
    pub(super) fn spawn_workers(&self) {
        let Config { worker_slots, mail_worker_slots, .. } = self.config;
        let metrics = WorkerMetrics::new(&self.metrics, &self.registry);
        let runs = self.spawn_worker("worker", (RUNS_QUEUE, worker_slots), &metrics);
        let mails = self.spawn_worker("mail-worker", (MAIL_RUNS_QUEUE, mail_worker_slots), &metrics);
        WorkerMetrics::watch_slots(&self.metrics, [runs, mails]);
        self.spawn_listener(metrics);
    }

    /// Answers workers of other programs.
    fn spawn_listener(&self, attempts: WorkerMetrics) {
        let listener = Listener {
            desk: ReportDesk {
                database: self.pool.clone(),
                outbox: self.outbox.clone(),
                entropy: self.entropy.clone(),
                lease: LEASE.length,
                metrics: ReportMetrics::new(&self.metrics),
                attempts,
            },
            broker: self.config.broker.clone(),
            instance: self.config.process.instance.clone(),
            // Our own jobs are done without it.
            component: self.health.component("reports", Standing::Supporting),
        };
        self.shutdown.spawn("reports", listener.run(self.shutdown.token()));
    }

    /// Gives what tells of its free slots.
    fn spawn_worker(
        &self,
        name: &'static str,
        (queue, slots): (&'static str, usize),
        metrics: &WorkerMetrics,
    ) -> Sample<1> {
        let workshop = Workshop {
            database: self.pool.clone(),
            outbox: self.outbox.clone(),
            registry: self.registry.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            printer: Printer::stdout(),
            worker: format!("{}/{}", self.config.process.instance, std::process::id()),
            lease: LEASE,
            metrics: metrics.clone(),
            stop: self.shutdown.token(),
        };
        let worker = Worker::new(
            workshop,
            (self.config.broker.clone(), self.config.process.instance.clone()),
            queue,
            self.health.component(name, Standing::Required),
            slots,
        );
        let slots = WorkerMetrics::slots_of(queue, worker.free_slots());
        self.shutdown.spawn(name, worker.run());
        slots
    }

    fn spawn_probes(&self) {
        let stop = self.shutdown.token();
        let outbox = OutboxFigures::new(&self.metrics, self.health.component("outbox", Standing::Supporting));
        let schedules = ScheduleFigures::new(&self.metrics, &self.registry);
        let figures: Vec<Box<dyn Figures>> = vec![Box::new(outbox), Box::new(schedules)];
        let exposition = Exposition::new(PROGRAM, self.metrics.clone(), &self.pool, &self.clock, figures);
        let probes = Probes::new(self.health.clone(), exposition, self.pool.clone(), stop.clone());
        let address = self.config.process.listen_address;
        self.shutdown.spawn("listener", serve_http(address, probe_router(probes), stop));
    }
}
