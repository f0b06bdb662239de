//! A server's folder: what it remembers between runs, and the temporary ones of tests.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::process::{Account, ProcessIdentity};

/// A temporary folder that the servers' own users may pass through; it goes away when dropped.
pub fn scratch_folder() -> anyhow::Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("warren-")
        .permissions(fs::Permissions::from_mode(0o711))
        .tempdir()
        .context("can't make a temporary folder")
}

/// `preferred` if the servers' own users can reach it; else a folder below `/var/tmp` that is always the same for it: a
/// checkout below `/root` is closed to them.
pub fn reachable_folder(preferred: &Path) -> anyhow::Result<PathBuf> {
    let existing = preferred.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let absolute = existing.canonicalize().with_context(|| format!("can't find {}", existing.display()))?;
    let barred = |name| -> anyhow::Result<bool> {
        // The name stands for whatever is still missing, which we make passable.
        Ok(Account::for_server(name)?.barred_at(&absolute.join("folder")).is_some())
    };
    if barred("postgres")? || barred("rabbitmq")? {
        let fingerprint = fingerprint(preferred.as_os_str().as_encoded_bytes());
        let folder = PathBuf::from(format!("/var/tmp/warren-{fingerprint:016x}"));
        return claim_shared_place(&folder)
            .with_context(|| format!("can't use {}", folder.display()))
            .map(|()| folder);
    }
    Ok(preferred.to_owned())
}

/// Makes a folder where anybody may write; whoever made it before us could exchange what lies in it.
fn claim_shared_place(folder: &Path) -> anyhow::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let metadata = fs::symlink_metadata(folder)?;
    ensure!(metadata.is_dir() && metadata.uid() == geteuid().as_raw(), "it belongs to somebody else");
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?)
}

/// FNV-1a, which stays the same over versions of Rust, unlike the standard library's hash.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The server that an earlier command started in this folder, if it still runs. Needs no installed binaries.
pub fn server_in(folder: &Path) -> Option<ProcessIdentity> {
    let running: Running = read_json(&folder.join("running.json")).ok().flatten()?;
    running.server.filter(|server| server.is_alive())
}

/// The processes of the server that runs in a folder, or ran there last.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Running {
    pub(super) server: Option<ProcessIdentity>,
    /// Erlang's port mapper, which only RabbitMQ has.
    pub(super) port_mapper: Option<ProcessIdentity>,
}

/// The private folder of one server and the account it belongs to.
#[derive(Clone, Debug)]
pub(super) struct ServerFolder {
    path: PathBuf,
    account: Account,
}

impl ServerFolder {
    /// Makes the folder if it is missing and gives it to the account.
    pub(super) fn open(path: &Path, account: Account) -> anyhow::Result<Self> {
        account.claim_folder(path)?;
        let path = path.canonicalize().with_context(|| format!("can't find {}", path.display()))?;
        if let Some(parent) = account.barred_at(&path) {
            anyhow::bail!(
                "the server's user can't reach {}, because {} is private",
                path.display(),
                parent.display()
            );
        }
        Ok(Self { path, account })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn account(&self) -> Account {
        self.account
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What the folder remembers about its server, if it had one.
    pub(super) fn settings<T: DeserializeOwned>(&self) -> anyhow::Result<Option<T>> {
        read_json(&self.file("server.json"))
    }

    pub(super) fn keep_settings<T: Serialize>(&self, settings: &T) -> anyhow::Result<()> {
        self.account.write_private(&self.file("server.json"), &serde_json::to_string_pretty(settings)?)
    }

    pub(super) fn running(&self) -> Running {
        // A damaged note is as good as none: the server's own lock files are looked at as well.
        read_json(&self.file("running.json")).ok().flatten().unwrap_or_default()
    }

    pub(super) fn keep_running(&self, running: Running) -> anyhow::Result<()> {
        self.account.write_private(&self.file("running.json"), &serde_json::to_string(&running)?)
    }

    /// Opens the log that the server's own output goes to; one that has grown large begins anew.
    pub(super) fn open_log(&self, name: &str) -> anyhow::Result<fs::File> {
        const BYTES_MAX: u64 = 16 * 1024 * 1024;
        let file = self.file(name);
        if fs::metadata(&file).is_ok_and(|metadata| metadata.len() > BYTES_MAX) {
            fs::rename(&file, file.with_extension("old.log")).context("can't put an old log aside")?;
        }
        fs::File::options()
            .create(true)
            .append(true)
            .open(&file)
            .with_context(|| format!("can't open {}", file.display()))
    }
}

fn read_json<T: DeserializeOwned>(file: &Path) -> anyhow::Result<Option<T>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("can't read {}", file.display())),
    };
    serde_json::from_str(&text).map(Some).with_context(|| format!("{} is damaged", file.display()))
}
