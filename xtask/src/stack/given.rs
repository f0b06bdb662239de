//! Servers that the caller already has, named by `DATABASE_URL` and `AMQP_URL`.

use std::{
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use anyhow::{Context as _, bail};
use url::{Host, Url};

use crate::exit::WrongSetting;

/// Fails with one sentence if nobody answers at the server that `setting` names.
///
/// What the server thinks of the login is left to the programs, which say it better.
pub(super) fn check(setting: &str, value: &str, usual_port: u16) -> anyhow::Result<()> {
    let url = Url::parse(value).map_err(|error| WrongSetting(format!("{setting} isn't a URL: {error}")))?;
    // A URL without a host names a socket in the file system.
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else { return Ok(()) };
    let port = url.port().unwrap_or(usual_port);
    let addresses = (host.trim_matches(['[', ']']), port)
        .to_socket_addrs()
        .with_context(|| format!("{setting} names {host}, whose address can't be found"))?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    let why = last.map_or_else(|| "it has no address".to_owned(), |error| error.to_string());
    bail!("{setting} names {host}:{port}, where nobody answers ({why}); start that server or unset {setting}")
}

/// True if the server that `url` names is this machine's own, reached over loopback.
pub(super) fn is_loopback(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    match url.host() {
        // For a scheme it doesn't know, `url` takes an address for a name.
        Some(Host::Domain(name)) => {
            name == "localhost"
                || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn loopback_is_recognised_in_any_spelling() {
        for url in [
            "postgres://u:p@127.0.0.1:5432/d",
            "amqp://localhost",
            "postgres://[::1]/d",
            "http://127.0.0.9:80",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "postgres://db.example.com/d",
            "postgres://10.0.0.1/d",
            "amqp://127.0.0.1.example.com",
            "nonsense",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn a_server_that_answers_is_fine() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("amqp://guest:guest@{}/", server.local_addr().unwrap());
        check("AMQP_URL", &url, 5672).unwrap();
    }

    #[test]
    fn a_server_that_is_down_is_named_without_its_password() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = check("DATABASE_URL", &format!("postgres://u:hush@{free}/d"), 5432).unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains(&format!("DATABASE_URL names {free}, where nobody answers")), "{message}");
        assert!(!message.contains("hush"));
    }
}
