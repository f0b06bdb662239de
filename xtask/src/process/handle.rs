//! A long-running process, our own child or one that an earlier command started.

use std::{
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use nix::sys::signal::Signal;

use super::ProcessIdentity;
use crate::wait;

/// How long a killed process may take to be gone; the kernel needs milliseconds.
const KILLED_SECONDS_MAX: Duration = Duration::from_secs(10);

/// A process that outlives a single call.
///
/// Dropping a handle does nothing: the owner decides whether the process goes on (`--detach`) or ends.
#[derive(Debug)]
pub struct Process {
    identity: ProcessIdentity,
    child: Option<Child>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this status, which only a parent learns.
    Status(ExitStatus),
    /// Somehow: it wasn't our child.
    Unknown,
}

impl Process {
    /// Starts `command` in a process group of its own, so that a terminal's Ctrl-C doesn't reach it, without input.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("can't start {}", command.get_program().to_string_lossy()))?;
        // Even a child that ended at once stays a zombie with its number and start until we reap it.
        let pid = child.id();
        let identity = ProcessIdentity::of(pid).unwrap_or(ProcessIdentity { pid, started: 0 });
        Ok(Self { identity, child: Some(child) })
    }

    /// A process that an earlier command started, if it still runs.
    pub fn adopt(identity: ProcessIdentity) -> Option<Self> {
        identity.is_alive().then_some(Self { identity, child: None })
    }

    /// The process's number and start.
    pub fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.identity.pid
    }

    /// How it ended, or `None` while it runs. Reaps our own child.
    pub fn exit(&mut self) -> Option<Exit> {
        match &mut self.child {
            Some(child) => child.try_wait().ok().flatten().map(Exit::Status),
            None => (!self.identity.is_alive()).then_some(Exit::Unknown),
        }
    }

    /// True while it runs.
    pub fn is_alive(&mut self) -> bool {
        self.exit().is_none()
    }

    /// Sends a signal if it still runs.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_alive() {
            self.identity.signal(signal);
        }
    }

    /// Asks it to end with `signal`, and kills it and its family after `patience`. True if it ended by itself.
    pub fn stop(&mut self, signal: Signal, patience: Duration) -> bool {
        let family = self.identity.descendants();
        self.signal(signal);
        let ended = wait::for_the_end(patience, || !self.is_alive());
        if !ended {
            self.kill();
        }
        // What it left behind has no reason to live on.
        end_all(&family);
        ended
    }

    /// Kills it and everything that descends from it, and waits until all are gone.
    pub fn kill(&mut self) {
        if !self.is_alive() {
            return;
        }
        let family = self.identity.kill_family();
        wait::for_the_end(KILLED_SECONDS_MAX, || !self.is_alive());
        end_all(&family);
    }
}

impl Exit {
    /// The exit code, unless a signal ended it or nobody knows.
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Status(status) => status.code(),
            Self::Unknown => None,
        }
    }

    /// The exit in words: `exit status 1`, `killed by SIGKILL`.
    pub fn in_words(self) -> String {
        match self {
            Self::Unknown => "ended".to_owned(),
            Self::Status(status) => match status.signal().map(Signal::try_from) {
                Some(Ok(signal)) => format!("killed by {}", signal.as_str()),
                Some(Err(_)) | None => {
                    status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}"))
                }
            },
        }
    }
}

/// Kills all of these and waits until they are gone.
pub fn end_all(family: &[ProcessIdentity]) {
    let gone = || {
        let mut gone = true;
        for member in family.iter().filter(|member| member.is_alive()) {
            member.signal(Signal::SIGKILL);
            gone = false;
        }
        gone
    };
    wait::for_the_end(KILLED_SECONDS_MAX, gone);
}
