//! Private servers of one test, which it may stop, kill and start again without disturbing another test, and a network
//! that it may cut.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use url::Url;
use xtask::servers::{PostgresOptions, PostgresServer, RabbitmqOptions, RabbitmqServer, scratch_folder};
use xtask::servers::{postgres, rabbitmq};

use crate::{TestBroker, TestDatabase};

/// A PostgreSQL cluster; its port, password and data stay the same over [`PrivatePostgres::start_again`].
#[derive(Debug)]
pub struct PrivatePostgres {
    server: Option<PostgresServer>,
    options: PostgresOptions,
    url: String,
    _folder: TempDir,
}

impl PrivatePostgres {
    /// Starts a new cluster.
    pub async fn start() -> Self {
        blocking(|| {
            let folder = scratch_folder().expect("a temporary folder");
            // Durable: what was committed before a kill must be there after it.
            let options =
                PostgresOptions { folder: folder.path().join("postgres"), port: None, durable: true };
            let server = PostgresServer::start(&options).expect("PostgreSQL starts");
            let url = server.url(postgres::DATABASE);
            let options = PostgresOptions { port: Some(server.port()), ..options };
            Self { server: Some(server), options, url, _folder: folder }
        })
        .await
    }

    /// A migrated database on it.
    pub async fn database(&self) -> TestDatabase {
        TestDatabase::create_on(&self.url).await
    }

    /// Ends it in order.
    pub async fn stop(&mut self) {
        let server = self.server.take();
        blocking(move || server.into_iter().for_each(PostgresServer::stop)).await;
    }

    /// Ends it as a power cut would.
    pub async fn kill(&mut self) {
        let server = self.server.take();
        blocking(move || server.into_iter().for_each(|mut server| server.kill())).await;
    }

    /// Starts it again after [`PrivatePostgres::stop`] or [`PrivatePostgres::kill`].
    pub async fn start_again(&mut self) {
        let options = self.options.clone();
        self.server =
            Some(blocking(move || PostgresServer::start(&options).expect("PostgreSQL starts")).await);
    }
}

/// A RabbitMQ node; its ports, password and queues stay the same over [`PrivateRabbitmq::start_again`].
#[derive(Debug)]
pub struct PrivateRabbitmq {
    server: Option<RabbitmqServer>,
    options: RabbitmqOptions,
    amqp_url: String,
    management_url: String,
    _folder: TempDir,
}

impl PrivateRabbitmq {
    /// Starts a new node.
    pub async fn start() -> Self {
        blocking(|| {
            let folder = scratch_folder().expect("a temporary folder");
            let options = RabbitmqOptions {
                folder: folder.path().join("rabbitmq"),
                port: None,
                preferred_management_port: None,
            };
            let server = RabbitmqServer::start(&options).expect("RabbitMQ starts");
            let mut management = Url::parse(&server.management_url()).expect("a management URL");
            management.set_username(server.user()).expect("an http URL has a user");
            management.set_password(Some(server.password())).expect("an http URL has a password");
            let amqp_url = server.amqp_url(rabbitmq::VIRTUAL_HOST);
            let options = RabbitmqOptions { port: Some(server.port()), ..options };
            let management_url = management.to_string();
            Self { server: Some(server), options, amqp_url, management_url, _folder: folder }
        })
        .await
    }

    /// A virtual host on it.
    pub async fn broker(&self) -> TestBroker {
        TestBroker::create_on(&self.amqp_url, &self.management_url).await
    }

    /// Ends it in order.
    pub async fn stop(&mut self) {
        let server = self.server.take();
        blocking(move || server.into_iter().for_each(RabbitmqServer::stop)).await;
    }

    /// Ends it as a power cut would.
    pub async fn kill(&mut self) {
        let server = self.server.take();
        blocking(move || server.into_iter().for_each(|mut server| server.kill())).await;
    }

    /// Starts it again after [`PrivateRabbitmq::stop`] or [`PrivateRabbitmq::kill`].
    pub async fn start_again(&mut self) {
        let options = self.options.clone();
        self.server = Some(blocking(move || RabbitmqServer::start(&options).expect("RabbitMQ starts")).await);
    }

    /// Raises the memory alarm: from now on the node reads nothing from connections that publish.
    pub async fn block_publishers(&mut self) {
        let server = self.server.take().expect("the node runs");
        let all_of_the_memory = ["set_vm_memory_high_watermark", "0"];
        let work = move || server.control(&all_of_the_memory).map(|()| server).expect("rabbitmqctl");
        self.server = Some(blocking(work).await);
    }
}

/// A TCP proxy that can stop forwarding while every connection stays open, as a network does that drops packets:
/// neither side learns of it. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    is_cut: watch::Sender<bool>,
    forwarding: JoinHandle<()>,
}

impl Proxy {
    /// Forwards to the server of `url`.
    pub async fn before(url: &str) -> Self {
        Self::cutting(url, "").await
    }

    /// Forwards to the server of `url`; [`Proxy::cut`] then concerns those connections alone whose client has sent `words`.
    pub async fn cutting(url: &str, words: &'static str) -> Self {
        let server = Url::parse(url).expect("the server's URL can be read");
        let host = server.host_str().expect("a server's URL has a host").to_owned();
        let server = (host, server.port().expect("a test server's URL has a port"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (is_cut, cut) = watch::channel(false);
        let forwarding = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (server, cut) = (server.clone(), cut.clone());
                connections.spawn(async move {
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    let is_meant = AtomicBool::new(words.is_empty());
                    let (client, server) = (client.into_split(), server.into_split());
                    let note = |sent: &[u8]| {
                        if sent.windows(words.len().max(1)).any(|part| part == words.as_bytes()) {
                            is_meant.store(true, Ordering::Relaxed);
                        }
                    };
                    // When one direction ends, both do.
                    tokio::select! {
                        () = forward(client.0, server.1, note, &is_meant, cut.clone()) => {}
                        () = forward(server.0, client.1, |_| {}, &is_meant, cut) => {}
                    }
                });
            }
        });
        Self { address, is_cut, forwarding }
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
        self.is_cut.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}

/// Forwards one direction of a connection until it ends; holds back what is read while the connection is cut.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    note: impl Fn(&[u8]),
    is_meant: &AtomicBool,
    mut cut: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        note(&buffer[..count]);
        let passes = cut.wait_for(|is_cut| !*is_cut || !is_meant.load(Ordering::Relaxed)).await.is_ok();
        if !passes || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Starting and ending servers blocks for seconds; the test's runtime goes on meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
