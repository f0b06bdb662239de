//! PostgreSQL and RabbitMQ of the stack: given by the caller, running already, or started here.

use std::path::Path;

use anyhow::{Context as _, anyhow};

use super::{
    build, given,
    layout::Layout,
    state::{Management, Session},
};
use crate::{
    console::Console,
    interrupt,
    process::Process,
    servers::{
        PostgresOptions, PostgresServer, RabbitmqOptions, RabbitmqServer, ensure_installed, install::Package,
        postgres::DATABASE, rabbitmq::VIRTUAL_HOST,
    },
};

/// The servers' names: of their folders, in the log stream, and in the status.
pub(super) const POSTGRES: &str = "postgres";
pub(super) const RABBITMQ: &str = "rabbitmq";
pub(super) const PORT_MAPPER: &str = "epmd";

/// Where everybody looks for the management UI, if it is free.
const MANAGEMENT_PORT: u16 = 15672;

/// Our own servers, where the caller gave none.
#[derive(Debug)]
pub(super) struct Servers {
    postgres: Option<Server<PostgresServer>>,
    rabbitmq: Option<Server<RabbitmqServer>>,
}

#[derive(Debug)]
struct Server<S> {
    server: S,
    /// False if it ran already, and is not ours to stop when something goes wrong.
    started: bool,
}

/// Installs what is missing for the servers that the caller doesn't give.
pub(super) fn ensure_binaries(console: &Console, session: &Session) -> anyhow::Result<()> {
    let mut needed = Vec::new();
    match session.settings.secret("DATABASE_URL")? {
        Some(url) => given::check("DATABASE_URL", &url, 5432)?,
        None => needed.push(Package::Postgresql),
    }
    match session.settings.secret("AMQP_URL")? {
        Some(url) => given::check("AMQP_URL", &url, if url.starts_with("amqps") { 5671 } else { 5672 })?,
        None => needed.push(Package::RabbitmqServer),
    }
    ensure_installed(console, &needed)
}

/// Starts what isn't running, both at once and beside the compiler, and writes their URLs into the session.
pub(super) fn start(
    console: &Console,
    layout: &Layout,
    folder: &Path,
    session: &mut Session,
) -> anyhow::Result<Servers> {
    let given_database = session.settings.secret("DATABASE_URL")?;
    let given_broker = session.settings.secret("AMQP_URL")?;
    let (postgres, rabbitmq, built) = std::thread::scope(|scope| {
        let postgres =
            scope.spawn(|| given_database.is_none().then(|| start_postgres(console, folder)).transpose());
        let rabbitmq =
            scope.spawn(|| given_broker.is_none().then(|| start_rabbitmq(console, folder)).transpose());
        let built = build::programs(console, layout);
        (postgres.join(), rabbitmq.join(), built)
    });
    let broken = |_| anyhow!("the thread that started a server broke down");
    let mut errors = Vec::new();
    let mut keep = |error| errors.push(error);
    let servers = Servers {
        postgres: postgres.map_err(broken).flatten().map_err(&mut keep).ok().flatten(),
        rabbitmq: rabbitmq.map_err(broken).flatten().map_err(&mut keep).ok().flatten(),
    };
    built.map_err(&mut keep).ok();
    if let Some(error) = first_cause(errors) {
        servers.undo();
        return Err(error);
    }
    servers.describe(given_database, given_broker, session);
    Ok(servers)
}

/// The error to show: after a Ctrl-C that one, since others may be no more than its echo.
fn first_cause(errors: Vec<anyhow::Error>) -> Option<anyhow::Error> {
    let first = errors.into_iter().next()?;
    Some(interrupt::check().map_or_else(anyhow::Error::from, |()| first))
}

