//! Private servers of one test, which it may stop, kill, freeze and start again without disturbing another test.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use nix::sys::signal::Signal;
use tempfile::TempDir;
use url::Url;
use xtask::process::ProcessIdentity;
use xtask::servers::rabbitmq::{Membership, PortMapper};
use xtask::servers::{PostgresOptions, PostgresServer, RabbitmqOptions, RabbitmqServer, scratch_folder};
use xtask::servers::{postgres, rabbitmq};

pub use crate::network::Proxy;
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

    /// A migrated database on it, which remembers from now on when each transaction committed.
    pub async fn database_with_commit_instants(&mut self) -> TestDatabase {
        let database = self.database().await;
        let setting = sqlx::query("ALTER SYSTEM SET track_commit_timestamp = on");
        setting.execute(database.pool()).await.expect("the setting");
        self.stop().await;
        self.start_again().await;
        let fsync: String =
            sqlx::query_scalar("SHOW fsync").fetch_one(database.pool()).await.expect("the setting");
        assert_eq!(fsync, "on", "a limit without durability is none");
        database
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

    /// SIGSTOP, or SIGCONT, to the server and all that works for it.
    pub fn freeze(&self, is_frozen: bool) {
        freeze(self.server.as_ref().map_or(0, PostgresServer::pid), is_frozen);
    }

    /// Starts it again after [`PrivatePostgres::stop`] or [`PrivatePostgres::kill`].
    pub async fn start_again(&mut self) {
        let options = self.options.clone();
        self.server =
            Some(blocking(move || PostgresServer::start(&options).expect("PostgreSQL starts")).await);
    }

    /// Whatever became of it: it runs afterwards, and is not frozen.
    pub async fn put_right(&mut self) {
        if self.server.as_ref().is_some_and(|server| ProcessIdentity::of(server.pid()).is_some()) {
            self.freeze(false);
        } else {
            self.kill().await;
            self.start_again().await;
        }
    }
}

/// A RabbitMQ node; its ports, password and queues stay the same over [`PrivateRabbitmq::start_again`].
#[derive(Debug)]
pub struct PrivateRabbitmq {
    server: Option<RabbitmqServer>,
    options: RabbitmqOptions,
    amqp_url: String,
    management_url: String,
    _folder: Arc<TempDir>,
}

impl PrivateRabbitmq {
    /// Starts a new node.
    pub async fn start() -> Self {
        blocking(|| {
            let folder = Arc::new(scratch_folder().expect("a temporary folder"));
            Self::start_in(folder, "rabbitmq", None)
        })
        .await
    }

    /// Starts nodes that form one cluster, and the port mapper by which they find one another.
    pub async fn start_cluster(nodes: usize) -> (Vec<Self>, PrivatePortMapper) {
        blocking(move || {
            let folder = Arc::new(scratch_folder().expect("a temporary folder"));
            let mapper = PortMapper::start(&folder.path().join("port-mapper")).expect("a port mapper");
            let mut cluster: Vec<Self> = Vec::new();
            let mut membership = mapper.membership().expect("secrets for a cluster");
            for number in 1..=nodes {
                let node = Self::start_in(folder.clone(), &format!("node-{number}"), Some(&membership));
                let name = node.server.as_ref().map(RabbitmqServer::node_name);
                membership.peer.get_or_insert(name.expect("the node runs"));
                cluster.push(node);
            }
            (cluster, PrivatePortMapper { _mapper: mapper, _folder: folder })
        })
        .await
    }

    fn start_in(folder: Arc<TempDir>, name: &str, membership: Option<&Membership>) -> Self {
        let folder_of_node: &Path = &folder.path().join(name);
        let options = RabbitmqOptions {
            folder: folder_of_node.to_owned(),
            port: None,
            preferred_management_port: None,
        };
        let server = match membership {
            None => RabbitmqServer::start(&options),
            Some(membership) => RabbitmqServer::start_member(&options, membership),
        };
        let server = server.expect("RabbitMQ starts");
        let mut management = Url::parse(&server.management_url()).expect("a management URL");
        management.set_username(server.user()).expect("an http URL has a user");
        management.set_password(Some(server.password())).expect("an http URL has a password");
        let amqp_url = server.amqp_url(rabbitmq::VIRTUAL_HOST);
        let options = RabbitmqOptions { port: Some(server.port()), ..options };
        let management_url = management.to_string();
        Self { server: Some(server), options, amqp_url, management_url, _folder: folder }
    }

    /// Its AMQP URL, for the virtual host that exists from the start.
    pub fn amqp_url(&self) -> &str {
        &self.amqp_url
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

    /// Raises an alarm: from now on the node reads nothing from connections that publish.
    pub async fn block_publishers(&mut self, alarm: Alarm) {
        let (limit, raised, _) = alarm.limit();
        self.control(&[limit, raised]).await.expect("rabbitmqctl");
    }

    /// Ends what [`PrivateRabbitmq::block_publishers`] began.
    pub async fn unblock_publishers(&mut self, alarm: Alarm) {
        let (limit, _, usual) = alarm.limit();
        self.control(&[limit, usual]).await.expect("rabbitmqctl");
    }

    /// Has `rabbitmqctl` tell the node something.
    pub async fn control(&mut self, words: &[&str]) -> anyhow::Result<()> {
        let server = self.server.take().context("the node does not run")?;
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let work = move || {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            (server.control(&words), server)
        };
        let (controlled, server) = blocking(work).await;
        self.server = Some(server);
        controlled
    }

    /// Whatever became of it: it runs afterwards, and is not frozen.
    pub async fn put_right(&mut self) {
        if self.server.as_ref().is_some_and(|server| ProcessIdentity::of(server.pid()).is_some()) {
            self.freeze(false);
        } else {
            self.kill().await;
            self.start_again().await;
        }
    }

    /// SIGSTOP, or SIGCONT, to the node.
    pub fn freeze(&self, is_frozen: bool) {
        freeze(self.server.as_ref().map_or(0, RabbitmqServer::pid), is_frozen);
    }
}

/// Why a node takes nothing from publishers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// It uses more memory than it may.
    Memory,
    /// Less of its disk is free than must be.
    Disk,
}

impl Alarm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Memory, Self::Disk];

    /// The limit as `rabbitmqctl` sets it, by what value it is exceeded, and its default.
    fn limit(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Memory => ("set_vm_memory_high_watermark", "0", "0.4"),
            // In bytes: a petabyte is free nowhere.
            Self::Disk => ("set_disk_free_limit", "1000000000000000", "50000000"),
        }
    }
}

/// The port mapper of a cluster of [`PrivateRabbitmq::start_cluster`], which ends with this value.
#[derive(Debug)]
pub struct PrivatePortMapper {
    _mapper: PortMapper,
    _folder: Arc<TempDir>,
}

/// Stops a process and its descendants in the middle of what they do, or lets them go on.
fn freeze(pid: u32, is_frozen: bool) {
    let signal = if is_frozen { Signal::SIGSTOP } else { Signal::SIGCONT };
    let process = ProcessIdentity::of(pid).expect("the server runs");
    process.signal(signal);
    for descendant in process.descendants() {
        descendant.signal(signal);
    }
}

/// Starting and ending servers blocks for seconds; the test's runtime goes on meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
