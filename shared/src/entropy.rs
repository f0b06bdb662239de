//! Chance as an argument: the system's randomness, or a seeded source that a test can repeat.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::{Builder, Uuid};

/// A source of randomness. The system's is fit for secrets; a seeded one is for tests alone.
#[derive(Debug, Clone)]
pub struct Entropy(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Seeded(Arc<Mutex<StdRng>>),
}

impl Entropy {
    /// The system's cryptographic source.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// The same sequence for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// `N` random bytes.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's randomness")]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Source::System => rand::rng().fill_bytes(&mut bytes),
            Source::Seeded(source) => {
                source.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
            }
        }
        bytes
    }

    /// A random UUID (version 4).
    pub fn uuid_v4(&self) -> Uuid {
        Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// A UUID that begins with the millisecond of `at` (version 7). An instant before 1970 counts as 1970.
    pub fn uuid_v7(&self, at: DateTime<Utc>) -> Uuid {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }

    /// A duration drawn evenly from zero up to `ceiling`: full jitter.
    pub fn jitter(&self, ceiling: Duration) -> Duration {
        let share = f64::from(u32::from_le_bytes(self.bytes())) / f64::from(u32::MAX);
        ceiling.mul_f64(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seeded_source_repeats_itself() {
        assert_eq!(Entropy::seeded(7).uuid_v4(), Entropy::seeded(7).uuid_v4());
        assert_ne!(Entropy::seeded(7).uuid_v4(), Entropy::seeded(8).uuid_v4());
    }

    #[test]
    fn a_version_7_id_begins_with_its_millisecond() {
        let at = DateTime::from_timestamp_millis(1_763_700_000_123).unwrap();
        let id = Entropy::system().uuid_v7(at);
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.as_u128() >> 80, 1_763_700_000_123);
    }

    #[test]
    fn jitter_stays_below_its_ceiling() {
        let entropy = Entropy::seeded(1);
        let ceiling = Duration::from_secs(3);
        assert!((0..1000).all(|_| entropy.jitter(ceiling) <= ceiling));
    }
}
