//! `scheduler config`: prints what is in force, and then says what is wrong with it.

use std::io::Write;

use shared::config::{Reader, effective_values, reference};

use crate::config::{Config, PROGRAM, SETTINGS};

pub(super) fn execute(reader: Reader, explain: bool) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    if explain {
        return Ok(output.write_all(reference(PROGRAM, SETTINGS).as_bytes())?);
    }
    output.write_all(effective_values(&reader, SETTINGS).as_bytes())?;
    Config::read(reader)?;
    Ok(())
}
