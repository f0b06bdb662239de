//! Python with SimpleJWT, a browser's driver and Node.js, for the tests that hold Warren against others' programs: made
//! once, beside the compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, bail};

use super::command::run_quietly;
use super::workspace::Workspace;
use crate::console::Console;
use crate::servers::install::python_with_venv;

/// What is installed; every package by its exact version.
const REQUIREMENTS: &str = "test-support/python/requirements.txt";

/// What npm installs, by the Node.js that is one of the requirements: `package.json` and its lock file.
const NODE_PACKAGES: &str = "test-support/asyncapi";

/// The virtual environment that a lane will ask for. Dropping it waits for what is being installed.
#[derive(Debug)]
pub(super) struct PythonEnvironment(State);

#[derive(Debug)]
enum State {
    NotNeeded,
    Making(JoinHandle<Result<PathBuf>>),
    Ready(PathBuf),
}

impl PythonEnvironment {
    /// For commands without such a lane.
    pub(super) fn not_needed() -> Self {
        Self(State::NotNeeded)
    }

    /// Begins to make it below `target/python`, unless it is there as the requirements want it.
    pub(super) fn begin(console: &Console, workspace: &Workspace) -> Result<Self> {
        let folder = workspace.target.join("python");
        let root = workspace.root.clone();
        let read =
            |name: &str| fs::read_to_string(root.join(name)).with_context(|| format!("cannot read {name}"));
        let wanted = read(REQUIREMENTS)? + &read(&format!("{NODE_PACKAGES}/package-lock.json"))?;
        if is_made_from(&folder, &wanted) {
            return Ok(Self(State::Ready(interpreter(&folder))));
        }
        console.step(format_args!("pip install -r {REQUIREMENTS}; npm ci --prefix {NODE_PACKAGES}"));
        Ok(Self(State::Making(thread::spawn(move || make(&folder, &root, &wanted)))))
    }

    /// Its interpreter, as soon as everything is installed.
    pub(super) fn interpreter(&mut self) -> Result<&Path> {
        self.0 = match std::mem::replace(&mut self.0, State::NotNeeded) {
            State::Making(making) => State::Ready(join(making)?),
            other => other,
        };
        match &self.0 {
            State::Ready(interpreter) => Ok(interpreter),
            _ => bail!("no lane of this command asked for Python, or it failed before"),
        }
    }
}

impl Drop for PythonEnvironment {
    fn drop(&mut self) {
        if let State::Making(making) = std::mem::replace(&mut self.0, State::NotNeeded) {
            // Nobody needs it any more; but pip should end before we do, and finished work is kept for the next time.
            drop(join(making));
        }
    }
}

fn join(making: JoinHandle<Result<PathBuf>>) -> Result<PathBuf> {
    making.join().unwrap_or_else(|_| Err(anyhow!("the thread that made it broke down")))
}

fn make(folder: &Path, root: &Path, wanted: &str) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot delete {}", folder.display()))?;
    }
    let python = python_with_venv().context("python3 with venv and ensurepip is missing")?;
    let failed = "cannot make the Python environment of the tests";
    run_quietly(python_command(&python).args(["-m", "venv"]).arg(folder)).context(failed)?;
    let interpreter = interpreter(folder);
    let pip = |arguments: &[&str]| {
        let mut command = python_command(&interpreter);
        command.args(["-m", "pip", "--disable-pip-version-check", "--no-input"]).args(arguments);
        command
    };
    run_quietly(pip(&["install", "--quiet", "--no-deps", "--requirement"]).arg(root.join(REQUIREMENTS)))
        .context(failed)?;
    // Without it, a package that the list forgot would be missed by some test much later.
    run_quietly(&mut pip(&["check"])).with_context(|| format!("{REQUIREMENTS} is not complete"))?;
    install_node_packages(folder, &root.join(NODE_PACKAGES))?;
    fs::write(stamp(folder), wanted).context(failed)?;
    Ok(interpreter)
}

/// Into `node_modules` of the environment's folder, so that a clone stays as it was.
fn install_node_packages(folder: &Path, packages: &Path) -> Result<()> {
    for name in ["package.json", "package-lock.json"] {
        fs::copy(packages.join(name), folder.join(name)).with_context(|| format!("cannot copy {name}"))?;
    }
    let mut npm = python_command(&folder.join("bin/npm"));
    npm.current_dir(folder);
    // No package may run a script of its own here.
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]);
    run_quietly(&mut npm).context("cannot install the Node.js packages of the tests")
}

/// Python without the caller's own packages and start-up files.
fn python_command(interpreter: &Path) -> Command {
    let mut command = Command::new(interpreter);
    for name in ["PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP"] {
        command.env_remove(name);
    }
    command
}

/// Written last: an environment without it is not finished.
fn stamp(folder: &Path) -> PathBuf {
    folder.join("made-from.txt")
}

fn interpreter(folder: &Path) -> PathBuf {
    folder.join("bin/python")
}

fn is_made_from(folder: &Path, wanted: &str) -> bool {
    // The interpreter is a link to the system's, which may be gone after an upgrade.
    fs::read_to_string(stamp(folder)).is_ok_and(|made_from| made_from == wanted)
        && interpreter(folder).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_made_anew_when_the_requirements_change_or_its_python_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(!is_made_from(folder, "a==1"), "not made");
        fs::create_dir(folder.join("bin")).unwrap();
        fs::write(interpreter(folder), "").unwrap();
        assert!(!is_made_from(folder, "a==1"), "half made");
        fs::write(stamp(folder), "a==1").unwrap();
        assert!(is_made_from(folder, "a==1"));
        assert!(!is_made_from(folder, "a==2"), "other requirements");
        fs::remove_file(interpreter(folder)).unwrap();
        std::os::unix::fs::symlink("/nowhere/python3", interpreter(folder)).unwrap();
        assert!(!is_made_from(folder, "a==1"), "a link to nowhere");
    }
}
