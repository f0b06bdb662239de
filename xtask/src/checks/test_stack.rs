//! The private servers of one command: started beside the compiler, deleted with all they hold, however it ends.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::console::Console;
use crate::servers::install::Package;
use crate::servers::{
    PostgresOptions, PostgresServer, RabbitmqOptions, RabbitmqServer, ensure_installed, reachable_folder,
};

/// The servers. Dropping it kills them and deletes their folder.
#[derive(Debug)]
pub(super) struct TestStack {
    console: Console,
    postgres: Server<PostgresServer>,
    rabbitmq: Server<RabbitmqServer>,
    folder: PathBuf,
    /// Held as long as the servers live, and released by the kernel even after a SIGKILL.
    _lock: Flock<File>,
}

/// A server that a lane will ask for.
#[derive(Debug)]
enum Server<S> {
    NotNeeded,
    Starting(JoinHandle<Result<S>>),
    Ready(S),
}

impl TestStack {
    /// Ends and removes what a killed command left behind, and starts the servers in the background.
    pub(super) fn begin(console: &Console, preferred: &Path, postgres: bool, rabbitmq: bool) -> Result<Self> {
        let lock = lock(&preferred.with_extension("lock"))?;
        let mut folder = preferred.to_owned();
        if postgres || rabbitmq {
            // Now and not beside the compiler: whoever must install them by hand should know before it has worked.
            ensure_installed(console, &[Package::Postgresql, Package::RabbitmqServer])?;
            folder = reachable_folder(preferred)?;
        }
        clear_left_overs(&folder)?;
        let mut stack = Self {
            console: console.clone(),
            postgres: Server::NotNeeded,
            rabbitmq: Server::NotNeeded,
            folder,
            _lock: lock,
        };
        if postgres {
            let options = postgres_options(&stack.folder);
            stack.postgres = Server::Starting(thread::spawn(move || PostgresServer::start(&options)));
        }
        if rabbitmq {
            let options = rabbitmq_options(&stack.folder);
            stack.rabbitmq = Server::Starting(thread::spawn(move || RabbitmqServer::start(&options)));
        }
        Ok(stack)
    }

    /// PostgreSQL, as soon as it answers.
    pub(super) fn postgres(&mut self) -> Result<&PostgresServer> {
        self.postgres.wait().context("the private PostgreSQL is missing")
    }

    /// RabbitMQ, as soon as it answers.
    pub(super) fn rabbitmq(&mut self) -> Result<&RabbitmqServer> {
        self.rabbitmq.wait().context("the private RabbitMQ is missing")
    }
}

impl Drop for TestStack {
    fn drop(&mut self) {
        // Killed by their handles, and so quickly: there is nothing to keep.
        drop(self.postgres.take());
        drop(self.rabbitmq.take());
        if let Err(error) = remove(&self.folder) {
            self.console.warn(format_args!("{error:#}"));
        }
    }
}

impl<S> Server<S> {
    fn wait(&mut self) -> Result<&S> {
        *self = match std::mem::replace(self, Self::NotNeeded) {
            Self::Starting(starting) => Self::Ready(join(starting)?),
            other => other,
        };
        match self {
            Self::Ready(server) => Ok(server),
            _ => bail!("no lane of this command asked for it, or it failed before"),
        }
    }

    /// The server, if it came up at all.
    fn take(&mut self) -> Option<S> {
        match std::mem::replace(self, Self::NotNeeded) {
            Self::NotNeeded => None,
            Self::Starting(starting) => join(starting).ok(),
            Self::Ready(server) => Some(server),
        }
    }
}

fn join<S>(starting: JoinHandle<Result<S>>) -> Result<S> {
    starting.join().unwrap_or_else(|_| Err(anyhow!("the thread that started it broke down")))
}

/// One command at a time: two would take each other's servers for left-overs.
fn lock(path: &Path) -> Result<Flock<File>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
        anyhow!(error).context("another `cargo xtask test`, `check` or `prepare` is at work in this checkout")
    })
}

/// Kills the servers that still run in the folder, and removes it.
fn clear_left_overs(folder: &Path) -> Result<()> {
    // A server that can't even be looked at has lost its packages, and doesn't run.
    if let Ok(Some(mut postgres)) = PostgresServer::adopt(&postgres_options(folder)) {
        postgres.kill();
    }
    if let Ok(Some(mut rabbitmq)) = RabbitmqServer::adopt(&rabbitmq_options(folder)) {
        rabbitmq.kill();
    }
    remove(folder)
}

fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot delete {}", folder.display()))
}

fn postgres_options(folder: &Path) -> PostgresOptions {
    PostgresOptions { folder: folder.join("postgres"), port: None, durable: false }
}

fn rabbitmq_options(folder: &Path) -> RabbitmqOptions {
    RabbitmqOptions { folder: folder.join("rabbitmq"), port: None, preferred_management_port: None }
}
