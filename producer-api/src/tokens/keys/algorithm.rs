//! The algorithm that signs tokens, and the only one that is accepted.

use std::str::FromStr;

use jsonwebtoken::Algorithm as Library;

/// Those whose library names are ours, too, under their exact spelling.
const ALL: [(&str, Library); 12] = [
    ("HS256", Library::HS256),
    ("HS384", Library::HS384),
    ("HS512", Library::HS512),
    ("RS256", Library::RS256),
    ("RS384", Library::RS384),
    ("RS512", Library::RS512),
    ("PS256", Library::PS256),
    ("PS384", Library::PS384),
    ("PS512", Library::PS512),
    ("ES256", Library::ES256),
    ("ES384", Library::ES384),
    ("EdDSA", Library::EdDSA),
];

/// Known to `PyJWT`, but not to the library that signs for us.
const NOT_IN_THE_LIBRARY: [&str; 3] = ["ES512", "ES521", "ES256K"];

/// An algorithm of the setting `ALGORITHM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algorithm {
    name: &'static str,
    library: Library,
}

/// What sort of key an algorithm takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// A secret.
    Hmac,
    /// An RSA key of at least 2048 bits.
    Rsa,
    /// A key on the curve P-256.
    P256,
    /// A key on the curve P-384.
    P384,
    /// An Ed25519 key.
    Ed25519,
}

/// Why a name is no algorithm of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownAlgorithm {
    /// The library has none.
    #[error("{0} is not offered, because the library that signs has none; choose ES256, ES384 or EdDSA")]
    NotInTheLibrary(String),
    /// Nobody knows it.
    #[error(
        "{0:?} is not one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA, \
         spelled exactly so"
    )]
    Unknown(String),
}

impl Algorithm {
    /// As a token's header writes it.
    pub const fn as_str(self) -> &'static str {
        self.name
    }

    /// Whether one secret both signs and verifies.
    pub fn is_symmetric(self) -> bool {
        self.family() == Family::Hmac
    }

    pub(super) const fn library(self) -> Library {
        self.library
    }

    pub(super) const fn family(self) -> Family {
        match self.library {
            Library::HS256 | Library::HS384 | Library::HS512 => Family::Hmac,
            Library::ES256 => Family::P256,
            Library::ES384 => Family::P384,
            Library::EdDSA => Family::Ed25519,
            _ => Family::Rsa,
        }
    }
}

impl Default for Algorithm {
    /// HS256, `SimpleJWT`'s default.
    fn default() -> Self {
        Self { name: "HS256", library: Library::HS256 }
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        if let Some((name, library)) = ALL.into_iter().find(|(name, _)| *name == text) {
            return Ok(Self { name, library });
        }
        let refuse = if NOT_IN_THE_LIBRARY.contains(&text) {
            UnknownAlgorithm::NotInTheLibrary
        } else {
            UnknownAlgorithm::Unknown
        };
        Err(refuse(text.to_owned()))
    }
}

impl Family {
    /// In words, as the middle of a sentence.
    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Hmac => "a secret",
            Self::Rsa => "an RSA key",
            Self::P256 => "an EC key on the curve P-256",
            Self::P384 => "an EC key on the curve P-384",
            Self::Ed25519 => "an Ed25519 key",
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every algorithm whose keys come in pairs.
    pub(crate) const ASYMMETRIC: [&str; 9] =
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

    #[test]
    fn the_exact_spelling_counts() {
        for name in ASYMMETRIC.into_iter().chain(["HS256", "HS384", "HS512"]) {
            let algorithm: Algorithm = name.parse().unwrap();
            assert_eq!(algorithm.as_str(), name);
            assert_eq!(algorithm.is_symmetric(), name.starts_with("HS"));
        }
        for name in ["", "none", "hs256", "EDDSA", "RS1", " HS256", "ES256 "] {
            assert_eq!(name.parse::<Algorithm>(), Err(UnknownAlgorithm::Unknown(name.to_owned())));
        }
        for name in NOT_IN_THE_LIBRARY {
            let message = name.parse::<Algorithm>().unwrap_err().to_string();
            assert!(message.starts_with(name) && message.contains("library"), "{message}");
        }
    }

    #[test]
    fn simple_jwts_default_is_ours() {
        assert_eq!(Algorithm::default(), "HS256".parse().unwrap());
    }
}
