//! Secrets that are made once and kept with the data.

use std::{fmt::Write as _, fs::File, io::Read as _};

use anyhow::Context as _;

/// A fresh secret of `bytes` random bytes, in hexadecimal.
pub fn secret(bytes: usize) -> anyhow::Result<String> {
    let mut buffer = vec![0; bytes];
    fill(&mut buffer)?;
    let mut text = String::with_capacity(2 * bytes);
    for byte in buffer {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

/// A number for choosing among ports, different for each caller.
pub(super) fn number() -> anyhow::Result<u16> {
    let mut buffer = [0; 2];
    fill(&mut buffer)?;
    Ok(u16::from_ne_bytes(buffer))
}

fn fill(buffer: &mut [u8]) -> anyhow::Result<()> {
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(buffer))
        .context("can't read random bytes from /dev/urandom")
}
