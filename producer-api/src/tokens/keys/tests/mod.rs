//! The room as its users see it.

mod attacks;
mod fetching;
mod opening;
mod timeline_of_a_folder;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::Value;
use shared::clock::Clock;
use shared::config::Secret;
use tempfile::TempDir;

use super::algorithm::tests::ASYMMETRIC;
use super::own_keys::OwnKeys;
use super::private_key::PrivateKey;
use super::{Algorithm, KeyRing, Keys, KeysConfig, folder};

const SECRET: &str = "a secret for tests of at least 32 bytes";
const HOUR: Duration = Duration::from_hours(1);

fn clock() -> Clock {
    Clock::manual(DateTime::from_timestamp(1_795_000_000, 0).unwrap())
}

fn algorithm(name: &str) -> Algorithm {
    name.parse().unwrap()
}

/// Settings with nothing but an algorithm.
fn config(name: &str) -> KeysConfig {
    KeysConfig {
        algorithm: algorithm(name),
        signing_key: None,
        previous_signing_key: None,
        verifying_key: None,
        signing_keys_dir: None,
        jwk_url: None,
        longest_lifetime: HOUR,
    }
}

fn with_key(name: &str, key: &str) -> KeysConfig {
    KeysConfig { signing_key: Some(Secret::new(key)), ..config(name) }
}

fn with_folder(name: &str, folder: &Folder) -> KeysConfig {
    KeysConfig { signing_keys_dir: Some(folder.path().to_owned()), ..config(name) }
}

fn open(config: &KeysConfig) -> Keys {
    Keys::open(config, clock()).unwrap()
}

fn new_pem(name: &str) -> String {
    PrivateKey::generate(algorithm(name)).unwrap()
}

/// A key that OpenSSL wrote.
pub(super) fn openssl(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tokens/keys/test_keys");
    fs::read_to_string(folder.join(file)).unwrap()
}

fn header_of(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

/// Whether the ring takes the token, as the judge asks it.
fn accepts(ring: &KeyRing, token: &str) -> bool {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let header = header_of(token);
    header["alg"] == ring.algorithm() && ring.verifies(header["kid"].as_str(), message.as_bytes(), signature)
}

/// A token with this header, signed by whoever makes `signature` of the message.
fn token(header: &Value, signature: impl Fn(&[u8]) -> String) -> String {
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(r#"{"exp":1}"#));
    format!("{message}.{}", signature(message.as_bytes()))
}

/// The key ids of a key set.
fn kids(ring: &KeyRing) -> Vec<String> {
    let set = ring.jwks();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// A folder of keys, gone with its test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, kid: &str) -> PathBuf {
        self.path().join(format!("{kid}.pem"))
    }

    /// Puts an ES256 key there, as written at `at`, whole at once as a rotation does.
    fn add(&self, kid: &str, at: DateTime<Utc>) {
        self.put(kid, &new_pem("ES256"), at);
    }

    fn put(&self, kid: &str, pem: &str, at: DateTime<Utc>) {
        let beside = self.path().join(format!("{kid}.new"));
        fs::write(&beside, pem).unwrap();
        File::options().write(true).open(&beside).unwrap().set_modified(at.into()).unwrap();
        fs::rename(beside, self.file(kid)).unwrap();
    }
}

fn seconds(seconds: i64) -> TimeDelta {
    TimeDelta::seconds(seconds)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_signed_verifies_and_nothing_else_does(payload: Vec<u8>, flipped: prop::sample::Index) {
        for name in ASYMMETRIC.into_iter().chain(["HS256", "HS384", "HS512"]) {
            let ring = ring_of(name);
            let token = ring.sign(&payload).unwrap();
            prop_assert!(accepts(&ring, &token), "{}", name);
            let (message, signature) = token.rsplit_once('.').unwrap();
            let mut changed = message.as_bytes().to_vec();
            let index = flipped.index(changed.len());
            changed[index] ^= 1;
            let kid = header_of(&token)["kid"].as_str().map(str::to_owned);
            prop_assert!(!ring.verifies(kid.as_deref(), &changed, signature), "{}", name);
        }
    }
}

/// The ring of one key of OpenSSL's.
fn ring_of(name: &str) -> std::sync::Arc<KeyRing> {
    let key = match &name[..2] {
        "HS" => SECRET.to_owned(),
        "RS" | "PS" => openssl("rsa_pkcs8.pem"),
        "ES" => openssl(if name == "ES256" { "p256_pkcs8.pem" } else { "p384_pkcs8.pem" }),
        _ => openssl("ed25519_pkcs8.pem"),
    };
    open(&with_key(name, &key)).ring()
}
