//! What stands in `users.password`: which algorithm, what checking it costs, whether it can be checked at all.
//!
//! Ours is Argon2id in PHC form, see [`is_ours`]. Others come from Django and are replaced at the next login.

use argon2::Params;
use argon2::password_hash::phc::PasswordHash;

use super::argon2_memory::Argon2Memory;
use super::django_hashes::DjangoHash;

/// What our own hashes cost, OWASP's minimum: 19 MiB, two passes, one lane.
pub(super) const MEMORY_KIB: u32 = 19_456;
pub(super) const PASSES: u32 = 2;
pub(super) const LANES: u32 = 1;

/// What Django writes in front of Argon2's own form.
const DJANGO_ARGON2: &str = "argon2";
/// The version of an Argon2 hash that names none.
const ARGON2_FIRST_VERSION: u32 = 0x10;
/// Memory in KiB × passes. Django asks for 102,400 × 2; beyond ten times that a check takes seconds.
const ARGON2_WORK_MAX: u64 = 2 << 20;

/// What Django calls its hashes, those included that nobody should keep: a text without such a name is no hash.
const DJANGO_ALGORITHMS: [&str; 11] = [
    "pbkdf2_sha256",
    "pbkdf2_sha1",
    DJANGO_ARGON2,
    "bcrypt_sha256",
    "bcrypt",
    "scrypt",
    "md5",
    "sha1",
    "unsalted_md5",
    "unsalted_sha1",
    "crypt",
];

/// Why a stored text belongs to no password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverifiable {
    /// It was made so, as Django's `!…`, or is empty: the account has no password.
    #[error("it has no usable password")]
    Unusable,
    /// It is no hash at all, perhaps a password in the clear.
    #[error("its password is no hash of Django's")]
    NoHash,
    /// An algorithm that we don't have, such as `md5`.
    #[error("its password is hashed by an algorithm that can't be checked")]
    Unknown,
    /// Parts are missing or make no sense.
    #[error("its password hash is corrupt")]
    Corrupt,
    /// Checking it would take too long.
    #[error("its password hash costs too much to check")]
    TooCostly,
}

/// A hash that can be checked.
pub(super) enum StoredHash {
    Argon2 { hash: Box<PasswordHash>, memory_kib: u32 },
    Django(DjangoHash),
}

impl StoredHash {
    pub(super) fn parse(stored: &str) -> Result<Self, Unverifiable> {
        if stored.is_empty() || stored.starts_with('!') {
            return Err(Unverifiable::Unusable);
        }
        let (algorithm, rest) = stored.split_once('$').ok_or(Unverifiable::NoHash)?;
        match algorithm {
            "" if rest.starts_with(DJANGO_ARGON2) => argon2_hash(stored),
            DJANGO_ARGON2 => argon2_hash(&format!("${rest}")),
            known if DJANGO_ALGORITHMS.contains(&known) => {
                DjangoHash::parse(algorithm, rest).map(Self::Django)
            }
            _ => Err(Unverifiable::NoHash),
        }
    }

    /// How much memory a check takes, at least one.
    pub(super) fn memory_mib(&self) -> u32 {
        let bytes = match self {
            Self::Argon2 { memory_kib, .. } => u64::from(*memory_kib) << 10,
            Self::Django(hash) => hash.memory_bytes(),
        };
        u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX).max(1)
    }

    /// Whether the password belongs to it.
    pub(super) fn verify(&self, password: &[u8], memory: &Argon2Memory) -> bool {
        match self {
            Self::Argon2 { hash, .. } => memory.verify(password, hash),
            Self::Django(hash) => hash.verify(password),
        }
    }
}

