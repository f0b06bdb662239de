//! Mints tokens with the signing key and judges those that come back.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use serde_json::value::{RawValue, to_raw_value};
use shared::entropy::Entropy;
use shared::ids::{SessionId, UserId};

use super::claims::{Claims, NOT_COPIED, TokenFault, TokenKind};
use super::judge::{Verifier, judge};
use crate::config::TokensConfig;

/// The JOSE header of every token of ours, as SimpleJWT writes it.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Why a token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The cryptography failed.
    #[error("the signature failed")]
    Crypto(#[from] jsonwebtoken::errors::Error),
    /// A claim can't be written as JSON.
    #[error("a claim can't be encoded")]
    Encode(#[from] serde_json::Error),
    /// A token of ours does not verify: the key or the cryptography is broken.
    #[error("a freshly signed token does not verify")]
    SelfTest,
}

/// A refresh token that was just made, with what is to be recorded of it.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// Its claims, from which access tokens are made.
    pub claims: Claims,
    /// Its id.
    pub jti: String,
    /// When it runs out.
    pub expires_at: DateTime<Utc>,
}

/// Holds the keys and lifetimes.
pub struct TokenIssuer {
    encoding: EncodingKey,
    decoding: DecodingKey,
    access_lifetime: TimeDelta,
    refresh_lifetime: TimeDelta,
    entropy: Entropy,
}

impl std::fmt::Debug for TokenIssuer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TokenIssuer").finish_non_exhaustive()
    }
}

impl TokenIssuer {
    /// An issuer over the configured secret, which is used as its UTF-8 bytes stand. Signs and verifies once, so that
    /// a broken key stops the start and not the first login.
    pub fn new(config: &TokensConfig, entropy: Entropy) -> Result<Self, SigningError> {
        let secret = config.signing_key.expose().as_bytes();
        let lifetime = |lifetime| TimeDelta::from_std(lifetime).unwrap_or(TimeDelta::MAX);
        let issuer = Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            access_lifetime: lifetime(config.access_lifetime),
            refresh_lifetime: lifetime(config.refresh_lifetime),
            entropy,
        };
        let instant = DateTime::UNIX_EPOCH;
        let session = SessionId(issuer.entropy.uuid_v7(instant));
        let probe = issuer.refresh_token(UserId(0), session, instant)?;
        issuer.judge(&probe.token, instant).map_err(|_| SigningError::SelfTest)?;
        Ok(issuer)
    }

    /// A refresh token for a session that begins at `now`.
    pub fn refresh_token(
        &self,
        user: UserId,
        session: SessionId,
        now: DateTime<Utc>,
    ) -> Result<Issued, SigningError> {
        let jti = self.jti();
        let expires_at = now + self.refresh_lifetime;
        let mut claims = Claims(own_claims(TokenKind::Refresh, &jti, now, expires_at)?);
        claims.0.insert("user_id".to_owned(), to_raw_value(&user.to_string())?);
        claims.0.insert("sid".to_owned(), to_raw_value(&session)?);
        Ok(Issued { token: self.sign(&claims)?, claims, jti, expires_at })
    }

    /// An access token made from a refresh token: every claim is taken over but those that are a token's own.
    pub fn access_token(&self, refresh: &Claims, now: DateTime<Utc>) -> Result<String, SigningError> {
        let mut claims = own_claims(TokenKind::Access, &self.jti(), now, now + self.access_lifetime)?;
        for (name, value) in &refresh.0 {
            if !NOT_COPIED.contains(&name.as_str()) {
                claims.insert(name.clone(), value.clone());
            }
        }
        self.sign(&Claims(claims))
    }

    /// The claims of `token`, if it is well formed, rightly signed and within its times at `now`.
    pub fn judge(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, TokenFault> {
        judge(token, self, now)
    }

    fn jti(&self) -> String {
        self.entropy.uuid_v4().simple().to_string()
    }

    fn sign(&self, claims: &Claims) -> Result<String, SigningError> {
        let payload = serde_json::to_vec(&claims.0)?;
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(payload));
        let signature = crypto::sign(message.as_bytes(), &self.encoding, Algorithm::HS256)?;
        Ok(format!("{message}.{signature}"))
    }
}

