//! Making and checking password hashes: ours are Argon2id, Django's are checked too.
//!
//! An unknown user costs as much as a wrong password: a decoy is checked. So do accounts whose hash can't be checked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use argon2::{Algorithm, Params, Version};
use shared::entropy::Entropy;
use tokio::time::Instant;

use super::argon2_memory::Argon2Memory;
use super::hashing_pool::{HashingError, HashingPool};
use super::password_policy::{PersonalWords, faults_at_sight, guessing_fault};
use super::stored_hash::{LANES, MEMORY_KIB, PASSES, StoredHash, Unverifiable, algorithm_name, is_ours};
use crate::config::HashingConfig;

/// What a hash of ours needs.
const MEMORY_MIB: u32 = MEMORY_KIB.div_ceil(1024);

/// What judging a password needs at the worst.
const JUDGING_MIB: u32 = 4;

/// No password of ours is longer; the decoy is hashed in place of anything beyond.
const PASSWORD_BYTES_MAX: usize = 4096;

/// What a check of a password has shown.
#[derive(Debug, Clone, Copy)]
pub struct Checked {
    /// Whether the password belongs to the stored hash.
    pub matches: bool,
    /// Whether the stored hash is another than we would make today, so that it should be made anew while the password
    /// is at hand. Never when the password does not match.
    pub outdated: bool,
    /// When the work began, after any wait for a place.
    pub began: Instant,
}

/// Hashes and checks on a bounded pool. Clones share it.
#[derive(Debug, Clone)]
pub struct PasswordHasher {
    pool: HashingPool,
    memory: Argon2Memory,
    entropy: Entropy,
    decoy: Arc<str>,
}

impl PasswordHasher {
    /// A pool of `config.permits` places, `config.memory_mib` of memory and `config.queue` waiting ones. Hashes one
    /// password, the decoy.
    pub fn new(config: &HashingConfig, entropy: Entropy) -> Result<Self, HashingError> {
        let nobodys = entropy.bytes::<32>();
        let memory = Argon2Memory::default();
        let decoy = hash(&memory, &nobodys, &entropy.bytes())?;
        Ok(Self { pool: HashingPool::new(config), memory, entropy, decoy: decoy.into() })
    }

    /// What [`password_faults`](super::password_faults) finds, without holding up anybody else: the dear rule is asked
    /// on the pool, and only where the others find nothing.
    pub async fn faults_of_new(
        &self,
        password: &str,
        about: &PersonalWords,
    ) -> Result<Vec<String>, HashingError> {
        let faults = faults_at_sight(password, about);
        if !faults.is_empty() {
            return Ok(faults);
        }
        let (password, about) = (password.to_owned(), about.clone());
        self.pool.run(JUDGING_MIB, move || Ok(guessing_fault(&password, &about).into_iter().collect())).await
    }

    /// How many wait for a place.
    pub fn waiting(&self) -> usize {
        self.pool.waiting.load(Ordering::Acquire)
    }

    /// How many places are free.
    pub fn free_places(&self) -> usize {
        self.pool.places.available_permits()
    }

    /// Hashes a new password, in PHC form.
    pub async fn hash(&self, password: String) -> Result<String, HashingError> {
        let (memory, salt) = (self.memory.clone(), self.entropy.bytes());
        self.pool.run(MEMORY_MIB, move || hash(&memory, password.as_bytes(), &salt)).await
    }

    /// Whether `password` belongs to `stored`. Without a stored hash that can be checked the decoy is, at the cost of a
    /// hash of ours, and the answer is no.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<Checked, HashingError> {
        let stored = stored.filter(|_| password.len() <= PASSWORD_BYTES_MAX);
        let outdated = stored.as_deref().is_some_and(|stored| !is_ours(stored));
        let checkable = stored.and_then(|stored| self.checkable(&stored));
        let mib = checkable.as_ref().map_or(MEMORY_MIB, StoredHash::memory_mib);
        let (decoy, memory) = (Arc::clone(&self.decoy), self.memory.clone());
        self.pool
            .run(mib, move || {
                let began = Instant::now();
                let matches = if let Some(stored) = checkable {
                    stored.verify(password.as_bytes(), &memory)
                } else {
                    // The decoy's password is nobody's, 32 random bytes; whatever comes out, it is a no.
                    let _ = StoredHash::parse(&decoy).map(|decoy| decoy.verify(b"decoy", &memory));
                    false
                };
                Ok(Checked { matches, outdated: matches && outdated, began })
            })
            .await
    }

    /// The stored hash, unless it can't be checked or not at a price that we pay.
    fn checkable(&self, stored: &str) -> Option<StoredHash> {
        let algorithm = algorithm_name(stored);
        let parsed = StoredHash::parse(stored).inspect_err(|reason| {
            if *reason == Unverifiable::TooCostly {
                tracing::warn!(
                    algorithm,
                    "a stored password hash costs more than any check may; its password is refused"
                );
            }
        });
        parsed.ok().filter(|hash| {
            let mib = hash.memory_mib();
            let holds = self.pool.holds(mib);
            if !holds {
                tracing::warn!(
                    algorithm,
                    mib,
                    "a stored password hash needs more memory than all hashes may have; its password is refused. Raise \
                     HASHING_MEMORY_MIB"
                );
            }
            holds
        })
    }
}

