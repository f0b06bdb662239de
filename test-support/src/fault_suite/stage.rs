//! What a run is played on: servers of its own, the programs of its cast, and a proxy between each program and each server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use shared::role::Role;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};
use url::Url;

use super::fault::{API, CONSUMER, Link, Replica, SUITE_SCHEDULER, Server};
use super::{committed, witness};
use crate::faults::{PrivatePortMapper, PrivatePostgres, PrivateRabbitmq};
use crate::network::Proxy;
use crate::programs::{Program, RunningProgram};
use crate::{TestBroker, TestDatabase, environment};

const READY: Duration = Duration::from_mins(3);

/// Who plays.
#[derive(Debug, Clone, Copy)]
pub struct Cast<'a> {
    /// The programs.
    pub programs: &'a [Replica],
    /// What each finds in its environment beside the usual.
    pub environment: &'a [(&'a str, &'a str)],
    /// What has the database take notes beside those of [`committed`], before any program begins.
    pub notes: &'a [&'static str],
}

impl<'a> Cast<'a> {
    /// These programs as they are in life.
    pub const fn of(programs: &'a [Replica]) -> Self {
        Self { programs, environment: &[], notes: &[] }
    }
}

/// The stage. Everything goes away with it, the programs first.
#[derive(Debug)]
pub struct Stage {
    programs: BTreeMap<Replica, Mutex<RunningProgram>>,
    links: BTreeMap<Link, Proxy>,
    /// The suite's own way to the database, without a proxy.
    pub database: TestDatabase,
    broker: TestBroker,
    amqp_urls: Vec<String>,
    postgres: Mutex<PrivatePostgres>,
    nodes: Vec<Mutex<PrivateRabbitmq>>,
    _port_mapper: Option<PrivatePortMapper>,
}

impl Stage {
    /// Starts all of it and waits until every program is ready. With several nodes the broker is a cluster.
    pub async fn set(nodes: usize, cast: &Cast<'_>) -> Self {
        let postgres = PrivatePostgres::start().await;
        let (nodes, port_mapper) = match nodes {
            0 | 1 => (vec![PrivateRabbitmq::start().await], None),
            several => {
                let (nodes, port_mapper) = PrivateRabbitmq::start_cluster(several).await;
                (nodes, Some(port_mapper))
            }
        };
        let (database, broker) = (postgres.database().await, nodes[0].broker().await);
        committed::note_in(database.pool()).await.expect("the database can take notes");
        for statement in cast.notes {
            sqlx::query(*statement).execute(database.pool()).await.expect("the database can take notes");
        }
        let amqp_urls: Vec<String> =
            nodes.iter().map(|node| on_node(broker.amqp_url(), node.amqp_url())).collect();
        // Before anybody connects: a queue gets as many members as there are nodes when it is declared.
        let applied = broker.apply_topology().await;
        assert_eq!(applied.code, Some(0), "the topology can be applied: {}", applied.log);
        // What programs tell before anybody looks is kept.
        witness::declare(&amqp_urls).await;
        let (mut links, mut programs) = (BTreeMap::new(), BTreeMap::new());
        for (place, replica) in cast.programs.iter().copied().enumerate() {
            let mut urls: Vec<&str> = amqp_urls.iter().map(String::as_str).collect();
            // Each program prefers another node.
            urls.rotate_left(place % amqp_urls.len());
            let to_broker = Proxy::before_any(&urls).await;
            // With the rights of its own that it has in life.
            let (amqp_url, database_url) =
                (broker.amqp_url_as(role(replica)), database.url_as(role(replica)));
            let to_database = Proxy::before(&database_url).await;
            let program = program(replica, &database, &broker)
                .as_user_of(&broker, role(replica))
                .env("AMQP_URL", &to_broker.instead_of(&amqp_url))
                .env("DATABASE_URL", &to_database.instead_of(&database_url));
            let program =
                cast.environment.iter().fold(program, |program, (name, value)| program.env(name, value));
            programs.insert(replica, Mutex::new(program.spawn()));
            links.insert(Link { program: replica, server: Server::Rabbitmq }, to_broker);
            links.insert(Link { program: replica, server: Server::Postgres }, to_database);
        }
        let (postgres, nodes) = (Mutex::new(postgres), nodes.into_iter().map(Mutex::new).collect());
        let stage =
            Self { programs, links, database, broker, amqp_urls, postgres, nodes, _port_mapper: port_mapper };
        stage.wait_until_ready().await.expect("the programs start");
        stage
    }

