//! A private RabbitMQ node with its own port mapper: `<folder>/node`, its log, its ports and its secrets.

mod cluster;
mod node;
mod settings;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::Signal;

pub use self::cluster::{Membership, PortMapper};
use self::settings::Settings;
use super::{
    folder::{Running, ServerFolder},
    ports,
};
use crate::{
    process::{self, Account, Process, ProcessIdentity, last_lines},
    wait,
};

/// A node takes about six seconds on two cores, and much longer on a busy machine.
const START_SECONDS_MAX: Duration = Duration::from_mins(2);
const STOP_SECONDS_MAX: Duration = Duration::from_secs(30);

/// The one user, an administrator.
pub const USER: &str = "warren";

/// The virtual host that exists from the start.
pub const VIRTUAL_HOST: &str = "warren";

/// How to run a node.
#[derive(Clone, Debug)]
pub struct RabbitmqOptions {
    /// Where its data, log and secrets lie; made if missing.
    pub folder: PathBuf,
    /// Exactly this AMQP port; `None` takes the one used in this folder before if it is free, else any free one.
    pub port: Option<u16>,
    /// The management port wished for; if it is taken, or none is wished for, the one used before or any free one.
    pub preferred_management_port: Option<u16>,
}

/// A running node, which ends with this value unless it is detached.
#[derive(Debug)]
pub struct RabbitmqServer {
    folder: ServerFolder,
    settings: Settings,
    server: Option<Process>,
    port_mapper: Option<Process>,
    detached: bool,
    moved: Vec<(u16, u16)>,
}

impl RabbitmqServer {
    /// Starts a node and waits until AMQP and the management API answer.
    pub fn start(options: &RabbitmqOptions) -> anyhow::Result<Self> {
        let mut server = Self::open(options)?;
        server.end_forgotten();
        server.choose_ports(options)?;
        let chosen = server.settings.clone();
        if let Err(error) = server.launch() {
            // Somebody may have taken a port between our choosing and RabbitMQ's using it.
            if options.port.is_some() || chosen.ports().into_iter().all(ports::is_free) {
                return Err(error);
            }
            server.choose_ports(options)?;
            server.launch()?;
        }
        Ok(server)
    }

    /// The node that an earlier command left in this folder, if anything of it still runs; perhaps its port mapper
    /// alone, see [`is_alive`](Self::is_alive). It runs on when this value goes away.
    pub fn adopt(options: &RabbitmqOptions) -> anyhow::Result<Option<Self>> {
        if !options.folder.join("running.json").exists() {
            return Ok(None);
        }
        let mut server = Self::open(options)?;
        let running = server.folder.running();
        server.server = running.server.and_then(Process::adopt);
        server.port_mapper = running.port_mapper.and_then(Process::adopt);
        server.detached = true;
        Ok((server.server.is_some() || server.port_mapper.is_some()).then_some(server))
    }

