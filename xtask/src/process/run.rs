//! Commands that end by themselves: run to the end, with a Ctrl-C handed on.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::ProcessIdentity;
use crate::{interrupt, wait};

/// How long an interrupted command may take to tidy up before it is killed.
const TIDY_SECONDS_MAX: Duration = Duration::from_secs(20);

/// Runs `command` to its end in a process group of its own and gives its status.
///
/// After a Ctrl-C the command gets SIGINT, and this fails with [`interrupt::Interrupted`] once it has ended.
pub fn run(command: &mut Command) -> anyhow::Result<ExitStatus> {
    finish(start(command.stdin(Stdio::null()))?)
}

/// Runs `command` like [`run`], but after a Ctrl-C asks it alone, not its children, and lets it come to an end by
/// itself however long it takes: a half-done installation is worse than a late one.
pub fn run_unhurried(command: &mut Command) -> anyhow::Result<ExitStatus> {
    let mut child = start(command.stdin(Stdio::null()))?;
    let leader = ProcessIdentity::of(child.id());
    let mut asked = false;
    loop {
        if let Some(status) = child.try_wait().context("can't ask for a child's status")? {
            interrupt::check()?;
            return Ok(status);
        }
        if interrupt::requested() && !asked {
            asked = true;
            leader.inspect(|leader| leader.signal(Signal::SIGINT));
        }
        if interrupt::insisted() {
            stop_and_reap(&mut child, Signal::SIGINT, TIDY_SECONDS_MAX);
        }
        wait::a_moment(Duration::from_millis(10));
    }
}

/// Runs `command` like [`run`] and gives its status with what it wrote to stdout and stderr, as one text.
pub fn run_to_string(command: &mut Command) -> anyhow::Result<(ExitStatus, String)> {
    run_with_input(command, "")
}

/// Runs `command` like [`run_to_string`], with `input` to read.
pub fn run_with_input(command: &mut Command, input: &str) -> anyhow::Result<(ExitStatus, String)> {
    let mut source = tempfile::tempfile().context("can't make a file for a command's input")?;
    source
        .write_all(input.as_bytes())
        .and_then(|()| source.rewind())
        .context("can't write a command's input")?;
    let mut output = tempfile::tempfile().context("can't make a file for a command's output")?;
    command.stdin(source).stdout(share(&output)?).stderr(share(&output)?);
    let status = finish(start(command)?)?;
    let text = read_back(&mut output)?;
    Ok((status, String::from_utf8_lossy(&text).trim_end().to_owned()))
}

/// Runs `command` like [`run`] and gives its status with what it wrote to stdout and to stderr.
pub fn capture(command: &mut Command) -> anyhow::Result<Output> {
    let mut files = [tempfile::tempfile(), tempfile::tempfile()];
    let [Ok(stdout), Ok(stderr)] = &mut files else { bail!("can't make files for a command's output") };
    command.stdin(Stdio::null()).stdout(share(stdout)?).stderr(share(stderr)?);
    let status = finish(start(command)?)?;
    Ok(Output { status, stdout: read_back(stdout)?, stderr: read_back(stderr)? })
}

fn share(file: &File) -> anyhow::Result<File> {
    file.try_clone().context("can't share a command's output file")
}

fn read_back(file: &mut File) -> anyhow::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut content)).context("can't read a command's output")?;
    Ok(content)
}

fn finish(mut child: Child) -> anyhow::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().context("can't ask for a child's status")? {
            interrupt::check()?;
            return Ok(status);
        }
        if interrupt::requested() {
            stop_and_reap(&mut child, Signal::SIGINT, TIDY_SECONDS_MAX);
            return Err(interrupt::Interrupted.into());
        }
        wait::a_moment(Duration::from_millis(10));
    }
}

/// Asks a child and its process group to end, kills after `patience` what is left of them, and reaps the child.
fn stop_and_reap(child: &mut Child, signal: Signal, patience: Duration) {
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    let tell = |signal| {
        if let Ok(group) = group {
            // The group is gone when its last member is.
            let _ = killpg(group, signal);
        }
    };
    tell(signal);
    wait::for_the_end(patience, || !matches!(child.try_wait(), Ok(None)));
    tell(Signal::SIGKILL);
    drop(child.wait());
}

fn start(command: &mut Command) -> anyhow::Result<Child> {
    interrupt::check()?;
    let name = command.get_program().to_string_lossy().into_owned();
    let started = command.process_group(0).spawn();
    match started {
        Ok(child) => Ok(child),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && fs::metadata(&name).is_err() => {
            bail!("{name} isn't installed")
        }
        Err(error) => Err(error).with_context(|| format!("can't start {name}")),
    }
}
