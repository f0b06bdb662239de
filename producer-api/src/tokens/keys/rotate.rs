//! Adds a key to `SIGNING_KEYS_DIR`, tells so, and deletes the files of keys that are long retired.

use std::path::{Path, PathBuf};
use std::{fs, io};

use chrono::{DateTime, TimeDelta, Utc};
use shared::clock::Clock;
use shared::contracts::Origin;
use shared::contracts::auth::KeysRotated;
use shared::entropy::Entropy;
use shared::outbox::{AppendError, Outbox};
use shared::telemetry::TraceContext;
use sqlx::PgPool;

use super::KeysConfig;
use super::folder::{self, DatedKey, FolderFault};
use super::new_file::NewFile;
use super::open::{KeysError, lone_key};
use super::private_key::PrivateKey;
use super::timeline::{plan, predecessor_ends, signs_from};

/// A retired key's file stays this long, so that a mistake in a lifetime can still be mended.
const KEPT_AFTER_RETIREMENT: TimeDelta = TimeDelta::days(1);

/// What a rotation needs.
#[derive(Debug, Clone, Copy)]
pub struct Rotation<'a> {
    /// PostgreSQL, for the event.
    pub database: &'a PgPool,
    /// Where the event goes.
    pub outbox: &'a Outbox,
    /// What time it is.
    pub clock: &'a Clock,
    /// Chance, for the new key's id.
    pub entropy: &'a Entropy,
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The new key's id.
    pub kid: String,
    /// Since when it signs.
    pub signs_from: DateTime<Utc>,
    /// Until when the key before it verifies; `None` if there was none, or if its tokens never run out.
    pub previous_verifies_until: Option<DateTime<Utc>>,
    /// The keys whose files were deleted.
    pub retired: Vec<String>,
}

/// Why there is no new key. Nothing was changed, but for [`RotateError::Delete`].
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// A secret has no second half to show.
    #[error(
        "ALGORITHM: {0} signs with one secret, which `keys rotate` can't change: set SIGNING_KEY_PREVIOUS to the present \
         SIGNING_KEY and SIGNING_KEY to the output of `openssl rand -hex 32`, restart, and remove SIGNING_KEY_PREVIOUS when \
         the longest lifetime of a token has passed"
    )]
    Secret(&'static str),
    /// There is no folder to put it in.
    #[error("SIGNING_KEYS_DIR is not set: give the folder of private keys that all replicas read")]
    NoFolder,
    /// What is there can't be read.
    #[error(transparent)]
    Present(#[from] KeysError),
    /// The folder can't be made.
    #[error("SIGNING_KEYS_DIR: can't make the folder {}", .0.display())]
    MakeFolder(PathBuf, #[source] io::Error),
    /// The cryptography failed.
    #[error("no key can be made; the cryptography of this machine is broken")]
    Generate,
    /// The file can't be written.
    #[error("can't write {}: run this as the owner of the folder, or as root", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// The event can't be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The database failed.
    #[error("the database failed, and there is no new key: try again")]
    Database(#[source] sqlx::Error),
    /// The new key is there, a retired one can't be deleted.
    #[error("the new key is there, but the retired one can't be deleted: delete {} by hand", .0.display())]
    Delete(PathBuf, #[source] io::Error),
}

/// Makes a key for the configured algorithm, which signs a minute later, or at once if it is the first. The file appears
/// just before the event is committed; without the event there is no key.
pub async fn rotate(
    rotation: Rotation<'_>,
    config: &KeysConfig,
    origin: Origin,
    trace: &TraceContext,
) -> Result<Rotated, RotateError> {
    let folder = folder_to_rotate(config)?;
    make_folder(folder)?;
    let now = rotation.clock.now();
    let present = Present::read(config, folder)?;
    let kid = format!("{}-{}", now.format("%Y%m%dT%H%M%SZ"), hex(rotation.entropy.bytes()));
    let retired = present.retired_since(now - KEPT_AFTER_RETIREMENT, config);
    let pem = PrivateKey::generate(config.algorithm).ok_or(RotateError::Generate)?;
    let path = folder::path(folder, &kid);
    let unwritten = |error| RotateError::Write(path.clone(), error);
    let file = NewFile::write(&path, pem.as_bytes(), now).map_err(unwritten)?;

    let mut transaction = rotation.database.begin().await.map_err(RotateError::Database)?;
    let event = KeysRotated { kid: kid.clone(), retired: retired.clone(), origin };
    rotation.outbox.append(&mut transaction, trace, event).await?;
    let placed = file.place().map_err(unwritten)?;
    transaction.commit().await.map_err(RotateError::Database)?;
    placed.keep();
    rotation.outbox.wake();

    for kid in &retired {
        delete(&folder::path(folder, kid))?;
    }
    let (signs_from, previous_verifies_until) = if present.keys.is_empty() {
        (now, None)
    } else {
        (signs_from(now), predecessor_ends(signs_from(now), config.longest_lifetime))
    };
    Ok(Rotated { kid, signs_from, previous_verifies_until, retired })
}

/// The folder that a rotation would add a key to; a command asks before it troubles the database.
pub fn folder_to_rotate(config: &KeysConfig) -> Result<&Path, RotateError> {
    if config.algorithm.is_symmetric() {
        return Err(RotateError::Secret(config.algorithm.as_str()));
    }
    config.signing_keys_dir.as_deref().ok_or(RotateError::NoFolder)
}

/// The keys before the rotation, oldest first; the first may be that of `SIGNING_KEY`, which has no file.
struct Present {
    keys: Vec<DatedKey>,
    without_file: usize,
}

impl Present {
    fn read(config: &KeysConfig, folder: &Path) -> Result<Self, RotateError> {
        let lone = lone_key(config)?.map(DatedKey::lone).transpose()?;
        let read =
            folder::read(folder, config.algorithm).map_err(|fault: FolderFault| KeysError::from(fault))?;
        let without_file = usize::from(lone.is_some());
        Ok(Self { keys: lone.into_iter().chain(read).collect(), without_file })
    }

    /// The ids of the keys with a file that were retired at `then` already.
    fn retired_since(&self, then: DateTime<Utc>, config: &KeysConfig) -> Vec<String> {
        let appeared: Vec<_> = self.keys.iter().map(|key| key.appeared).collect();
        let first_good = plan(&appeared, then, config.longest_lifetime).verifiers.start;
        self.keys[..first_good].iter().skip(self.without_file).map(|key| key.kid.clone()).collect()
    }
}

fn make_folder(folder: &Path) -> Result<(), RotateError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| RotateError::MakeFolder(folder.to_owned(), error))
}

fn delete(path: &Path) -> Result<(), RotateError> {
    match fs::remove_file(path) {
        // A rotation beside this one was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|error| RotateError::Delete(path.to_owned(), error)),
    }
}

fn hex(bytes: [u8; 3]) -> String {
    let [a, b, c] = bytes;
    format!("{a:02x}{b:02x}{c:02x}")
}
