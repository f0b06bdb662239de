//! Argon2id on a bounded pool: so many at once, so many waiting, the rest is told to come back.
//!
//! Hashing runs on blocking threads, each holding one permit until it is done, also when its client has gone: memory
//! is bounded by permits × 19 MiB. An unknown user costs as much as a wrong password: a decoy is checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use shared::entropy::Entropy;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::HashingConfig;

/// OWASP's minimum: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// No password of ours is longer; the decoy is hashed in place of anything beyond.
const PASSWORD_BYTES_MAX: usize = 4096;

/// Why no password was hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// Too many wait already.
    #[error("too many password checks wait already")]
    Overloaded,
    /// The library failed.
    #[error("Argon2 failed: {0}")]
    Failed(argon2::password_hash::Error),
    /// The thread died.
    #[error("the hashing thread died")]
    Died(#[source] tokio::task::JoinError),
}

/// The bounded pool. Clones share it.
#[derive(Debug, Clone)]
pub struct PasswordHasher {
    permits: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    queue_max: usize,
    entropy: Entropy,
    decoy: Arc<str>,
}

impl PasswordHasher {
    /// A pool of `config.permits` places and `config.queue` waiting ones. Hashes one password, the decoy.
    pub fn new(config: &HashingConfig, entropy: Entropy) -> Result<Self, HashingError> {
        let nobodys = entropy.bytes::<32>();
        let decoy = hash(&nobodys, &entropy.bytes())?;
        Ok(Self {
            permits: Arc::new(Semaphore::new(config.permits)),
            waiting: Arc::default(),
            queue_max: config.queue,
            entropy,
            decoy: decoy.into(),
        })
    }

    /// Hashes a new password, in PHC form.
    pub async fn hash(&self, password: String) -> Result<String, HashingError> {
        let salt = self.entropy.bytes();
        self.run(move || hash(password.as_bytes(), &salt)).await
    }

    /// Whether `password` belongs to `stored`. Without a stored hash the decoy is checked, at the same cost, and the
    /// answer is no.
    pub async fn verify(
        &self,
        password: String,
        stored: Option<String>,
    ) -> Result<super::Checked, HashingError> {
        Ok(super::Checked { matches: self.verify0(password, stored).await?, outdated: false })
    }
    async fn verify0(&self, password: String, stored: Option<String>) -> Result<bool, HashingError> {
        let decoy = Arc::clone(&self.decoy);
        self.run(move || {
            let checkable = stored.filter(|_| password.len() <= PASSWORD_BYTES_MAX);
            let known = checkable.is_some();
            let secret = if known { password.as_bytes() } else { b"decoy".as_slice() };
            let matches = verify(secret, checkable.as_deref().unwrap_or(&decoy));
            Ok(known && matches)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let permit = self.permit().await?;
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        })
        .await
        .map_err(HashingError::Died)?
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, HashingError> {
        let permits = Arc::clone(&self.permits);
        if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
            return Ok(permit);
        }
        let place = Waiting::take(&self.waiting, self.queue_max).ok_or(HashingError::Overloaded)?;
        let permit = permits.acquire_owned().await.map_err(|_| HashingError::Overloaded)?;
        drop(place);
        Ok(permit)
    }
}

/// A place in the queue, given back when its request goes on or goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn take(waiting: &'a AtomicUsize, max: usize) -> Option<Self> {
        waiting
            .try_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < max).then_some(count + 1))
            .ok()
            .map(|_| Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn hash(password: &[u8], salt: &[u8; 16]) -> Result<String, HashingError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| HashingError::Failed(error.into()))?;
    let hash: PasswordHash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password, salt)
        .map_err(HashingError::Failed)?;
    Ok(hash.to_string())
}

fn verify(password: &[u8], stored: &str) -> bool {
    // A stored text that is no hash, such as Django's "!", belongs to no password.
    PasswordHash::new(stored).is_ok_and(|stored| Argon2::default().verify_password(password, &stored).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(permits: usize, queue: usize) -> PasswordHasher {
        PasswordHasher::new(&HashingConfig { permits, queue }, Entropy::seeded(1)).unwrap()
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_with_our_cost_and_fits_its_password_alone() {
        let hasher = hasher(1, 4);
        let stored = hasher.hash("correct horse".to_owned()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(hasher.verify("correct horse".to_owned(), Some(stored.clone())).await.unwrap().matches);
        assert!(!hasher.verify("battery staple".to_owned(), Some(stored)).await.unwrap().matches);
    }

    #[tokio::test]
    async fn no_user_no_hash_and_an_endless_password_are_all_simply_wrong() {
        let hasher = hasher(1, 4);
        let stored = hasher.hash("x".repeat(5000)).await.unwrap();
        assert!(!hasher.verify("decoy".to_owned(), None).await.unwrap().matches);
        assert!(!hasher.verify("x".to_owned(), Some("!".to_owned())).await.unwrap().matches);
        assert!(!hasher.verify("x".repeat(5000), Some(stored)).await.unwrap().matches);
    }

    #[tokio::test]
    async fn beyond_the_queue_a_request_is_refused_at_once() {
        let hasher = hasher(1, 1);
        let held = Arc::clone(&hasher.permits).acquire_owned().await.unwrap();
        let patient = tokio::spawn({
            let hasher = hasher.clone();
            async move { hasher.verify("x".to_owned(), None).await }
        });
        while hasher.waiting.load(Ordering::Acquire) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(hasher.verify("x".to_owned(), None).await, Err(HashingError::Overloaded)));
        drop(held);
        assert!(!patient.await.unwrap().unwrap().matches);
        assert_eq!(hasher.waiting.load(Ordering::Acquire), 0);
    }
}
