//! `scheduler process`: ticks and works in one process, without a broker.

use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use shared::clock::Clock;
use shared::config::{Reader, parse_duration};
use shared::entropy::Entropy;
use shared::lifecycle::{Health, Standing, run_to_end};
use shared::metrics::Metrics;
use shared::outbox::Outbox;
use shared::{database, telemetry};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Jobs, block_on};
use crate::config::{Config, PROGRAM};
use crate::jobs::{Mailer, Printer};
use crate::schedule::{Last, Ticker, TickerMetrics};
use crate::worker::{LEASE, Registry, WorkerMetrics, Workshop, claim_next, execute as execute_run};

#[derive(Debug, Args)]
pub(super) struct ProcessArguments {
    /// How long it goes on taking runs, such as 1h30m; until it is asked to stop if you don't say. The run in hand is done to
    /// its end.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// Only runs of this queue.
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
}

pub(super) fn execute(reader: Reader, arguments: &ProcessArguments, jobs: Jobs) -> anyhow::Result<()> {
    let config = Config::read(reader)?;
    telemetry::init(&config.process)?;
    block_on(async {
        let pool = database::connect(&config.database, &config.process.instance)
            .context("DATABASE_URL can't be read")?;
        database::check_schema_at_start(&pool).await?;
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let registry = Registry::new(jobs(Mailer::new(&config.mail)?, entropy.clone()));
        let (metrics, health) = (Metrics::default(), Health::default());
        let outbox = Outbox::new(PROGRAM, clock.clone(), entropy.clone());
        let ticker = Ticker {
            database: pool.clone(),
            outbox: outbox.clone(),
            registry: registry.clone(),
            entropy: entropy.clone(),
            component: health.component("ticker", Standing::Required),
            metrics: TickerMetrics::new(&metrics),
            interval: config.tick_interval,
            looked_for_messages: Last::default(),
            failed_at_messages: AtomicBool::default(),
        };
        let instance = format!("{}/{}", config.process.instance, std::process::id());
        run_to_end(PROGRAM, |stop| async move {
            let workshop = Workshop {
                database: pool,
                outbox,
                metrics: WorkerMetrics::new(&metrics, &registry),
                registry,
                clock,
                entropy,
                printer: Printer::stdout(),
                worker: instance,
                lease: LEASE,
                stop: stop.clone(),
            };
            // The ticker goes on while a run takes long.
            let mut ticking = tokio::spawn(ticker.run(stop.child_token()));
            let mut working = pin!(work(&workshop, arguments, &stop));
            // Whichever ends first, the run in hand is done to its end.
            let (worked, end) = tokio::select! {
                worked = &mut working => {
                    stop.cancel();
                    (worked, ticking.await)
                }
                end = &mut ticking => {
                    stop.cancel();
                    (working.await, end)
                }
            };
            end.context("the ticker broke")??;
            worked
        })
        .await??;
        Ok(())
    })
}

/// Takes one run after the other.
async fn work(
    workshop: &Workshop,
    arguments: &ProcessArguments,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let is_over = || arguments.duration.is_some_and(|duration| began.elapsed() >= duration);
    let pause = Duration::from_millis(500);
    let mut runs = 0_usize;
    while !stop.is_cancelled() && !is_over() {
        match claim_next(workshop, arguments.queue.as_deref()).await {
            Ok(Some(claimed)) => {
                execute_run(workshop, claimed).await;
                runs += 1;
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "no run can be claimed, trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    tracing::info!(runs, "no further runs are taken");
    Ok(())
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("must be a duration such as 90s, 15m or 1h30m")
}
