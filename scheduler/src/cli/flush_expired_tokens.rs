//! `scheduler flushexpiredtokens`: SimpleJWT's command of this name.

use std::io::Write;

use shared::clock::Clock;
use shared::config::{DatabaseConfig, Reader};
use shared::database::connect_for_command;
use shared::entropy::Entropy;
use shared::lifecycle::run_to_end;
use shared::outbox::Outbox;
use shared::telemetry::TraceContext;

use super::block_on;
use crate::config::PROGRAM;
use crate::jobs::purge_expired::Purge;

/// Purges in this process, beside whatever else does. Its events wait in the outbox for a program with a relay.
pub(super) fn execute(mut reader: Reader) -> anyhow::Result<()> {
    let config = DatabaseConfig::read(&mut reader);
    let config = reader.finish(config)?;
    block_on(async {
        let database = connect_for_command(&config, PROGRAM).await?;
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let outbox = Outbox::new(PROGRAM, clock.clone(), entropy.clone());
        let trace = TraceContext::new(&entropy);
        let purge = |stop| async move { Purge { database, outbox, clock, trace, stop }.run().await };
        let line = run_to_end(PROGRAM, purge).await??;
        Ok(std::io::stdout().lock().write_all(line.as_bytes())?)
    })
}
