//! Tokens with any header, claims and key: both servers get the same ones.

use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use test_support::programs::SIGNING_KEY;

/// What tokens are made of in one comparison.
#[derive(Debug)]
pub(super) struct Forge {
    /// When the comparison began, in seconds since 1970.
    pub(super) now: i64,
    /// An active user whom both servers know.
    pub(super) user_id: i64,
    minted: u32,
}

/// A token to be: each claim is a JSON text.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    header: String,
    claims: Vec<(String, String)>,
    key: String,
    algorithm: Algorithm,
}

impl Forge {
    pub(super) fn new(now: i64, user_id: i64) -> Self {
        Self { now, user_id, minted: 0 }
    }

    /// A token as SimpleJWT makes it, but for a jti that can be recognised. It was issued a while ago.
    pub(super) fn draft(&mut self, kind: &str) -> Draft {
        self.minted += 1;
        let claims = [
            ("token_type", format!("\"{kind}\"")),
            ("exp", (self.now + 3_000).to_string()),
            ("iat", (self.now - 100).to_string()),
            ("jti", format!("\"number {}\"", self.minted)),
            ("user_id", format!("\"{}\"", self.user_id)),
        ];
        Draft {
            header: r#"{"alg":"HS256","typ":"JWT"}"#.to_owned(),
            claims: claims.map(|(name, value)| (name.to_owned(), value)).into(),
            key: SIGNING_KEY.to_owned(),
            algorithm: Algorithm::HS256,
        }
    }

    /// A sliding token that can be refreshed.
    pub(super) fn sliding(&mut self) -> Draft {
        let refresh_exp = self.now + 5_000;
        self.draft("sliding").with("refresh_exp", refresh_exp)
    }
}

impl Draft {
    /// Sets a claim to a JSON text.
    pub(super) fn with(mut self, name: &str, value: impl Display) -> Self {
        let value = value.to_string();
        match self.claims.iter_mut().find(|(found, _)| found == name) {
            Some(claim) => claim.1 = value,
            None => self.claims.push((name.to_owned(), value)),
        }
        self
    }

    /// Takes a claim away.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.claims.retain(|(found, _)| found != name);
        self
    }

    /// Calls a claim by another name.
    pub(super) fn renamed(mut self, name: &str, new: &str) -> Self {
        for claim in self.claims.iter_mut().filter(|(found, _)| found == name) {
            new.clone_into(&mut claim.0);
        }
        self
    }

    /// Another JOSE header.
    pub(super) fn header(mut self, header: &str) -> Self {
        header.clone_into(&mut self.header);
        self
    }

    /// Another key.
    pub(super) fn key(mut self, key: &str) -> Self {
        key.clone_into(&mut self.key);
        self
    }

    /// Another algorithm for the signature; the header stays as it is.
    pub(super) fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Signed.
    pub(super) fn sign(&self) -> String {
        let claims: Vec<String> =
            self.claims.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        self.sign_payload(format!("{{{}}}", claims.join(",")))
    }

    /// Signed, with any bytes in the place of the claims.
    pub(super) fn sign_payload(&self, payload: impl AsRef<[u8]>) -> String {
        let message = format!("{}.{}", BASE64URL.encode(&self.header), BASE64URL.encode(payload));
        let key = EncodingKey::from_secret(self.key.as_bytes());
        let signature = crypto::sign(message.as_bytes(), &key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}