fn hash(memory: &Argon2Memory, password: &[u8], salt: &[u8; 16]) -> Result<String, HashingError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| HashingError::Failed(error.into()))?;
    let cost = (Algorithm::Argon2id, Version::V0x13, params);
    let hash = memory.hash(cost, password, salt).map_err(HashingError::Failed)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Django 5.2 of "correct horse battery"; needs 100 MiB.
    const DJANGO_ARGON2: &str = "argon2$argon2id$v=19$m=102400,t=2,p=8$dWNKVXdXMW5xaDJFeTF6b09LUnh6TA$Jvp5CL1VSSKxG862mjwnhAFB54r4+9OBht7V28hcdkA";
    const PASSWORD: &str = "correct horse battery";

    fn hasher(permits: usize, memory_mib: u32, queue: usize) -> PasswordHasher {
        PasswordHasher::new(&HashingConfig { permits, memory_mib, queue }, Entropy::seeded(1)).unwrap()
    }

    async fn check(hasher: &PasswordHasher, password: &str, stored: &str) -> Checked {
        hasher.verify(password.to_owned(), Some(stored.to_owned())).await.unwrap()
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_with_our_cost_and_fits_its_password_alone() {
        let hasher = hasher(1, 19, 4);
        let stored = hasher.hash("correct horse".to_owned()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let right = check(&hasher, "correct horse", &stored).await;
        assert!(right.matches && !right.outdated, "{right:?}");
        assert!(!check(&hasher, "battery staple", &stored).await.matches);
    }

    #[tokio::test]
    async fn a_new_password_is_judged_as_by_the_pure_rules_and_in_the_queue() {
        let hasher = hasher(1, 19, 0);
        let about = PersonalWords { username: "froggly".to_owned(), ..PersonalWords::default() };
        for password in ["", "short", "froggly!", "sunshine", "zxcvbnm,./asdf", "froggly1234", PASSWORD] {
            let faults = hasher.faults_of_new(password, &about).await.unwrap();
            assert_eq!(faults, super::super::password_faults(password, &about), "{password}");
        }
        let held = Arc::clone(&hasher.pool.places).acquire_owned().await.unwrap();
        assert_eq!(hasher.faults_of_new("short", &about).await.unwrap().len(), 1, "costs no place");
        assert!(matches!(hasher.faults_of_new(PASSWORD, &about).await, Err(HashingError::Overloaded)));
        drop(held);
    }

    #[tokio::test]
    async fn no_user_no_hash_and_an_endless_password_are_all_simply_wrong() {
        let hasher = hasher(1, 19, 4);
        let stored = hasher.hash("x".repeat(5000)).await.unwrap();
        assert!(!hasher.verify("decoy".to_owned(), None).await.unwrap().matches);
        for nothing in ["!", "!x7f", "", "decoy", "$argon2id$", "pbkdf2_sha256$1$x", "md5$salt$00"] {
            assert!(!check(&hasher, nothing, nothing).await.matches, "{nothing}");
        }
        assert!(!check(&hasher, &"x".repeat(5000), &stored).await.matches);
    }

    #[tokio::test]
    async fn a_hash_from_django_matches_and_is_outdated_and_a_wrong_password_is_neither() {
        let hasher = hasher(1, 128, 4);
        let right = check(&hasher, PASSWORD, DJANGO_ARGON2).await;
        assert!(right.matches && right.outdated, "{right:?}");
        let wrong = check(&hasher, "correct horse", DJANGO_ARGON2).await;
        assert!(!wrong.matches && !wrong.outdated, "{wrong:?}");
    }

    #[tokio::test]
    async fn a_hash_that_needs_more_memory_than_there_is_belongs_to_no_password() {
        assert!(check(&hasher(1, 100, 4), PASSWORD, DJANGO_ARGON2).await.matches);
        assert!(!check(&hasher(1, 99, 4), PASSWORD, DJANGO_ARGON2).await.matches);
    }

    #[tokio::test]
    async fn beyond_the_queue_a_request_is_refused_at_once() {
        let hasher = hasher(1, 128, 1);
        let held = Arc::clone(&hasher.pool.places).acquire_owned().await.unwrap();
        let patient = tokio::spawn({
            let hasher = hasher.clone();
            async move { hasher.verify("x".to_owned(), None).await }
        });
        while hasher.pool.waiting.load(Ordering::Acquire) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(hasher.verify("x".to_owned(), None).await, Err(HashingError::Overloaded)));
        drop(held);
        assert!(!patient.await.unwrap().unwrap().matches);
        assert_eq!(hasher.pool.waiting.load(Ordering::Acquire), 0);
    }
}
