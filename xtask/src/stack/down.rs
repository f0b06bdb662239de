//! `cargo xtask down`: ends the programs, then RabbitMQ, then PostgreSQL.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use nix::sys::signal::Signal;

use super::{
    layout::Layout,
    lock::StackLock,
    servers,
    state::{Instance, State},
};
use crate::{
    console::Console,
    process::{self, ProcessIdentity},
    wait,
};

/// How long the programs may take to finish what they have begun.
const FINISH_SECONDS_MAX: Duration = Duration::from_secs(20);

/// Stops everything; quiet if nothing runs.
pub fn down(console: &Console) -> anyhow::Result<()> {
    let layout = Layout::find()?;
    if !layout.stack.exists() {
        return Ok(());
    }
    let _lock = StackLock::take(&layout, console)?;
    stop_everything(console, &layout)
}

/// Ends the session and all its processes, the caller holding the lock.
pub(super) fn stop_everything(console: &Console, layout: &Layout) -> anyhow::Result<()> {
    let Some(mut state) = State::load(layout)? else { return Ok(()) };
    if let Some(session) = &mut state.session {
        session.stopping = true;
        let instances = session.instances.clone();
        // Whoever follows the logs then knows that the ends to come are meant.
        state.save(layout)?;
        if instances.iter().any(|instance| instance.alive().is_some()) {
            console.step("stopping the programs");
            stop_instances(&instances);
        }
    }
    stop_servers(console, &state.servers)?;
    state.session = None;
    state.save(layout)
}

/// Asks all of these to finish, and kills those that haven't in time.
pub(super) fn stop_instances<'a>(instances: impl IntoIterator<Item = &'a Instance>) {
    let processes: Vec<ProcessIdentity> = instances.into_iter().filter_map(Instance::alive).collect();
    for process in &processes {
        process.signal(Signal::SIGTERM);
    }
    wait::for_the_end(FINISH_SECONDS_MAX, || processes.iter().all(|process| !process.is_alive()));
    process::end_all(&processes);
}

/// Stops everything and deletes data, secrets and logs.
pub(super) fn delete_everything(console: &Console, layout: &Layout) -> anyhow::Result<()> {
    let servers = match State::load(layout) {
        Ok(Some(state)) => {
            stop_everything(console, layout)?;
            state.servers
        }
        Ok(None) => return Ok(()),
        Err(error) => {
            console.warn(format_args!("{error:#}"));
            let servers = layout.servers()?;
            stop_servers(console, &servers)?;
            servers
        }
    };
    console.step("deleting the old data");
    for folder in [&servers.join(servers::POSTGRES), &servers.join(servers::RABBITMQ), &layout.stack] {
        remove_folder(folder)?;
    }
    if servers != layout.stack {
        remove_folder(&servers)?;
    }
    Ok(())
}

fn stop_servers(console: &Console, folder: &Path) -> anyhow::Result<()> {
    if let Some(rabbitmq) = servers::running_rabbitmq(folder)? {
        console.step("stopping RabbitMQ");
        rabbitmq.stop();
    }
    if let Some(postgres) = servers::running_postgres(folder)? {
        console.step("stopping PostgreSQL");
        postgres.stop();
    }
    Ok(())
}

fn remove_folder(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't delete {}", folder.display()))
        }
        _ => Ok(()),
    }
}
