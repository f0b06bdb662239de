//! Where an export goes. A file has its name only once it is whole: until then it is `NAME.part`.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
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

/// Opened.
pub(super) enum Output {
    Stdout(BufWriter<io::Stdout>),
    File {
        part: BufWriter<File>,
        name: PathBuf,
        /// How many bytes were written.
        written: u64,
        /// How many of them when they were handed on last: whole lines, all of them counted.
        whole: u64,
    },
}

impl Output {
    /// Opens it; a file that is there, whole or in part, is somebody's and stays.
    pub(super) fn open(destination: &Destination) -> io::Result<Self> {
        let name = match destination {
            Destination::Stdout => return Ok(Self::Stdout(BufWriter::new(io::stdout()))),
            Destination::File(name) => name.clone(),
        };
        if name.try_exists()? {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there already"));
        }
        // What is in it is not everybody's to read.
        let part = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part_of(&name))?;
        Ok(Self::File { part: BufWriter::new(part), name, written: 0, whole: 0 })
    }

    /// Where the lines are until the end.
    pub(super) fn part(&self) -> Option<PathBuf> {
        match self {
            Self::Stdout(_) => None,
            Self::File { name, .. } => Some(part_of(name)),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(writer) => writer.write_all(bytes),
            Self::File { part, written, .. } => {
                part.write_all(bytes)?;
                *written += bytes.len() as u64;
                Ok(())
            }
        }
    }

    /// Hands on what was written so far.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(writer) => writer.flush(),
            Self::File { part, written, whole, .. } => {
                part.flush()?;
                *whole = *written;
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

    /// Leaves in the file what was handed on, and no half line behind it.
    pub(super) fn give_up(self) {
        if let Self::File { part, whole, .. } = self {
            let (file, _) = part.into_parts();
            // The lines behind it would be doubled by whoever goes on; if the disk won't even shrink, he is told by the count.
            let _ = file.set_len(whole);
        }
    }

    /// All lines are written: a file gets its name, once the disk has it.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        if let Self::File { part, name, .. } = self {
            part.get_ref().sync_all()?;
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
