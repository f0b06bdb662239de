//! The keys that sign and verify tokens: an HMAC secret, one private key, a folder of private keys, or a key set that
//! somebody else serves.
//!
//! # Secrets
//!
//! For HS256, HS384 and HS512 `SIGNING_KEY` signs, and it and `SIGNING_KEY_PREVIOUS` verify. Nothing is published.
//!
//! # Pairs
//!
//! For all other algorithms a token names its key (`kid`), and `/.well-known/jwks.json` shows the public halves. The
//! keys are those of `SIGNING_KEYS_DIR`, `<kid>.pem`, and `SIGNING_KEY`, whose id is its RFC 7638 thumbprint and which
//! counts as older than every key of the folder. The id of a token is looked up in a map in memory, and nowhere else.
//!
//! # A rotation
//!
//! `L` is the longest lifetime of any token, leeway included. A key appears when its file is written:
//!
//! ```text
//!             new key appears    signs                                  old key is retired
//!  ──────────────┬─────────────────┬───────────────────────────────────────────┬──────────▶
//!                │◀───── 60 s ────▶│◀───────────────── L ──────────────▶│◀60 s▶│
//!  old key       │ signs           │ verifies                                  │ refused
//!  new key       │ verifies, shown │ signs                                     │
//! ```
//!
//! - Every replica reads the folder again every 20 s, and at once (at most once a second) when a token names a key that
//!   it doesn't know or somebody asks for the key set. So by the time a key signs, every replica knows it.
//! - Caches of the key set are good for 30 s, so those who verify by it know the key by then, too.
//! - A replica that has not seen the new key yet signs with the old one up to 20 s too long; the second minute covers
//!   that. A retired key neither verifies nor is shown; its file is deleted by a rotation a day later.
//! - The first key of all signs at once: there is none to wait for.
//!
//! Which key signs follows from the times alone, without a word between replicas: [`KeyRing`] is an immutable picture,
//! and [`Keys::ring`] makes a new one when the plan says that something else holds.
//!
//! On a running replica a file that can't be used is passed over and named in the log, once for each change of it: it adds
//! no key, and if it was one, that key stays. A folder that can't be read, or would leave no key at all, changes
//! nothing. At the start all of these are reasons to stop.
//!
//! # A key set of somebody else
//!
//! With `JWK_URL` tokens are verified by the keys of that set and no others, see [`fetched_set`].

mod algorithm;
mod fetched_set;
mod folder;
mod hmac_secret;
mod new_file;
mod open;
mod own_keys;
mod private_key;
mod ring;
mod rotate;
mod timeline;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use shared::clock::Clock;
use shared::config::Secret;
use shared::telemetry::error_chain;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use fetched_set::KeySetAddress;
pub use folder::FolderFault;
pub use hmac_secret::SecretFault;
pub use open::KeysError;
pub use private_key::PemFault;
pub use ring::{KeyRing, SigningError};
pub use rotate::{RotateError, Rotated, Rotation, folder_to_rotate, rotate};

use fetched_set::{FetchedKeys, FetchedSet};
use own_keys::OwnKeys;

/// How often a replica reads the folder again.
const REREAD_EVERY: Duration = Duration::from_secs(20);

/// How often it does so besides, when a token or somebody who asks for the key set gives a reason.
const REREAD_AT_ONCE_EVERY: TimeDelta = TimeDelta::seconds(1);

/// Bits that say nothing are the judge's affair; here only the key's id is wanted.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the settings say about keys.
#[derive(Debug, Clone)]
pub struct KeysConfig {
    /// The one algorithm that signs and verifies.
    pub algorithm: Algorithm,
    /// A secret, or a private key in PEM.
    pub signing_key: Option<Secret>,
    /// The secret before it.
    pub previous_signing_key: Option<Secret>,
    /// The public half of the signing key, in PEM.
    pub verifying_key: Option<String>,
    /// The folder of private keys.
    pub signing_keys_dir: Option<PathBuf>,
    /// Where the keys that verify are served.
    pub jwk_url: Option<KeySetAddress>,
    /// The longest lifetime of any token, leeway included.
    pub longest_lifetime: Duration,
}

/// The keys in force. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    clock: Clock,
    source: Source,
    picture: RwLock<Picture>,
    /// When the folder was last read for a reason; held while it is read, so that others wait for the outcome.
    reread_at_once: Mutex<Option<DateTime<Utc>>>,
}

/// Where keys come from.
enum Source {
    /// A ring that never changes.
    Secrets,
    /// Pairs of our own; and the set that verifies in their place, if there is one.
    Pairs { algorithm: Algorithm, folder: Option<PathBuf>, set: Option<FetchedSet> },
}

struct Picture {
    own: Option<OwnKeys>,
    fetched: Option<Arc<FetchedKeys>>,
    ring: Arc<KeyRing>,
    until: Option<DateTime<Utc>>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").field("ring", &self.ring()).finish_non_exhaustive()
    }
}

