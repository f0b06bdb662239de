//! Free loopback ports.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::bail;

use super::random;

/// Below Linux's range for outgoing connections, which would otherwise take a port between choosing and using it.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port of the loopback address on which nobody listens.
///
/// Whoever chooses at the same time most likely gets another one, since everybody begins to look at a random place.
pub fn free_port() -> anyhow::Result<u16> {
    let start = random::number()? % COUNT;
    match (0..COUNT).map(|step| FIRST + (start + step) % COUNT).find(|&port| is_free(port)) {
        Some(port) => Ok(port),
        None => bail!("all loopback ports from {FIRST} to {} are taken", FIRST + COUNT - 1),
    }
}

/// The wished port if it is free, any free one otherwise.
pub fn prefer_port(wish: u16) -> anyhow::Result<u16> {
    if is_free(wish) { Ok(wish) } else { free_port() }
}

/// True if nobody listens on this port, neither on the loopback address nor on all.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_not_chosen() {
        let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = stranger.local_addr().unwrap().port();
        assert!(!is_free(taken));
        assert_ne!(prefer_port(taken).unwrap(), taken);
    }

    #[test]
    fn a_port_taken_on_all_addresses_is_not_free() {
        let stranger = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        assert!(!is_free(stranger.local_addr().unwrap().port()));
    }
}
