//! A private key in PEM: reading every form that OpenSSL writes, making a new one, and its public half.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{DecodingKey, EncodingKey, crypto};
use pem::Pem;

use super::algorithm::{Algorithm, Family};

/// What a self-test signs.
const PROBE: &[u8] = b"Warren signs and verifies this once.";

/// Why a text is no private key for the algorithm; the end of a sentence that begins with where the text stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemFault {
    /// There is no PEM in it.
    #[error("this is no PEM text: give a private key that begins with -----BEGIN PRIVATE KEY-----")]
    NoPem,
    /// It is encrypted.
    #[error(
        "this key is encrypted: write it without a passphrase, such as by `openssl pkey -in KEY -out PLAIN`"
    )]
    Encrypted,
    /// It is OpenSSH's own form.
    #[error("this is OpenSSH's form: turn it into PEM, such as by `ssh-keygen -p -m pkcs8 -f KEY`")]
    OpenSsh,
    /// It holds a public key or a certificate.
    #[error("this is a public key or a certificate: give the private key")]
    Public,
    /// It can't be read.
    #[error(
        "the key in this PEM text can't be read: make one by `producer-api keys rotate` or `openssl genpkey`"
    )]
    Unreadable,
    /// Its RSA modulus is too short or too long.
    #[error("this RSA key is not between 2048 and 8192 bits long: take one that is")]
    RsaSize,
    /// It is a key for another algorithm.
    #[error("{algorithm} takes {wanted}, and this is {found}: change ALGORITHM or the key")]
    WrongFamily {
        /// The configured one.
        algorithm: &'static str,
        /// What it takes.
        wanted: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// It signs, and what it signs does not verify.
    #[error("what this key signs does not verify: it is damaged, take another")]
    SelfTest,
    /// The verifying key belongs to another private key.
    #[error(
        "this public key does not belong to SIGNING_KEY: remove it, it is derived, or give the right one"
    )]
    OtherPublicKey,
    /// The verifying key is no public key in PEM.
    #[error("this is no public key in PEM for {0}: remove it, it is derived from the private key")]
    NoPublicKey(&'static str),
}

/// A private key that passed its self-test, for one algorithm.
pub(super) struct PrivateKey {
    algorithm: Algorithm,
    signer: Signer,
    decoding: DecodingKey,
    public: Jwk,
}

enum Signer {
    /// Signs directly: the library reads an RSA key anew for each signature, which takes four times as long as signing.
    Rsa(RsaKeyPair),
    Library(EncodingKey),
}

/// The cryptography refused to sign.
#[derive(Debug, thiserror::Error)]
#[error("the key does not sign")]
pub(super) struct DoesNotSign;

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PrivateKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Reads PKCS#8 (RSA, EC, Ed25519), PKCS#1 (RSA) or SEC 1 (EC), also behind a block of EC parameters and with line
    /// breaks written as `\n`, and signs and verifies once with it.
    pub(super) fn from_pem(text: &str, algorithm: Algorithm) -> Result<Self, PemFault> {
        let block = private_block(text)?;
        let pair = Pair::read(&block)?;
        if pair.family() != algorithm.family() {
            return Err(PemFault::WrongFamily {
                algorithm: algorithm.as_str(),
                wanted: algorithm.family().in_words(),
                found: pair.family().in_words(),
            });
        }
        let key = pair.into_key(algorithm).ok_or(PemFault::Unreadable)?;
        if key.is_verified_by(&key.decoding) { Ok(key) } else { Err(PemFault::SelfTest) }
    }

    /// A new key as PKCS#8 in PEM: 2048 bits for RSA. `None` if the cryptography fails, or for HMAC.
    pub(super) fn generate(algorithm: Algorithm) -> Option<String> {
        let der = match algorithm.family() {
            Family::Hmac => return None,
            Family::Rsa => AsDer::<Pkcs8V1Der<'_>>::as_der(&RsaKeyPair::generate(KeySize::Rsa2048).ok()?)
                .ok()?
                .as_ref()
                .to_vec(),
            Family::P256 => generate_ec(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
            Family::P384 => generate_ec(&ECDSA_P384_SHA384_FIXED_SIGNING)?,
            Family::Ed25519 => Ed25519KeyPair::generate().ok()?.to_pkcs8v1().ok()?.as_ref().to_vec(),
        };
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Some(pem::encode_config(&Pem::new("PRIVATE KEY", der), config))
    }

    /// Its signature of `message`, base64url.
    pub(super) fn sign(&self, message: &[u8]) -> Result<String, DoesNotSign> {
        match &self.signer {
            Signer::Rsa(pair) => sign_by_rsa(pair, self.algorithm, message).ok_or(DoesNotSign),
            Signer::Library(key) => {
                crypto::sign(message, key, self.algorithm.library()).map_err(|_| DoesNotSign)
            }
        }
    }

    /// What verifies its signatures.
    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    /// Its public half under the id `kid`, for the key set.
    pub(super) fn public(&self, kid: &str) -> Jwk {
        let mut jwk = self.public.clone();
        jwk.common.key_id = Some(kid.to_owned());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        jwk
    }

    /// Its RFC 7638 thumbprint (SHA-256, base64url).
    pub(super) fn thumbprint(&self) -> Result<String, PemFault> {
        self.public.thumbprint(ThumbprintHash::SHA256).map_err(|_| PemFault::Unreadable)
    }

    /// Refuses a public key in PEM that does not belong to this one.
    pub(super) fn check_public(&self, text: &str) -> Result<(), PemFault> {
        let text = with_line_breaks(text);
        let read = match self.algorithm.family() {
            Family::Rsa => DecodingKey::from_rsa_pem(text.as_bytes()),
            Family::Ed25519 => DecodingKey::from_ed_pem(text.as_bytes()),
            _ => DecodingKey::from_ec_pem(text.as_bytes()),
        };
        let decoding = match read {
            // The library reads private RSA keys and certificates here, too.
            Ok(decoding) if text.contains("PUBLIC KEY-----") => decoding,
            _ => return Err(PemFault::NoPublicKey(self.algorithm.as_str())),
        };
        if self.is_verified_by(&decoding) { Ok(()) } else { Err(PemFault::OtherPublicKey) }
    }

    fn is_verified_by(&self, decoding: &DecodingKey) -> bool {
        let Ok(signature) = self.sign(PROBE) else { return false };
        crypto::verify(&signature, PROBE, decoding, self.algorithm.library()).unwrap_or(false)
    }
}

