//! The system user under which a server runs: as root its own, since PostgreSQL refuses root; else ours.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow};
use nix::unistd::{Gid, Uid, User, chown, geteuid};

/// A system user to whom a server and its folder belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    switch_to: Option<(Uid, Gid)>,
}

impl Account {
    /// As root the system user `name`, which the package made; otherwise the caller.
    pub fn for_server(name: &str) -> anyhow::Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self { switch_to: None });
        }
        let user = User::from_name(name)
            .with_context(|| format!("can't look up the system user {name}"))?
            .ok_or_else(|| anyhow!("there is no system user {name}, which the server's package makes"))?;
        Ok(Self { switch_to: Some((user.uid, user.gid)) })
    }

    /// A command that runs under this account with a clean environment, in the root folder.
    pub fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LANG", "C.UTF-8").env("PATH", search_path()).current_dir("/");
        if let Some((user, group)) = self.switch_to {
            command.uid(user.as_raw()).gid(group.as_raw());
        }
        command
    }

    /// Makes `folder` if it is missing, gives it to the account and closes it for everybody else.
    pub fn claim_folder(self, folder: &Path) -> anyhow::Result<()> {
        let claim = || -> anyhow::Result<()> {
            fs::create_dir_all(folder)?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
            self.give(folder)
        };
        claim().with_context(|| format!("can't prepare {}", folder.display()))
    }

    /// Writes a file that the account alone can read.
    pub fn write_private(self, file: &Path, content: &str) -> anyhow::Result<()> {
        write_private(file, content)?;
        self.give(file).with_context(|| format!("can't hand {} over", file.display()))
    }

    /// The first parent of `folder` that the account can't pass through, if there is one.
    pub fn barred_at(self, folder: &Path) -> Option<PathBuf> {
        let (user, group) = self.switch_to?;
        let barred = |parent: &&Path| {
            let Ok(metadata) = fs::metadata(parent) else { return false };
            let needed = if metadata.uid() == user.as_raw() {
                0o100
            } else if metadata.gid() == group.as_raw() {
                0o010
            } else {
                0o001
            };
            metadata.mode() & needed == 0
        };
        folder.ancestors().skip(1).find(barred).map(Path::to_owned)
    }

    fn give(self, path: &Path) -> anyhow::Result<()> {
        if let Some((user, group)) = self.switch_to {
            chown(path, Some(user), Some(group))?;
        }
        Ok(())
    }
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_private(file: &Path, content: &str) -> anyhow::Result<()> {
    let write = || -> anyhow::Result<()> {
        let folder = file.parent().unwrap_or(Path::new("/"));
        // A temporary file is made with mode 0600.
        let draft = tempfile::NamedTempFile::new_in(folder)?;
        fs::write(draft.path(), content)?;
        draft.persist(file)?;
        Ok(())
    };
    write().with_context(|| format!("can't write {}", file.display()))
}

fn search_path() -> String {
    const SYSTEM: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    match std::env::var("PATH") {
        Ok(path) if !path.is_empty() => format!("{path}:{SYSTEM}"),
        _ => SYSTEM.to_owned(),
    }
}
