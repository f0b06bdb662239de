//! Our own pairs: `SIGNING_KEY`'s, and those of the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::algorithm::Algorithm;
use super::folder::{self, DatedKey};
use super::open::KeysError;
use super::private_key::PrivateKey;
use super::ring::KeyRing;
use super::timeline::plan;

/// At least one key, oldest first.
pub(super) struct OwnKeys {
    algorithm: Algorithm,
    longest_lifetime: Duration,
    /// The key of `SIGNING_KEY`, older than all of the folder.
    lone: Option<DatedKey>,
    keys: Vec<DatedKey>,
}

impl OwnKeys {
    /// Reads the folder, if there is one. Without any key that is an error.
    pub(super) fn read(
        algorithm: Algorithm,
        longest_lifetime: Duration,
        lone: Option<PrivateKey>,
        folder: Option<&Path>,
    ) -> Result<Self, KeysError> {
        let lone = lone.map(DatedKey::lone).transpose()?;
        let mut own = Self { algorithm, longest_lifetime, keys: lone.iter().cloned().collect(), lone };
        match folder {
            Some(folder) => own.take(folder, folder::read(folder, algorithm)?)?,
            None if own.keys.is_empty() => return Err(KeysError::Missing(algorithm.as_str())),
            None => {}
        }
        Ok(own)
    }

    /// Takes the keys that were read from the folder. If there are none at all, nothing changes.
    pub(super) fn take(&mut self, folder: &Path, read: Vec<DatedKey>) -> Result<(), KeysError> {
        let keys: Vec<_> = self.lone.iter().cloned().chain(read).collect();
        if keys.is_empty() {
            return Err(KeysError::EmptyFolder(folder.to_owned()));
        }
        let known: BTreeSet<&str> = self.keys.iter().map(|key| key.kid.as_str()).collect();
        for key in keys.iter().filter(|key| key.world_readable && !known.contains(key.kid.as_str())) {
            tracing::warn!(
                file = %folder::path(folder, &key.kid).display(),
                "everybody on this machine may read this private key: set its mode to 0600, or 0640"
            );
        }
        self.keys = keys;
        Ok(())
    }

    /// The ring of those keys at `now`, and until when it holds.
    pub(super) fn ring_at(&self, now: DateTime<Utc>) -> (KeyRing, Option<DateTime<Utc>>) {
        let appeared: Vec<_> = self.keys.iter().map(|key| key.appeared).collect();
        let plan = plan(&appeared, now, self.longest_lifetime);
        let signer = &self.keys[plan.signer];
        let verifiers: BTreeMap<_, _> =
            self.keys[plan.verifiers].iter().map(|key| (key.kid.clone(), Arc::clone(&key.key))).collect();
        let ring = KeyRing::of_keys(self.algorithm, (&signer.kid, Arc::clone(&signer.key)), verifiers);
        (ring, plan.until)
    }
}