fn sign_by_rsa(pair: &RsaKeyPair, algorithm: Algorithm, message: &[u8]) -> Option<String> {
    let padding: &'static dyn RsaEncoding = match algorithm.library() {
        jsonwebtoken::Algorithm::RS256 => &RSA_PKCS1_SHA256,
        jsonwebtoken::Algorithm::RS384 => &RSA_PKCS1_SHA384,
        jsonwebtoken::Algorithm::RS512 => &RSA_PKCS1_SHA512,
        jsonwebtoken::Algorithm::PS256 => &RSA_PSS_SHA256,
        jsonwebtoken::Algorithm::PS384 => &RSA_PSS_SHA384,
        jsonwebtoken::Algorithm::PS512 => &RSA_PSS_SHA512,
        _ => return None,
    };
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(padding, &SystemRandom::new(), message, &mut signature).ok()?;
    Some(URL_SAFE_NO_PAD.encode(signature))
}

fn generate_ec(curve: &'static EcdsaSigningAlgorithm) -> Option<Vec<u8>> {
    Some(EcdsaKeyPair::generate(curve).ok()?.to_pkcs8v1().ok()?.as_ref().to_vec())
}

/// An environment file can't hold a line break, so they come as the two characters `\n`.
fn with_line_breaks(text: &str) -> String {
    if text.contains('\n') { text.to_owned() } else { text.replace("\\n", "\n") }
}

fn private_block(text: &str) -> Result<Pem, PemFault> {
    let blocks = pem::parse_many(with_line_breaks(text)).map_err(|_| PemFault::NoPem)?;
    if blocks.is_empty() {
        return Err(PemFault::NoPem);
    }
    let mut private = blocks.into_iter().filter(|block| block.tag().ends_with("PRIVATE KEY"));
    let block = private.next().ok_or(PemFault::Public)?;
    let encrypted = block.headers().get("Proc-Type").is_some_and(|value| value.contains("ENCRYPTED"));
    match block.tag() {
        "ENCRYPTED PRIVATE KEY" => Err(PemFault::Encrypted),
        "OPENSSH PRIVATE KEY" => Err(PemFault::OpenSsh),
        _ if encrypted => Err(PemFault::Encrypted),
        _ => Ok(block),
    }
}

/// A key as the cryptography knows it.
enum Pair {
    Rsa(RsaKeyPair),
    Ec(Family, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Pair {
    fn read(block: &Pem) -> Result<Self, PemFault> {
        let der = block.contents();
        let rsa = match block.tag() {
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(der),
            _ => RsaKeyPair::from_pkcs8(der),
        };
        match rsa {
            Ok(pair) => return Ok(Self::Rsa(pair)),
            Err(rejected) if matches!(rejected.description_(), "TooSmall" | "TooLarge") => {
                return Err(PemFault::RsaSize);
            }
            Err(_) => {}
        }
        for (family, curve) in [
            (Family::P256, &ECDSA_P256_SHA256_FIXED_SIGNING),
            (Family::P384, &ECDSA_P384_SHA384_FIXED_SIGNING),
        ] {
            if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve, der) {
                return Ok(Self::Ec(family, pair));
            }
        }
        Ed25519KeyPair::from_pkcs8(der).map(Self::Ed25519).map_err(|_| PemFault::Unreadable)
    }

    const fn family(&self) -> Family {
        match self {
            Self::Rsa(_) => Family::Rsa,
            Self::Ec(family, _) => *family,
            Self::Ed25519(_) => Family::Ed25519,
        }
    }

    /// In the forms that sign and verify.
    fn into_key(self, algorithm: Algorithm) -> Option<PrivateKey> {
        let (signer, decoding) = match self {
            Self::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                (Signer::Rsa(pair), DecodingKey::from_rsa_raw_components(&public.n, &public.e))
            }
            Self::Ec(_, pair) => {
                let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().ok()?.as_ref());
                (Signer::Library(key), DecodingKey::from_ec_der(pair.public_key().as_ref()))
            }
            Self::Ed25519(pair) => {
                let key = EncodingKey::from_ed_der(pair.to_pkcs8v1().ok()?.as_ref());
                (Signer::Library(key), DecodingKey::from_ed_der(pair.public_key().as_ref()))
            }
        };
        let public = Jwk::from_decoding_key(&decoding, Some(algorithm.library())).ok()?;
        Some(PrivateKey { algorithm, signer, decoding, public })
    }
}
