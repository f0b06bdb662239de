//! The folder of private keys, `<kid>.pem`.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use chrono::{DateTime, Utc};

use super::algorithm::Algorithm;
use super::open::KeysError;
use super::private_key::{PemFault, PrivateKey};

/// What key files end in.
pub(super) const ENDING: &str = ".pem";

/// No private key is longer; what is, is something else.
const BYTES_MAX: u64 = 64 * 1024;

/// The bit of a file's mode that lets everybody read it.
const WORLD_READABLE: u32 = 0o004;

/// Why the folder could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FolderFault {
    /// The folder itself.
    #[error("SIGNING_KEYS_DIR: can't read the folder {}: make it, and let this program read it", .0.display())]
    Folder(PathBuf, #[source] io::Error),
    /// A file in it.
    #[error("SIGNING_KEYS_DIR: can't read {}: let this program read it, or remove it", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// A key in it.
    #[error("SIGNING_KEYS_DIR: {}: {fault}", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: PemFault,
    },
}

/// A key with its id and age.
#[derive(Debug, Clone)]
pub(super) struct DatedKey {
    /// Its file's name without the ending.
    pub(super) kid: String,
    /// When its file was last written.
    pub(super) appeared: DateTime<Utc>,
    /// The key.
    pub(super) key: Arc<PrivateKey>,
    /// Whether everybody on the machine may read its file.
    pub(super) world_readable: bool,
}

impl DatedKey {
    /// The key of `SIGNING_KEY`: it has no file, and is older than all that have.
    pub(super) fn lone(key: PrivateKey) -> Result<Self, KeysError> {
        let kid = key.thumbprint().map_err(|fault| KeysError::Pem { setting: "SIGNING_KEY", fault })?;
        Ok(Self { kid, appeared: DateTime::<Utc>::MIN_UTC, key: Arc::new(key), world_readable: false })
    }
}

/// What a folder holds.
#[derive(Debug)]
pub(super) struct Reading {
    /// The keys, oldest first, equally old ones by their id.
    pub(super) keys: Vec<DatedKey>,
    /// The files that should be keys and can't be used.
    pub(super) unusable: Vec<UnusableFile>,
}

/// A file `<kid>.pem` that is no key for us.
#[derive(Debug)]
pub(super) struct UnusableFile {
    /// The id that its key would have.
    pub(super) kid: String,
    /// When the file was last written, if that can be told.
    pub(super) written: Option<SystemTime>,
    /// What is wrong with it.
    pub(super) fault: FolderFault,
}

/// The keys of the folder, oldest first, equally old ones by their id. Other files than `.pem` are not looked at; each of
/// those must be a key.
pub(super) fn read(folder: &Path, algorithm: Algorithm) -> Result<Vec<DatedKey>, FolderFault> {
    let Reading { keys, unusable } = read_what_is_usable(folder, algorithm)?;
    unusable.into_iter().next().map_or(Ok(keys), |file| Err(file.fault))
}

/// The same, keys and other files apart.
pub(super) fn read_what_is_usable(folder: &Path, algorithm: Algorithm) -> Result<Reading, FolderFault> {
    let unreadable = |error| FolderFault::Folder(folder.to_owned(), error);
    let (mut keys, mut unusable) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(kid) = name.strip_suffix(ENDING).filter(|kid| !kid.is_empty()) else { continue };
        match read_key(kid, &path, algorithm) {
            Ok(key) => keys.extend(key),
            Err(fault) => {
                let written = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
                unusable.push(UnusableFile { kid: kid.to_owned(), written, fault });
            }
        }
    }
    sort(&mut keys);
    Ok(Reading { keys, unusable })
}

/// Oldest first, equally old ones by their id.
pub(super) fn sort(keys: &mut [DatedKey]) {
    keys.sort_by(|one, other| (one.appeared, &one.kid).cmp(&(other.appeared, &other.kid)));
}

/// Where the key of this id is. Ids come from the folder or from us, never from a token.
pub(super) fn path(folder: &Path, kid: &str) -> PathBuf {
    folder.join(format!("{kid}{ENDING}"))
}

/// `None` if the file went away in between: a rotation deleted it.
fn read_key(kid: &str, path: &Path, algorithm: Algorithm) -> Result<Option<DatedKey>, FolderFault> {
    let (text, metadata) = match read_file(path) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FolderFault::File(path.to_owned(), error)),
    };
    let key = PrivateKey::from_pem(&text, algorithm)
        .map_err(|fault| FolderFault::Key { path: path.to_owned(), fault })?;
    let modified = metadata.modified().map_err(|error| FolderFault::File(path.to_owned(), error))?;
    Ok(Some(DatedKey {
        kid: kid.to_owned(),
        appeared: modified.into(),
        key: Arc::new(key),
        world_readable: metadata.permissions().mode() & WORLD_READABLE != 0,
    }))
}

fn read_file(path: &Path) -> io::Result<(String, Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut text = String::new();
    file.take(BYTES_MAX).read_to_string(&mut text)?;
    Ok((text, metadata))
}
