//! The keys as they stand at one moment: signs, verifies, and shows its public parts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, EncodingKey, crypto};
use serde_json::{Value, json};

use super::algorithm::Algorithm;
use super::private_key::PrivateKey;
use crate::tokens::judge::Verifier;

/// Why a token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the signature failed")]
pub struct SigningError;

/// An immutable set of keys.
pub struct KeyRing {
    algorithm: Algorithm,
    /// The JOSE header of every token, encoded.
    header: String,
    signer: Signer,
    verifiers: Verifiers,
    published: Vec<Jwk>,
}

enum Signer {
    Secret(EncodingKey),
    Private(Arc<PrivateKey>),
}

enum Verifiers {
    /// Any of them, whatever the token's key id.
    Secrets(Vec<DecodingKey>),
    /// By key id; a token without one may be signed by any.
    Own(BTreeMap<String, Arc<PrivateKey>>),
    /// By key id alone.
    Fetched(Arc<BTreeMap<String, DecodingKey>>),
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyRing").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// A ring of secrets: the first signs, all verify.
    pub(super) fn of_secrets(algorithm: Algorithm, signing: &[u8], previous: Option<&[u8]>) -> Self {
        let secrets = [Some(signing), previous].into_iter().flatten();
        Self {
            algorithm,
            header: header(algorithm, None),
            signer: Signer::Secret(EncodingKey::from_secret(signing)),
            verifiers: Verifiers::Secrets(secrets.map(DecodingKey::from_secret).collect()),
            published: Vec::new(),
        }
    }

    /// A ring of our own keys, which verify and are shown; `signer` is one of them.
    pub(super) fn of_keys(
        algorithm: Algorithm,
        signer: (&str, Arc<PrivateKey>),
        keys: BTreeMap<String, Arc<PrivateKey>>,
    ) -> Self {
        Self {
            algorithm,
            header: header(algorithm, Some(signer.0)),
            signer: Signer::Private(signer.1),
            published: keys.iter().map(|(kid, key)| key.public(kid)).collect(),
            verifiers: Verifiers::Own(keys),
        }
    }

    /// The same ring, verifying by fetched keys alone.
    pub(super) fn verifying_by(self, fetched: Arc<BTreeMap<String, DecodingKey>>) -> Self {
        Self { verifiers: Verifiers::Fetched(fetched), ..self }
    }

    /// The whole token with this payload, in compact form. Its header is `alg` and `typ`, and for keys that come in
    /// pairs `kid`.
    pub fn sign(&self, payload: &[u8]) -> Result<String, SigningError> {
        let message = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(payload));
        let signature = match &self.signer {
            Signer::Secret(key) => {
                crypto::sign(message.as_bytes(), key, self.algorithm.library()).map_err(|_| SigningError)?
            }
            Signer::Private(key) => key.sign(message.as_bytes()).map_err(|_| SigningError)?,
        };
        Ok(format!("{message}.{signature}"))
    }

    /// The one algorithm that signs and verifies, as a header writes it.
    pub fn algorithm(&self) -> &'static str {
        self.algorithm.as_str()
    }

    /// Whether `signature` (base64url) of `message` is by the key of this id; without an id, by any of our own keys. A
    /// secret has no id, so there it is not looked at.
    pub fn verifies(&self, kid: Option<&str>, message: &[u8], signature: &str) -> bool {
        let by = |key: &DecodingKey| {
            crypto::verify(signature, message, key, self.algorithm.library()).unwrap_or(false)
        };
        match (&self.verifiers, kid) {
            (Verifiers::Secrets(secrets), _) => secrets.iter().any(by),
            (Verifiers::Own(keys), Some(kid)) => keys.get(kid).is_some_and(|key| by(key.decoding())),
            (Verifiers::Own(keys), None) => keys.values().any(|key| by(key.decoding())),
            (Verifiers::Fetched(keys), Some(kid)) => keys.get(kid).is_some_and(by),
            (Verifiers::Fetched(_), None) => false,
        }
    }

    /// Whether a token of this key id could be verified.
    pub(super) fn knows(&self, kid: &str) -> bool {
        match &self.verifiers {
            Verifiers::Secrets(_) => true,
            Verifiers::Own(keys) => keys.contains_key(kid),
            Verifiers::Fetched(keys) => keys.contains_key(kid),
        }
    }

    /// Whether what the ring signs verifies.
    pub(super) fn passes_self_test(&self) -> bool {
        let Ok(token) = self.sign(b"{}") else { return false };
        token
            .rsplit_once('.')
            .is_some_and(|(message, signature)| self.verifies(None, message.as_bytes(), signature))
    }

    /// The public parts of our keys that verify, as a JWK set; empty for secrets.
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.published })
    }
}

fn header(algorithm: Algorithm, kid: Option<&str>) -> String {
    let mut header = json!({ "alg": algorithm.as_str(), "typ": "JWT" });
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    URL_SAFE_NO_PAD.encode(header.to_string())
}

impl Verifier for KeyRing {
    fn algorithm(&self) -> &'static str {
        self.algorithm()
    }

    fn verifies(&self, kid: Option<&str>, message: &[u8], signature: &str) -> bool {
        self.verifies(kid, message, signature)
    }
}