impl Servers {
    /// Leaves them running, and gives the processes that this command started.
    pub(super) fn detach(self) -> Vec<(&'static str, Process)> {
        let postgres = self.postgres.and_then(|postgres| postgres.server.detach());
        let rabbitmq = self.rabbitmq.map(|rabbitmq| rabbitmq.server.detach()).unwrap_or_default();
        let mut processes: Vec<_> = postgres.into_iter().map(|process| (POSTGRES, process)).collect();
        for (process, name) in rabbitmq.into_iter().zip([RABBITMQ, PORT_MAPPER]) {
            processes.push((name, process));
        }
        processes
    }

    /// Stops those that this command started.
    pub(super) fn undo(self) {
        if let Some(rabbitmq) = self.rabbitmq.filter(|rabbitmq| rabbitmq.started) {
            rabbitmq.server.stop();
        }
        if let Some(postgres) = self.postgres.filter(|postgres| postgres.started) {
            postgres.server.stop();
        }
    }

    /// True if the database is our own, where we may make roles.
    pub(super) fn own_database(&self) -> bool {
        self.postgres.is_some()
    }

    fn describe(&self, given_database: Option<String>, given_broker: Option<String>, session: &mut Session) {
        session.database_url = given_database.or_else(|| Some(self.postgres.as_ref()?.server.url(DATABASE)));
        session.management = match &self.rabbitmq {
            Some(Server { server, .. }) => Some(Management {
                url: server.management_url(),
                login: Some((server.user().to_owned(), server.password().to_owned())),
            }),
            None => session
                .settings
                .get("MANAGEMENT_URL")
                .map(|url| Management { url: url.to_owned(), login: None }),
        };
        session.amqp_url =
            given_broker.or_else(|| Some(self.rabbitmq.as_ref()?.server.amqp_url(VIRTUAL_HOST)));
    }
}

/// The running cluster of this stack, if there is one.
pub(super) fn running_postgres(folder: &Path) -> anyhow::Result<Option<PostgresServer>> {
    PostgresServer::adopt(&postgres_options(folder))
}

/// The running node of this stack, if there is one, or what is left of it.
pub(super) fn running_rabbitmq(folder: &Path) -> anyhow::Result<Option<RabbitmqServer>> {
    RabbitmqServer::adopt(&rabbitmq_options(folder))
}

fn start_postgres(console: &Console, folder: &Path) -> anyhow::Result<Server<PostgresServer>> {
    if let Some(mut server) = running_postgres(folder)? {
        server.wait_until_ready()?;
        return Ok(Server { server, started: false });
    }
    console.step("starting PostgreSQL");
    let server = PostgresServer::start(&postgres_options(folder)).context("PostgreSQL")?;
    if let Some(before) = server.moved_from() {
        console.warn(format_args!("port {before} is taken; PostgreSQL listens on {}", server.port()));
    }
    console.detail(format_args!("PostgreSQL answers on port {}", server.port()));
    Ok(Server { server, started: true })
}

fn start_rabbitmq(console: &Console, folder: &Path) -> anyhow::Result<Server<RabbitmqServer>> {
    if let Some(mut server) = running_rabbitmq(folder)?
        && server.is_alive()
    {
        server.wait_until_ready()?;
        return Ok(Server { server, started: false });
    }
    console.step("starting RabbitMQ");
    let server = RabbitmqServer::start(&rabbitmq_options(folder)).context("RabbitMQ")?;
    for (before, now) in server.moved() {
        console.warn(format_args!("port {before} is taken; RabbitMQ uses {now} instead"));
    }
    console.detail(format_args!("RabbitMQ answers on port {}", server.port()));
    Ok(Server { server, started: true })
}

fn postgres_options(folder: &Path) -> PostgresOptions {
    PostgresOptions { folder: folder.join(POSTGRES), port: None, durable: true }
}

fn rabbitmq_options(folder: &Path) -> RabbitmqOptions {
    RabbitmqOptions {
        folder: folder.join(RABBITMQ),
        port: None,
        preferred_management_port: Some(MANAGEMENT_PORT),
    }
}