    /// Waits until AMQP and the management API answer.
    pub fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let logs = [self.folder.file("startup.log"), self.log_file()];
        let log_ends = || logs.iter().flat_map(|log| last_lines(log, 12)).collect::<Vec<_>>().join("\n");
        let Some(server) = &mut self.server else { bail!("RabbitMQ isn't running") };
        let settings = &self.settings;
        wait::until(START_SECONDS_MAX, "RabbitMQ to answer on its AMQP and management ports", || {
            if let Some(exit) = server.exit() {
                bail!("RabbitMQ didn't start ({})", exit.in_words());
            }
            Ok(node::answers(settings).then_some(()))
        })
        .with_context(|| format!("its log ends with:\n{}\n", log_ends()))
    }

    /// Tells it something by RabbitMQ's own tool, `rabbitmqctl`.
    pub fn control(&self, arguments: &[&str]) -> anyhow::Result<()> {
        node::control(&self.folder, &self.settings, arguments)
    }

    /// The name by which other Erlang nodes know it.
    pub fn node_name(&self) -> String {
        node::name(&self.settings)
    }

    /// Ends it in order: clients are told, queues are written.
    pub fn stop(mut self) {
        self.shut_down();
    }

    /// Ends it as a power cut would, with SIGKILL.
    pub fn kill(&mut self) {
        for mut process in [self.server.take(), self.port_mapper.take()].into_iter().flatten() {
            process.kill();
        }
    }

    /// Starts it again with the same data on the same ports, stopping it first if it runs.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.shut_down();
        self.launch()
    }

    /// Lets it run on when this value goes away. A parent that lives on may keep its processes, the node first, to learn
    /// of their end.
    pub fn detach(mut self) -> Vec<Process> {
        self.detached = true;
        [self.server.take(), self.port_mapper.take()].into_iter().flatten().collect()
    }

    /// True while it runs.
    pub fn is_alive(&mut self) -> bool {
        self.server.as_mut().is_some_and(Process::is_alive)
    }

    /// The Erlang VM's process id, or 0 while it is stopped.
    pub fn pid(&self) -> u32 {
        self.server.as_ref().map_or(0, Process::pid)
    }

    /// The AMQP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.settings.amqp_port
    }

    /// The ports used in this folder before that strangers have taken since, each with its successor.
    pub fn moved(&self) -> &[(u16, u16)] {
        &self.moved
    }

    /// A URL of `virtual_host`, of which [`VIRTUAL_HOST`] always exists.
    pub fn amqp_url(&self, virtual_host: &str) -> String {
        let Settings { amqp_port, password, .. } = &self.settings;
        format!("amqp://{USER}:{password}@127.0.0.1:{amqp_port}/{virtual_host}")
    }

    /// The management UI and API, without a trailing slash.
    pub fn management_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.settings.management_port)
    }

    /// The name of the one user, an administrator.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// That user's password.
    pub fn password(&self) -> &str {
        &self.settings.password
    }

    /// Where the node's own log lies.
    pub fn log_file(&self) -> PathBuf {
        self.folder.file("log/rabbitmq.log")
    }

    fn open(options: &RabbitmqOptions) -> anyhow::Result<Self> {
        let folder = ServerFolder::open(&options.folder, Account::for_server("rabbitmq")?)?;
        let settings = match folder.settings()? {
            Some(settings) => settings,
            None => Settings::new()?,
        };
        Ok(Self { folder, settings, server: None, port_mapper: None, detached: false, moved: Vec::new() })
    }

    fn choose_ports(&mut self, options: &RabbitmqOptions) -> anyhow::Result<()> {
        if let Some(port) = options.port {
            ensure!(ports::is_free(port), "port {port}, on which RabbitMQ should listen, is taken");
        }
        self.moved = self.settings.choose_ports(options.port, options.preferred_management_port)?;
        self.folder.keep_settings(&self.settings)
    }

    /// Ends a node, or just its port mapper, that a killed command left behind in this folder.
    fn end_forgotten(&self) {
        let running = self.folder.running();
        for mut process in
            [running.server, running.port_mapper].into_iter().flatten().filter_map(Process::adopt)
        {
            process.stop(Signal::SIGTERM, STOP_SECONDS_MAX);
        }
        process::end_all(&ProcessIdentity::working_in(self.folder.path()));
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        node::prepare(&self.folder, &self.settings)?;
        let mut running = Running::default();
        if !self.settings.shares_port_mapper {
            let port_mapper = node::spawn_port_mapper(&self.folder, self.settings.epmd_port)?;
            running.port_mapper = Some(self.port_mapper.insert(port_mapper).identity());
            self.folder.keep_running(running)?;
        }
        let server = self.server.insert(node::spawn_server(&self.folder, &self.settings)?);
        running.server = Some(server.identity());
        self.folder.keep_running(running)?;
        let ready = self.wait_until_ready();
        match &ready {
            Ok(()) => node::note_first_start(&self.folder)?,
            Err(_) => self.kill(),
        }
        ready
    }

    fn shut_down(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.stop(Signal::SIGTERM, STOP_SECONDS_MAX);
        }
        if let Some(mut port_mapper) = self.port_mapper.take() {
            port_mapper.stop(Signal::SIGTERM, STOP_SECONDS_MAX);
        }
    }
}

impl Drop for RabbitmqServer {
    fn drop(&mut self) {
        if !self.detached {
            self.kill();
        }
    }
}