/// The claims that are a token's own and never copied.
fn own_claims(
    kind: TokenKind,
    jti: &str,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<BTreeMap<String, Box<RawValue>>, serde_json::Error> {
    Ok([
        ("token_type".to_owned(), to_raw_value(kind.as_str())?),
        ("exp".to_owned(), to_raw_value(&expires_at.timestamp())?),
        ("iat".to_owned(), to_raw_value(&now.timestamp())?),
        ("jti".to_owned(), to_raw_value(jti)?),
    ]
    .into())
}

impl Verifier for TokenIssuer {
    fn algorithm(&self) -> &'static str {
        "HS256"
    }

    fn verifies(&self, message: &[u8], signature: &str) -> bool {
        crypto::verify(signature, message, &self.decoding, Algorithm::HS256).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::config::Secret;
    use uuid::Uuid;

    use super::*;

    fn issuer(secret: &str) -> TokenIssuer {
        let config = TokensConfig {
            signing_key: Secret::new(secret),
            access_lifetime: Duration::from_mins(5),
            refresh_lifetime: Duration::from_hours(24),
        };
        TokenIssuer::new(&config, Entropy::seeded(5)).unwrap()
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_763_700_000, 400_000_000).unwrap()
    }

    #[test]
    fn a_pair_has_exactly_simple_jwts_claims_and_the_session() {
        let issuer = issuer("0123456789abcdef0123456789abcdef");
        let session = SessionId(Uuid::from_u128(3));
        let refresh = issuer.refresh_token(UserId(7), session, now()).unwrap();
        let access = issuer.judge(&issuer.access_token(&refresh.claims, now()).unwrap(), now()).unwrap();
        let names: Vec<_> = access.0.keys().map(String::as_str).collect();
        assert_eq!(names, ["exp", "iat", "jti", "sid", "token_type", "user_id"]);
        assert_eq!(access.raw("user_id"), Some(r#""7""#));
        assert_eq!(access.expires_at() - access.issued_at().unwrap(), 300);
        assert_eq!(refresh.claims.expires_at() - refresh.claims.issued_at().unwrap(), 86_400);
        assert_eq!(access.session(), Ok(Some(session)));
        let jti = access.jti().unwrap().unwrap();
        assert_ne!(jti, refresh.jti);
        assert!(jti.len() == 32 && jti.as_bytes()[12] == b'4', "{jti}");
        assert!(access.require(TokenKind::Access).is_ok());
    }

    #[test]
    fn foreign_claims_are_taken_over_to_the_digit() {
        let issuer = issuer("0123456789abcdef0123456789abcdef");
        let refresh =
            r#"{"user_id":7,"n":12345678901234567890123,"f":1.0,"o":{"a":[1]},"iat":1,"exp":2,"jti":"x"}"#;
        let refresh = Claims(serde_json::from_str(refresh).unwrap());
        let access = issuer.judge(&issuer.access_token(&refresh, now()).unwrap(), now()).unwrap();
        assert_eq!(access.raw("n"), Some("12345678901234567890123"));
        assert_eq!(access.raw("f"), Some("1.0"));
        assert_eq!(access.raw("o"), Some(r#"{"a":[1]}"#));
        assert_eq!(access.raw("user_id"), Some("7"));
        assert_eq!(access.issued_at(), Some(now().timestamp()));
    }

    #[test]
    fn another_key_and_a_changed_byte_are_invalid() {
        let issuer = issuer("0123456789abcdef0123456789abcdef");
        let token = issuer.refresh_token(UserId(7), SessionId(Uuid::nil()), now()).unwrap().token;
        assert!(issuer.judge(&token, now()).is_ok());
        let other = self::issuer("another secret of more than 32 bytes");
        assert_eq!(other.judge(&token, now()).map(|_| ()), Err(TokenFault::Invalid));
        let mut bytes = token.clone().into_bytes();
        let middle = bytes.len() / 2;
        bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert_eq!(issuer.judge(&changed, now()).map(|_| ()), Err(TokenFault::Invalid));
    }
}
