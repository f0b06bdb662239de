//! The key set at `JWK_URL`: fetched when it is needed, kept while it can't be had.
//!
//! - A set is good for 300 s; then the first token that comes has it fetched anew.
//! - A token whose key is not in the set has it fetched, too.
//! - It is asked for at most every 30 s, counted from the end of the last fetch, whatever tokens come: an attacker can't
//!   have us flood its server.
//! - A fetch ends after 30 s, follows no redirect and reads at most 1 MiB. If it fails, the last good set stays in force.
//! - A fetch goes on by itself. The request that gave the reason waits 5 s for it, one that comes meanwhile with an
//!   unknown key 2 s, and one with a known key not at all. Whoever has waited takes the set as it then is and starts no
//!   other fetch, so that a server that hangs delays nobody for longer, however many come.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::DecodingKey;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use shared::clock::Clock;
use shared::telemetry::error_chain;
use tokio::sync::watch;
use tokio::time::timeout;
use url::Url;

use super::algorithm::{Algorithm, Family};
use super::is_within;
use super::open::KeysError;

/// Where a key set is served. Shown by host and path alone: its user name, password and query may be secret.
#[derive(Clone)]
pub struct KeySetAddress(Url);

impl FromStr for KeySetAddress {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Url::parse(text).map(Self)
    }
}

impl fmt::Debug for KeySetAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.0.host_str().unwrap_or_default(), self.0.path())
    }
}

impl KeySetAddress {
    /// Whether it can be asked: `http` or `https`.
    pub fn is_web(&self) -> bool {
        matches!(self.0.scheme(), "http" | "https")
    }
}

const GOOD_FOR: TimeDelta = TimeDelta::seconds(300);
const ASKED_AT_MOST_EVERY: TimeDelta = TimeDelta::seconds(30);
const BYTES_MAX: usize = 1024 * 1024;

/// The keys of a set that can verify our algorithm, by id.
pub(super) type FetchedKeys = BTreeMap<String, DecodingKey>;

/// How long anybody waits for the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    /// The fetch itself.
    pub(super) fetch: Duration,
    /// The request that had it begun.
    pub(super) starter: Duration,
    /// Requests that come meanwhile.
    pub(super) others: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { fetch: seconds(30), starter: seconds(5), others: seconds(2) }
    }
}

/// The set and when it may be fetched.
#[derive(Clone)]
pub(super) struct FetchedSet(Arc<Inner>);

struct Inner {
    url: Url,
    algorithm: Algorithm,
    client: Client,
    good: RwLock<Good>,
    waits: Waits,
    asked: Mutex<Asked>,
}

/// When the server was last asked.
#[derive(Default)]
struct Asked {
    /// The end of the last fetch that ended.
    ended: Option<DateTime<Utc>>,
    /// The last fetch that began; it closes at the end, however that comes.
    last: Option<watch::Receiver<()>>,
}

/// What a request does for its key.
enum Step {
    Begin(watch::Sender<()>),
    Await(watch::Receiver<()>),
    Nothing,
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
    pub(super) fn new(address: KeySetAddress, algorithm: Algorithm, waits: Waits) -> Result<Self, KeysError> {
        if !address.is_web() {
            return Err(KeysError::KeySetAddress);
        }
        let KeySetAddress(url) = address;
        let client = Client::builder().redirect(Policy::none()).timeout(waits.fetch).build();
        let client = client.map_err(KeysError::KeySetClient)?;
        let good = RwLock::new(Good { keys: Arc::default(), at: None });
        Ok(Self(Arc::new(Inner { url, algorithm, client, good, waits, asked: Mutex::default() })))
    }

    /// The last good set.
    pub(super) fn keys(&self) -> Arc<FetchedKeys> {
        Arc::clone(&self.good().keys)
    }

    /// Fetches the set if it is too old or has no key of this id, and the rules allow it. Waits no longer than they say.
    pub(super) async fn look_for(&self, kid: &str, clock: &Clock) {
        let (mut fetch, patience) = match self.step(kid, clock.now()) {
            Step::Nothing => return,
            Step::Await(fetch) => (fetch, self.0.waits.others),
            Step::Begin(end) => {
                let fetch = end.subscribe();
                let (set, clock) = (self.clone(), clock.clone());
                // It runs to its end even if the request that gave the reason goes away: else whoever breaks off early
                // could keep the set from ever being renewed.
                tokio::spawn(async move {
                    set.fetch(&clock).await;
                    drop(end);
                });
                (fetch, self.0.waits.starter)
            }
        };
        // Nothing is ever sent: it ends by closing.
        let _ = timeout(patience, fetch.changed()).await;
    }

    fn step(&self, kid: &str, now: DateTime<Utc>) -> Step {
        let mut asked = self.asked();
        let running = asked.last.as_ref().filter(|fetch| fetch.has_changed().is_ok());
        match (self.standing(kid, now), running) {
            ((true, true), _) | ((true, false), Some(_)) => return Step::Nothing,
            ((false, _), Some(fetch)) => return Step::Await(fetch.clone()),
            (_, None) => {}
        }
        if asked.ended.is_some_and(|last| is_within(ASKED_AT_MOST_EVERY, last, now)) {
            return Step::Nothing;
        }
        let (end, fetch) = watch::channel(());
        asked.last = Some(fetch);
        Step::Begin(end)
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Asked> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the key is known, and whether the set is still good.
    fn standing(&self, kid: &str, now: DateTime<Utc>) -> (bool, bool) {
        let good = self.good();
        (good.keys.contains_key(kid), good.at.is_some_and(|at| is_within(GOOD_FOR, at, now)))
    }

    fn good(&self) -> std::sync::RwLockReadGuard<'_, Good> {
        self.0.good.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, clock: &Clock) {
        // A set is as old as the question.
        let now = clock.now();
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
        self.asked().ended = Some(clock.now());
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
