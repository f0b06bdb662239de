//! `serve`: wires the API together and runs it until it is told to stop.

use std::sync::Arc;

use anyhow::Context;
use shared::clock::Clock;
use shared::config::Reader;
use shared::database;
use shared::entropy::Entropy;
use shared::lifecycle::{Health, Probes, Shutdown, Standing, serve_http};
use shared::outbox::{Outbox, Relay, RelaySettings};
use shared::{broker, telemetry};

use super::block_on;
use crate::config::{PROGRAM, ServeConfig};
use crate::credentials::PasswordHasher;
use crate::extract::BodyLimit;
use crate::middleware::StackSettings;
use crate::router::router;
use crate::state::AppState;
use crate::tokens::TokenIssuer;

/// Serves until a signal, then finishes the requests in hand.
pub(super) fn serve(reader: Reader) -> anyhow::Result<()> {
    let config = ServeConfig::read(reader)?;
    telemetry::init(&config.process)?;
    block_on(run(config))
}

async fn run(config: ServeConfig) -> anyhow::Result<()> {
    let (clock, entropy, shutdown) = (Clock::system(), Entropy::system(), Shutdown::default());
    let pool = database::connect(&config.database, &config.process.instance)?;
    database::check_schema_at_start(&pool).await?;
    let outbox = Outbox::new(PROGRAM, clock.clone(), entropy.clone());
    let health = Health::default();
    let relay = Relay {
        database: pool.clone(),
        broker: broker::pool(&config.broker, &config.process.instance, "relay")?,
        outbox: outbox.clone(),
        program: PROGRAM,
        clock: clock.clone(),
        entropy: entropy.clone(),
        component: health.component("relay", Standing::Supporting),
        settings: RelaySettings::default(),
    };
    let state = AppState {
        database: pool.clone(),
        outbox,
        hasher: PasswordHasher::new(&config.hashing, entropy.clone())?,
        tokens: Arc::new(
            TokenIssuer::new(&config.tokens, entropy.clone()).context("the signing key does not work")?,
        ),
        clock: clock.clone(),
        entropy: entropy.clone(),
    };
    let probes = Probes::new(health, pool, shutdown.token());
    let settings = StackSettings { clock, entropy, body_limit: BodyLimit(config.request_body_max) };
    let routes = router(state, probes, settings);
    shutdown.spawn("the relay", relay.run(shutdown.token()));
    shutdown.spawn("the listener", serve_http(config.process.listen_address, routes, shutdown.token()));
    Ok(shutdown.run(config.process.shutdown_timeout).await?)
}
