//! The files, commands and probes of one RabbitMQ node.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use anyhow::Context as _;

use super::{
    super::{binaries, folder::ServerFolder, install::Package},
    USER, VIRTUAL_HOST,
    settings::Settings,
};
use crate::{
    http,
    process::{self, Process},
    wait,
};

/// Present once the node has been ready; without it an interrupted first start may have left half a node.
const FIRST_START: &str = "first-start-done";

/// Writes the node's configuration, and removes what an interrupted first start left.
pub(super) fn prepare(folder: &ServerFolder, settings: &Settings) -> anyhow::Result<()> {
    let node = folder.file("node");
    if !folder.file(FIRST_START).exists() && node.exists() {
        fs::remove_dir_all(&node).context("can't remove the data of an interrupted first start")?;
    }
    let account = folder.account();
    account.claim_folder(&node)?;
    account.claim_folder(&folder.file("log"))?;
    account.claim_folder(&folder.file("home"))?;
    account.write_private(&folder.file("rabbitmq.conf"), &configuration(settings))?;
    account.write_private(&folder.file("enabled_plugins"), "[rabbitmq_management].\n")?;
    // Instead of /etc/rabbitmq/rabbitmq-env.conf, whose settings are meant for the system's own node.
    account.write_private(&folder.file("rabbitmq-env.conf"), "")?;
    account.write_private(&folder.file("home/.erlang.cookie"), &settings.cookie)
}

/// Remembers that the data is complete.
pub(super) fn note_first_start(folder: &ServerFolder) -> anyhow::Result<()> {
    folder.account().write_private(&folder.file(FIRST_START), "")
}

/// Starts the port mapper in the foreground; otherwise the node would start one as a daemon that nobody stops.
pub(super) fn spawn_port_mapper(folder: &ServerFolder, port: u16) -> anyhow::Result<Process> {
    let Some(epmd) = binaries::epmd() else { return Err(Package::RabbitmqServer.missing()) };
    let mut command = folder.account().command(&epmd);
    command.args(["-address", "127.0.0.1", "-port"]).arg(port.to_string());
    let mut process = spawn(folder, &mut command)?;
    let answers = wait::until(Duration::from_secs(20), "Erlang's port mapper", || {
        anyhow::ensure!(process.is_alive(), "Erlang's port mapper didn't start on port {port}");
        Ok(accepts(port).then_some(()))
    });
    if let Err(error) = answers {
        process.kill();
        return Err(error);
    }
    Ok(process)
}

/// Starts the node itself.
pub(super) fn spawn_server(folder: &ServerFolder, settings: &Settings) -> anyhow::Result<Process> {
    let Some(program) = binaries::rabbitmq_server() else { return Err(Package::RabbitmqServer.missing()) };
    let mut command = folder.account().command(&program);
    command
        .env("HOME", folder.file("home"))
        .env("RABBITMQ_NODENAME", name(settings))
        .env("RABBITMQ_MNESIA_BASE", folder.file("node"))
        // The data's name mustn't follow the node's, which follows its port.
        .env("RABBITMQ_MNESIA_DIR", folder.file("node/data"))
        .env("RABBITMQ_LOG_BASE", folder.file("log"))
        .env("RABBITMQ_CONFIG_FILE", folder.file("rabbitmq.conf"))
        .env("RABBITMQ_CONF_ENV_FILE", folder.file("rabbitmq-env.conf"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", folder.file("advanced.config"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.file("enabled_plugins"))
        .env("RABBITMQ_GENERATED_CONFIG_DIR", folder.file("node/config"))
        .env("RABBITMQ_PID_FILE", folder.file("node/pid"))
        .env("RABBITMQ_DIST_PORT", settings.distribution_port.to_string())
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", settings.epmd_port.to_string())
        // The script then becomes the Erlang VM instead of watching over it, so that our child is the broker itself.
        .env("RUNNING_UNDER_SYSTEMD", "1");
    spawn(folder, &mut command)
}

/// Has `rabbitmqctl` tell the node something.
pub(super) fn control(folder: &ServerFolder, settings: &Settings, arguments: &[&str]) -> anyhow::Result<()> {
    let Some(program) = binaries::rabbitmqctl() else { return Err(Package::RabbitmqServer.missing()) };
    let mut command = folder.account().command(&program);
    command
        .env("HOME", folder.file("home"))
        .env("RABBITMQ_CONF_ENV_FILE", folder.file("rabbitmq-env.conf"))
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", settings.epmd_port.to_string())
        .args(["--node", &name(settings)])
        .args(arguments);
    let (status, output) = process::run_to_string(&mut command)?;
    anyhow::ensure!(status.success(), "rabbitmqctl {} said:\n{output}", arguments.join(" "));
    Ok(())
}

pub(super) fn name(settings: &Settings) -> String {
    format!("warren-{}@localhost", settings.amqp_port)
}

/// True once clients and the management UI's users are let in.
pub(super) fn answers(settings: &Settings) -> bool {
    let overview = format!("http://127.0.0.1:{}/api/overview", settings.management_port);
    accepts(settings.amqp_port) && http::is_ok_with_login(&overview, USER, &settings.password)
}

fn spawn(folder: &ServerFolder, command: &mut Command) -> anyhow::Result<Process> {
    let log = folder.open_log("startup.log")?;
    let log_too = log.try_clone().context("can't share RabbitMQ's log")?;
    // By its working folder a process is found even if nobody remembers it.
    Process::spawn(command.current_dir(folder.path()).stdout(log).stderr(log_too))
}

fn accepts(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

fn configuration(settings: &Settings) -> String {
    let Settings { amqp_port, management_port, password, .. } = settings;
    format!(
        "listeners.tcp.1 = 127.0.0.1:{amqp_port}\n\
         management.tcp.ip = 127.0.0.1\n\
         management.tcp.port = {management_port}\n\
         default_vhost = {VIRTUAL_HOST}\n\
         default_user = {USER}\n\
         default_pass = {password}\n\
         default_user_tags.administrator = true\n\
         log.file = rabbitmq.log\n\
         log.file.level = info\n\
         # The default of 512 MB is allocated and read again at each start.\n\
         raft.wal_max_size_bytes = 64000000\n"
    )
}
