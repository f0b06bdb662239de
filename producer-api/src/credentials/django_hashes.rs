//! The password hashes that Django writes and we don't: read, weighed and checked. A pure room.
//!
//! `pbkdf2_sha256`, `pbkdf2_sha1`, `bcrypt_sha256`, `bcrypt` and `scrypt`; Django's `argon2` is Argon2 with a name in
//! front, see [`super::stored_hash`]. Each has a ceiling of about ten times what Django asks for today: a hash is data,
//! and no data may keep a core busy for a minute.

use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::stored_hash::Unverifiable;

/// Django 6.0 asks for 1,200,000.
const PBKDF2_ITERATIONS_MAX: u32 = 10_000_000;
/// Django asks for 12; each one more doubles the work.
const BCRYPT_COST_MAX: u32 = 15;
const BCRYPT_COST_MIN: u32 = 4;
/// N × r × p. Django asks for 2^14 × 8 × 5.
const SCRYPT_WORK_MAX: u64 = 1 << 23;

const SHA256_BYTES: usize = 32;
const SHA1_BYTES: usize = 20;
const SCRYPT_BYTES: usize = 64;
const BCRYPT_CHARACTERS: usize = 60;

/// A hash of Django's that can be checked.
pub(super) enum DjangoHash {
    Pbkdf2 { algorithm: pbkdf2::Algorithm, iterations: NonZeroU32, salt: String, derived: Vec<u8> },
    Bcrypt { hash: String, of_sha256: bool },
    Scrypt { params: scrypt::Params, salt: String, derived: Vec<u8> },
}

impl DjangoHash {
    /// Reads the part behind `algorithm$`.
    pub(super) fn parse(algorithm: &str, rest: &str) -> Result<Self, Unverifiable> {
        match algorithm {
            "pbkdf2_sha256" => pbkdf2_hash(pbkdf2::PBKDF2_HMAC_SHA256, SHA256_BYTES, rest),
            "pbkdf2_sha1" => pbkdf2_hash(pbkdf2::PBKDF2_HMAC_SHA1, SHA1_BYTES, rest),
            "bcrypt_sha256" => bcrypt_hash(rest, true),
            "bcrypt" => bcrypt_hash(rest, false),
            "scrypt" => scrypt_hash(rest),
            _ => Err(Unverifiable::Unknown),
        }
    }

    /// How much memory a check takes, in bytes; nothing to speak of for all but scrypt.
    pub(super) fn memory_bytes(&self) -> u64 {
        match self {
            Self::Pbkdf2 { .. } | Self::Bcrypt { .. } => 0,
            Self::Scrypt { params, .. } => {
                128 * u64::from(params.r()) * params.n().saturating_add(u64::from(params.p()))
            }
        }
    }

    /// Whether the password belongs to it. Takes its full time either way.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Pbkdf2 { algorithm, iterations, salt, derived } => {
                pbkdf2::verify(*algorithm, *iterations, salt.as_bytes(), password, derived).is_ok()
            }
            Self::Bcrypt { hash, of_sha256: false } => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Bcrypt { hash, of_sha256: true } => {
                // bcrypt looks at 72 bytes alone; Django shortens a password to the hex text of its digest first.
                let digest = digest::digest(&digest::SHA256, password);
                bcrypt::verify(hex(digest.as_ref()), hash).unwrap_or(false)
            }
            Self::Scrypt { params, salt, derived } => {
                let mut output = [0; SCRYPT_BYTES];
                scrypt::scrypt(password, salt.as_bytes(), params, &mut output).is_ok()
                    && constant_time::verify_slices_are_equal(&output, derived).is_ok()
            }
        }
    }
}

/// `iterations$salt$derived`
fn pbkdf2_hash(algorithm: pbkdf2::Algorithm, bytes: usize, rest: &str) -> Result<DjangoHash, Unverifiable> {
    let [iterations, salt, derived] = parts(rest)?;
    let iterations: NonZeroU32 = number(iterations)?;
    if iterations.get() > PBKDF2_ITERATIONS_MAX {
        return Err(Unverifiable::TooCostly);
    }
    Ok(DjangoHash::Pbkdf2 { algorithm, iterations, salt: salt.to_owned(), derived: decoded(derived, bytes)? })
}

/// `$2b$12$` and 53 characters: bcrypt's own form.
fn bcrypt_hash(rest: &str, of_sha256: bool) -> Result<DjangoHash, Unverifiable> {
    let ["", variant, cost, _] = parts(rest)? else { return Err(Unverifiable::Corrupt) };
    if !["2a", "2b", "2y"].contains(&variant) || rest.len() != BCRYPT_CHARACTERS {
        return Err(Unverifiable::Corrupt);
    }
    match number::<u32>(cost)? {
        BCRYPT_COST_MIN..=BCRYPT_COST_MAX => {}
        ..BCRYPT_COST_MIN => return Err(Unverifiable::Corrupt),
        _ => return Err(Unverifiable::TooCostly),
    }
    rest.parse::<bcrypt::HashParts>().map_err(|_| Unverifiable::Corrupt)?;
    Ok(DjangoHash::Bcrypt { hash: rest.to_owned(), of_sha256 })
}

/// `N$salt$r$p$derived`
fn scrypt_hash(rest: &str) -> Result<DjangoHash, Unverifiable> {
    let [n, salt, r, p, derived] = parts(rest)?;
    let (n, r, p): (u64, u32, u32) = (number(n)?, number(r)?, number(p)?);
    if !n.is_power_of_two() || n < 2 || r == 0 || p == 0 {
        return Err(Unverifiable::Corrupt);
    }
    let work = n.checked_mul(r.into()).and_then(|work| work.checked_mul(p.into()));
    if work.is_none_or(|work| work > SCRYPT_WORK_MAX) {
        return Err(Unverifiable::TooCostly);
    }
    let log_n = u8::try_from(n.ilog2()).map_err(|_| Unverifiable::Corrupt)?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| Unverifiable::Corrupt)?;
    Ok(DjangoHash::Scrypt { params, salt: salt.to_owned(), derived: decoded(derived, SCRYPT_BYTES)? })
}

fn parts<const N: usize>(rest: &str) -> Result<[&str; N], Unverifiable> {
    let parts: Vec<&str> = rest.split('$').collect();
    parts.try_into().map_err(|_| Unverifiable::Corrupt)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Unverifiable> {
    let is_huge = text.len() >= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().map_err(|_| if is_huge { Unverifiable::TooCostly } else { Unverifiable::Corrupt })
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn decoded(text: &str, bytes: usize) -> Result<Vec<u8>, Unverifiable> {
    STANDARD.decode(text).ok().filter(|derived| derived.len() == bytes).ok_or(Unverifiable::Corrupt)
}
