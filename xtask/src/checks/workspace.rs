//! Where the repository and its build lie, and commands that run there with a clean environment.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Variables that steer clients to servers elsewhere, beside the programs' own settings.
const HIDDEN_PREFIXES: [&str; 5] = ["AMQP_", "DATABASE_", "PG", "RABBITMQ_", "WARREN_TEST_"];

/// How much a program logs is the developer's choice in tests, too.
const KEPT_SETTING: &str = "RUST_LOG";

/// The repository and its build folder.
#[derive(Clone, Debug)]
pub(super) struct Workspace {
    pub(super) root: PathBuf,
    pub(super) target: PathBuf,
    hidden: Vec<OsString>,
}

impl Workspace {
    /// Asks cargo, which knows of every way to move the build folder.
    pub(super) fn find() -> Result<Self> {
        let manifest =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest).parent().context("xtask lies in no workspace")?.to_owned();
        let output = cargo_in(&root)
            .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
            .output()
            .context("cannot start cargo")?;
        ensure!(
            output.status.success(),
            "cargo metadata failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let target = metadata["target_directory"].as_str().context("cargo names no target directory")?.into();
        let example = fs::read_to_string(root.join(".env.example")).context("cannot read .env.example")?;
        Ok(Self {
            root,
            target,
            hidden: hidden_names(&settings_in(&example), std::env::vars_os().map(|(name, _)| name)),
        })
    }

    /// `cargo` in the repository, knowing nothing of the caller's settings.
    pub(super) fn cargo<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = cargo_in(&self.root);
        command.args(arguments);
        self.hide_settings(&mut command);
        command
    }

    /// One of our programs, from the development build.
    pub(super) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs().join(name));
        command.current_dir(&self.root);
        self.hide_settings(&mut command);
        command
    }

    /// The folder of the programs.
    pub(super) fn programs(&self) -> PathBuf {
        self.target.join("debug")
    }

    fn hide_settings(&self, command: &mut Command) {
        for name in &self.hidden {
            command.env_remove(name);
        }
    }
}

fn cargo_in(folder: &Path) -> Command {
    // Set by the cargo that runs us: the real one, of the pinned toolchain.
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    command
}

/// The names of all settings: the example file has them all, set or commented out.
fn settings_in(example: &str) -> Vec<&str> {
    let lines = example.lines().map(|line| line.trim_start_matches("# "));
    let names = lines.filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')).collect()
}

/// Which of the caller's variables the children must not see.
fn hidden_names(settings: &[&str], present: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let is_hidden = |name: &str| {
        let setting = name.strip_suffix("_FILE").unwrap_or(name);
        name != KEPT_SETTING
            && (settings.contains(&setting) || HIDDEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
    };
    present.filter(|name| name.to_str().is_some_and(is_hidden)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_s_settings_are_hidden_and_the_rest_is_kept() {
        let settings =
            settings_in("# A word\nSIGNING_KEY=\n# Which lines\n# RUST_LOG=info\n# TICK_INTERVAL=1s\n");
        assert_eq!(settings, ["SIGNING_KEY", "RUST_LOG", "TICK_INTERVAL"]);
        let caller =
            ["PATH", "DATABASE_URL", "SIGNING_KEY_FILE", "RUST_LOG", "TICK_INTERVAL", "CARGO_HOME", "PGPORT"];
        let hidden = hidden_names(&settings, caller.into_iter().map(OsString::from));
        assert_eq!(hidden, ["DATABASE_URL", "SIGNING_KEY_FILE", "TICK_INTERVAL", "PGPORT"]);
    }
}
