//! Opening the keys at the start: reads them, refuses what is weak or wrong, and tests each once.

use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use shared::clock::Clock;
use shared::config::Secret;
use tokio::sync::Mutex;

use super::fetched_set::{FetchedSet, Waits};
use super::folder::FolderFault;
use super::hmac_secret::{self, SecretFault};
use super::own_keys::OwnKeys;
use super::private_key::{PemFault, PrivateKey};
use super::ring::KeyRing;
use super::{Inner, Keys, KeysConfig, Picture, Source};

/// Why the keys can't be used. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// There is no key at all.
    #[error(
        "SIGNING_KEY (or SIGNING_KEY_FILE) is not set: give a private key in PEM for {0}, or a folder of such keys as \
         SIGNING_KEYS_DIR"
    )]
    Missing(&'static str),
    /// There is no secret.
    #[error("SIGNING_KEY (or SIGNING_KEY_FILE) is not set: take the output of `openssl rand -hex 32`")]
    NoSecret,
    /// A secret that must not be used.
    #[error("{setting}: {fault}")]
    Secret {
        /// Its setting.
        setting: &'static str,
        /// What is wrong with it.
        fault: SecretFault,
    },
    /// A key that can't be used.
    #[error("{setting}: {fault}")]
    Pem {
        /// Its setting.
        setting: &'static str,
        /// What is wrong with it.
        fault: PemFault,
    },
    /// A folder of keys where one secret does all.
    #[error(
        "SIGNING_KEYS_DIR: {0} signs with one secret, a folder is for keys that come in pairs: remove this setting, and to \
         change the secret set SIGNING_KEY_PREVIOUS to the old one and SIGNING_KEY to the new one"
    )]
    FolderOfSecrets(&'static str),
    /// A previous secret where keys come in pairs.
    #[error(
        "SIGNING_KEY_PREVIOUS: {0} signs with a private key, a previous secret is for HS256, HS384 and HS512: remove this \
         setting, and to change keys use SIGNING_KEYS_DIR and `producer-api keys rotate`"
    )]
    PreviousPair(&'static str),
    /// A public key that belongs to nothing.
    #[error(
        "VERIFYING_KEY: it belongs to SIGNING_KEY, which is not set: remove it, keys in SIGNING_KEYS_DIR need none"
    )]
    LoneVerifyingKey,
    /// The folder or a key in it.
    #[error(transparent)]
    Folder(#[from] FolderFault),
    /// A folder without keys.
    #[error("SIGNING_KEYS_DIR: no key, no file *.pem, is in {}: make one by `producer-api keys rotate`", .0.display())]
    EmptyFolder(PathBuf),
    /// The key set's address.
    #[error("JWK_URL: give an http:// or https:// address")]
    KeySetAddress,
    /// The client for the key set.
    #[error("JWK_URL: no client can be made to fetch it; check the certificates of this machine")]
    KeySetClient(#[source] reqwest::Error),
    /// What the secret signs does not verify.
    #[error("SIGNING_KEY: what it signs does not verify; the cryptography of this machine is broken")]
    SelfTest,
}

impl Keys {
    /// Reads and tests the keys.
    pub fn open(config: &KeysConfig, clock: Clock) -> Result<Self, KeysError> {
        if config.algorithm.is_symmetric() { secrets(config, clock) } else { pairs(config, clock) }
    }
}

fn secrets(config: &KeysConfig, clock: Clock) -> Result<Keys, KeysError> {
    let name = config.algorithm.as_str();
    if config.signing_keys_dir.is_some() {
        return Err(KeysError::FolderOfSecrets(name));
    }
    let signing = config.signing_key.as_ref().ok_or(KeysError::NoSecret)?.expose();
    let previous = config.previous_signing_key.as_ref().map(Secret::expose);
    for (setting, secret) in [("SIGNING_KEY", Some(signing)), ("SIGNING_KEY_PREVIOUS", previous)] {
        if let Some(secret) = secret {
            hmac_secret::check(secret).map_err(|fault| KeysError::Secret { setting, fault })?;
        }
    }
    let ring = KeyRing::of_secrets(config.algorithm, signing.as_bytes(), previous.map(str::as_bytes));
    if !ring.passes_self_test() {
        return Err(KeysError::SelfTest);
    }
    let picture = Picture { own: None, fetched: None, ring: Arc::new(ring), until: None };
    Ok(keys(clock, Source::Secrets, picture))
}

fn pairs(config: &KeysConfig, clock: Clock) -> Result<Keys, KeysError> {
    if config.previous_signing_key.is_some() {
        return Err(KeysError::PreviousPair(config.algorithm.as_str()));
    }
    let own = OwnKeys::read(
        config.algorithm,
        config.longest_lifetime,
        lone_key(config)?,
        config.signing_keys_dir.as_deref(),
    )?;
    let set = config
        .jwk_url
        .clone()
        .map(|url| FetchedSet::new(url, config.algorithm, Waits::default()))
        .transpose()?;
    let (ring, until) = own.ring_at(clock.now());
    let fetched = set.as_ref().map(FetchedSet::keys);
    let ring = match &fetched {
        Some(fetched) => ring.verifying_by(Arc::clone(fetched)),
        None => ring,
    };
    let picture = Picture { own: Some(own), fetched, ring: Arc::new(ring), until };
    let (algorithm, folder) = (config.algorithm, config.signing_keys_dir.clone());
    Ok(keys(clock, Source::Pairs { algorithm, folder, set }, picture))
}

/// The key of `SIGNING_KEY`, with the public half of `VERIFYING_KEY` checked against it.
pub(super) fn lone_key(config: &KeysConfig) -> Result<Option<PrivateKey>, KeysError> {
    let Some(text) = &config.signing_key else {
        return if config.verifying_key.is_some() { Err(KeysError::LoneVerifyingKey) } else { Ok(None) };
    };
    let key = PrivateKey::from_pem(text.expose(), config.algorithm)
        .map_err(|fault| KeysError::Pem { setting: "SIGNING_KEY", fault })?;
    if let Some(public) = &config.verifying_key {
        key.check_public(public).map_err(|fault| KeysError::Pem { setting: "VERIFYING_KEY", fault })?;
    }
    Ok(Some(key))
}

fn keys(clock: Clock, source: Source, picture: Picture) -> Keys {
    let (picture, reread_at_once) = (RwLock::new(picture), Mutex::new(None));
    Keys(Arc::new(Inner { clock, source, picture, reread_at_once }))
}
