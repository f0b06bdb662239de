//! Our own pairs: `SIGNING_KEY`'s, and those of the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use shared::telemetry::error_chain;

use super::algorithm::Algorithm;
use super::folder::{self, DatedKey, Reading, UnusableFile};
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
    /// The files that were passed over at the last reading, and when each was written.
    passed_over: BTreeSet<(String, Option<SystemTime>)>,
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
        let keys = lone.iter().cloned().collect();
        let mut own = Self { algorithm, longest_lifetime, lone, keys, passed_over: BTreeSet::new() };
        match folder {
            Some(folder) => own.take(folder, folder::read(folder, algorithm)?)?,
            None if own.keys.is_empty() => return Err(KeysError::Missing(algorithm.as_str())),
            None => {}
        }
        Ok(own)
    }

    /// Takes what can be used of a folder that is read again, and says which other files it had not met before or not
    /// like that. A file that can't be used adds no key and takes none away: its key, if it was one, stays. If no
    /// key would be left at all, nothing changes.
    pub(super) fn take_usable(&mut self, folder: &Path, reading: Reading) -> Result<Vec<String>, KeysError> {
        let Reading { mut keys, mut unusable } = reading;
        let of_folder = self.keys.iter().skip(usize::from(self.lone.is_some()));
        let spoilt = of_folder.filter(|key| unusable.iter().any(|file| file.kid == key.kid));
        keys.extend(spoilt.cloned());
        if keys.is_empty() && self.lone.is_none() && !unusable.is_empty() {
            return Err(unusable.swap_remove(0).fault.into());
        }
        folder::sort(&mut keys);
        let known: BTreeSet<_> = self.keys.iter().map(|key| key.kid.clone()).collect();
        self.take(folder, keys)?;
        self.warn_of_readable(folder, &known);
        let (mut passed_over, mut news) = (BTreeSet::new(), Vec::new());
        for UnusableFile { kid, written, fault } in unusable {
            let file = (kid, written);
            if !self.passed_over.contains(&file) {
                news.push(error_chain(&fault));
            }
            passed_over.insert(file);
        }
        self.passed_over = passed_over;
        Ok(news)
    }

    /// Takes the keys that were read from the folder. If there are none at all, nothing changes.
    fn take(&mut self, folder: &Path, read: Vec<DatedKey>) -> Result<(), KeysError> {
        let keys: Vec<_> = self.lone.iter().cloned().chain(read).collect();
        if keys.is_empty() {
            return Err(KeysError::EmptyFolder(folder.to_owned()));
        }
        self.keys = keys;
        Ok(())
    }

    /// Logs which keys of the folder are no secret on this machine, those in `known` left out.
    pub(super) fn warn_of_readable(&self, folder: &Path, known: &BTreeSet<String>) {
        for key in self.keys.iter().filter(|key| key.world_readable && !known.contains(&key.kid)) {
            tracing::warn!(
                file = %folder::path(folder, &key.kid).display(),
                "everybody on this machine may read this private key: set its mode to 0600, or 0640"
            );
        }
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
