//! One command at a time starts or stops things in a checkout.

use std::{
    fs::{File, TryLockError, create_dir_all},
    time::Duration,
};

use anyhow::Context as _;

use super::layout::Layout;
use crate::{console::Console, wait};

/// A first build may take this long.
const PATIENCE: Duration = Duration::from_mins(30);

/// Held while things start or stop; the kernel releases it even if the command is killed.
#[derive(Debug)]
pub(super) struct StackLock {
    _file: File,
}

impl StackLock {
    /// Waits until no other command holds the lock, and says so.
    pub(super) fn take(layout: &Layout, console: &Console) -> anyhow::Result<Self> {
        let file = open(layout)?;
        if !lock(&file)? {
            console.step("another cargo xtask up or down is at work here; waiting for it");
            wait::until(PATIENCE, "another cargo xtask up or down", || Ok(lock(&file)?.then_some(())))?;
        }
        Ok(Self { _file: file })
    }

    /// The same after a Ctrl-C, where only a second one ends the waiting; then it stops things without the lock.
    pub(super) fn take_to_stop(layout: &Layout) -> anyhow::Result<Self> {
        let file = open(layout)?;
        wait::for_the_end(PATIENCE, || !matches!(lock(&file), Ok(false)));
        Ok(Self { _file: file })
    }
}

fn open(layout: &Layout) -> anyhow::Result<File> {
    let path = layout.lock_file();
    create_dir_all(layout.root.join("target")).context("can't make the folder target")?;
    let options = File::options().create(true).truncate(false).write(true).open(&path);
    options.with_context(|| format!("can't open {}", path.display()))
}

/// Locks the file unless somebody else has.
fn lock(file: &File) -> anyhow::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).context("can't lock the stack"),
    }
}
