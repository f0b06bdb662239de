//! `scheduler healthcheck`: the probe of a container that has no HTTP client.

use shared::config::Reader;
use shared::lifecycle::healthcheck;

use crate::config::read_process;

pub(super) fn execute(mut reader: Reader) -> anyhow::Result<()> {
    let process = read_process(&mut reader);
    let process = reader.finish(process)?;
    healthcheck(process.listen_address)
}
