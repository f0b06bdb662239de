//! A network between a program and a server that can be cut, silenced, slowed and broken off, by a TCP proxy of our own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// What the client sends.
    ToServer,
    /// What the server sends.
    ToClient,
}

/// What becomes of the bytes of every connection, those to come included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// They pass.
    Flows,
    /// Nothing passes, in either direction; connections stay open, new ones are opened and stay as silent.
    Silent,
    /// One direction is silent, the other flows: a half-open connection.
    HalfOpen(Way),
    /// Everything passes after a delay, and then no faster than this.
    Slow {
        /// How long each piece waits.
        delay: Duration,
        /// How many bytes a second pass in each direction.
        bytes_per_second: u32,
    },
    /// Each connection is reset (RST) when so many more bytes have passed, in both directions together.
    ResetAfter(u64),
}

impl Traffic {
    fn holds_back(self, way: Way) -> bool {
        self == Self::Silent || self == Self::HalfOpen(way)
    }
}

/// What holds for all connections at a moment.
#[derive(Debug, Clone, Copy)]
struct Rules {
    traffic: Traffic,
    /// Whether new connections are let in.
    admits: bool,
    /// How often all connections were closed: one that was opened before the last time is to end.
    closed: u64,
    /// How often the rules changed: [`Traffic::ResetAfter`] counts from there.
    changed: u64,
}

/// A TCP proxy. As a network does that drops packets, it can stop forwarding while every connection stays open, and neither
/// side learns of it. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
    touched: Arc<AtomicU64>,
    forwarding: JoinHandle<()>,
}

impl Proxy {
    /// Forwards to the server of `url`.
    pub async fn before(url: &str) -> Self {
        Self::start(&[url], "").await
    }

    /// Forwards to the first of several servers that lets it in, as a balancer before a cluster does.
    pub async fn before_any(urls: &[&str]) -> Self {
        Self::start(urls, "").await
    }

    /// Forwards to the server of `url`; what is said of [`Traffic`] then concerns those connections alone whose client has
    /// sent `words`.
    pub async fn cutting(url: &str, words: &'static str) -> Self {
        Self::start(&[url], words).await
    }

