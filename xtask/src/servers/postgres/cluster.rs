//! The files of one PostgreSQL cluster, and the commands that make and run it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use nix::sys::signal::Signal;

use super::{
    super::{binaries, folder::ServerFolder, install::Package},
    DATABASE, SUPERUSER,
};
use crate::process::{self, Process, ProcessIdentity};

pub(super) const STOP_SECONDS_MAX: Duration = Duration::from_secs(20);

/// A cluster's folder, whether it runs or not.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) folder: ServerFolder,
    pub(super) durable: bool,
}

impl Cluster {
    pub(super) fn data(&self) -> PathBuf {
        self.folder.file("data")
    }

    /// What the postmaster writes about itself and its state, which `pg_ctl` reads just so.
    pub(super) fn lock_file(&self) -> PathBuf {
        self.data().join("postmaster.pid")
    }

    /// The postmaster's command.
    pub(super) fn postmaster(&self, port: u16) -> anyhow::Result<Command> {
        let mut command = self.command("postgres")?;
        command.arg("-D").arg(self.data());
        for setting in server_settings(port, self.durable) {
            command.arg("-c").arg(setting);
        }
        Ok(command)
    }

    /// Makes the data in a draft folder first, so that an interrupted `initdb` leaves nothing that looks complete.
    pub(super) fn initialise(&self, password: &str) -> anyhow::Result<()> {
        let draft = self.folder.file("data.draft");
        let password_file = self.folder.file("password.draft");
        if draft.exists() {
            fs::remove_dir_all(&draft).context("can't remove the data of an interrupted initdb")?;
        }
        self.folder.account().write_private(&password_file, password)?;
        let mut initdb = self.command("initdb")?;
        initdb.arg("--pgdata").arg(&draft).arg("--pwfile").arg(&password_file);
        initdb.args(["--username", SUPERUSER, "--encoding", "UTF8", "--locale", "C.UTF-8"]);
        initdb.args(["--auth", "scram-sha-256", "--no-instructions"]);
        if !self.durable {
            initdb.arg("--no-sync");
        }
        run_step(&mut initdb)?;
        fs::remove_file(&password_file).context("can't remove initdb's password file")?;
        self.create_database(&draft)?;
        fs::rename(&draft, self.data()).context("can't move the new data into place")
    }

    /// Ends a postmaster on our data that nobody remembers, and the backends of one that was killed. Then removes its
    /// lock file: the number in it may meanwhile belong to a process that PostgreSQL would take for the postmaster.
    pub(super) fn end_forgotten(&self) -> anyhow::Result<()> {
        let lock_file = self.lock_file();
        let Ok(lock) = fs::read_to_string(&lock_file) else { return Ok(()) };
        let postmaster: Option<u32> = lock.lines().next().and_then(|line| line.trim().parse().ok());
        let working = ProcessIdentity::working_in(&self.data());
        let forgotten = working.iter().find(|process| Some(process.pid) == postmaster);
        if let Some(mut forgotten) = forgotten.copied().and_then(Process::adopt) {
            forgotten.stop(Signal::SIGINT, STOP_SECONDS_MAX);
        }
        // Without the lock file a new postmaster would start beside them and destroy the data.
        process::end_all(&working);
        postmaster.inspect(|postmaster| self.release_shared_memory(*postmaster));
        match fs::remove_file(&lock_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("can't remove the stale {}", lock_file.display()))
            }
            _ => Ok(()),
        }
    }

    /// A killed postmaster leaves the memory segment behind by which PostgreSQL recognises living backends. All of
    /// them are gone, so we remove it: a scratch cluster never starts again and would leave it for ever.
    pub(super) fn release_shared_memory(&self, killed: u32) {
        let Ok(lock) = fs::read_to_string(self.lock_file()) else { return };
        let mut lines = lock.lines().map(str::trim);
        if lines.next() != Some(&killed.to_string()) {
            return;
        }
        if let Some(segment) = lines.nth(5).and_then(|line| line.split_ascii_whitespace().nth(1)) {
            // Without `ipcrm` a few bytes stay until the machine restarts.
            drop(Command::new("ipcrm").args(["-m", segment]).output());
        }
    }

    /// In single-user mode, which needs neither a port nor a client program.
    fn create_database(&self, data: &Path) -> anyhow::Result<()> {
        let mut single = self.command("postgres")?;
        single.arg("--single").arg("-D").arg(data).args(["-c", "exit_on_error=on"]);
        if !self.durable {
            single.args(["-c", "fsync=off"]);
        }
        single.arg("postgres");
        process::run_with_input(&mut single, &format!("CREATE DATABASE {DATABASE}\n"))
            .and_then(|(status, output)| {
                ensure!(status.success(), "PostgreSQL said:\n{output}");
                Ok(())
            })
            .with_context(|| format!("can't create the database {DATABASE}"))
    }

    fn command(&self, program: &str) -> anyhow::Result<Command> {
        let Some(binaries) = binaries::postgres_folder() else { return Err(Package::Postgresql.missing()) };
        Ok(self.folder.account().command(&binaries.join(program)))
    }
}

fn server_settings(port: u16, durable: bool) -> Vec<String> {
    let mut settings = vec![
        format!("port={port}"),
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        "max_connections=300".to_owned(),
        // In files of the data folder, which go away with it, instead of /dev/shm.
        "dynamic_shared_memory_type=mmap".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
    ];
    if !durable {
        settings
            .extend(["fsync", "synchronous_commit", "full_page_writes"].map(|name| format!("{name}=off")));
    }
    settings
}

fn run_step(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let (status, output) = process::run_to_string(command)?;
    ensure!(status.success(), "{name} failed ({status}):\n{output}");
    Ok(())
}
