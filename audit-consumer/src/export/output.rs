//! Where an export goes. A file has its name only once it is whole: until then it is `NAME.part`.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Standard output, as `-`.
    Stdout,
    /// A file that is not there yet.
    File(PathBuf),
}

impl From<&str> for Destination {
    fn from(text: &str) -> Self {
        if text == "-" { Self::Stdout } else { Self::File(PathBuf::from(text)) }
    }
}

/// Opened. What is written are whole lines, many at a time, so nothing is gathered here.
pub(super) enum Output {
    Stdout,
    File {
        part: File,
        name: PathBuf,
        /// How many bytes were written as a whole.
        written: u64,
    },
}

impl Output {
    /// Opens it; a file that is there, whole or in part, is somebody's and stays.
    pub(super) fn open(destination: &Destination) -> io::Result<Self> {
        let name = match destination {
            Destination::Stdout => return Ok(Self::Stdout),
            Destination::File(name) => name.clone(),
        };
        if name.try_exists()? {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there already"));
        }
        // What is in it is not everybody's to read.
        let part = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part_of(&name))?;
        Ok(Self::File { part, name, written: 0 })
    }

    /// Where the lines are until the end.
    pub(super) fn part(&self) -> Option<PathBuf> {
        match self {
            Self::Stdout => None,
            Self::File { name, .. } => Some(part_of(name)),
        }
    }

    /// Writes lines; those of an error may have left in part. A reader of standard output who takes his time keeps nobody from being
    /// asked to stop.
    pub(super) async fn write(&mut self, lines: Vec<u8>) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let written = tokio::task::spawn_blocking(move || {
                    let mut stdout = io::stdout().lock();
                    stdout.write_all(&lines)?;
                    stdout.flush()
                });
                written.await.map_err(io::Error::other)?
            }
            Self::File { part, written, .. } => {
                part.write_all(&lines)?;
                *written += lines.len() as u64;
                Ok(())
            }
        }
    }

    /// No event was written: leaves nothing behind.
    pub(super) fn take_back(self) {
        if let Some(part) = self.part() {
            // A file without an event that can't be removed does no harm.
            let _ = fs::remove_file(part);
        }
    }

    /// Leaves in the file what was written, and no half line behind it.
    pub(super) fn give_up(self) {
        if let Self::File { part, written, .. } = self {
            // The lines behind it would be doubled by whoever goes on; if the disk won't even shrink, he is told by the count.
            let _ = part.set_len(written);
        }
    }

    /// All lines are written: a file gets its name, once the disk has it.
    pub(super) fn finish(self) -> io::Result<()> {
        if let Self::File { part, name, .. } = self {
            part.sync_all()?;
            fs::rename(part_of(&name), name)?;
        }
        Ok(())
    }
}

fn part_of(name: &Path) -> PathBuf {
    let mut part = OsString::from(name);
    part.push(".part");
    PathBuf::from(part)
}
