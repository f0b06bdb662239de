//! Private servers of one test, which it may stop, kill and start again without disturbing another test.

use tempfile::TempDir;
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
}

/// Starting and ending servers blocks for seconds; the test's runtime goes on meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
