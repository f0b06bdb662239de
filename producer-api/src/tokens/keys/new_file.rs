//! A file that appears whole or not at all, readable by its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

/// A file under a name that nobody reads. Dropped, it goes away again.
#[derive(Debug)]
pub(super) struct NewFile {
    written: RemovedOnDrop,
    path: PathBuf,
}

/// A file under its own name. Dropped, it goes away again, unless it was told to stay.
#[derive(Debug)]
pub(super) struct PlacedFile(RemovedOnDrop);

impl NewFile {
    /// Writes the file beside `path`, durably, with mode 0600, as written at `modified`. It belongs to whom the folder
    /// belongs to, since he is to read it.
    pub(super) fn write(path: &Path, content: &[u8], modified: DateTime<Utc>) -> io::Result<Self> {
        let folder = fs::metadata(folder_of(path))?;
        let beside = path.with_added_extension("new");
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        let written = RemovedOnDrop(Some(beside));
        if file.metadata()?.uid() != folder.uid() {
            fchown(&file, Some(folder.uid()), Some(folder.gid()))?;
        }
        file.write_all(content)?;
        // The time of whoever rotates counts, not that of a file server.
        file.set_modified(modified.into())?;
        file.sync_all()?;
        Ok(Self { written, path: path.to_owned() })
    }

    /// Gives it its own name, durably.
    pub(super) fn place(mut self) -> io::Result<PlacedFile> {
        if let Some(beside) = &self.written.0 {
            fs::rename(beside, &self.path)?;
        }
        self.written.0 = None;
        let placed = PlacedFile(RemovedOnDrop(Some(self.path.clone())));
        File::open(folder_of(&self.path))?.sync_all()?;
        Ok(placed)
    }
}

impl PlacedFile {
    /// It stays.
    pub(super) fn keep(mut self) {
        self.0.0 = None;
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[derive(Debug)]
struct RemovedOnDrop(Option<PathBuf>);

impl Drop for RemovedOnDrop {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // Whatever made it unwanted is told by the caller; a file that stays under the other name is never read.
            let _ = fs::remove_file(path);
        }
    }
}
