//! `scheduler config`: prints what is in force, and then says what is wrong with it.

use std::io::Write;

use shared::config::Reader;

use crate::config::{Config, effective};

pub(super) fn execute(reader: Reader) -> anyhow::Result<()> {
    std::io::stdout().write_all(effective(&reader).as_bytes())?;
    Config::read(reader)?;
    Ok(())
}
