//! `run`: wires the consumer together and runs it until it is told to stop.

use shared::broker::{self, BatchSettings};
use shared::clock::Clock;
use shared::config::Reader;
use shared::entropy::Entropy;
use shared::lifecycle::{Component, Health, Probes, Shutdown, Standing, probe_router, serve_http};
use shared::metrics::{Exposition, Metrics};
use shared::{database, telemetry};
use tokio_util::sync::CancellationToken;

use crate::audit::{TrailFigures, keep_partitions_ahead};
use crate::config::{PROGRAM, RunConfig};
use crate::dead_letters::{self, DeadLetterFigure};
use crate::deliveries::{AuditHandler, ConsumerMetrics, QUEUE};

/// Consumes until a signal, then finishes the batch in hand.
pub(super) fn run(reader: Reader) -> anyhow::Result<()> {
    let config = RunConfig::read(reader)?;
    telemetry::init(&config.process)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(consume(config))
}

async fn consume(config: RunConfig) -> anyhow::Result<()> {
    let (clock, entropy, shutdown) = (Clock::system(), Entropy::system(), Shutdown::default());
    let pool = database::connect(&config.database, &config.process.instance)?;
    database::check_schema_at_start(&pool).await?;
    let health = Health::default();
    let consumer = health.component("consumer", Standing::Required);
    let partitions = health.component("partitions", Standing::Supporting);
    let partition_maker = health.component("partition maker", Standing::Supporting);
    let dead_letter_count = health.component("dead letter count", Standing::Supporting);
    let metrics = Metrics::default();
    let handler = AuditHandler {
        database: pool.clone(),
        clock: clock.clone(),
        metrics: ConsumerMetrics::new(&metrics),
    };
    let figures = TrailFigures::new(&metrics, partitions);
    let dead_letter_figure = DeadLetterFigure::new(&metrics);
    let exposition = Exposition::new(PROGRAM, metrics, &pool, &clock, vec![Box::new(figures)]);
    let probes = Probes::new(health, exposition, pool.clone(), shutdown.token());
    let address = config.process.listen_address;
    let timeout = config.process.shutdown_timeout;
    shutdown.spawn("the listener", serve_http(address, probe_router(probes), shutdown.token()));
    let stop = shutdown.token();
    shutdown.spawn("the partition maker", {
        let (entropy, stop) = (entropy.clone(), stop.clone());
        async move { keep_partitions_ahead(&pool, &clock, &partition_maker, &entropy, &stop).await }
    });
    shutdown.spawn("the count of dead letters", {
        let (broker, instance) = (config.broker.clone(), config.process.instance.clone());
        let (entropy, stop) = (entropy.clone(), stop.clone());
        async move {
            let broker = (&broker, instance.as_str());
            dead_letters::count(broker, &dead_letter_figure, &dead_letter_count, &entropy, &stop).await
        }
    });
    shutdown.spawn("the consumer", receive(config, handler, consumer, entropy, stop));
    Ok(shutdown.run(timeout).await?)
}

async fn receive(
    config: RunConfig,
    handler: AuditHandler,
    component: Component,
    entropy: Entropy,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let settings = BatchSettings {
        queue: QUEUE,
        instance: config.process.instance,
        batch_max: config.batch_max,
        batch_wait: config.batch_wait,
        patience: BatchSettings::PATIENCE,
    };
    broker::receive(&config.broker, &settings, &handler, &component, &entropy, &stop).await
}
