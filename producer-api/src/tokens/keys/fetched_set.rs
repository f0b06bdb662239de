//! The key set at `JWK_URL`: fetched when it is needed, kept while it can't be had.
//!
//! - A set is good for 300 s; then the first token that comes has it fetched anew.
//! - A token whose key is not in the set has it fetched, too.
//! - It is asked for at most every 30 s, whatever tokens come: an attacker can't have us flood its server.
//! - A fetch ends after 30 s, follows no redirect and reads at most 1 MiB. If it fails, the last good set stays in force.
//! - A token whose key is known waits for nobody else's fetch, so that a server that hangs delays one request and not all.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::DecodingKey;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use shared::clock::Clock;
use shared::telemetry::error_chain;
use tokio::sync::{Mutex, OwnedMutexGuard};
use url::Url;

use super::algorithm::{Algorithm, Family};
use super::is_within;
use super::open::KeysError;

const GOOD_FOR: TimeDelta = TimeDelta::seconds(300);
const ASKED_AT_MOST_EVERY: TimeDelta = TimeDelta::seconds(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const BYTES_MAX: usize = 1024 * 1024;

/// The keys of a set that can verify our algorithm, by id.
pub(super) type FetchedKeys = BTreeMap<String, DecodingKey>;

/// The set and when it may be fetched.
#[derive(Clone)]
pub(super) struct FetchedSet(Arc<Inner>);

struct Inner {
    url: Url,
    algorithm: Algorithm,
    client: Client,
    good: RwLock<Good>,
    /// When the server was last asked; held while it is.
    asked: Arc<Mutex<Option<DateTime<Utc>>>>,
}

struct Good {
    keys: Arc<FetchedKeys>,
    at: Option<DateTime<Utc>>,
}

/// Why a fetch gave no set.
#[derive(Debug, thiserror::Error)]
enum FetchFault {
    #[error("the server can't be reached or broke off")]
    Transfer(#[source] reqwest::Error),
    #[error("the server answered {0}; redirects are not followed")]
    Status(StatusCode),
    #[error("the answer is longer than {BYTES_MAX} bytes")]
    TooLong,
    #[error("the answer is no JWK set")]
    NoSet(#[source] serde_json::Error),
}

impl FetchedSet {
    /// An empty set; the first token has it fetched.
    pub(super) fn new(url: Url, algorithm: Algorithm) -> Result<Self, KeysError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(KeysError::KeySetAddress);
        }
        let client = Client::builder().redirect(Policy::none()).timeout(TIMEOUT).build();
        let client = client.map_err(KeysError::KeySetClient)?;
        let good = RwLock::new(Good { keys: Arc::default(), at: None });
        Ok(Self(Arc::new(Inner { url, algorithm, client, good, asked: Arc::default() })))
    }

    /// The last good set.
    pub(super) fn keys(&self) -> Arc<FetchedKeys> {
        Arc::clone(&self.good().keys)
    }

    /// Fetches the set if it is too old or has no key of this id, and the rules allow it.
    pub(super) async fn look_for(&self, kid: &str, clock: &Clock) {
        let asked = Arc::clone(&self.0.asked);
        let (known, fresh) = self.standing(kid, clock.now());
        let asked = match (known, fresh) {
            (true, true) => return,
            (true, false) => match asked.try_lock_owned() {
                Ok(asked) => asked,
                Err(_) => return,
            },
            (false, _) => asked.lock_owned().await,
        };
        // Another request may have fetched it while this one waited.
        let now = clock.now();
        let needed = self.standing(kid, now) != (true, true);
        if needed && asked.is_none_or(|last| !is_within(ASKED_AT_MOST_EVERY, last, now)) {
            let set = self.clone();
            // The fetch runs to its end even if the request that gave the reason goes away: else whoever breaks off
            // early could keep the set from ever being renewed.
            let fetch = tokio::spawn(async move { set.fetch(asked, now).await });
            let _ = fetch.await;
        }
    }

    /// Whether the key is known, and whether the set is still good.
    fn standing(&self, kid: &str, now: DateTime<Utc>) -> (bool, bool) {
        let good = self.good();
        (good.keys.contains_key(kid), good.at.is_some_and(|at| is_within(GOOD_FOR, at, now)))
    }

    fn good(&self) -> std::sync::RwLockReadGuard<'_, Good> {
        self.0.good.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, mut asked: OwnedMutexGuard<Option<DateTime<Utc>>>, now: DateTime<Utc>) {
        *asked = Some(now);
        // A user name, a password or a query in the address may be secret.
        let (host, path) = (self.0.url.host_str().unwrap_or_default(), self.0.url.path());
        match self.download().await {
            Ok(keys) => {
                if keys.is_empty() {
                    let algorithm = self.0.algorithm.as_str();
                    tracing::warn!(
                        host,
                        path,
                        algorithm,
                        "the key set at JWK_URL has no key for our algorithm"
                    );
                }
                let good = Good { keys: Arc::new(keys), at: Some(now) };
                *self.0.good.write().unwrap_or_else(PoisonError::into_inner) = good;
            }
            Err(fault) => {
                let error = error_chain(&fault);
                tracing::warn!(
                    host,
                    path,
                    error,
                    "the key set at JWK_URL could not be fetched, the last one stays"
                );
            }
        }
    }

    async fn download(&self) -> Result<FetchedKeys, FetchFault> {
        let transfer = |error: reqwest::Error| FetchFault::Transfer(error.without_url());
        let mut response = self.0.client.get(self.0.url.clone()).send().await.map_err(transfer)?;
        if response.status() != StatusCode::OK {
            return Err(FetchFault::Status(response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transfer)? {
            if body.len() + chunk.len() > BYTES_MAX {
                return Err(FetchFault::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        parse(&body, self.0.algorithm).map_err(FetchFault::NoSet)
    }
}

/// The keys of a set that can be used; the others are skipped, and of two with one id the second.
fn parse(body: &[u8], algorithm: Algorithm) -> Result<FetchedKeys, serde_json::Error> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(body)?;
    let mut keys = FetchedKeys::new();
    for (kid, key) in set.keys.iter().filter_map(|key| usable(key, algorithm)) {
        keys.entry(kid).or_insert(key);
    }
    Ok(keys)
}

fn usable(jwk: &Value, algorithm: Algorithm) -> Option<(String, DecodingKey)> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let allows =
        |name: &str, wanted: &str| jwk.get(name).is_none_or(|value| value.is_null() || value == wanted);
    let kid = text("kid").filter(|kid| !kid.is_empty())?;
    if !allows("use", "sig") || !allows("alg", algorithm.as_str()) {
        return None;
    }
    let key = match (algorithm.family(), text("kty")?, text("crv")) {
        (Family::Rsa, "RSA", _) => DecodingKey::from_rsa_components(text("n")?, text("e")?),
        (Family::P256, "EC", Some("P-256")) | (Family::P384, "EC", Some("P-384")) => {
            DecodingKey::from_ec_components(text("x")?, text("y")?)
        }
        (Family::Ed25519, "OKP", Some("Ed25519")) => DecodingKey::from_ed_components(text("x")?),
        _ => return None,
    };
    Some((kid.to_owned(), key.ok()?))
}
