//! Exit codes, and the probe a container asks.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::config::ConfigError;
use crate::telemetry::error_chain;

/// The settings or the command line are wrong: what `sysexits` and clap use, too.
const WRONG_SETTINGS: u8 = 2;

/// The command line is wrong in a way that shows only when it is put to use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct UsageError(pub String);

/// Turns a program's end into its exit code, and its error into one message on standard error: 0 fine, 2 wrong
/// settings or command line, 1 anything else.
pub fn report(program: &str, result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Nobody can be told when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{program}: {}", error_chain(error.as_ref()));
    if error.is::<ConfigError>() || error.is::<UsageError>() {
        ExitCode::from(WRONG_SETTINGS)
    } else {
        ExitCode::FAILURE
    }
}

/// Asks the program that listens on `address` whether it is ready: the health check of a container that has no HTTP
/// client.
pub fn healthcheck(address: SocketAddr) -> anyhow::Result<()> {
    let timeout = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&reachable(address), timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    anyhow::ensure!(status == "200", "not ready: {}", answer.lines().last().unwrap_or_default());
    Ok(())
}

/// Where a listener on "every address" can be reached from its own host.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