    /// Waits until every program says that it does its work.
    pub async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        for (replica, program) in &self.programs {
            let client = program.lock().await.client();
            loop {
                let answer = crate::api::try_send(client.request(reqwest::Method::GET, "/readyz")).await;
                let said = answer.map_or_else(|error| error.to_string().into(), |answer| answer.body);
                if said["status"] == "ready" {
                    break;
                }
                ensure!(
                    began.elapsed() < READY,
                    "{replica} is not ready after {} s: {said}",
                    READY.as_secs()
                );
                sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// Copies what the programs wrote to a place where it stays.
    pub async fn keep_logs(&self) -> std::io::Result<PathBuf> {
        let folder = environment::programs_folder().with_file_name("faults");
        std::fs::create_dir_all(&folder)?;
        for (replica, program) in &self.programs {
            std::fs::write(folder.join(format!("{replica}.log")), program.lock().await.log())?;
        }
        Ok(folder)
    }

    /// A program, for whoever is the first to ask.
    pub async fn program(&self, replica: Replica) -> MutexGuard<'_, RunningProgram> {
        self.programs[&replica].lock().await
    }

    /// All programs.
    pub fn programs(&self) -> impl Iterator<Item = (Replica, &Mutex<RunningProgram>)> {
        self.programs.iter().map(|(replica, program)| (*replica, program))
    }

    /// The network of a link.
    pub fn link(&self, link: Link) -> &Proxy {
        &self.links[&link]
    }

    /// The database server.
    pub async fn postgres(&self) -> MutexGuard<'_, PrivatePostgres> {
        self.postgres.lock().await
    }

    /// A node of the broker.
    pub async fn node(&self, number: usize) -> MutexGuard<'_, PrivateRabbitmq> {
        self.nodes[number].lock().await
    }

    /// The URLs of the virtual host on each node, without a proxy.
    pub fn amqp_urls(&self) -> &[String] {
        &self.amqp_urls
    }

    /// The virtual host.
    pub fn broker(&self) -> &TestBroker {
        &self.broker
    }

    /// The versions of the servers, and whether their queues have as many members as there are nodes.
    pub async fn versions(&self) -> String {
        let overview = self.broker.get("api/overview").await;
        let path = format!("api/queues/{}/audit.events", self.broker.virtual_host());
        let members = self.broker.get(&path).await["members"].as_array().map_or(0, Vec::len);
        let nodes = self.nodes.len();
        assert_eq!(members, nodes, "the queue of the trail has as many members as the broker has nodes");
        let version = sqlx::query_scalar("SHOW server_version").fetch_one(self.database.pool()).await;
        let postgres: String = version.expect("PostgreSQL says its version");
        let text = |name: &str| overview[name].as_str().unwrap_or("?").to_owned();
        format!(
            "RabbitMQ {} on Erlang {}, {nodes} node(s); PostgreSQL {postgres}",
            text("rabbitmq_version"),
            text("erlang_version")
        )
    }
}

fn role(replica: Replica) -> Role {
    match replica.program {
        API => Role::ProducerApi,
        CONSUMER => Role::AuditConsumer,
        _ => Role::Scheduler,
    }
}

fn program(replica: Replica, database: &TestDatabase, broker: &TestBroker) -> Program {
    let program = match replica.program {
        // The load keeps its tokens, and shouldn't have to fetch new ones in the middle of an outage.
        // Refreshed tokens are exchanged, for more to be told; and each newcomer has an address of his own, for many may come.
        API => Program::producer_api(database, broker)
            .env("ACCESS_TOKEN_LIFETIME", "1d")
            .env("ROTATE_REFRESH_TOKENS", "true")
            .env("BLACKLIST_AFTER_ROTATION", "true")
            .env("TRUSTED_PROXIES", "127.0.0.1"),
        CONSUMER => Program::audit_consumer(database, broker),
        SUITE_SCHEDULER => Program::suite_scheduler(database, broker),
        // Registering sends mails, and a mail that can't be sent is tried for a day.
        _ => Program::scheduler(database, broker).env("EMAIL_BACKEND", "console"),
    };
    program.env("INSTANCE_NAME", &replica.to_string()).env("RUST_LOG", "warn,lapin=off")
}

/// The virtual host of `url`, on the node of `node`.
fn on_node(url: &str, node: &str) -> String {
    let (mut url, node) = (Url::parse(url).expect("a URL"), Url::parse(node).expect("a URL"));
    url.set_port(node.port()).expect("an AMQP URL has a port");
    url.to_string()
}
