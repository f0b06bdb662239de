//! The keys that sign and verify tokens. What is wrong with a key itself is said by `tokens::keys`, which reads it.

use std::path::PathBuf;
use std::time::Duration;

use shared::config::{Reader, Secret, Setting};

use crate::tokens::keys::{Algorithm, KeySetAddress, KeysConfig};

const ALGORITHM: Setting = Setting::new(
    "ALGORITHM",
    "HS256",
    "What signs tokens, and the only one accepted: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, \
     ES384 or EdDSA.",
);
const SIGNING_KEY: Setting = Setting::secret(
    "SIGNING_KEY",
    "What signs tokens: for HS* a secret of at least 32 bytes, else a private key in PEM. Without it `JWT_SECRET_KEY` \
     counts, else `SECRET_KEY`.",
);
const JWT_SECRET_KEY: Setting = Setting::secret("JWT_SECRET_KEY", "Counts where `SIGNING_KEY` is not set.");
const SECRET_KEY: Setting =
    Setting::secret("SECRET_KEY", "Django's name; counts where neither of the two above is set.");
const SIGNING_KEY_PREVIOUS: Setting = Setting::secret(
    "SIGNING_KEY_PREVIOUS",
    "For HS*: the secret before `SIGNING_KEY`; it still verifies. Remove it when its last token has run out.",
);
const SIGNING_KEYS_DIR: Setting = Setting::optional(
    "SIGNING_KEYS_DIR",
    "For all but HS*: a folder of private keys, `<kid>.pem`, read again every 20 s; `keys rotate` adds one.",
);
const VERIFYING_KEY: Setting = Setting::secret(
    "VERIFYING_KEY",
    "For all but HS*: the public key in PEM that belongs to `SIGNING_KEY`; derived from it if not set.",
);
const JWK_URL: Setting = Setting::secret(
    "JWK_URL",
    "For all but HS*: where the keys that verify tokens are served, as a JWK set. No other key verifies then. Masked, \
     because it may hold a password.",
);

pub(super) const SETTINGS: &[&Setting] = &[
    &ALGORITHM,
    &SIGNING_KEY,
    &JWT_SECRET_KEY,
    &SECRET_KEY,
    &SIGNING_KEY_PREVIOUS,
    &SIGNING_KEYS_DIR,
    &VERIFYING_KEY,
    &JWK_URL,
];

/// Reads the section. `longest_lifetime` is that of any token, leeway included.
pub(super) fn read(reader: &mut Reader, longest_lifetime: Duration) -> KeysConfig {
    let algorithm = match reader.required(&ALGORITHM).parse::<Algorithm>() {
        Ok(algorithm) => algorithm,
        Err(error) => {
            reader.problem(format!("ALGORITHM: {error}"));
            Algorithm::default()
        }
    };
    let signing_keys_dir = reader.optional(&SIGNING_KEYS_DIR).map(PathBuf::from);
    let given = reader.optional_secret(&SIGNING_KEY);
    // SECRET_KEY is Django's and signs HMAC alone; a PEM key is never kept there.
    let signing_key = given.or_else(|| {
        if signing_keys_dir.is_some() {
            return None;
        }
        let others = reader.optional_secret(&JWT_SECRET_KEY).or_else(|| reader.optional_secret(&SECRET_KEY));
        others.or_else(|| Some(Secret::new(reader.required(&SIGNING_KEY))))
    });
    let jwk_url =
        reader.optional_secret(&JWK_URL).and_then(|text| match text.expose().parse::<KeySetAddress>() {
            Ok(address) if address.is_web() => Some(address),
            _ => {
                reader.problem("JWK_URL: give an http:// or https:// address");
                None
            }
        });
    KeysConfig {
        algorithm,
        signing_key: signing_key.filter(|key| !key.expose().is_empty()),
        previous_signing_key: reader.optional_secret(&SIGNING_KEY_PREVIOUS),
        verifying_key: reader.optional(&VERIFYING_KEY),
        signing_keys_dir,
        jwk_url,
        longest_lifetime,
    }
}
