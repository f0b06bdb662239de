//! The lane `deny`, and the tool it needs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use super::command::run;
use super::session::Session;
use super::workspace::Workspace;
use crate::console::Console;
use crate::process::{self, Exit, Process, last_lines};
use crate::wait;

/// The version that is installed where there is none.
const VERSION: &str = "0.20.2";

/// The one target that `deny.toml` judges.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// It takes three minutes on two idle cores; at low priority beside the other lanes several times that.
const INSTALLED_WITHIN: Duration = Duration::from_mins(45);

/// `cargo-deny`: there, on its way, or not asked for.
#[derive(Debug)]
pub(super) struct DenyTool {
    installing: Option<Installing>,
}

#[derive(Debug)]
struct Installing {
    process: Process,
    folder: PathBuf,
    log: PathBuf,
}

/// Judges the dependencies by `deny.toml`.
pub(super) fn check(session: &mut Session) -> Result<()> {
    session.deny.wait(&session.console)?;
    // What this machine didn't need to build, but the judged target does; nothing is fetched when it is all there.
    run(&mut session.workspace.cargo(["fetch", "--locked", "--target", TARGET]))?;
    // Without `--log-level error` duplicates, which are allowed, fill the screen.
    let arguments = ["deny", "--offline", "--log-level", "error", "check", "bans", "licenses", "sources"];
    run(&mut session.workspace.cargo(arguments))
}

impl DenyTool {
    /// No lane will ask for it.
    pub(super) fn not_needed() -> Self {
        Self { installing: None }
    }

    /// Takes the installed one. Else installs it, in the background and at low priority, for it costs minutes; into
    /// cargo's own folder and not into `target/`, so that the next clone finds it.
    pub(super) fn look_up(console: &Console, workspace: &Workspace) -> Result<Self> {
        let (status, _) = process::run_to_string(&mut workspace.cargo(["deny", "--version"]))?;
        if status.success() {
            return Ok(Self::not_needed());
        }
        console.warn(format_args!(
            "cargo-deny is missing and is being installed in the background, once: cargo install cargo-deny@{VERSION}"
        ));
        let folder = workspace.target.join("tools");
        fs::create_dir_all(&folder)?;
        let log = folder.join("install.log");
        let output = File::create(&log)?;
        let process =
            Process::spawn(install_command(workspace, &folder).stdout(output.try_clone()?).stderr(output))?;
        Ok(Self { installing: Some(Installing { process, folder, log }) })
    }

    /// Waits until it is there.
    fn wait(&mut self, console: &Console) -> Result<()> {
        let Some(installing) = &mut self.installing else { return Ok(()) };
        if installing.process.is_alive() {
            console.detail("waiting for the installation of cargo-deny");
        }
        let exit =
            wait::until(INSTALLED_WITHIN, "cargo-deny's installation", || Ok(installing.process.exit()))?;
        if !matches!(exit, Exit::Status(status) if status.success()) {
            bail!(
                "cargo-deny was not installed ({}):\n{}",
                exit.in_words(),
                last_lines(&installing.log, 20).join("\n")
            );
        }
        // Half a gigabyte that nobody needs any more.
        fs::remove_dir_all(&installing.folder).context("cannot delete the build of cargo-deny")?;
        self.installing = None;
        Ok(())
    }
}

impl Drop for DenyTool {
    fn drop(&mut self) {
        // What it has compiled so far stays: the next try goes on from there.
        if let Some(installing) = &mut self.installing {
            installing.process.stop(Signal::SIGINT, Duration::from_secs(5));
        }
    }
}

/// In a build folder of its own, so that it blocks no lane, and that a second try goes on where a first was cut off.
fn install_command(workspace: &Workspace, folder: &Path) -> Command {
    let cargo = workspace.cargo(["install", "cargo-deny", "--locked", "--version", VERSION]);
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(cargo.get_program()).args(cargo.get_args());
    command.arg("--target-dir").arg(folder);
    command.current_dir(&workspace.root);
    for (name, value) in cargo.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}