    async fn start(urls: &[&str], words: &'static str) -> Self {
        let servers: Vec<(String, u16)> = urls.iter().map(|url| address_of(url)).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (rules, seen) =
            watch::channel(Rules { traffic: Traffic::Flows, admits: true, closed: 0, changed: 0 });
        let touched = Arc::new(AtomicU64::new(0));
        let counted = touched.clone();
        let forwarding = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                if seen.borrow().admits {
                    connections.spawn(carry(client, servers.clone(), words, seen.clone(), counted.clone()));
                } else {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { address, rules, touched, forwarding }
    }

    /// How often it has done anything to the traffic: refused or reset a connection, held a piece back, slowed one.
    pub fn touched(&self) -> u64 {
        self.touched.load(Ordering::Relaxed)
    }

    /// `url`, by way of this proxy.
    pub fn instead_of(&self, url: &str) -> String {
        let mut url = Url::parse(url).expect("the server's URL can be read");
        url.set_ip_host(self.address.ip()).expect("a server's URL has a host");
        url.set_port(Some(self.address.port())).expect("a server's URL has a port");
        url.to_string()
    }

    /// From now on nothing comes through, in either direction; new connections are opened and stay as silent.
    pub fn cut(&self) {
        self.pass(Traffic::Silent);
    }

    /// What becomes of all bytes from now on; those that were held back pass when they may.
    pub fn pass(&self, traffic: Traffic) {
        self.change(|rules| rules.traffic = traffic);
    }

    /// Whether new connections are let in; others are closed at once.
    pub fn admit(&self, admits: bool) {
        self.change(|rules| rules.admits = admits);
    }

    /// Resets (RST) every connection there is; what was held back is lost.
    pub fn reset_connections(&self) {
        self.change(|rules| rules.closed += 1);
    }

    fn change(&self, change: impl FnOnce(&mut Rules)) {
        self.rules.send_modify(|rules| {
            change(rules);
            rules.changed += 1;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}

fn address_of(url: &str) -> (String, u16) {
    let server = Url::parse(url).expect("the server's URL can be read");
    let host = server.host_str().expect("a server's URL has a host").to_owned();
    (host, server.port().expect("a test server's URL has a port"))
}

/// What both directions of a connection share.
#[derive(Debug)]
struct Connection {
    rules: watch::Receiver<Rules>,
    /// Whether the rules concern it.
    is_meant: AtomicBool,
    words: &'static str,
    /// How many bytes have passed since the rules changed, and which change that was.
    passed: AtomicU64,
    counted_since: AtomicU64,
    touched: Arc<AtomicU64>,
}

async fn carry(
    client: TcpStream,
    servers: Vec<(String, u16)>,
    words: &'static str,
    mut rules: watch::Receiver<Rules>,
    touched: Arc<AtomicU64>,
) {
    let opened_at = rules.borrow_and_update().closed;
    let Some(server) = first_that_lets_in(&servers).await else { return };
    let connection = Arc::new(Connection {
        rules: rules.clone(),
        is_meant: AtomicBool::new(words.is_empty()),
        words,
        passed: AtomicU64::new(0),
        counted_since: AtomicU64::new(0),
        touched,
    });
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    // When one direction ends, both do.
    let is_reset = tokio::select! {
        // First: what was held back is lost, even if the network flows again at the same moment.
        biased;
        _ = rules.wait_for(|rules| rules.closed > opened_at) => true,
        is_reset = forward(&mut from_client, &mut to_server, Way::ToServer, &connection) => is_reset,
        is_reset = forward(&mut from_server, &mut to_client, Way::ToClient, &connection) => is_reset,
    };
    if is_reset {
        connection.touch();
        for half in [to_client, to_server] {
            // Closing now sends RST, and no FIN before it. A peer that is gone already needs neither.
            let _ = half.as_ref().set_zero_linger();
            half.forget();
        }
    }
}

async fn first_that_lets_in(servers: &[(String, u16)]) -> Option<TcpStream> {
    for (host, port) in servers {
        if let Ok(server) = TcpStream::connect((host.as_str(), *port)).await {
            return Some(server);
        }
    }
    None
}

/// Forwards one direction of a connection until it ends; says whether the connection is to be reset.
async fn forward(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    way: Way,
    connection: &Connection,
) -> bool {
    let mut rules = connection.rules.clone();
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if way == Way::ToServer {
            connection.note(&buffer[..count]);
        }
        let may_pass = |rules: &Rules| !rules.traffic.holds_back(way) || !connection.is_meant();
        if !may_pass(&rules.borrow()) {
            connection.touch();
        }
        let Ok(now) = rules.wait_for(may_pass).await.map(|rules| *rules) else { return false };
        match now.traffic {
            Traffic::Slow { delay, bytes_per_second } if connection.is_meant() => {
                connection.touch();
                let seconds =
                    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / f64::from(bytes_per_second);
                tokio::time::sleep(delay + Duration::from_secs_f64(seconds)).await;
            }
            Traffic::ResetAfter(most)
                if connection.is_meant() && connection.passed_since(now.changed, count) > most =>
            {
                return true;
            }
            _ => {}
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return false;
        }
    }
    false
}

impl Connection {
    fn touch(&self) {
        self.touched.fetch_add(1, Ordering::Relaxed);
    }

    fn is_meant(&self) -> bool {
        self.is_meant.load(Ordering::Relaxed)
    }

    fn note(&self, sent: &[u8]) {
        if sent.windows(self.words.len().max(1)).any(|part| part == self.words.as_bytes()) {
            self.is_meant.store(true, Ordering::Relaxed);
        }
    }

    fn passed_since(&self, change: u64, count: usize) -> u64 {
        if self.counted_since.swap(change, Ordering::Relaxed) != change {
            self.passed.store(0, Ordering::Relaxed);
        }
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.passed.fetch_add(count, Ordering::Relaxed).saturating_add(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tokio::time::{Instant, timeout};

    use super::*;

    const SOON: Duration = Duration::from_secs(10);
    const SILENCE: Duration = Duration::from_millis(150);

    /// A proxy before a server that sends back what it is sent, and one connection through it.
    async fn echo() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("amqp://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        let proxy = Proxy::before(&url).await;
        let client = TcpStream::connect(proxy.address).await.unwrap();
        (proxy, client)
    }

    async fn say(client: &mut TcpStream, words: &[u8]) {
        client.write_all(words).await.unwrap();
    }

    async fn hear(client: &mut TcpStream, words: &[u8]) {
        let mut heard = vec![0; words.len()];
        timeout(SOON, client.read_exact(&mut heard)).await.expect("an answer").unwrap();
        assert_eq!(heard, words);
    }

    async fn hears_nothing(client: &mut TcpStream) {
        assert!(timeout(SILENCE, client.read_u8()).await.is_err(), "something came through");
    }

    #[tokio::test]
    async fn what_is_held_back_by_silence_passes_when_it_is_over() {
        let (proxy, mut client) = echo().await;
        say(&mut client, b"before").await;
        hear(&mut client, b"before").await;
        for silence in [Traffic::Silent, Traffic::HalfOpen(Way::ToServer), Traffic::HalfOpen(Way::ToClient)] {
            proxy.pass(silence);
            say(&mut client, b"during").await;
            hears_nothing(&mut client).await;
            proxy.pass(Traffic::Flows);
            hear(&mut client, b"during").await;
        }
        assert_eq!(proxy.touched(), 3, "it held three pieces back");
    }

    #[tokio::test]
    async fn what_is_held_back_by_silence_is_lost_if_it_ends_with_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::before(&format!("amqp://{}", listener.local_addr().unwrap())).await;
        // Several times: what is not in order would be lost every other time all the same.
        for _ in 0..10 {
            proxy.pass(Traffic::Flows);
            let mut client = TcpStream::connect(proxy.address).await.unwrap();
            let (mut server, _) = listener.accept().await.unwrap();
            say(&mut client, b"before").await;
            hear(&mut server, b"before").await;
            proxy.pass(Traffic::HalfOpen(Way::ToServer));
            say(&mut client, b"during").await;
            hears_nothing(&mut server).await;
            proxy.reset_connections();
            proxy.pass(Traffic::Flows);
            let end = timeout(SOON, server.read_u8()).await.expect("an end");
            assert!(end.is_err(), "what was held back came through");
        }
    }

    #[tokio::test]
    async fn a_closed_connection_is_reset_and_new_ones_come_in_only_if_they_may() {
        let (proxy, mut client) = echo().await;
        say(&mut client, b"hello").await;
        hear(&mut client, b"hello").await;
        proxy.admit(false);
        proxy.reset_connections();
        let error = timeout(SOON, client.read_u8()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let mut refused = TcpStream::connect(proxy.address).await.unwrap();
        assert!(timeout(SOON, refused.read_u8()).await.unwrap().is_err(), "it was let in");
        proxy.admit(true);
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        say(&mut client, b"again").await;
        hear(&mut client, b"again").await;
    }

    #[tokio::test]
    async fn a_slow_network_takes_its_time_and_one_that_breaks_off_does_so_after_its_bytes() {
        let (proxy, mut client) = echo().await;
        proxy.pass(Traffic::Slow { delay: Duration::from_millis(60), bytes_per_second: 1_000_000 });
        let began = Instant::now();
        say(&mut client, b"slowly").await;
        hear(&mut client, b"slowly").await;
        assert!(began.elapsed() >= Duration::from_millis(120), "both ways wait");
        proxy.pass(Traffic::ResetAfter(20));
        say(&mut client, b"0123456789").await;
        hear(&mut client, b"0123456789").await;
        say(&mut client, b"0123456789").await;
        let error = timeout(SOON, client.read_u8()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn of_several_servers_one_that_is_gone_is_passed_over() {
        let (proxy, _client) = echo().await;
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let urls = [format!("amqp://{gone}"), format!("amqp://{}", proxy.address)];
        let before_both = Proxy::before_any(&urls.each_ref().map(String::as_str)).await;
        let mut client = TcpStream::connect(before_both.address).await.unwrap();
        say(&mut client, b"hello").await;
        hear(&mut client, b"hello").await;
    }
}