fn argon2_hash(text: &str) -> Result<StoredHash, Unverifiable> {
    let mut hash = PasswordHash::new(text).map_err(|_| Unverifiable::Corrupt)?;
    if !["argon2d", "argon2i", "argon2id"].contains(&hash.algorithm.as_str()) {
        return Err(Unverifiable::Unknown);
    }
    let version = *hash.version.get_or_insert(ARGON2_FIRST_VERSION);
    let params = Params::try_from(&hash).map_err(|_| Unverifiable::Corrupt)?;
    let known_version = argon2::Version::try_from(version).is_ok();
    if !known_version || hash.salt.is_none() || hash.hash.is_none() {
        return Err(Unverifiable::Corrupt);
    }
    if u64::from(params.m_cost()) * u64::from(params.t_cost()) > ARGON2_WORK_MAX {
        return Err(Unverifiable::TooCostly);
    }
    Ok(StoredHash::Argon2 { hash: Box::new(hash), memory_kib: params.m_cost() })
}

/// Whether it is a hash that we would make today: our algorithm at our cost.
pub(super) fn is_ours(stored: &str) -> bool {
    stored.starts_with(&format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$"))
}

/// Why nobody can log in with this stored text; `None` if somebody can. Checks no password.
pub fn unverifiable(stored: &str) -> Option<Unverifiable> {
    StoredHash::parse(stored).err()
}

/// The algorithm of a stored hash as events name it: `argon2id` for ours, Django's own name for Django's, `unknown` for
/// anything else. Never any other part of the text.
pub fn algorithm_name(stored: &str) -> &str {
    match stored.split('$').collect::<Vec<_>>().as_slice() {
        ["", name @ ("argon2id" | "argon2i" | "argon2d"), ..] => name,
        [name, _, ..] if DJANGO_ALGORITHMS.contains(name) => name,
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "correct horse battery";
    const CYRILLIC: &str = "пароль с пробелом ü";

    /// Made by Django 5.2.19 with its defaults, the last three with other costs: password, hash, MiB it needs.
    const BY_DJANGO: [(&str, &str, u32); 16] = [
        (
            PASSWORD,
            "pbkdf2_sha256$1000000$bMLQ8hXyDKx97EubZsITxV$TxJltya1pLxns6L3BkZJYd/7ZSnnttzVjnPF8kl4EFI=",
            1,
        ),
        (PASSWORD, "pbkdf2_sha1$1000000$gNXW4SfoDfpZYf7zMQ1UkU$BZheO5hNK9vP4dsEm8tzChbOih8=", 1),
        (
            PASSWORD,
            "argon2$argon2id$v=19$m=102400,t=2,p=8$dWNKVXdXMW5xaDJFeTF6b09LUnh6TA$Jvp5CL1VSSKxG862mjwnhAFB54r4+9OBht7V28hcdkA",
            100,
        ),
        (PASSWORD, "bcrypt_sha256$$2b$12$HfZnbguXdimes6dNdOas1u0U6elcjxx.QYaFTq4HF33uumkO3EZ1G", 1),
        (PASSWORD, "bcrypt$$2b$12$A02MvhPkZLNwmBG0koM4OePxePK5/re6rtEyRCklijDbt4MzDxVLS", 1),
        (
            PASSWORD,
            "scrypt$16384$nZVLkDZg7YFuYK0TVFE9iS$8$5$5iRvJB8n48X11OTgCpzztw4vjPYkI0XvmQ+EZIMvX9d5htg8jLTuIHTYfbarF9UmkhKe1GnoWnT93UtqEwpSGA==",
            17,
        ),
        (
            CYRILLIC,
            "pbkdf2_sha256$1000000$qjnBHW40K3VfhC9t07IbZq$ZUjkW8bQn4kFg8z9fi5R0drdiUbkPYAsk55aLy9O7Kk=",
            1,
        ),
        (CYRILLIC, "pbkdf2_sha1$1000000$UDtBxNZZ93R1YMEGg0JaJ7$LJg9eJ/YlJ7FdmzukwmGUSQfSWI=", 1),
        (
            CYRILLIC,
            "argon2$argon2id$v=19$m=102400,t=2,p=8$VWZ6ZTB5QVlsT0RBOUtjbnVHWGNvbA$RXS/kdJgJYXcQDVUsbSyt6leHACowRD8WoAVqVf03wY",
            100,
        ),
        (CYRILLIC, "bcrypt_sha256$$2b$12$ZUeSwJTVq2Y9tiF7OsXIee3Y9v07ClmxKvY421lD/AptY0e1F7FKi", 1),
        (CYRILLIC, "bcrypt$$2b$12$AiOru3Ht8pDCLJhLhTPKu.wv8Us.b1Lnmvzk7BBZmBeU0qeIJpdMm", 1),
        (
            CYRILLIC,
            "scrypt$16384$6i1QFD8ROvE5HlEKdpgyqP$8$5$qrxXncjfkjI4aL7P7glZTAnPEzhMq+3zb7XfwDtxuav1h5Za+i9Y351NGEHV4RfPkHYKqBVUdZb07gr0WZlu7g==",
            17,
        ),
        (PASSWORD, "pbkdf2_sha256$1200000$saltsaltsaltsalt$IOQm2x9Vch9KW/91f/7fUTpkKK5LIMapYQIdai/Y+IU=", 1),
        (PASSWORD, "pbkdf2_sha256$1000$saltsaltsaltsalt$Cf9xjlisAEzRbMZsosxST/5+wkpfUV6uoqiZkYtP6iQ=", 1),
        (
            PASSWORD,
            "argon2$argon2i$v=19$m=512,t=2,p=2$fE+SP2HYEZIAbtA38H2byw$XY+5/nb3l2VG6mH4wWoz484xmBbvTdq730rgPHRFu0o",
            1,
        ),
        (PASSWORD, "argon2$argon2i$m=512,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$SkfJ3G9HbkomPVo16yex9w", 1),
    ];

    /// Longer than bcrypt looks at.
    const LONG: &str = "bcrypt_sha256$$2b$12$M.guVitg5Bzql4GBD9xAButhxOeU0NiXAFhY7DziZ.i6m4/OfaJR6";

    #[test]
    fn every_hash_that_django_writes_fits_its_password_alone() {
        for (password, stored, mib) in BY_DJANGO {
            let hash = StoredHash::parse(stored).map_err(|reason| format!("{stored}: {reason}")).unwrap();
            assert!(hash.verify(password.as_bytes(), &Argon2Memory::default()), "{stored}");
            assert_eq!(hash.memory_mib(), mib, "{stored}");
            assert!(!is_ours(stored) && unverifiable(stored).is_none(), "{stored}");
        }
        for (_, stored, _) in &BY_DJANGO[..6] {
            assert!(
                !StoredHash::parse(stored)
                    .is_ok_and(|hash| hash.verify(b"correct horse batterz", &Argon2Memory::default())),
                "{stored}"
            );
        }
    }

    #[test]
    fn a_password_counts_in_full_where_bcrypt_alone_would_cut_it() {
        let hash = StoredHash::parse(LONG).map_err(|reason| reason.to_string()).unwrap();
        assert!(hash.verify("x".repeat(100).as_bytes(), &Argon2Memory::default()));
        assert!(!hash.verify("x".repeat(99).as_bytes(), &Argon2Memory::default()));
    }

    #[test]
    fn what_can_not_be_checked_says_why() {
        use Unverifiable::{Corrupt, NoHash, TooCostly, Unknown, Unusable};
        let bcrypt =
            |cost: &str| format!("bcrypt$$2b${cost}$A02MvhPkZLNwmBG0koM4OePxePK5/re6rtEyRCklijDbt4MzDxVLS");
        let pbkdf2 = |iterations: &str| {
            format!("pbkdf2_sha256${iterations}$salt$TxJltya1pLxns6L3BkZJYd/7ZSnnttzVjnPF8kl4EFI=")
        };
        let scrypt = |n: &str, r: &str, p: &str| {
            format!(
                "scrypt${n}$salt${r}${p}$5iRvJB8n48X11OTgCpzztw4vjPYkI0XvmQ+EZIMvX9d5htg8jLTuIHTYfbarF9UmkhKe1GnoWnT93UtqEwpSGA=="
            )
        };
        let argon2 = |params: &str| {
            format!(
                "argon2$argon2id${params}$dWNKVXdXMW5xaDJFeTF6b09LUnh6TA$Jvp5CL1VSSKxG862mjwnhAFB54r4+9OBht7V28hcdkA"
            )
        };
        for (stored, why) in [
            (String::new(), Unusable),
            ("!".to_owned(), Unusable),
            ("!Kx8sDq".to_owned(), Unusable),
            ("correct horse".to_owned(), NoHash),
            ("pa$$word".to_owned(), NoHash),
            ("$2b$12$A02MvhPkZLNwmBG0koM4OePxePK5/re6rtEyRCklijDbt4MzDxVLS".to_owned(), NoHash),
            ("md5$26QqkT1MsbyA1e2C4YzV9E$3dd0ff97352752a9eba75e221488d121".to_owned(), Unknown),
            (
                "argon2$argon2xx$v=19$m=512,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$SkfJ3G9HbkomPVo16yex9w".to_owned(),
                Unknown,
            ),
            ("pbkdf2_sha256$".to_owned(), Corrupt),
            ("pbkdf2_sha256$1000$salt$c2hvcnQ=".to_owned(), Corrupt),
            ("argon2$".to_owned(), Corrupt),
            ("$argon2id$v=19$m=19456,t=2,p=1$".to_owned(), Corrupt),
            (argon2("v=17$m=512,t=2,p=2"), Corrupt),
            (argon2("v=19$m=1,t=2,p=8"), Corrupt),
            (argon2("v=19$m=102400,t=21,p=8"), TooCostly),
            (argon2("v=19$m=4194304,t=1,p=8"), TooCostly),
            (pbkdf2("0"), Corrupt),
            (pbkdf2("-1"), Corrupt),
            (pbkdf2("many"), Corrupt),
            (pbkdf2("10000001"), TooCostly),
            (pbkdf2("99999999999999999999"), TooCostly),
            (bcrypt("03"), Corrupt),
            (bcrypt("16"), TooCostly),
            (bcrypt("31"), TooCostly),
            (bcrypt("ü"), Corrupt),
            (scrypt("16383", "8", "1"), Corrupt),
            (scrypt("1", "8", "1"), Corrupt),
            (scrypt("16384", "0", "1"), Corrupt),
            (scrypt("1048576", "8", "2"), TooCostly),
            (scrypt("2", "4194304", "2"), TooCostly),
            (scrypt("9223372036854775808", "4294967295", "4294967295"), TooCostly),
            (scrypt("99999999999999999999", "8", "1"), TooCostly),
        ] {
            assert_eq!(unverifiable(&stored), Some(why), "{stored}");
        }
        let largest = StoredHash::parse(&scrypt("2", "1", "4194304"));
        assert_eq!(largest.map(|hash| hash.memory_mib()).ok(), Some(513), "its lanes take memory, too");
    }

    #[test]
    fn an_algorithm_is_named_and_nothing_else_of_the_text_is() {
        for (stored, name) in [
            ("$argon2id$v=19$m=19456,t=2,p=1$salt$hash", "argon2id"),
            ("argon2$argon2id$v=19$m=102400,t=2,p=8$salt$hash", "argon2"),
            ("pbkdf2_sha256$1000000$salt$hash", "pbkdf2_sha256"),
            ("bcrypt_sha256$$2b$12$hash", "bcrypt_sha256"),
            ("md5$salt$hash", "md5"),
            ("secret$word", "unknown"),
            ("secret", "unknown"),
            ("!", "unknown"),
            ("", "unknown"),
        ] {
            assert_eq!(algorithm_name(stored), name, "{stored}");
        }
    }
}