impl Keys {
    /// The keys as they stand now.
    pub fn ring(&self) -> Arc<KeyRing> {
        let now = self.0.clock.now();
        let fetched = self.set().map(FetchedSet::keys);
        let holds = |picture: &Picture| {
            picture.until.is_none_or(|until| now < until)
                && match (&picture.fetched, &fetched) {
                    (Some(old), Some(new)) => Arc::ptr_eq(old, new),
                    _ => true,
                }
        };
        let picture = self.0.picture.read().unwrap_or_else(PoisonError::into_inner);
        if holds(&picture) {
            return Arc::clone(&picture.ring);
        }
        drop(picture);
        let mut picture = self.0.picture.write().unwrap_or_else(PoisonError::into_inner);
        picture.fetched = fetched;
        picture.renew(now);
        Arc::clone(&picture.ring)
    }

    /// The keys as they stand now; if `token` names one that is not among them, they are looked for first: in the
    /// folder, or at `JWK_URL`, neither more often than the rules allow.
    pub async fn ring_for(&self, token: &str) -> Arc<KeyRing> {
        let Source::Pairs { set, .. } = &self.0.source else { return self.ring() };
        let Some(kid) = unverified_kid(token) else { return self.ring() };
        if let Some(set) = set {
            set.look_for(&kid, &self.0.clock).await;
        } else if !self.ring().knows(&kid) {
            self.reread_at_once().await;
        }
        self.ring()
    }

    /// The keys as the folder has them at this moment; it is read at most once a second.
    pub async fn newest_ring(&self) -> Arc<KeyRing> {
        self.reread_at_once().await;
        self.ring()
    }

    /// Reads the folder again every 20 s until `stop`. What can't be read changes nothing and is logged.
    pub async fn follow(self, stop: CancellationToken) -> anyhow::Result<()> {
        self.warn_of_readable();
        self.follow_every(REREAD_EVERY, &stop).await;
        Ok(())
    }

    /// The keys are opened with the settings, before there is a log; what is to be said of them is said here.
    fn warn_of_readable(&self) {
        let picture = self.0.picture.read().unwrap_or_else(PoisonError::into_inner);
        if let (Source::Pairs { folder: Some(folder), .. }, Some(own)) = (&self.0.source, &picture.own) {
            own.warn_of_readable(folder, &BTreeSet::new());
        }
    }

    async fn follow_every(&self, pause: Duration, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            // Nobody else reads meanwhile: a picture never gives way to an older one.
            let _reading = self.0.reread_at_once.lock().await;
            if let Err(error) = self.reread().await {
                let error = error_chain(&error);
                tracing::warn!(
                    error,
                    "the signing keys could not be read again, the present ones stay in force"
                );
            }
        }
    }

    async fn reread_at_once(&self) {
        let mut last = self.0.reread_at_once.lock().await;
        let now = self.0.clock.now();
        if last.is_some_and(|last| is_within(REREAD_AT_ONCE_EVERY, last, now)) {
            return;
        }
        *last = Some(now);
        // What is wrong is told by `follow`, which meets it, too, and not as often as strangers please.
        let _ = self.reread().await;
    }

    async fn reread(&self) -> Result<(), KeysError> {
        let Source::Pairs { algorithm, folder: Some(folder), .. } = &self.0.source else { return Ok(()) };
        let (keys, algorithm, folder) = (self.clone(), *algorithm, folder.clone());
        // It runs to its end even if the request that gave the reason goes away.
        let reading = tokio::task::spawn_blocking(move || {
            let reading = folder::read_what_is_usable(&folder, algorithm)?;
            let mut picture = keys.0.picture.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(own) = &mut picture.own {
                let passed_over = own.take_usable(&folder, reading)?;
                picture.renew(keys.0.clock.now());
                for error in passed_over {
                    tracing::warn!(error, "a file among the signing keys was passed over");
                }
            }
            Ok(())
        });
        // The reading does not panic; at the program's end it may not be run any more.
        reading.await.unwrap_or(Ok(()))
    }

    fn set(&self) -> Option<&FetchedSet> {
        match &self.0.source {
            Source::Pairs { set, .. } => set.as_ref(),
            Source::Secrets => None,
        }
    }
}

impl Picture {
    fn renew(&mut self, now: DateTime<Utc>) {
        if let Some(own) = &self.own {
            let (ring, until) = own.ring_at(now);
            self.ring = Arc::new(match &self.fetched {
                Some(fetched) => ring.verifying_by(Arc::clone(fetched)),
                None => ring,
            });
            self.until = until;
        }
    }
}

/// Whether less than `span` has passed since `last`. A clock that was set back counts as passed.
fn is_within(span: TimeDelta, last: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (TimeDelta::zero()..span).contains(&(now - last))
}

/// The key id that a token's header names, whoever wrote it.
fn unverified_kid(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Header {
        kid: String,
    }
    let (header, _) = token.split_once('.')?;
    let header: Header = serde_json::from_slice(&BASE64URL.decode(header).ok()?).ok()?;
    Some(header.kid)
}

#[cfg(test)]
mod tests;
