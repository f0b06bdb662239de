//! One file for each mail, whole or not there, and readable by its owner alone: there are links in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Delivery, Outcome};

/// Puts a mail into `folder`.
pub(super) async fn put(folder: PathBuf, name: String, mail: Vec<u8>) -> Delivery {
    let written_name = name.clone();
    let written = tokio::task::spawn_blocking(move || write(&folder, &written_name, &mail)).await;
    match written.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
        Ok(()) => Delivery::delivered(name),
        Err(error) => Delivery {
            outcome: Outcome::Failed,
            reason: format!("the file can't be written: {error}"),
            reply: error.to_string(),
        },
    }
}

fn write(folder: &Path, name: &str, mail: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let part = folder.join(format!(".{name}.part"));
    let mut file: File =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(mail)?;
    file.sync_all()?;
    fs::rename(&part, folder.join(name))
}
