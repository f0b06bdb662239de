//! Where everything of the stack lies.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::servers::reachable_folder;

/// The folders and files of this checkout's stack.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The repository.
    pub(super) root: PathBuf,
    /// `target/stack`: state and logs, and the servers' data where their users can reach it.
    pub(super) stack: PathBuf,
    programs: PathBuf,
}

impl Layout {
    pub(super) fn find() -> anyhow::Result<Self> {
        // Cargo says where the package lies now; a binary run by hand knows where it lay when it was built.
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = package.parent().context("xtask has no folder above it")?.to_owned();
        // A target folder that several checkouts share must not make them share a stack, too.
        let stack = root.join("target/stack");
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) if !folder.is_empty() => env::current_dir()?.join(folder),
            _ => root.join("target"),
        };
        Ok(Self { root, stack, programs: target.join("debug") })
    }

    pub(super) fn state_file(&self) -> PathBuf {
        self.stack.join("state.json")
    }

    /// Beside the stack's folder, which `--fresh` deletes.
    pub(super) fn lock_file(&self) -> PathBuf {
        self.root.join("target/stack.lock")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.stack.join("logs")
    }

    /// Where the mails of this stack lie, one file each.
    pub(super) fn mail(&self) -> PathBuf {
        self.stack.join("mail")
    }

    pub(super) fn log_of(&self, instance: &str) -> PathBuf {
        self.logs().join(format!("{instance}.log"))
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Where the servers' folders lie: in the stack's if their users can reach it.
    pub(super) fn servers(&self) -> anyhow::Result<PathBuf> {
        reachable_folder(&self.stack)
    }

    /// `path` as one would type it in the repository.
    pub(super) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}
