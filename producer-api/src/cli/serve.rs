//! `serve`: wires the API together and runs it until it is told to stop.

use std::sync::Arc;

use shared::clock::Clock;
use shared::config::Reader;
use shared::database;
use shared::entropy::Entropy;
use shared::lifecycle::{Health, Probes, Shutdown, Standing, serve_http};
use shared::metrics::{Exposition, Metrics};
use shared::outbox::{Outbox, OutboxFigures, Relay, RelayMetrics, RelaySettings};
use shared::{broker, telemetry};

use super::block_on;
use crate::config::{AccessTokenRevocation, PROGRAM, ServeConfig};
use crate::credentials::PasswordHasher;
use crate::limits::Limits;
use crate::metrics::{ApiMetrics, watch};
use crate::middleware::StackSettings;
use crate::realtime::page::RefreshCookie;
use crate::realtime::{Live, LiveSettings};
use crate::router::router;
use crate::sessions::standing::FRESH_FOR;
use crate::sessions::{DeniedObjects, ForgedTokens, Standings};
use crate::state::AppState;
use crate::tokens::TokenIssuer;
use crate::tokens::keys::Keys;

/// Serves until a signal, then finishes the requests in hand.
pub(super) fn serve(reader: Reader) -> anyhow::Result<()> {
    let (config, keys) = ServeConfig::read(reader)?;
    telemetry::init(&config.process)?;
    block_on(run(config, keys))
}

async fn run(config: ServeConfig, keys: Keys) -> anyhow::Result<()> {
    let (clock, entropy, shutdown) = (Clock::system(), Entropy::system(), Shutdown::default());
    let pool = database::connect(&config.database, &config.process.instance)?;
    database::check_schema_at_start(&pool).await?;
    let outbox = Outbox::new(PROGRAM, clock.clone(), entropy.clone());
    let (health, metrics) = (Health::default(), Metrics::default());
    let relay = Relay {
        database: pool.clone(),
        broker: broker::relay_pools(&config.broker, &config.process.instance)?,
        outbox: outbox.clone(),
        program: PROGRAM,
        clock: clock.clone(),
        entropy: entropy.clone(),
        component: health.component("relay", Standing::Supporting),
        metrics: RelayMetrics::new(&metrics),
        settings: RelaySettings { topology: config.broker.topology, ..RelaySettings::default() },
    };
    let settings = StackSettings::of(&config, clock.clone(), entropy.clone());
    let state = AppState {
        database: pool.clone(),
        outbox: outbox.clone(),
        hasher: PasswordHasher::new(&config.hashing, entropy.clone())?,
        tokens: Arc::new(TokenIssuer::new(config.tokens, keys.clone(), entropy.clone())),
        standings: match config.sessions.revocation {
            AccessTokenRevocation::Session => Standings::remembering(pool.clone(), FRESH_FOR),
            AccessTokenRevocation::None => Standings::reading_each_time(pool.clone()),
        },
        sessions: Arc::new(config.sessions),
        forged_tokens: ForgedTokens::default(),
        denied_objects: DeniedObjects::default(),
        limits: Limits::new(&config.limits),
        live: Live::new(LiveSettings::of(&config.realtime, config.database.pool_max), shutdown.token()),
        refresh_cookie: RefreshCookie::for_page_at(&config.http.public_url),
        metrics: ApiMetrics::new(&metrics),
        clock,
        entropy: entropy.clone(),
    };
    let (forged_tokens, refused_logins) = (state.forged_tokens.clone(), state.limits.refused.clone());
    let denied_objects = state.denied_objects.clone();
    let (standings, live) = (state.standings.clone(), state.live.clone());
    let followed = health.component("revocations", Standing::Supporting);
    let noticed = health.component("revocation notices", Standing::Supporting);
    let changes = health.component("live changes", Standing::Supporting);
    watch(&metrics, &state);
    let figures = OutboxFigures::new(&metrics, health.component("outbox", Standing::Supporting));
    let exposition = Exposition::new(PROGRAM, metrics, &pool, &state.clock, vec![Box::new(figures)]);
    let probes = Probes::new(health, exposition, pool.clone(), shutdown.token());
    let routes = router(state, probes, settings);
    shutdown.spawn("the relay", relay.run(shutdown.token()));
    shutdown.spawn("the signing keys", keys.follow(shutdown.token()));
    shutdown.spawn("the changed standings", standings.clone().follow(followed, shutdown.token()));
    let (broker, instance) = (config.broker, config.process.instance);
    let streaming = live.run(broker.clone(), instance.clone(), changes, entropy.clone());
    shutdown.spawn("the live streams", streaming);
    let listening = standings.listen(broker, instance, noticed, entropy, shutdown.token());
    shutdown.spawn("the notices of ended sessions", listening);
    let telling = forged_tokens.tell_regularly(pool.clone(), outbox.clone(), shutdown.token());
    shutdown.spawn("the count of forged tokens", telling);
    let telling = denied_objects.tell_regularly(pool.clone(), outbox.clone(), shutdown.token());
    shutdown.spawn("the count of tries at others' objects", telling);
    let telling = refused_logins.tell_regularly(pool, outbox, shutdown.token());
    shutdown.spawn("the count of refused logins", telling);
    shutdown.spawn("the listener", serve_http(config.process.listen_address, routes, shutdown.token()));
    Ok(shutdown.run(config.process.shutdown_timeout).await?)
}
