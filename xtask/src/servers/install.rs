//! Installing packages with apt where that is allowed, and saying what to do where it isn't.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow, bail, ensure};
use nix::unistd::geteuid;

use super::binaries;
use crate::{console::Console, process};

/// A package that developer commands need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// PostgreSQL.
    Postgresql,
    /// RabbitMQ, with Erlang.
    RabbitmqServer,
    /// Python with virtual environments and pip, which tests alone need.
    Python3Venv,
    /// The browser that shows the page to tests.
    Chromium,
}

impl Package {
    /// Its name in Debian and Ubuntu.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql",
            Self::RabbitmqServer => "rabbitmq-server",
            Self::Python3Venv => "python3-venv",
            Self::Chromium => "chromium",
        }
    }

    /// The error that says what to do without it.
    pub(super) fn missing(self) -> anyhow::Error {
        anyhow!(advice(&[self]))
    }

    fn is_installed(self) -> bool {
        match self {
            Self::Postgresql => binaries::postgres_folder().is_some(),
            Self::RabbitmqServer => binaries::rabbitmq_server().is_some() && binaries::epmd().is_some(),
            Self::Python3Venv => python_with_venv().is_some(),
            Self::Chromium => chromium().is_some(),
        }
    }

    /// What is as good where there is no such package, for those that neither servers elsewhere nor containers replace.
    fn instead(self) -> Option<&'static str> {
        match self {
            Self::Postgresql | Self::RabbitmqServer => None,
            Self::Python3Venv => {
                Some("put a python3 on PATH, 3.11 or newer, with its modules venv and ensurepip")
            }
            Self::Chromium => Some("put a chromium or google-chrome on PATH, or name one in CHROMIUM"),
        }
    }
}

/// Installs those of `packages` that are missing, or fails with what the caller can do about it.
pub fn ensure_installed(console: &Console, packages: &[Package]) -> anyhow::Result<()> {
    let missing: Vec<Package> = packages.iter().copied().filter(|package| !package.is_installed()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let apt = Path::new("/usr/bin/apt-get");
    if !geteuid().is_root() || !apt.exists() {
        bail!(advice(&missing));
    }
    let _no_service = NoService::begin()?;
    console.step("apt-get update");
    apt_get(apt, &["update"])?;
    console.step(format_args!("apt-get install {}", names(&missing)));
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(missing.iter().map(|package| package.name()));
    apt_get(apt, &arguments)?;
    match missing.into_iter().find(|package| !package.is_installed()) {
        Some(package) => {
            bail!("apt-get installed {}, but its programs aren't where they should be", package.name())
        }
        None => Ok(()),
    }
}

/// The first `python3` that is new enough for the tests and can make a virtual environment with pip in it, which Debian
/// packages apart.
pub fn python_with_venv() -> Option<PathBuf> {
    let can_make_one = |python: &PathBuf| {
        let mut command = Command::new(python);
        command.args(["-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"]);
        process::run_to_string(&mut command).is_ok_and(|(status, _)| status.success())
    };
    binaries::pythons().find(can_make_one)
}

/// The Chromium that tests drive: the one that `CHROMIUM` names, else the first on `PATH`.
pub fn chromium() -> Option<PathBuf> {
    binaries::chromium()
}

/// Runs apt with its own plain lines on the terminal. A Ctrl-C asks it to stop, which it does after the package that
/// is being unpacked, so that the system stays sound.
fn apt_get(apt: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(apt);
    command.args(["-o", "Dpkg::Use-Pty=0", "-o", "APT::Color=0", "--quiet=1"]).args(arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8");
    // Progress belongs on stderr; stdout is for results.
    command.stdout(std::io::stderr());
    let status = process::run_unhurried(&mut command)?;
    ensure!(status.success(), "apt-get {} failed ({status})", arguments.join(" "));
    Ok(())
}

fn advice(missing: &[Package]) -> String {
    let names = names(missing);
    let install = format!(
        "{names} not found, and installing needs root and apt. Do one of these:\n  \
         - sudo apt-get install --no-install-recommends {names}"
    );
    let instead: Vec<_> = missing.iter().filter_map(|package| package.instead()).collect();
    if instead.len() == missing.len() {
        // Only tests need them, so neither servers elsewhere nor containers help.
        return format!("{install}\n  - {}", instead.join("\n  - and "));
    }
    format!(
        "{install}\n    \
           (elsewhere: your system's packages of PostgreSQL 15 and RabbitMQ 3.10, or newer)\n  \
         - give the URLs of servers that you have: DATABASE_URL and AMQP_URL\n  \
         - docker compose up, which brings its own servers"
    )
}

fn names(packages: &[Package]) -> String {
    packages.iter().map(|package| package.name()).collect::<Vec<_>>().join(" ")
}

/// The answer "no" of `policy-rc.d`.
const REFUSAL: &str = "#!/bin/sh\n# Made by cargo xtask while it installs packages.\nexit 101\n";

/// While this lives, Debian's packages don't start the services they bring.
///
/// Their scripts ask `/usr/sbin/policy-rc.d`; containers often have one already that says no, and one that a machine's
/// owner wrote is not ours to replace.
struct NoService {
    made: Option<PathBuf>,
}

impl NoService {
    fn begin() -> anyhow::Result<Self> {
        let policy = PathBuf::from("/usr/sbin/policy-rc.d");
        // One with our mark was left by a command that was killed.
        if policy.exists() && !fs::read_to_string(&policy).is_ok_and(|text| text == REFUSAL) {
            return Ok(Self { made: None });
        }
        let write = || -> std::io::Result<()> {
            fs::write(&policy, REFUSAL)?;
            fs::set_permissions(&policy, fs::Permissions::from_mode(0o755))
        };
        write().with_context(|| format!("can't write {}", policy.display()))?;
        Ok(Self { made: Some(policy) })
    }
}

impl Drop for NoService {
    fn drop(&mut self) {
        if let Some(policy) = &self.made {
            // Nothing can be done about it here, and the next apt run says what is wrong with the folder.
            drop(fs::remove_file(policy));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_names_exactly_what_is_missing() {
        let advice = advice(&[Package::RabbitmqServer]);
        assert!(advice.contains("apt-get install --no-install-recommends rabbitmq-server\n"));
        assert!(!advice.contains("postgresql"));
        assert!(advice.contains("DATABASE_URL") && advice.contains("docker compose up"));
    }

    #[test]
    fn whoever_lacks_python_alone_is_not_told_of_servers() {
        let advice = advice(&[Package::Python3Venv]);
        assert!(advice.contains("python3-venv\n") && advice.contains("3.11"));
        assert!(!advice.contains("DATABASE_URL"));
    }

    #[test]
    fn whoever_lacks_what_tests_alone_need_is_told_what_is_as_good() {
        let both = advice(&[Package::Python3Venv, Package::Chromium]);
        assert!(
            both.contains("python3-venv chromium\n") && both.contains("3.11") && both.contains("CHROMIUM")
        );
        assert!(!both.contains("DATABASE_URL"));
        assert!(advice(&[Package::Postgresql, Package::Chromium]).contains("DATABASE_URL"));
    }
}
