//! Prometheus' own tool, which checks metrics, alert rules and their tests.
//!
//! Debian packages it with the server, whose installation would start a service, make a user and come back with every boot.
//! So the package is only fetched and unpacked, and the one program of it is kept in `target/tools`. That needs no root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use super::command::run_quietly;
use crate::console::Console;

const ADVICE: &str = "promtool not found, and it can't be fetched with apt. Do one of these:\n  \
                      - sudo apt-get update, and try again\n  \
                      - put a promtool (of Prometheus 2.40 or newer) on PATH, or name one in PROMTOOL";

/// The one that `PROMTOOL` names, else the one on `PATH`, else the one in `target`, where it is put if it is not there.
pub(super) fn promtool(console: &Console, target: &Path) -> Result<PathBuf> {
    if let Some(named) = env::var_os("PROMTOOL").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        if !named.is_file() {
            bail!("PROMTOOL: there is no file {}", named.display());
        }
        return Ok(named);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut on_path = env::split_paths(&path).map(|folder| folder.join("promtool"));
    let kept = target.join("tools/promtool");
    match on_path.find(|program| program.is_file()) {
        Some(program) => Ok(program),
        None if kept.is_file() => Ok(kept),
        None => fetch(console, &kept).context(ADVICE),
    }
}

fn fetch(console: &Console, kept: &Path) -> Result<PathBuf> {
    let folder = kept.with_file_name("promtool-package");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    console.step("apt-get download prometheus (for promtool)");
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["--quiet=2"]).args(arguments).current_dir(&folder).env("LC_ALL", "C.UTF-8");
        run_quietly(&mut command)
    };
    if apt_get(&["download", "prometheus"]).is_err() {
        // The lists of packages may be missing or old; renewing them may need more than we are allowed.
        apt_get(&["update"])?;
        apt_get(&["download", "prometheus"])?;
    }
    let packages = fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut packages = packages.filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let package = packages.next().context("apt-get download left no package")?;
    run_quietly(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&folder))?;
    fs::rename(folder.join("usr/bin/promtool"), kept).context("the package has no promtool")?;
    fs::remove_dir_all(&folder)?;
    Ok(kept.to_owned())
}
