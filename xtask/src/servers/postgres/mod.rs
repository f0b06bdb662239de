//! A private PostgreSQL cluster: `<folder>/data`, its log, its port and its superuser's password.

mod cluster;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use self::cluster::{Cluster, STOP_SECONDS_MAX};
use super::{
    folder::{Running, ServerFolder},
    ports, random,
};
use crate::{
    process::{self, Account, Process, ProcessIdentity, last_lines},
    wait,
};

/// The superuser and owner of everything.
pub const SUPERUSER: &str = "warren";

/// The database that exists from the start.
pub const DATABASE: &str = "warren";

/// Crash recovery after a `kill -9` replays the log first, so this is generous.
const START_SECONDS_MAX: Duration = Duration::from_mins(1);

/// How to run a cluster.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Where its data, log and secrets lie; made if missing.
    pub folder: PathBuf,
    /// Exactly this port; `None` takes the one used in this folder before if it is free, else any free one.
    pub port: Option<u16>,
    /// Whether a committed transaction survives a power cut. Tests do without, which is faster.
    pub durable: bool,
}

/// A running cluster, which ends with this value unless it is detached.
#[derive(Debug)]
pub struct PostgresServer {
    cluster: Cluster,
    settings: Settings,
    process: Option<Process>,
    detached: bool,
    moved_from: Option<u16>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Settings {
    port: u16,
    password: String,
}

impl PostgresServer {
    /// Starts a cluster and waits until it accepts connections, initialising its data the first time.
    pub fn start(options: &PostgresOptions) -> anyhow::Result<Self> {
        let mut server = Self::open(options)?;
        server.cluster.end_forgotten()?;
        server.choose_port(options.port)?;
        if !server.cluster.data().exists() {
            server.cluster.initialise(&server.settings.password)?;
        }
        let chosen = server.settings.port;
        if let Err(error) = server.launch() {
            // Somebody may have taken the port between our choosing and PostgreSQL's using it.
            if options.port.is_some() || ports::is_free(chosen) {
                return Err(error);
            }
            server.choose_port(None)?;
            server.launch()?;
        }
        Ok(server)
    }

    /// The cluster that an earlier command left running in this folder, if it still does. It runs on when this value
    /// goes away.
    pub fn adopt(options: &PostgresOptions) -> anyhow::Result<Option<Self>> {
        if !options.folder.join("running.json").exists() {
            return Ok(None);
        }
        let mut server = Self::open(options)?;
        server.process = server.cluster.folder.running().server.and_then(Process::adopt);
        server.detached = true;
        Ok(server.process.is_some().then_some(server))
    }

    /// Waits until it accepts connections.
    pub fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let lock_file = self.cluster.lock_file();
        let log_file = self.log_file();
        let Some(process) = &mut self.process else { bail!("PostgreSQL isn't running") };
        let pid = process.pid().to_string();
        wait::until(START_SECONDS_MAX, "PostgreSQL to accept connections", || {
            if let Some(exit) = process.exit() {
                let log = last_lines(&log_file, 10).join("\n");
                bail!("PostgreSQL didn't start ({}); its log ends with:\n{log}", exit.in_words());
            }
            // The postmaster writes its state there, which `pg_ctl` reads just so.
            let lock = fs::read_to_string(&lock_file).unwrap_or_default();
            let mut lines = lock.lines().map(str::trim);
            let ours = lines.next() == Some(&pid);
            Ok((ours && lines.nth(6) == Some("ready")).then_some(()))
        })
    }

    /// Ends it in order: no new connections, open transactions rolled back, everything written.
    pub fn stop(mut self) {
        self.shut_down();
    }

    /// Ends it as a power cut would: SIGKILL to the postmaster and to all its children.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
            // One may have been born while its parent was dying.
            process::end_all(&ProcessIdentity::working_in(&self.cluster.data()));
            self.cluster.release_shared_memory(process.pid());
        }
    }

    /// Starts it again with the same data on the same port, stopping it first if it runs.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.shut_down();
        self.cluster.end_forgotten()?;
        self.launch()
    }

    /// Lets it run on when this value goes away. A parent that lives on may keep its process, to learn of its end.
    pub fn detach(mut self) -> Option<Process> {
        self.detached = true;
        self.process.take()
    }

    /// True while it runs.
    pub fn is_alive(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_alive)
    }

    /// The postmaster's process id, or 0 while it is stopped.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::pid)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.settings.port
    }

    /// The port used in this folder before, if a stranger has taken it since.
    pub fn moved_from(&self) -> Option<u16> {
        self.moved_from
    }

    /// A URL of `database` for the superuser.
    pub fn url(&self, database: &str) -> String {
        let Settings { port, password } = &self.settings;
        format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/{database}")
    }

    /// Where the server's own log lies.
    pub fn log_file(&self) -> PathBuf {
        self.cluster.folder.file("postgres.log")
    }

    fn open(options: &PostgresOptions) -> anyhow::Result<Self> {
        let folder = ServerFolder::open(&options.folder, Account::for_server("postgres")?)?;
        let settings = match folder.settings()? {
            Some(settings) => settings,
            None => Settings { port: 0, password: random::secret(24)? },
        };
        let cluster = Cluster { folder, durable: options.durable };
        Ok(Self { cluster, settings, process: None, detached: false, moved_from: None })
    }

    fn choose_port(&mut self, wish: Option<u16>) -> anyhow::Result<()> {
        let before = self.settings.port;
        self.settings.port = match wish {
            Some(port) => {
                ensure!(ports::is_free(port), "port {port}, on which PostgreSQL should listen, is taken");
                port
            }
            None if before != 0 && ports::is_free(before) => before,
            None => ports::free_port()?,
        };
        self.moved_from = (before != 0 && before != self.settings.port).then_some(before);
        self.cluster.folder.keep_settings(&self.settings)
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        let log = self.cluster.folder.open_log("postgres.log")?;
        let mut command = self.cluster.postmaster(self.settings.port)?;
        let log_too = log.try_clone().context("can't share PostgreSQL's log")?;
        let process = self.process.insert(Process::spawn(command.stdout(log).stderr(log_too))?);
        self.cluster.folder.keep_running(Running { server: Some(process.identity()), port_mapper: None })?;
        let ready = self.wait_until_ready();
        if ready.is_err() {
            self.kill();
        }
        ready
    }

    fn shut_down(&mut self) {
        if let Some(mut process) = self.process.take()
            && process.is_alive()
            && !process.stop(Signal::SIGINT, STOP_SECONDS_MAX)
        {
            self.cluster.release_shared_memory(process.pid());
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if !self.detached {
            self.kill();
        }
    }
}
